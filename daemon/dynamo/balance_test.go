package dynamo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/dynamo/call"
	"dynamod/daemon/dynamo/directory"
	"dynamod/daemon/dynamo/moapi"
)

var (
	_ Asker = (*directory.Client)(nil)
	_ Asker = (*moapi.Client)(nil)
)

// answers come one after the other; the last one stays.
type answers struct {
	mu    sync.Mutex
	list  []answer
	asked int
	takes time.Duration
}

type answer struct {
	data float64
	typ  moapi.Type
	err  error
}

func (a *answers) Balances(ctx context.Context, _ string, _ moapi.BalanceQuery) ([]moapi.Balance, error) {
	a.mu.Lock()
	next := a.list[min(a.asked, len(a.list)-1)]
	a.asked++
	a.mu.Unlock()
	select {
	case <-time.After(a.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if next.err != nil {
		return nil, next.err
	}
	typ := next.typ
	if typ == "" {
		typ = moapi.TypePrepaid
	}
	return []moapi.Balance{{Type: typ, Data: &next.data}}, nil
}

func (a *answers) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

func TestBalancesKeepToTheirPauses(t *testing.T) {
	tooMany := &call.Error{Code: call.CodeTooMany, Status: 429, RetryAfter: 20 * time.Minute}
	for _, tt := range []struct {
		name string
		list []answer
		want []time.Duration // pauses after each question
	}{
		{"answers", []answer{{data: 1}}, []time.Duration{time.Minute, time.Minute}},
		{"429 with Retry-After", []answer{{err: tooMany}, {data: 1}}, []time.Duration{20 * time.Minute, time.Minute}},
		{"429 with less than the floor", []answer{{err: &call.Error{Code: call.CodeTooMany, RetryAfter: time.Second}}}, []time.Duration{time.Minute}},
		{"dead API", []answer{{err: errors.New("dead")}}, []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour}},
		{"dead, and back", []answer{{err: errors.New("dead")}, {err: errors.New("dead")}, {data: 1}, {err: errors.New("dead")}}, []time.Duration{time.Minute, 2 * time.Minute, time.Minute, time.Minute}},
		{"unknown SIM", []answer{{err: &call.Error{Code: call.CodeUnknown, Status: 404}}}, []time.Duration{6 * time.Hour}},
		{"not supported", []answer{{typ: moapi.TypeNotSupported}}, []time.Duration{24 * time.Hour}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &answers{list: tt.list}
				b := NewBalances(a, time.Now)
				defer b.Close()
				for i, want := range tt.want {
					if r := b.Get(t.Context(), "8988247000101997790F", "DE"); r.Next != want {
						t.Fatalf("after question %d: pause %v, want %v", i+1, r.Next, want)
					}
					for range 3 { // many faces look at it
						b.Get(t.Context(), "8988247000101997790", "DE")
						b.Last("8988247000101997790")
					}
					if a.asked != i+1 {
						t.Fatalf("asked %d times, want %d", a.asked, i+1)
					}
					time.Sleep(want - time.Nanosecond)
					if b.Get(t.Context(), "8988247000101997790", "DE"); a.asked != i+1 {
						t.Fatal("asked before the pause was over")
					}
					time.Sleep(time.Nanosecond)
				}
			})
		})
	}
}

func TestBalancesStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{list: []answer{{data: 5}, {err: errors.New("dead")}, {data: 3}}}
		b := NewBalances(a, time.Now)
		defer b.Close()
		if r := b.Last("1"); !r.At.IsZero() || r.Err != nil || r.Stale() {
			t.Errorf("before anything is known: %+v", r)
		}
		first := b.Get(t.Context(), "1", "")
		time.Sleep(time.Hour)
		second := b.Get(t.Context(), "1", "")
		if !second.Stale() || *second.Balances[0].Data != 5 || !second.At.Equal(first.At) {
			t.Errorf("the last value is not kept: %+v", second)
		}
		time.Sleep(time.Hour)
		if third := b.Get(t.Context(), "1", ""); third.Stale() || *third.Balances[0].Data != 3 {
			t.Errorf("%+v", third)
		}
		b.Event("1") // topped up: the floor falls
		if b.Get(t.Context(), "1", ""); a.asked != 4 {
			t.Errorf("asked %d times after an event", a.asked)
		}
		a.list = []answer{{err: &call.Error{Code: call.CodeTooMany, RetryAfter: time.Hour}}}
		time.Sleep(time.Hour)
		b.Get(t.Context(), "1", "")
		b.Event("1") // and what the operator said holds
		if b.Get(t.Context(), "1", ""); a.asked != 5 {
			t.Errorf("asked %d times in spite of 429", a.asked)
		}
	})
}

// TestBalancesNeverHoldUp: who cannot wait gets what is known, many askers are one,
// and an API that says nothing has its end.
func TestBalancesNeverHoldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{list: []answer{{data: 5}}, takes: time.Hour}
		b := NewBalances(a, time.Now)
		defer b.Close()
		begun := time.Now()
		var all sync.WaitGroup
		for i := range 5 {
			all.Go(func() {
				ctx, done := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
				defer done()
				if r := b.Get(ctx, "1", ""); !errors.Is(r.Err, context.DeadlineExceeded) || !r.At.IsZero() {
					t.Errorf("%+v", r)
				}
			})
		}
		b.Last("1")
		if time.Since(begun) != 0 {
			t.Error("Last waits")
		}
		all.Wait()
		if time.Since(begun) != 5*time.Second || a.count() != 1 {
			t.Errorf("%v, asked %d times", time.Since(begun), a.count())
		}
		if r := b.Get(t.Context(), "1", ""); r.Err == nil || time.Since(begun) != call.Timeout {
			t.Errorf("%+v after %v", r, time.Since(begun))
		}
		time.Sleep(time.Hour)
		hasty, done := context.WithCancel(t.Context())
		done()
		b.Get(hasty, "1", "")
		b.Close() // does not wait for the API
		if since := time.Since(begun); since != call.Timeout+time.Hour {
			t.Errorf("closed after %v", since)
		}
		for i := range 100 {
			b.Last(fmt.Sprint(i))
		}
		if len(b.sims) != maxBalances {
			t.Errorf("%d SIMs are remembered", len(b.sims))
		}
	})
}

// picky refuses every place but one, as operators do.
type picky struct{ asked []string }

func (p *picky) Balances(_ context.Context, _ string, q moapi.BalanceQuery) ([]moapi.Balance, error) {
	p.asked = append(p.asked, q.Location)
	if q.Location != "" && q.Location != "US" {
		return nil, &call.Error{Code: call.CodeBadRequest, Status: 400}
	}
	return []moapi.Balance{{Type: moapi.TypePostpaid}}, nil
}

// TestBalancesAbroad: where the operator sells nothing it is asked without a place.
func TestBalancesAbroad(t *testing.T) {
	for location, want := range map[string]string{"US": "[US]", "FR": "[FR ]", "": "[]"} {
		p := &picky{}
		b := NewBalances(p, time.Now)
		if r := b.Get(t.Context(), "1", location); r.Err != nil || len(r.Balances) != 1 || fmt.Sprint(p.asked) != want {
			t.Errorf("%s: %+v, asked for %q", location, r, p.asked)
		}
		b.Close()
	}
}
