package activation

import (
	"slices"
	"testing"
	"testing/synctest"

	"dynamod/daemon/status"
	"dynamod/euicc"
)

// TestSwitchIsSettled has the card fall silent in the switch: what became of it is
// read after a reset, and the profile is neither taken for lost nor gone back from.
func TestSwitchIsSettled(t *testing.T) {
	for _, tt := range []struct {
		name    string
		after   bool // the card had carried it out
		refuses bool // in place of all that: the card says no
		outcome status.Outcome
		resets  int
	}{
		{"not carried out, the card lives after a reset", false, false, status.Committed, 1},
		{"carried out, the card lives after a reset", true, false, status.Committed, 1},
		{"refused", false, true, status.RolledBack, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, w := t.TempDir(), newWorld(t)
				w.profiles[oldICCID] = euicc.Enabled
				if w.dies("enable", tt.after); tt.refuses {
					w.fail = func(call string) error {
						if call == "enable" && w.enabledNow() == oldICCID && !slices.Contains(w.log, "plan") && w.refusals < 1 {
							w.refusals++
							return &euicc.Error{Stage: euicc.StageEnable, Code: "enable-wrong-state", Retry: euicc.RetryNever, Text: "refused"}
						}
						return nil
					}
				}
				o, shutdown := boot(t, dir, w)
				defer shutdown()
				rec, err := o.Submit(request(t))
				if err != nil {
					t.Fatal(err)
				}
				rec = ended(t, o, rec.ID)
				resets := 0
				for _, call := range w.log {
					if call == "recover" {
						resets++
					}
				}
				if rec.Outcome != tt.outcome || resets != tt.resets || w.sessions != 1 {
					t.Errorf("%s after %d resets and %d sessions, want %s after %d; %v", rec.Outcome, resets, w.sessions, tt.outcome, tt.resets, w.log)
				}
			})
		})
	}
}
