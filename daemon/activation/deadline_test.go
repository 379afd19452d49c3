package activation

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/status"
)

// TestDeadlineOverRestarts has a new profile whose link does not come up, and a box
// that is restarted before the deadline, with clocks as boxes have them.
func TestDeadlineOverRestarts(t *testing.T) {
	const deadline = 5 * time.Minute
	const years = 30 * 365 * 24 * time.Hour
	shifted := func(d time.Duration) func() time.Time {
		return func() time.Time { return time.Now().Add(d) }
	}
	// frozen is the clock of a box without one, which begins anew at each start.
	frozen := func() func() time.Time {
		begin := time.Now()
		return func() time.Time { return time.Unix(1e9, 0).Add(time.Since(begin)) }
	}
	for _, tt := range []struct {
		name   string
		uptime time.Duration // of each start
		off    time.Duration // between two
		clock  func(start int) func() time.Time
		comes  time.Duration // of the link, after the switch; 0 never
		within time.Duration // the end, after the switch
		want   status.Outcome
	}{
		{"no restart", 0, 0, nil, 0, deadline, status.RolledBack},
		{"restarted every 100 s", 100 * time.Second, 0, nil, 0, deadline + graceTime, status.RolledBack},
		{"power cut just before the end", deadline - time.Second, time.Second, nil, 0, deadline + graceTime, status.RolledBack},
		{"power cut just before the end, no clock", deadline - time.Second, time.Second, func(int) func() time.Time { return frozen() }, 0, deadline + graceTime + deadline/spentEvery, status.RolledBack},
		{"restarted every 100 s, no clock", 100 * time.Second, 0, func(int) func() time.Time { return frozen() }, 0, deadline + graceTime + 4*deadline/spentEvery, status.RolledBack},
		{"off for a day", time.Minute, 24 * time.Hour, nil, 0, 24*time.Hour + deadline, status.RolledBack},
		{"off for a day, and the link comes", time.Minute, 24 * time.Hour, nil, 24*time.Hour + 2*time.Minute, 24*time.Hour + deadline, status.Committed},
		{"the clock is set years ahead", time.Minute, time.Second, func(start int) func() time.Time { return shifted(time.Duration(start) * years) }, 2*time.Minute + time.Second, deadline, status.Committed},
		{"the clock is set years back", time.Minute, time.Second, func(start int) func() time.Time { return shifted(-time.Duration(start) * years) }, 3 * time.Minute, deadline, status.Committed},
		{"the clock is set years back, no link", time.Minute, time.Second, func(start int) func() time.Time { return shifted(-time.Duration(start) * years) }, 0, deadline + deadline/spentEvery, status.RolledBack},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, w := t.TempDir(), newWorld(t)
				w.profiles[oldICCID] = 1
				var begun time.Time
				w.block = func(ctx context.Context, call string) {
					if call != "up" || w.enabledNow() != newICCID {
						return
					}
					if begun.IsZero() {
						begun = time.Now()
					}
					if tt.comes == 0 {
						<-ctx.Done()
						return
					}
					select {
					case <-time.After(time.Until(begun.Add(tt.comes))):
					case <-ctx.Done():
					}
				}
				clock := func(start int) func() time.Time {
					if tt.clock != nil {
						return tt.clock(start)
					}
					return time.Now
				}
				o, shutdown := bootAt(t, dir, w, clock(0))
				rec, err := o.Submit(request(t))
				if err != nil {
					t.Fatal(err)
				}
				for start := 1; tt.uptime > 0 && start < maxResumes; start++ {
					time.Sleep(tt.uptime)
					if now, _ := o.Get(rec.ID); now.State.Ended() {
						break
					}
					shutdown()
					time.Sleep(tt.off)
					o, shutdown = bootAt(t, dir, w, clock(start))
					if tt.off > 0 {
						break
					}
				}
				defer func() { shutdown() }()
				rec = ended(t, o, rec.ID)
				if took := time.Since(begun); rec.Outcome != tt.want || took > tt.within+2*time.Second {
					t.Errorf("%s after %v, want %s within %v; %+v", rec.Outcome, took, tt.want, tt.within, rec.Error)
				}
			})
		})
	}
}

// A run that is interrupted again and again before it has begun comes to an end.
func TestInterruptedBeforeItBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, w := t.TempDir(), newWorld(t)
		w.block = func(ctx context.Context, call string) {
			if call == "preflight" {
				<-ctx.Done()
			}
		}
		id := ""
		for i := range maxResumes + 2 {
			o, shutdown := boot(t, dir, w)
			if i == 0 {
				rec, err := o.Submit(request(t))
				if err != nil {
					t.Fatal(err)
				}
				id = rec.ID
			}
			synctest.Wait()
			rec, err := o.Get(id)
			if err != nil || rec.State.Ended() != (i > maxResumes) {
				t.Errorf("start %d: %+v, %v", i, rec, err)
			}
			shutdown()
		}
	})
}
