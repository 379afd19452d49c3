//go:build linux && !nodemo

package demo

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"dynamod/atcmd/dialect"
	"dynamod/daemon/config"
	"dynamod/daemon/demo/walk"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/smdpsim"
)

// registrationLimit is how long the bearer waits for a modem that scans all its
// bands.
const registrationLimit = 2 * time.Minute

// rollbackBound is how long a box may be without traffic after a switch to a
// profile that is no good: the deadline of the new one, then one way through the
// family's SIM resets and one registration for the earlier one.
func rollbackBound(family string) time.Duration {
	bound := config.Default().Activation.Deadline + registrationLimit
	for _, rung := range dialect.ByName(family).SIMReset {
		bound += rung.Settle.Std()
	}
	return bound
}

// foreign makes the new profile one of another network, which the lab's refuses.
func foreign(t *testing.T) func(*Lab) {
	return func(l *Lab) {
		upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: "8999970000000000018", IMSI: "999700000000001", MNCDigits: 2, SPN: Operator})
		if err != nil {
			t.Fatal(err)
		}
		p, err := l.offer("", smdpsim.Order{UPP: upp, Metadata: smdpsim.Metadata{Provider: Operator, Name: "Elsewhere", Owner: owner}})
		if err != nil {
			t.Fatal(err)
		}
		l.Profiles = []Profile{p}
	}
}

// TestRollback activates a profile that is no good on a box whose earlier profile
// carries its only link, and measures, from the activation on, when that profile
// carries traffic again: plain, and with the power cut at the records of the
// journal from the switch on, torn in the write and just after it. The worst of
// these moments is printed.
func TestRollback(t *testing.T) {
	line := func(line Line) func(*Lab) {
		return func(l *Lab) { l.Operator.SetLine(l.Profiles[0].ICCID, line) }
	}
	bound := rollbackBound("quectel")
	for _, tt := range []struct {
		name    string
		prepare func(*Lab)
	}{
		{"never registers: no network answers it", line(Line{Unseen: true})},
		{"never registers: denied, #8", line(Line{Denied: true})},
		{"registers without data: not subscribed, #33", line(Line{NoData: true})},
		{"registers without data: a context that carries nothing", line(Line{Hollow: true})},
		{"has data for a portal only", line(Line{Portal: "http://pay.lab.test/"})},
		{"has data for 20 s only", line(Line{Lasts: 20 * time.Second})},
		{"answers the wrong IMSI: another network's, #11", foreign(t)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			story := crashStory{name: tt.name, prepare: tt.prepare, power: true, outcome: status.RolledBack}
			points, plain, err := rollback(t, story, nil, false)
			if err != nil || plain > bound {
				t.Fatalf("back after %v, the bound is %v: %v", plain, bound, err)
			}
			var worst time.Duration
			moment, tried := "", 0
			for _, at := range records(points) {
				for _, after := range []bool{false, true} {
					_, took, err := rollback(t, story, walk.Like(points, at), after)
					what := fmt.Sprintf("%s of point %d (%s)", map[bool]string{false: "in the write", true: "after the write"}[after], at, points[at].State)
					if tried++; err != nil || took > bound {
						t.Errorf("power cut %s: back after %v, the bound is %v: %v", what, took, bound, err)
					}
					if took > worst {
						worst, moment = took, what
					}
				}
			}
			if tried == 0 {
				t.Error("no record of the journal after the switch")
			}
			t.Logf("back after %v; of %d power cuts the worst is %s: after %v; the bound is %v", plain.Round(time.Second), tried, moment, worst.Round(time.Second), bound)
		})
	}
}

// records are the journal's records from the switch on; outside the soak of those
// that tell how much of the deadline is spent the first and the last ones.
func records(points []walk.Point) (list []int) {
	state := func(at int) string { return points[at].State }
	for at, p := range points {
		if p.Kind == walk.Journal && (len(list) > 0 || state(at) == "enabling") {
			list = append(list, at)
		}
	}
	if soak() {
		return list
	}
	all := slices.Clone(list)
	return slices.DeleteFunc(list, func(at int) bool {
		i := slices.Index(all, at)
		return i > 0 && i+1 < len(all) && state(all[i-1]) == state(at) && state(all[i+1]) == state(at)
	})
}

// rollback tells the story with the power cut at one point, nil for none, and
// returns the points that it came by and the time from the activation until the
// earlier profile carried traffic again.
func rollback(t *testing.T, story crashStory, at func(int, walk.Point) bool, after bool) (points []walk.Point, took time.Duration, err error) {
	inCrashWorld(t, story, func(_ *testing.T, w *crashWorld) {
		r := w.newReaper(at, after)
		var begun time.Time
		back := func(ctx context.Context, r *reaper, c *hook.Client) error {
			there, err := r.until(ctx, c, 2*time.Hour, func(s status.Snapshot) bool {
				return s.State == status.Up && s.SIM != nil && s.SIM.ICCID == w.old && s.Run != nil && s.Run.Outcome == status.RolledBack
			})
			if there {
				took = time.Since(begun)
			}
			return err
		}
		err = w.daemon(r, func(ctx context.Context, c *hook.Client) error {
			if err := w.settled(ctx, r, c); err != nil {
				return err
			}
			r.Arm()
			begun = time.Now()
			if err := w.submit(ctx, c); err != nil {
				return err
			}
			if err := back(ctx, r, c); err != nil || r.Dead() {
				return err
			}
			return w.activate(ctx, r, c) // to the run's end
		})
		points = r.Points()
		if !r.Dead() && err != nil {
			return
		}
		if r.Dead() {
			took = 0
		}
		if err = w.stopped(r); err != nil {
			return
		}
		next := w.newReaper(nil, false)
		err = w.daemon(next, func(ctx context.Context, c *hook.Client) error {
			if took == 0 {
				if err := back(ctx, next, c); err != nil {
					return err
				}
			}
			if err := w.activate(ctx, next, c); err != nil {
				return err
			}
			time.Sleep(20 * time.Minute) // for what is delivered later
			return w.check(ctx, c)
		})
	})
	return points, took, err
}
