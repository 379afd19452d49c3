package gateway

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/config"
	"dynamod/daemon/dynamo"
	"dynamod/daemon/dynamo/call"
	"dynamod/daemon/dynamo/moapi"
	"dynamod/daemon/status"
)

// till answers what is left, or fails, and remembers when it was asked.
type till struct {
	mu    sync.Mutex
	mb    float64
	err   error
	hangs bool
	asked []time.Time
}

func (a *till) Balances(ctx context.Context, _ string, _ moapi.BalanceQuery) ([]moapi.Balance, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, time.Now())
	if a.hangs {
		a.mu.Unlock()
		<-ctx.Done()
		a.mu.Lock()
		return nil, ctx.Err()
	}
	mb := a.mb
	return []moapi.Balance{{Type: moapi.TypePrepaid, Data: &mb}}, a.err
}

func (a *till) set(mb float64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mb, a.err = mb, err
}

func (a *till) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.asked)
}

// watching runs a gateway's watch over the balance in a bubble.
func watching(t *testing.T, a *till, test func(g *Gateway, link func(status.State), told func() string)) {
	g := newGateway(t)
	synctest.Test(t, func(t *testing.T) {
		cfg := *g.config()
		cfg.Dynamo = config.Dynamo{Directory: "https://directory.test"}
		g.conf.Store(&cfg)
		defer func(was *dynamo.Balances) { g.balances = was }(g.balances)
		g.balances = dynamo.NewBalances(a, g.clock.now)
		defer g.balances.Close()
		ctx, stop := context.WithCancel(t.Context())
		events := g.status.Subscribe(0)
		defer events.Close()
		done := make(chan error)
		go func() { done <- g.keepBalance(ctx) }()
		link := func(s status.State) {
			g.status.Update(func(snap *status.Snapshot) {
				snap.State, snap.SIM = s, &status.SIM{State: "ready", ICCID: "8988247000101997790"}
			})
			synctest.Wait()
		}
		told := func() string {
			var out []string
			for {
				select {
				case e := <-events.Events():
					if e.Type == "log" {
						out = append(out, strings.Trim(string(e.Data), "\""))
					}
				default:
					return strings.Join(out, "; ")
				}
			}
		}
		synctest.Wait()
		test(g, link, told)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestBalanceIsAskedForWhenSomethingHappens(t *testing.T) {
	a := &till{mb: 500}
	watching(t, a, func(g *Gateway, link func(status.State), told func() string) {
		pass := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		expect := func(what string, asked int, text string) {
			t.Helper()
			b := g.status.Snapshot().Balance
			if a.count() != asked || (b == nil) != (text == "") || b != nil && b.Text != text {
				t.Errorf("%s: asked %d times, %+v", what, a.count(), b)
			}
		}
		link(status.Down)
		pass(time.Hour)
		expect("down", 0, "")
		link(status.Up)
		expect("up", 1, "500 MB left")
		pass(24 * time.Hour)
		expect("nothing happens", 1, "500 MB left")
		a.set(80, nil)
		link(status.Limited)
		expect("limited", 2, "80 MB left")
		if got := told(); got != "the line's balance is low: 80 MB left" {
			t.Errorf("told: %q", got)
		}
		// Within the pause of the last question: later, and once.
		a.set(0, nil)
		link(status.Up)
		link(status.Limited)
		expect("flapping", 2, "80 MB left")
		pass(dynamo.BalanceFloor)
		expect("after the pause", 3, "nothing is left")
		if got := told(); got != "the line's balance is used up" {
			t.Errorf("told: %q", got)
		}
		// A top-up in a portal is an event of its own.
		a.set(900, nil)
		g.balances.Event("8988247000101997790")
		g.status.Update(func(s *status.Snapshot) { s.Visit = &status.Visit{Transaction: "t1", State: status.VisitTopUp} })
		synctest.Wait()
		expect("topped up", 4, "900 MB left")
		// Failures: the last value stays, marked, and is asked for again until there is one.
		a.set(0, &call.Error{Code: call.CodeTooMany, RetryAfter: 10 * time.Minute})
		pass(dynamo.BalanceFloor)
		link(status.Up)
		expect("too many", 5, "900 MB left")
		if b := g.status.Snapshot().Balance; !b.Stale || b.Error == "" || b.NextIn != 0 {
			t.Errorf("too many: %+v", b)
		}
		a.set(850, nil)
		pass(10*time.Minute - time.Second)
		expect("Retry-After", 5, "900 MB left")
		pass(time.Second)
		expect("after it", 6, "850 MB left")
		if b := g.status.Snapshot().Balance; b.Stale || told() != "" {
			t.Errorf("after it: %+v", b)
		}
	})
}

// However often a line comes and goes, the pause between two questions is kept.
func TestBalanceFloor(t *testing.T) {
	a := &till{mb: 500}
	watching(t, a, func(_ *Gateway, link func(status.State), _ func() string) {
		for i := range 360 {
			link([]status.State{status.Up, status.Limited, status.Down}[i%3])
			time.Sleep(10 * time.Second)
		}
		if n := a.count(); n < 30 || n > 61 {
			t.Errorf("asked %d times in an hour", n)
		}
		for i := 1; i < len(a.asked); i++ {
			if d := a.asked[i].Sub(a.asked[i-1]); d < dynamo.BalanceFloor {
				t.Errorf("asked again after %v", d)
			}
		}
	})
}

// An API that says nothing holds nobody up.
func TestDeadAPIHoldsNobodyUp(t *testing.T) {
	a := &till{hangs: true}
	watching(t, a, func(g *Gateway, link func(status.State), _ func() string) {
		link(status.Up)
		if a.count() != 1 {
			t.Fatal("nobody was asked")
		}
		begun := time.Now()
		for range 100 { // what the faces read, and what the link writes
			link(status.Limited)
			if s := g.status.Snapshot(); s.State != status.Limited || s.Balance != nil {
				t.Errorf("%+v", s.Balance)
			}
			link(status.Up)
		}
		if d := time.Since(begun); d != 0 || a.count() != 1 {
			t.Errorf("it took %v, and %d questions", d, a.count())
		}
		// Who asks for the balance itself is not held up for longer than it wants to wait.
		ctx, done := context.WithTimeout(context.Background(), time.Second) // t is the one outside of the bubble
		defer done()
		if _, err := g.Balance(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		time.Sleep(24 * time.Hour)
		if n := a.count(); n > 24+10 {
			t.Errorf("asked %d times in a day", n)
		}
	})
}
