package activation

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/status"
)

// A state whose action hangs is left when its limit is over, the configured one or
// that of the table.
func TestLimitsOfStates(t *testing.T) {
	for _, tt := range []struct {
		state   State
		hangs   string // the call
		outcome status.Outcome
		code    string
	}{
		{Accepted, "preflight", status.Failed, "deadline"},
		{Authenticated, "authenticate", status.Failed, "deadline"},
		{Agreed, "policy", status.Failed, "deadline"},
		{Agreed, "choose", status.Failed, "deadline"},
		{Installed, "collect", status.Committed, ""},
		{Reporting, "deliver", status.Committed, ""},
		{Notifying, "collect", status.Committed, ""},
		{Notifying, "deliver", status.Committed, ""},
	} {
		for name, limits := range map[string]map[State]time.Duration{"table": nil, "configured": {tt.state: 7 * time.Minute}} {
			t.Run(string(tt.state)+" "+tt.hangs+" "+name, func(t *testing.T) {
				limit := table[tt.state].limit
				if limits != nil {
					limit = limits[tt.state]
				}
				synctest.Test(t, func(t *testing.T) {
					dir, w := t.TempDir(), newWorld(t)
					w.limits = limits
					var o *Orchestrator
					hung := time.Duration(0)
					w.block = func(ctx context.Context, call string) {
						if call != tt.hangs || o.Runs()[0].State != tt.state {
							return
						}
						begun := time.Now()
						<-ctx.Done()
						hung = time.Since(begun)
					}
					var shutdown func()
					o, shutdown = boot(t, dir, w)
					defer shutdown()
					rec, err := o.Submit(request(t))
					if err != nil {
						t.Fatal(err)
					}
					rec = ended(t, o, rec.ID)
					code := ""
					if rec.Error != nil {
						code = rec.Error.Code
					}
					if hung != limit || rec.Outcome != tt.outcome || code != tt.code {
						t.Errorf("it hung for %v, want %v; %s, %+v", hung, limit, rec.Outcome, rec.Error)
					}
				})
			})
		}
	}
}

// The limit of agreed is for what is looked at: an answer may take longer.
func TestAnswerOutlivesAgreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.limits = map[State]time.Duration{Agreed: 30 * time.Second}
		o, shutdown := boot(t, t.TempDir(), w)
		defer shutdown()
		req := request(t)
		req.Consent = false
		rec, err := o.Submit(req)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Second) // the session is held for 120 s
		yes := true
		if err := o.Answer(rec.ID, Answer{Consent: &yes}); err != nil {
			t.Fatal(err)
		}
		if rec = ended(t, o, rec.ID); rec.Outcome != status.Committed || w.sessions != 1 {
			t.Errorf("%s in %d sessions, %+v", rec.Outcome, w.sessions, rec.Error)
		}
	})
}

// A box that is restarted, or loses its power, every few hours, does not wait for an
// answer for ever, whatever its clock says; and one that was off, or whose clock was
// set, does not take that for waiting.
func TestWaitOverRestarts(t *testing.T) {
	const years = 30 * 365 * 24 * time.Hour
	for _, tt := range []struct {
		name          string
		uptime, off   time.Duration
		clock         func(start int, up time.Time) func() time.Time
		least, within time.Duration // of uptime until the question is given up
	}{
		{"no restart", 100 * time.Hour, 0, nil, answerTime, answerTime + time.Hour},
		{"every 5 h", 5 * time.Hour, 0, nil, answerTime, answerTime + time.Hour},
		{"every 5 h, no clock", 5 * time.Hour, 0, func(_ int, up time.Time) func() time.Time {
			return func() time.Time { return time.Unix(1e9, 0).Add(time.Since(up)) }
		}, answerTime, 2 * answerTime},
		{"off for a week each time", 5 * time.Hour, 7 * 24 * time.Hour, nil, answerTime / 3, answerTime},
		{"the clock is set years ahead", 5 * time.Hour, 0, func(start int, _ time.Time) func() time.Time {
			return func() time.Time { return time.Now().Add(time.Duration(start) * years) }
		}, answerTime / 3, answerTime},
		{"the clock is set years back", 5 * time.Hour, 0, func(start int, _ time.Time) func() time.Time {
			return func() time.Time { return time.Now().Add(-time.Duration(start) * years) }
		}, answerTime, 2 * answerTime},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, w := t.TempDir(), newWorld(t)
				id, on := "", time.Duration(0)
				for start := 0; ; start++ {
					now, up := time.Now, time.Now()
					if tt.clock != nil {
						now = tt.clock(start, up)
					}
					o, shutdown := bootAt(t, dir, w, now)
					if start == 0 {
						req := request(t)
						req.Consent = false
						rec, err := o.Submit(req)
						if err != nil {
							t.Fatal(err)
						}
						id = rec.ID
					}
					var rec Record
					for time.Since(up) < tt.uptime {
						time.Sleep(10 * time.Minute)
						var err error
						if rec, err = o.Get(id); err != nil {
							t.Fatal(err)
						}
						if rec.State.Ended() {
							break
						}
					}
					on += time.Since(up)
					shutdown()
					if rec.State.Ended() {
						if rec.Error == nil || rec.Error.Code != codeNoAnswer || on < tt.least || on > tt.within {
							t.Errorf("after %v: %+v, want %v to %v", on, rec.Error, tt.least, tt.within)
						}
						return
					}
					if on > 10*answerTime {
						t.Fatalf("it waits on after %v", on)
					}
					time.Sleep(tt.off)
				}
			})
		})
	}
}
