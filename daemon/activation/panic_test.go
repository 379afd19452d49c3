package activation

import (
	"fmt"
	"testing"
	"testing/synctest"

	"dynamod/daemon/status"
)

// A panic of the task, at whatever call and whether or not that was carried out,
// is to a run what a restart is: it comes to the same end.
func TestPanicAtEachCall(t *testing.T) {
	// tell activates, with a panic at the nth call, and returns how many calls there
	// were without one.
	tell := func(t *testing.T, n int, after bool) (calls int) {
		synctest.Test(t, func(t *testing.T) {
			dir, w := t.TempDir(), newWorld(t)
			strike := func(call string) error {
				calls++
				if calls == n+1 {
					panic(call)
				}
				return nil
			}
			if after {
				w.lost = strike
			} else {
				w.fail = strike
			}
			o, shutdown := boot(t, dir, w)
			defer shutdown()
			rec, err := o.Submit(request(t))
			if err != nil {
				t.Fatal(err)
			}
			rec = ended(t, o, rec.ID)
			if rec.Outcome != status.Committed || w.enabledNow() != newICCID || rec.Error != nil {
				t.Errorf("outcome %s with %q enabled, error %+v, calls %v", rec.Outcome, w.enabledNow(), rec.Error, w.log)
			}
			synctest.Wait() // what follows the last record
			if w.held != 0 {
				t.Errorf("the link is held %d times", w.held)
			}
			if _, err := o.Switch(Switching{ICCID: newICCID, Previous: ""}); err != nil {
				t.Errorf("the next run is refused: %v", err)
			}
		})
		return calls
	}
	calls := tell(t, -2, false)
	if calls < 10 {
		t.Fatalf("%d calls", calls)
	}
	for n := range calls {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("call %d, carried out %v", n, after), func(t *testing.T) { tell(t, n, after) })
		}
	}
}
