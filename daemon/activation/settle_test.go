package activation

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// The answer to a segment is lost: the card knows what became of it.
func TestSettleDownload(t *testing.T) {
	for _, tt := range []story{
		{
			name: "answer to the last segment lost, profile installed",
			prepare: func(w *world, _ *Request) {
				w.lost = func(call string) error {
					if call == "download" {
						return &euicc.Error{Stage: "install", Code: "transport", Unknown: true, Text: "no answer"}
					}
					return nil
				}
			},
			outcome: status.Committed, enabled: newICCID,
		},
		{
			name: "answer lost, nothing installed: the session is ended",
			prepare: func(w *world, _ *Request) {
				w.fail = func(call string) error {
					if call == "download" {
						return &euicc.Error{Stage: "install", Code: "transport", Unknown: true, Text: "no answer"}
					}
					return nil
				}
			},
			outcome: status.Failed, code: "transport",
			check: func(t *testing.T, w *world) {
				if len(w.abandoned) != 1 || w.sessions != 1 {
					t.Errorf("abandoned %v, %d sessions", w.abandoned, w.sessions)
				}
			},
		},
		{
			name: "the modem was unplugged, nothing installed: a new session",
			prepare: func(w *world, _ *Request) {
				w.fail = func(call string) error {
					if call == "download" && w.sessions == 1 {
						return &euicc.Error{Stage: "install", Code: "transport", Unknown: true, Text: "no answer", Err: fmt.Errorf("AT+CGLA: %w", atcmd.ErrGone)}
					}
					return nil
				}
			},
			outcome: status.Committed, enabled: newICCID,
			check: func(t *testing.T, w *world) {
				if len(w.abandoned) != 1 || w.sessions != 2 {
					t.Errorf("abandoned %v, %d sessions", w.abandoned, w.sessions)
				}
			},
		},
		{
			name: "the modem is unplugged in each download: two sessions and no more",
			prepare: func(w *world, _ *Request) {
				w.fail = func(call string) error {
					if call == "download" {
						return &euicc.Error{Stage: "install", Code: "transport", Unknown: true, Text: "no answer", Err: fmt.Errorf("AT+CGLA: %w", atcmd.ErrGone)}
					}
					return nil
				}
			},
			outcome: status.Failed, code: "transport",
			check: func(t *testing.T, w *world) {
				if len(w.abandoned) != 2 || w.sessions != 2 {
					t.Errorf("abandoned %v, %d sessions", w.abandoned, w.sessions)
				}
			},
		},
		{
			name:    "card dead after the last segment until it is reset",
			prepare: func(w *world, _ *Request) { w.dies("download", true) },
			outcome: status.Committed, enabled: newICCID,
		},
		{
			name:    "card dead in the middle until it is reset",
			prepare: func(w *world, _ *Request) { w.dies("download", false) },
			outcome: status.Failed, code: "transport",
			check: func(t *testing.T, w *world) {
				if len(w.abandoned) != 1 || w.sessions != 1 {
					t.Errorf("abandoned %v, %d sessions", w.abandoned, w.sessions)
				}
			},
		},
	} {
		t.Run(tt.name, tt.tell)
	}
}

// A card that stays silent after a download is asked for ever, and the run goes on
// when it answers, over restarts, too.
func TestSilentCardIsAskedForEver(t *testing.T) {
	for _, tt := range []struct {
		name     string
		arrived  bool // the profile, before the card fell silent
		silent   time.Duration
		restarts int // in that time
		outcome  status.Outcome
		code     string
		enabled  string
	}{
		{"for an hour, with the profile", true, time.Hour, 0, status.Committed, "", newICCID},
		{"for an hour, without it", false, time.Hour, 0, status.Failed, "transport", oldICCID},
		{"for three weeks, with the profile", true, 21 * 24 * time.Hour, 0, status.Committed, "", newICCID},
		{"over a restart, with the profile", true, 6 * time.Hour, 1, status.Committed, "", newICCID},
		{"over a restart, without it: the code begins a new session", false, 6 * time.Hour, 1, status.Committed, "", newICCID},
		{"over 30 restarts", true, 15 * time.Hour, 30, status.Committed, "", newICCID},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, w := t.TempDir(), newWorld(t)
				w.profiles[oldICCID], w.beyond = euicc.Enabled, true
				w.dies("download", tt.arrived)
				o, shutdown := boot(t, dir, w)
				rec, err := o.Submit(request(t))
				if err != nil {
					t.Fatal(err)
				}
				for range tt.restarts {
					time.Sleep(tt.silent / time.Duration(tt.restarts+1))
					shutdown()
					o, shutdown = boot(t, dir, w)
				}
				defer func() { shutdown() }()
				time.Sleep(tt.silent / time.Duration(tt.restarts+1))
				synctest.Wait()
				rec, err = o.Get(rec.ID)
				if err != nil || rec.State != Downloading || rec.Waiting != WaitCard || rec.Error != nil || w.held != 0 {
					t.Fatalf("%+v, %v, held %d times", rec, err, w.held)
				}
				asked := len(w.calls())
				w.mu.Lock()
				w.dead = false
				w.mu.Unlock()
				rec = ended(t, o, rec.ID)
				code := ""
				if rec.Error != nil {
					code = rec.Error.Code
				}
				if rec.Outcome != tt.outcome || code != tt.code || w.enabledNow() != tt.enabled {
					t.Errorf("%s, %+v with %q enabled", rec.Outcome, rec.Error, w.enabledNow())
				}
				if most := 40 + 10*int(tt.silent/time.Hour) + 10*tt.restarts; asked > most {
					t.Errorf("%d calls in %v", asked, tt.silent)
				}
			})
		})
	}
}

// Who has had enough ends it, between two rounds and in one, and the modem's
// return is a reason to ask at once.
func TestSilentCardIsGivenUp(t *testing.T) {
	for _, asking := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.profiles[oldICCID], w.beyond = euicc.Enabled, true
			w.dies("download", true)
			o, shutdown := boot(t, t.TempDir(), w)
			defer shutdown()
			rec, err := o.Submit(request(t))
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(30 * time.Second)
			asked := len(w.calls())
			if asking {
				w.mu.Lock()
				w.block = func(ctx context.Context, call string) {
					if call == "recover" {
						select {
						case <-ctx.Done():
						case <-time.After(2 * time.Minute):
						}
					}
				}
				w.mu.Unlock()
			}
			o.Status.Update(func(s *status.Snapshot) { s.Modem = &status.Modem{Present: true} })
			time.Sleep(time.Second)
			if len(w.calls()) == asked {
				t.Error("the card is not asked when the modem is back")
			}
			if err := o.Cancel(rec.ID); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			rec = ended(t, o, rec.ID)
			if rec.Error == nil || rec.Error.Code != "outcome-unknown" || time.Since(begun) > 5*time.Minute {
				t.Errorf("after %v: %+v", time.Since(begun), rec.Error)
			}
		})
	}
}
