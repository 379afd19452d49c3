package activation

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/status"
	"dynamod/euicc"
)

const aPortal = "only a portal answers: 302 to pay.example.com"

// carried makes the profile one that has carried traffic.
func (w *world) carried(iccid string) {
	if w.worked == nil {
		w.worked = map[string]time.Time{}
	}
	w.worked[iccid] = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
}

// A portal on the new profile is no success where the previous one had more, unless
// it was asked for or there is no way back.
func TestPortal(t *testing.T) {
	previous := func(worked bool) func(*world, *Request) {
		return func(w *world, _ *Request) {
			w.profiles[oldICCID] = euicc.Enabled
			if worked {
				w.carried(oldICCID)
			}
		}
	}
	for _, tt := range []struct {
		name    string
		prepare func(*world, *Request)
		state   status.State // of the previous link, when the run begins
		first   string       // what Up says of the new link
		later   string       // and Lasts
		holds   time.Duration
		outcome status.Outcome
		enabled string
	}{
		{"a portal", previous(true), status.Up, aPortal, aPortal, 30 * time.Second, status.RolledBack, oldICCID},
		{"a portal, and nothing is waited for", previous(true), status.Up, aPortal, "", 0, status.RolledBack, oldICCID},
		{"a portal until the line is active", previous(true), status.Up, aPortal, "", 30 * time.Second, status.Committed, newICCID},
		{"traffic, and a portal later", previous(true), status.Up, "", aPortal, 30 * time.Second, status.RolledBack, oldICCID},
		{"no portal", previous(true), status.Up, "", "", 30 * time.Second, status.Committed, newICCID},
		{"the previous one is up, and nothing is remembered", previous(false), status.Up, aPortal, aPortal, 0, status.RolledBack, oldICCID},
		{"the previous one is down for now", previous(true), status.Down, aPortal, aPortal, 0, status.RolledBack, oldICCID},
		{"the previous one has a portal itself", previous(true), status.Limited, aPortal, aPortal, 0, status.Committed, newICCID},
		{"the previous one never worked", previous(false), status.Down, aPortal, aPortal, 0, status.Committed, newICCID},
		{"no previous one", func(*world, *Request) {}, status.Down, aPortal, aPortal, 0, status.Committed, newICCID},
		{"it is wanted", func(w *world, r *Request) { previous(true)(w, r); r.AcceptLimited = true }, status.Up, aPortal, aPortal, 30 * time.Second, status.Committed, newICCID},
		{"it is wanted, and more is there", func(w *world, r *Request) { previous(true)(w, r); r.AcceptLimited = true }, status.Up, "", "", 30 * time.Second, status.Committed, newICCID},
		{"the new one cannot be left (PPR1)", func(w *world, r *Request) {
			previous(true)(w, r)
			w.md.PPR, r.NoWayBack = euicc.PPR1, true
		}, status.Up, aPortal, aPortal, 30 * time.Second, status.Committed, newICCID},
		{"the previous one has died meanwhile", func(w *world, r *Request) {
			previous(true)(w, r)
			w.class, w.linkFails[oldICCID] = euicc.ClassOperational, context.DeadlineExceeded
		}, status.Up, aPortal, aPortal, 0, status.Committed, newICCID},
		{"the previous one has a portal, too, on the way back", func(w *world, r *Request) {
			previous(true)(w, r)
			w.limited[oldICCID] = aPortal
		}, status.Up, aPortal, aPortal, 0, status.RolledBack, oldICCID},
	} {
		for _, cut := range []string{"", "enable", "up", "lasts"} { // the power, in that call
			t.Run(strings.TrimSuffix(tt.name+"/"+cut, "/"), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					dir, w, req := t.TempDir(), newWorld(t), request(t)
					w.holds, w.limited, w.later = tt.holds, map[string]string{newICCID: tt.first}, map[string]string{newICCID: tt.later}
					tt.prepare(w, &req)
					reached := make(chan struct{})
					w.block = func(ctx context.Context, call string) {
						if call == cut {
							close(reached)
							<-ctx.Done()
						}
					}
					o, shutdown := boot(t, dir, w)
					o.Status.Update(func(s *status.Snapshot) { s.State = tt.state })
					rec, err := o.Submit(req)
					if err != nil {
						t.Fatal(err)
					}
					if cut != "" {
						select {
						case <-reached:
						case <-time.After(10 * time.Minute): // there is no such call in this story
						}
						shutdown()
						w.block = nil
						o, shutdown = boot(t, dir, w)
					}
					defer func() { shutdown() }()
					rec = ended(t, o, rec.ID)
					if rec.Outcome != tt.outcome || w.enabledNow() != tt.enabled {
						t.Fatalf("%s with %q enabled, want %s with %q; %+v, calls %v", rec.Outcome, w.enabledNow(), tt.outcome, tt.enabled, rec.Error, w.log)
					}
					if rec.Outcome == status.Committed {
						if rec.Error != nil {
							t.Errorf("committed with %+v", rec.Error)
						}
						return
					}
					p := rec.Error
					if p == nil || p.Code != "limited" || !strings.Contains(p.Text, aPortal) || !strings.Contains(p.Advice, "--accept-limited") || p.Stage != string(Probing) {
						t.Errorf("the reason: %+v", p)
					}
				})
			})
		}
	}
}

// A switch between profiles that are on the card heeds the same.
func TestSwitchToPortal(t *testing.T) {
	for _, tt := range []struct {
		name    string
		s       Switching
		enabled string
	}{
		{"a portal", Switching{ICCID: newICCID, Previous: oldICCID}, oldICCID},
		{"a portal that is wanted", Switching{ICCID: newICCID, Previous: oldICCID, AcceptLimited: true}, newICCID},
		{"no way back", Switching{ICCID: newICCID, Previous: oldICCID, PolicyRules: "ppr1"}, newICCID},
		{"nothing enabled before", Switching{ICCID: newICCID}, newICCID},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, w := t.TempDir(), newWorld(t)
				w.limited, w.profiles[newICCID] = map[string]string{newICCID: aPortal}, euicc.Disabled
				if tt.s.Previous != "" {
					w.profiles[oldICCID] = euicc.Enabled
					w.carried(oldICCID)
				}
				reached := make(chan struct{})
				w.block = func(ctx context.Context, call string) {
					if call == "up" {
						close(reached)
						<-ctx.Done()
					}
				}
				o, shutdown := boot(t, dir, w)
				rec, err := o.Switch(tt.s)
				if err != nil {
					t.Fatal(err)
				}
				<-reached
				shutdown()
				w.block = nil
				o, shutdown = boot(t, dir, w)
				defer shutdown()
				if rec = ended(t, o, rec.ID); w.enabledNow() != tt.enabled {
					t.Errorf("%s with %q enabled, want %q; %+v", rec.Outcome, w.enabledNow(), tt.enabled, rec.Error)
				}
			})
		})
	}
}
