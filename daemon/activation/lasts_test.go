package activation

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/status"
	"dynamod/euicc"
)

// A link of a new profile has to last before the way back is given up.
func TestLinkLasts(t *testing.T) {
	for _, tt := range []struct {
		name     string
		previous bool
		breaks   int // so many links of the new profile end while they are to last
		deadline time.Duration
		outcome  status.Outcome
		enabled  string
		asked    int
		took     time.Duration
	}{
		{"it lasts", true, 0, 0, status.Committed, newICCID, 1, 30 * time.Second},
		{"it breaks once", true, 1, 0, status.Committed, newICCID, 2, time.Minute},
		{"it breaks again and again", true, 9, 0, status.RolledBack, oldICCID, 2, time.Minute},
		{"there is no way back", false, 9, 0, status.Committed, newICCID, 0, 0},
		{"the deadline is short", true, 0, 20 * time.Second, status.Committed, newICCID, 1, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, w, req := t.TempDir(), newWorld(t), request(t)
				w.holds, req.Deadline = 30*time.Second, tt.deadline
				if tt.previous {
					w.profiles[oldICCID] = euicc.Enabled
				}
				broken := 0
				w.lost = func(call string) error {
					if call == "lasts" && broken < tt.breaks {
						broken++
						return &Fault{Code: "no-data", Text: "nothing crosses it any more"}
					}
					return nil
				}
				o, shutdown := boot(t, dir, w)
				defer shutdown()
				rec, err := o.Submit(req)
				if err != nil {
					t.Fatal(err)
				}
				rec = ended(t, o, rec.ID)
				asked := len(slices.DeleteFunc(w.log, func(call string) bool { return call != "lasts" }))
				if took := rec.Ended.Sub(rec.Started).Round(time.Second); rec.Outcome != tt.outcome || w.enabledNow() != tt.enabled || asked != tt.asked || took != tt.took {
					t.Errorf("%s with %q enabled, asked %d times, after %v; error %+v", rec.Outcome, w.enabledNow(), asked, took, rec.Error)
				}
				if rec.Outcome == status.Committed && (rec.Figures == nil || tt.breaks == 0 && rec.Figures.ElapsedMS != 0) {
					t.Errorf("the wait is counted as time to traffic: %+v", rec.Figures)
				}
			})
		})
	}
}
