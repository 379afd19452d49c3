package fallback

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

const day = 24 * time.Hour

// dead has lines without traffic from the first hour on, for a time.
func dead(lasts time.Duration, iccids ...string) func(string, time.Duration) status.State {
	return func(iccid string, at time.Duration) status.State {
		if slices.Contains(iccids, iccid) && at >= time.Hour && at < time.Hour+lasts {
			return status.Down
		}
		return status.Up
	}
}

// TestDeadProfile lets days go by with a profile that has worked for an hour and
// then fails.
func TestDeadProfile(t *testing.T) {
	t.Parallel()
	const others = config.LastSuccess
	for _, tt := range []struct {
		name    string
		prepare func(*world)
		order   []string
		lasts   time.Duration // of the world
		visits  string        // profiles that are enabled, in turn
		within  time.Duration // until traffic after the first hour; 0 does not ask
		reason  string        // that the status has at the end
	}{
		{"off by default", func(w *world) { w.line = dead(7*day, profileA) }, nil, 2 * day, "", 0, ""},
		{"another one takes its place, and gives it back", func(w *world) { w.line = dead(8*time.Hour, profileA) }, []string{others}, 3 * day, "B A", 40 * time.Minute, ""},
		{"it is dead for long: returns take longer and longer", func(w *world) { w.line = dead(5*day, profileA) }, []string{others}, 5*day + 20*time.Hour, "B A B A B A B A B A B A", 40 * time.Minute, ""},
		{"never to return", func(w *world) { w.line, w.policy.Return = dead(8*time.Hour, profileA), 0 }, []string{others}, 3 * day, "B", 40 * time.Minute, ""},
		{"of two others the one that worked last", func(w *world) {
			w.class[profileC], w.line = euicc.ClassOperational, dead(8*time.Hour, profileA)
		}, []string{others}, 6 * time.Hour, "B", 40 * time.Minute, ""},
		{"of two others the one that is named", func(w *world) {
			w.class[profileC], w.line = euicc.ClassOperational, dead(8*time.Hour, profileA)
		}, []string{profileC, others}, 6 * time.Hour, "C", 40 * time.Minute, ""},
		{"what is not named is left out", func(w *world) {
			w.class[profileC], w.line = euicc.ClassOperational, dead(8*time.Hour, profileA, profileC)
		}, []string{profileC}, 3 * time.Hour, "C A C A", 0, ""},
		{"nothing that is named is on the card", func(w *world) { w.line = dead(8*time.Hour, profileA) }, []string{profileC}, 6 * time.Hour, "", 0, "no other profile of the card may take its place"},
		{"one round over all that are dead, and on", func(w *world) {
			w.class[profileC], w.line = euicc.ClassOperational, dead(8*time.Hour, profileA, profileB, profileC)
		}, []string{others}, 190 * time.Minute, "B C A B C A", 0, ""},
		{"the second of the round", func(w *world) {
			w.class[profileC], w.line = euicc.ClassOperational, dead(8*time.Hour, profileA, profileB)
		}, []string{others}, 3 * time.Hour, "B C", time.Hour, ""},
		{"a profile for provisioning is the last one, even if it is named first, and is left within hours", func(w *world) {
			w.class[boots], w.line = euicc.ClassProvisioning, dead(2*time.Hour, profileA, profileB)
		}, []string{boots, others}, day, "B P A B P A", time.Hour, ""},
		{"a profile that is configured for bootstrap, the same, named in the order or not", func(w *world) {
			w.class[boots], w.policy.Bootstrap, w.line = euicc.ClassOperational, []string{boots}, dead(2*time.Hour, profileA, profileB)
		}, []string{profileB}, day, "B P A B P A", time.Hour, ""},
		{"a test profile is none", func(w *world) {
			w.class[tests], w.line = euicc.ClassTest, dead(2*time.Hour, profileA, profileB)
		}, []string{tests, others}, 150 * time.Minute, "B A", 0, ""},
		{"PPR1 on the enabled profile", func(w *world) { w.rules[profileA], w.line = euicc.PPR1, dead(8*time.Hour, profileA) }, []string{others}, 6 * time.Hour, "", 0, "the enabled profile must not be disabled (policy rule PPR1)"},
		{"PPR1 on the other one, which could not be left", func(w *world) { w.rules[profileB], w.line = euicc.PPR1, dead(8*time.Hour, profileA) }, []string{others}, 6 * time.Hour, "", 0, "no other profile of the card may take its place"},
		{"no enabled profile", func(w *world) { w.enabled = "" }, []string{others}, day, "", 0, ""},
		{"the modem is away", func(w *world) { w.missing = true }, []string{others}, day, "", 0, ""},
		{"a portal alone is no traffic, and no reason to return", func(w *world) {
			w.line = func(iccid string, at time.Duration) status.State {
				if iccid == profileA && at >= time.Hour {
					return status.Limited
				}
				return status.Up
			}
		}, []string{others}, 14 * time.Hour, "B A B", 40 * time.Minute, ""},
		{"data for a minute in ten is no traffic", func(w *world) {
			w.line = func(iccid string, at time.Duration) status.State {
				if iccid == profileA && at >= time.Hour && at%(10*time.Minute) >= time.Minute {
					return status.Down
				}
				return status.Up
			}
		}, []string{others}, 3 * time.Hour, "B", time.Hour, ""},
		{"outages that the bearer mends", func(w *world) {
			w.line = func(iccid string, at time.Duration) status.State {
				if at%time.Hour < 25*time.Minute {
					return status.Down
				}
				return status.Up
			}
		}, []string{others}, 2 * day, "", 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.policy.Order = tt.order
				tt.prepare(w)
				first := w.enabled
				d := w.boot(time.Now)
				back := time.Duration(0)
				for time.Since(w.began) < tt.lasts {
					time.Sleep(time.Minute)
					if at := time.Since(w.began); at > 61*time.Minute && back == 0 && w.state() == status.Up && underWay(d.o.Runs()) == nil && w.now() != first {
						back = at - time.Hour
					}
				}
				snap := d.status.Snapshot()
				if got := names(w.visits); got != tt.visits {
					t.Errorf("profiles %q, want %q", got, tt.visits)
				}
				if tt.within > 0 && (back == 0 || back > tt.within) {
					t.Errorf("traffic after %v, want %v", back, tt.within)
				}
				reason := ""
				if snap.Fallback != nil {
					reason = snap.Fallback.Reason
				}
				if reason != tt.reason {
					t.Errorf("reason %q, want %q", reason, tt.reason)
				}
				if len(w.changes) != 0 {
					t.Errorf("changes of the SIM: %+v", w.changes)
				}
				for _, r := range d.o.Runs() {
					if r.Fallback == nil || r.View().Why == "" || r.Fallback.Preferred != profileA || r.Ended == nil {
						t.Errorf("%+v", r)
					}
				}
			})
		})
	}
}

func names(iccids []string) string {
	letters := map[string]string{profileA: "A", profileB: "B", profileC: "C", boots: "P", tests: "T"}
	var out []string
	for _, i := range iccids {
		out = append(out, letters[i])
	}
	return strings.Join(out, " ")
}

// TestPingPong has two profiles that each die some time after a switch to them: the
// switches of a week are bounded, and the router has a link for most of it.
func TestPingPong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		lives, lasts time.Duration
		least, most  int // switches
	}{{20 * time.Minute, 7 * day, 140, 7 * 24}, {time.Minute, 2 * day, 40, 2 * 24}, {2 * time.Hour, 2 * day, 15, 24}} {
		t.Run(tt.lives.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				seen, since := profileA, time.Duration(0)
				w.line = func(iccid string, at time.Duration) status.State {
					if iccid != seen {
						seen, since = iccid, at
					}
					if at-since > tt.lives {
						return status.Down
					}
					return status.Up
				}
				d := w.boot(time.Now)
				time.Sleep(tt.lasts)
				synctest.Wait()
				if n := len(w.visits); n < tt.least || n > tt.most {
					t.Errorf("%d switches in %v", n, tt.lasts)
				}
				var last time.Time
				for _, r := range d.o.Runs() {
					if r.Ended == nil {
						continue
					}
					if gap := r.Started.Sub(last); gap < w.policy.Hold {
						t.Errorf("a switch %v after the last one", gap)
					}
					last = *r.Ended
				}
			})
		})
	}
}

// TestRestartsCount restarts the daemon every few minutes, on a box whose clock
// jumps by years: what was without traffic before counts, and so does the time
// since a switch.
func TestRestartsCount(t *testing.T) {
	t.Parallel()
	for name, jump := range map[string]time.Duration{"clock stands": 0, "a year on": 365 * day, "a year back": -365 * day} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.line = dead(7*day, profileA)
				for n := 0; w.now() == profileA; n++ {
					d := w.boot(func() time.Time { return time.Now().Add(time.Duration(n) * jump) })
					time.Sleep(7 * time.Minute)
					d.stop()
					if time.Since(w.began) > 2*time.Hour+30*time.Minute {
						t.Fatal("no other profile takes over")
					}
				}
				if took := time.Since(w.began) - time.Hour; took < w.policy.After {
					t.Errorf("after %v already", took)
				}
				// The switch was cut short, or not; it comes to its end.
				d := w.boot(time.Now)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if runs := d.o.Runs(); len(runs) != 1 || runs[0].Outcome != status.Committed || w.now() != profileB {
					t.Errorf("%+v", runs)
				}
			})
		})
	}
}

// TestPowerCut cuts the power at each call to card and link of a fallback and of the
// return from it, before and after a profile is enabled: the run goes on at the next
// start, and the router ends on a profile that works.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	points := 0
	for at := 1; at == points+1; at++ {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.line = dead(6*time.Hour, profileA)
			w.policy.Return = 2 * time.Hour // one that fails, and one that does not
			calls, off := 0, make(chan string, 1)
			w.cut = func(ctx context.Context, call string) {
				if calls++; calls == at {
					off <- call
					<-ctx.Done() // nothing more comes of this process
				}
			}
			d := w.boot(time.Now)
			call := ""
			select {
			case call = <-off:
				points++
			case <-time.After(9 * time.Hour):
				if got := names(w.visits); got != "B A B A" {
					t.Errorf("without a power cut: profiles %q", got)
				}
				return
			}
			d.stop()
			w.mu.Lock()
			w.cut = nil
			w.mu.Unlock()
			d = w.boot(time.Now)
			time.Sleep(20 * time.Minute)
			synctest.Wait()
			runs := d.o.Runs()
			if w.state() != status.Up || len(runs) > 0 && runs[len(runs)-1].EndsAt() != w.now() || len(w.changes) > 0 {
				t.Errorf("cut %d, at %s: %s, profile %s, %+v, changes %v", at, call, w.state(), names([]string{w.now()}), runs, w.changes)
			}
			time.Sleep(6 * time.Hour)
			synctest.Wait()
			if w.now() != profileA || underWay(d.o.Runs()) != nil {
				t.Errorf("cut %d, at %s: later on profile %s", at, call, names([]string{w.now()}))
			}
		})
	}
	if t.Logf("%d points", points); points < 25 {
		t.Error("these are not all")
	}
}

// TestCardChangesItself has an applet of the card enable another profile: that is
// told once, and not fought.
func TestCardChangesItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.boot(time.Now)
		told := func(n int, from, to string) {
			t.Helper()
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if len(w.changes) != n || n > 0 && (w.changes[n-1].From != from || w.changes[n-1].To != to) {
				t.Fatalf("changes %+v, want %d", w.changes, n)
			}
		}
		told(0, "", "")
		w.applet(profileB)
		told(1, profileA, profileB)
		if c := d.status.Snapshot().SIMChange; c == nil || c.To != profileB {
			t.Errorf("status: %+v", c)
		}
		d.stop()
		d = w.boot(time.Now)
		told(1, profileA, profileB)
		time.Sleep(3 * day)
		if w.now() != profileB || len(d.o.Runs()) != 0 {
			t.Errorf("the card is fought: %s, %+v", w.now(), d.o.Runs())
		}
		d.stop()
		w.applet(profileA) // while nobody looks
		d = w.boot(time.Now)
		told(2, profileB, profileA)
		// A switch on request is none.
		if _, err := d.o.Switch(activation.Switching{ICCID: profileB, Previous: profileA}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(day)
		if w.now() != profileB || len(w.changes) != 2 {
			t.Errorf("%s, %+v", w.now(), w.changes)
		}
		// What the card chose is left alone for as long as any switch.
		w.mu.Lock()
		w.line = func(iccid string, at time.Duration) status.State {
			if iccid == profileA {
				return status.Down
			}
			return status.Up
		}
		w.mu.Unlock()
		begin := time.Now()
		w.applet(profileA)
		told(3, profileB, profileA)
		for w.now() == profileA {
			time.Sleep(time.Minute)
		}
		if took := time.Since(begin); took < w.policy.Hold || took > w.policy.Hold+10*time.Minute {
			t.Errorf("left after %v", took)
		}
		time.Sleep(3 * day) // it is what the card wanted: it is the preferred one
		synctest.Wait()
		if runs := d.o.Runs(); runs[1].Fallback == nil || runs[1].Fallback.Preferred != profileA {
			t.Errorf("%+v", runs)
		}
	})
}

// TestPersonFirst has a person's activation under way, which nothing is begun beside.
func TestPersonFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.class[profileC] = euicc.ClassOperational
		w.line = func(iccid string, at time.Duration) status.State {
			if iccid == profileB && at > 3*day {
				return status.Up
			}
			return status.Down
		}
		d := w.boot(time.Now)
		rec, err := d.o.Switch(activation.Switching{ICCID: profileC, Previous: profileA})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * day)
		if runs := d.o.Runs(); len(runs) != 1 || runs[0].Waiting != activation.WaitLink && runs[0].Ended != nil {
			t.Errorf("%+v", runs)
		}
		time.Sleep(2*day + time.Hour)
		synctest.Wait()
		// It ended on a profile that nobody asked for: that one stands in.
		if got, err := d.o.Get(rec.ID); err != nil || got.EndsAt() != profileB {
			t.Errorf("%+v, %v", got, err)
		}
		if f := d.status.Snapshot().Fallback; f == nil || f.Preferred != profileA || f.Next == nil {
			t.Errorf("%+v", f)
		}
	})
}

func TestReturnTime(t *testing.T) {
	for _, tt := range []struct {
		first     time.Duration
		bootstrap bool
		failed    int
		want      time.Duration
	}{
		{12 * time.Hour, false, 0, 12 * time.Hour}, {12 * time.Hour, false, 1, day}, {12 * time.Hour, false, 9, day},
		{3 * day, false, 5, 3 * day}, {time.Hour, false, 2, 4 * time.Hour}, {12 * time.Hour, true, 0, time.Hour}, {12 * time.Hour, true, 15, day},
	} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			if got := returnTime(config.Fallback{Hold: time.Hour, Return: tt.first}, tt.bootstrap, tt.failed); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}
