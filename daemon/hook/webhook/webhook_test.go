package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/status"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

// receiver answers with the codes that it was given, then 204.
type receiver struct {
	mu    sync.Mutex
	codes []int
	got   []*http.Request
	body  []string
	at    []time.Time
}

// dial serves one connection over net.Pipe, so that it can be in a bubble.
func (r *receiver) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() {
		l := &oneConn{conn: theirs, done: make(chan struct{})}
		http.Serve(l, r)
	}()
	return ours, nil
}

type oneConn struct {
	conn net.Conn
	done chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	return nil, io.EOF
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{} }

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	r.got, r.body, r.at = append(r.got, req), append(r.body, string(body)), append(r.at, time.Now())
	code := 204
	if len(r.codes) > 0 {
		code, r.codes = r.codes[0], r.codes[1:]
	}
	r.mu.Unlock()
	if code/100 == 3 {
		w.Header().Set("Location", "http://elsewhere.example/")
	}
	w.WriteHeader(code)
}

// calls is how often it was called.
func (r *receiver) calls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// house is a daemon with runs and a sender.
type house struct {
	t      *testing.T
	path   string
	mu     sync.Mutex // of the next four
	runs   []activation.Record
	set    Settings
	sane   bool
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	status *status.Model

	s    *Sender
	stop func()
}

func newHouse(t *testing.T, r *receiver) *house {
	return &house{t: t, path: filepath.Join(t.TempDir(), "webhooks.json"), set: Settings{Secret: secret, AllowHTTP: true}, sane: true, dial: r.dial}
}

// with reads or changes what the sender sees.
func (h *house) with(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// start begins a sender, which the next one replaces as after a power cut.
func (h *house) start() {
	h.t.Helper()
	if h.stop != nil {
		h.stop()
	} else {
		h.t.Cleanup(func() { h.stop() })
	}
	box, err := Open(h.path, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		h.t.Fatal(err)
	}
	h.status = status.New("test", time.Now)
	h.s = New(box, Options{
		Settings: func() (set Settings, err error) { h.with(func() { set = h.set }); return set, nil }, Status: h.status,
		Runs: func() (runs []activation.Record) { h.with(func() { runs = slices.Clone(h.runs) }); return runs },
		Dial: func(ctx context.Context, n, a string) (net.Conn, error) {
			var dial func(context.Context, string, string) (net.Conn, error)
			h.with(func() { dial = h.dial })
			return dial(ctx, n, a)
		},
		Public: func(a netip.Addr) error {
			return map[bool]error{true: errors.New("inside")}[a.IsPrivate() || a.IsLoopback()]
		},
		Now: time.Now, Sane: func() (sane bool) { h.with(func() { sane = h.sane }); return sane }, Log: slog.New(slog.DiscardHandler), Version: "test",
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.s.Run(ctx)
	}()
	h.stop = func() { cancel(); <-done }
	synctest.Wait()
}

// end has a run come to its end.
func (h *house) end(id string) {
	now := time.Now().UTC()
	h.with(func() {
		h.runs = append(h.runs, activation.Record{ID: id, State: activation.Done, Outcome: status.Committed, Ended: &now, Started: now})
	})
	h.status.Update(func(s *status.Snapshot) { s.Run = &status.Run{ID: id, State: "done"} })
	synctest.Wait()
}

func TestTellsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		h := newHouse(t, r)
		h.start()
		h.with(func() { h.runs = []activation.Record{{ID: "R1", State: activation.Accepted}} })
		if err := h.s.Keep("R1", "http://noc.example/hook?box=7"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if r.calls() != 0 {
			t.Fatal("it was told before its end")
		}
		h.with(func() { h.runs = nil })
		h.end("R1")
		h.end("R2") // whose request named nobody
		if r.calls() != 1 {
			t.Fatalf("told %d times", r.calls())
		}
		req := r.got[0]
		if req.Method != "POST" || req.Host != "noc.example" || req.URL.String() != "/hook?box=7" || req.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %s", req.Method, req.Host, req.URL)
		}
		at := time.Now().Unix()
		if got, want := req.Header.Get("Webhook-Signature"), Sign(secret, req.Header.Get("Webhook-Id"), at, []byte(r.body[0])); got != want {
			t.Errorf("signed %s, want %s", got, want)
		}
		var e Event
		if err := json.Unmarshal([]byte(r.body[0]), &e); err != nil || e.Type != "activation.ended" || e.Data.Run.ID != "R1" || e.Data.Run.Outcome != status.Committed {
			t.Errorf("%s: %v", r.body[0], err)
		}
		h.start() // and once only
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		if r.calls() != 1 {
			t.Errorf("told %d times after a restart", r.calls())
		}
	})
}

// What is refused is offered again for a day, with the same ID and a signature of
// its own, over restarts too.
func TestTriesForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{codes: make([]int, 100)}
		for i := range r.codes {
			r.codes[i] = []int{500, 302, 404, 429}[i%4]
		}
		h := newHouse(t, r)
		h.with(func() { h.set.URL = "http://noc.example/hook" })
		h.start()
		h.end("R1")
		began := time.Now()
		for range 100 {
			time.Sleep(20 * time.Minute)
			synctest.Wait()
			h.start()
		}
		if r.calls() != len(Backoff)+1 {
			t.Errorf("%d tries, want %d", r.calls(), len(Backoff)+1)
		}
		if last := r.at[len(r.at)-1].Sub(began); last < 23*time.Hour || last > 25*time.Hour {
			t.Errorf("the last try was after %v", last)
		}
		for i, req := range r.got {
			if req.Host != "noc.example" {
				t.Errorf("a redirect was followed to %s", req.Host)
			}
			if id := req.Header.Get("Webhook-Id"); id != r.got[0].Header.Get("Webhook-Id") || r.body[i] != r.body[0] {
				t.Errorf("try %d is another message, %s", i, id)
			}
			if want := Sign(secret, req.Header.Get("Webhook-Id"), r.at[i].Unix(), []byte(r.body[i])); req.Header.Get("Webhook-Signature") != want {
				t.Errorf("try %d is signed %s", i, req.Header.Get("Webhook-Signature"))
			}
		}
		if n, _ := h.s.box.Waiting(); n != 0 {
			t.Errorf("%d wait after it was given up", n)
		}
	})
}

func TestGoneReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{codes: []int{410}}
		h := newHouse(t, r)
		h.with(func() { h.set.URL = "http://noc.example/" })
		h.start()
		h.end("R1")
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		if r.calls() != 1 {
			t.Errorf("called %d times", r.calls())
		}
	})
}

// A power cut anywhere between the end of a run and the receiver's answer costs no
// message.
func TestPowerCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		h := newHouse(t, r)
		h.with(func() { h.set.URL = "http://noc.example/" })
		h.start()
		answered := false
		h.with(func() {
			h.dial = func(ctx context.Context, n, a string) (net.Conn, error) {
				if !answered {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return r.dial(ctx, n, a)
			}
		})
		h.end("R1")
		before, err := os.ReadFile(h.path)
		if err != nil || !strings.Contains(string(before), `"R1"`) {
			t.Fatalf("not on the disk before it is sent: %s, %v", before, err)
		}
		h.stop() // in the middle of the try
		answered = true
		h.start()
		if r.calls() != 1 {
			t.Fatalf("told %d times", r.calls())
		}
		// The answer was lost: the file is as it was before.
		h.stop()
		if err := os.WriteFile(h.path, before, 0o600); err != nil {
			t.Fatal(err)
		}
		h.start()
		if r.calls() != 2 || r.got[0].Header.Get("Webhook-Id") != r.got[1].Header.Get("Webhook-Id") {
			t.Errorf("told %d times, or by another ID", r.calls())
		}
	})
}

// A receiver that never answers holds up nobody: neither another receiver nor whoever
// ends the daemon.
func TestDeadReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		h := newHouse(t, r)
		h.dial = func(ctx context.Context, n, a string) (net.Conn, error) {
			if strings.HasPrefix(a, "dead.example:") {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return r.dial(ctx, n, a)
		}
		h.start()
		h.with(func() {
			for i := range 5 {
				h.runs = append(h.runs, activation.Record{ID: string(rune('A' + i)), State: activation.Accepted})
			}
		})
		for i := range 5 {
			if err := h.s.Keep(string(rune('A'+i)), map[bool]string{true: "http://noc.example/", false: "http://dead.example/"}[i == 4]); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		now := time.Now()
		h.with(func() {
			for i := range h.runs {
				h.runs[i].State, h.runs[i].Ended = activation.Done, &now
			}
		})
		h.status.Update(func(s *status.Snapshot) { s.Run = &status.Run{ID: "A"} })
		time.Sleep(tryTime + time.Second)
		synctest.Wait()
		if r.calls() != 1 {
			t.Errorf("the living one was told %d times", r.calls())
		}
		if s := h.status.Snapshot(); s.Webhooks == nil || s.Webhooks.Pending != 4 || s.Webhooks.Error == "" {
			t.Errorf("status says %+v", s.Webhooks)
		}
	})
}

// However many are dead, a message to a living one comes within a minute of its run's
// end, and at once where the dead have been tried.
func TestManyDeadReceivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		h := newHouse(t, r)
		h.dial = func(ctx context.Context, n, a string) (net.Conn, error) {
			if strings.Contains(a, "dead") {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return r.dial(ctx, n, a)
		}
		h.start()
		keep := func(run, url string) {
			t.Helper()
			h.with(func() { h.runs = append(h.runs, activation.Record{ID: run, State: activation.Accepted}) })
			if err := h.s.Keep(run, url); err != nil {
				t.Fatal(err)
			}
		}
		end := func(run string) {
			now := time.Now()
			h.with(func() {
				for i := range h.runs {
					h.runs[i].State, h.runs[i].Ended = activation.Done, &now
				}
			})
			h.status.Update(func(s *status.Snapshot) { s.Run = &status.Run{ID: run} })
		}
		for i := range 10 {
			keep(string(rune('A'+i)), "http://dead"+string(rune('a'+i))+".example/")
		}
		keep("K", "http://noc.example/")
		end("K")
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if r.calls() != 1 {
			t.Errorf("the living one was told %d times within a minute", r.calls())
		}
		time.Sleep(time.Hour)
		keep("L", "http://noc2.example/")
		end("L")
		time.Sleep(tryTime + time.Second) // at worst four are being tried just now
		synctest.Wait()
		if r.calls() != 2 {
			t.Errorf("told %d times", r.calls())
		}
	})
}

// Runs that ended before there was a receiver are no news to it, nor those of while
// it was taken out.
func TestNewReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		h := newHouse(t, r)
		h.start()
		h.end("R1")
		h.with(func() { h.set.URL = "http://noc.example/" })
		h.start()
		h.end("R2")
		h.with(func() { h.set.URL = "" })
		h.start()
		h.end("R3")
		h.with(func() { h.set.URL = "http://noc.example/" })
		h.start()
		h.end("R4")
		if strings.Contains(strings.Join(r.body, ""), "R1") || r.calls() != 2 {
			t.Errorf("told %q", r.body)
		}
	})
}

// Before the clock is set no certificate can be checked, and the tries do not count.
func TestClockThatIsNotSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		h := newHouse(t, r)
		h.set.URL, h.sane = "http://noc.example/", false
		h.start()
		h.end("R1")
		time.Sleep(72 * time.Hour)
		synctest.Wait()
		if r.calls() != 0 {
			t.Fatal("it was told")
		}
		h.with(func() { h.sane = true })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if r.calls() != 1 {
			t.Errorf("told %d times", r.calls())
		}
	})
}

// A router without a link keeps what it has to tell, for as long as that takes.
func TestNoWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		h := newHouse(t, r)
		h.set.URL = "http://noc.example/"
		h.dial = func(context.Context, string, string) (net.Conn, error) {
			return nil, &activation.Fault{Code: "no-way", Text: "there is no way"}
		}
		h.start()
		h.end("R1")
		time.Sleep(14 * 24 * time.Hour)
		synctest.Wait()
		h.with(func() { h.dial = r.dial })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if r.calls() != 1 {
			t.Errorf("told %d times", r.calls())
		}
	})
}

func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		h := newHouse(t, r)
		h.start()
		h.end("R1")
		for range 3 { // a run that ended at once, and whose request is repeated
			if err := h.s.Keep("R1", "http://first.example/"); err != nil {
				t.Fatal(err)
			}
			if err := h.s.Keep("R1", "http://second.example/"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if r.calls() != 1 || r.got[0].Host != "first.example" {
			t.Errorf("told %d times", r.calls())
		}
	})
}
