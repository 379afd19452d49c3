package bearer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/atcmd/modem"
	"dynamod/daemon/status"
)

// The network lets the router go: the status says so at once, and the kernel is
// not left with a route that leads nowhere.
func TestNetworkLetsGo(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lose  func(r *radio)
		keeps bool // the kernel's settings for as long as the context lives
	}{
		{"context ended", func(r *radio) { r.reg, r.up = modem.RegSearching, "" }, false},
		{"out of coverage, context kept", func(r *radio) { r.reg = modem.RegSearching }, true},
		{"thrown out", func(r *radio) { r.reg, r.up = modem.RegDenied, "" }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- b.Run(ctx) }()
				defer func() { cancel(); <-done }()
				time.Sleep(10 * time.Second)
				if b.model.Snapshot().State != status.Up || b.routes(t) == 0 {
					t.Fatal("the link is not up")
				}
				b.radio.set(func() { tt.lose(b.radio) })
				b.Kick()
				time.Sleep(minLook + time.Second)
				s := b.model.Snapshot()
				if s.State != status.Down || s.Reason == "" || s.Link != nil || s.Registration == nil || s.Registration.Status == "home" {
					t.Errorf("the status is %s, %q, %+v", s.State, s.Reason, s.Registration)
				}
				if kept := b.routes(t) > 0; kept != tt.keeps {
					t.Errorf("the kernel has the settings: %v", kept)
				}
				// Nobody comes back for longer than a registration is waited for.
				time.Sleep(2 * registerWait)
				if b.model.Snapshot().State != status.Down || b.routes(t) != 0 {
					t.Errorf("the link is %s with %d routes", b.model.Snapshot().State, b.routes(t))
				}
				b.radio.set(func() { b.radio.reg = modem.RegHome })
				b.Kick()
				time.Sleep(10 * time.Second)
				if b.model.Snapshot().State != status.Up || b.routes(t) == 0 {
					t.Error("the link does not come back")
				}
			})
		})
	}
}

// A modem that refuses to tell whether the context is active has a link all the
// same, for as long as traffic crosses it.
func TestModemDoesNotTellContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSimBench(t, simOptions{records: record(`{"apn": "data.test"}`), core: func(c *atsim.Core) { c.APNs = apns("data.test") }})
		b.run(func() {
			time.Sleep(10 * time.Second)
			if b.state() != status.Up {
				t.Fatalf("the link is %s: %s", b.state(), b.model.Snapshot().Reason)
			}
			if err := b.sim.SetFault("cme", atsim.Fault{Command: "+CGACT"}); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				b.Kick()
				time.Sleep(time.Minute)
				if b.state() != status.Up {
					t.Errorf("the link is %s: %s", b.state(), b.model.Snapshot().Reason)
				}
			}
			b.answer("data.test", status.Down)
			b.Kick()
			time.Sleep(time.Minute)
			if b.state() != status.Down {
				t.Errorf("without traffic the link is %s", b.state())
			}
			b.sim.ClearFault("cme")
			b.answer("data.test", status.Up)
			b.Kick()
			time.Sleep(10 * time.Minute)
			if b.state() != status.Up {
				t.Errorf("the link does not come back: %s", b.model.Snapshot().Reason)
			}
		})
	})
}

// What a killed process has left in the kernel goes when its link cannot be
// brought up.
func TestEarlierProcessLeftALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := newBench(t, nil)
		if _, err := first.bringUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		b := newBench(t, func(c *Config, r *radio) {
			c.Kernel, r.kernel, r.reg = first.kernel, first.kernel, modem.RegDenied
		})
		b.kernel = first.kernel
		if b.routes(t) == 0 {
			t.Fatal("nothing is left")
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()
		defer func() { cancel(); <-done }()
		time.Sleep(deniedFor + 10*time.Second)
		if b.model.Snapshot().State != status.Down || b.routes(t) != 0 {
			t.Errorf("the link is %s with %d routes", b.model.Snapshot().State, b.routes(t))
		}
	})
}

// Who waits for the link is told when it is up, and when it was tried in vain.
func TestSettle(t *testing.T) {
	for _, tt := range []struct {
		name string
		reg  modem.RegState
		want status.State
		most time.Duration
	}{
		{"there is a network", modem.RegHome, status.Up, time.Minute},
		{"there is none", modem.RegSearching, status.Down, registerWait + time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(_ *Config, r *radio) { r.reg = tt.reg })
				r := b.radio
				b.SetRadio(nil) // it comes later
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- b.Run(ctx) }()
				defer func() { cancel(); <-done }()
				time.AfterFunc(10*time.Second, func() { b.SetRadio(r) })
				start := time.Now()
				b.Settle(t.Context())
				if took := time.Since(start); took < 10*time.Second || took > 10*time.Second+tt.most || b.model.Snapshot().State != tt.want {
					t.Errorf("after %v: %s", took, b.model.Snapshot().State)
				}
				short, end := context.WithTimeout(t.Context(), time.Second)
				defer end()
				b.SetRadio(nil)
				b.Settle(short) // nothing to wait for but its end
			})
		})
	}
}

// routes counts the default routes that the kernel has.
func (b *bench) routes(t *testing.T) (n int) {
	t.Helper()
	snap, err := b.kernel.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range snap.Routes {
		if r.Default() {
			n++
		}
	}
	return n
}

// A link stands for as long as it was last seen to carry traffic, over the modem that
// is there; one that is back has another number.
func TestStanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config, _ *radio) { c.KeepUp = false })
		r := b.radio
		is := func(when string, want uint64) {
			t.Helper()
			if n := b.Standing(); n != want {
				t.Errorf("%s: link %d stands, want %d", when, n, want)
			}
		}
		is("before", 0)
		if _, err := b.bringUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		is("up", 1)
		b.SetRadio(nil)
		is("the modem is away", 0)
		b.SetRadio(r)
		is("the same modem is back", 1)
		r.set(func() { r.reg = modem.RegSearching })
		if ok, _ := b.healthy(t.Context(), r, b.current()); ok {
			t.Fatal("healthy without a network")
		}
		is("no network", 0)
		b.SetRadio(nil)
		is("no network, then no modem", 0)
		b.SetRadio(r)
		r.set(func() { r.reg = modem.RegHome })
		is("seen by nobody yet", 0)
		if _, err := b.bringUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		is("up again", 2)
	})
}
