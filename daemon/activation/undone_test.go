package activation

import (
	"strings"
	"testing"
	"testing/synctest"
)

// TestUndoneRunTellsTheWayOn: the code may be used up, so what an undone run
// advises is the profile that it leaves on the card.
func TestUndoneRunTellsTheWayOn(t *testing.T) {
	for call, want := range map[string]bool{"up": true, "choose": false} {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.fail = failOn(call)
				o, shutdown := boot(t, t.TempDir(), w)
				defer shutdown()
				rec, err := o.Submit(request(t))
				if err != nil {
					t.Fatal(err)
				}
				rec = ended(t, o, rec.ID)
				if rec.Error == nil || strings.Contains(rec.Error.Advice, "dynamod profiles enable "+newICCID) != want {
					t.Errorf("%+v", rec.Error)
				}
			})
		})
	}
}
