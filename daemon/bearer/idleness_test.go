package bearer

import (
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd/modem"
)

func TestIdleness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var i idleness
		told := 0
		for second := range 200 {
			state := modem.RegIdle
			if second == 100 {
				state = modem.RegSearching
			}
			if i.tooLong(state) {
				told++
			}
			time.Sleep(time.Second)
		}
		// At 5 and 65 s, and, after the search, at 106 and 166.
		if told != 4 {
			t.Errorf("told %d times", told)
		}
	})
}
