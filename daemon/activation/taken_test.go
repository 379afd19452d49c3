package activation

import (
	"errors"
	"testing"
	"testing/synctest"
)

// A run whose end everybody has seen, and which only has to be let go, holds up
// no next one.
func TestEndedRunHoldsUpNobody(t *testing.T) {
	for _, row := range []struct {
		state State
		busy  bool
	}{{Downloading, true}, {Undoing, true}, {Notifying, true}, {Done, false}, {Failed, false}} {
		t.Run(string(row.state), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, shutdown := boot(t, t.TempDir(), newWorld(t))
				defer shutdown()
				synctest.Wait()
				o.mu.Lock()
				o.current = newRun(o, Record{ID: "LAST", State: row.state})
				o.mu.Unlock()
				rec, err := o.Submit(request(t))
				if errors.Is(err, ErrBusy) != row.busy {
					t.Fatalf("the next request: %v", err)
				}
				if !row.busy {
					ended(t, o, rec.ID)
				}
				o.mu.Lock()
				o.current = nil
				o.mu.Unlock()
			})
		})
	}
}
