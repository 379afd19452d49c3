package modem_test

import (
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
)

// The slot that a dialect selects is the one that it reads then, and the other
// card is there.
func TestSlotsOnSimulatedModem(t *testing.T) {
	slotted := 0
	for _, personality := range atsim.Personalities() {
		// Time of the bubble: the vendors want pauses between the commands.
		synctest.Test(t, func(t *testing.T) {
			other := &card{iccid: "980010000000000030f4", imsi: "080910100000000030"}
			l := newLab(t, func(c *atsim.Config) {
				c.Personality = personality
				c.Slots = []atsim.Card{other.apdu}
				c.Habits.Reenumerate = false
			})
			defer l.close()
			id, err := modem.Identify(t.Context(), l)
			if err != nil {
				t.Fatal(err)
			}
			m := modem.New(l, dialect.Find(id.Identity), nil)
			first, err := m.Slot(t.Context())
			if err != nil || len(m.Dialect().Slots.Select) == 0 {
				return // no known command
			}
			slotted++
			for _, want := range []int{first + 1, first + 1, first} { // the same twice
				if err := m.SelectSlot(t.Context(), want); err != nil {
					t.Errorf("%s: %v", personality, err)
					return
				}
				time.Sleep(time.Minute)
				now, err := m.Slot(t.Context())
				if err != nil || now != want {
					t.Errorf("%s: slot %d, want %d: %v", personality, now, want, err)
				}
				wantICCID := map[bool]string{true: "8900010000000000012", false: "8900010000000000034"}[want == first]
				if iccid, err := m.ICCID(t.Context()); err != nil || iccid != wantICCID {
					t.Errorf("%s: slot %d has %s, %v", personality, want, iccid, err)
				}
			}
		})
	}
	if slotted < 10 {
		t.Errorf("%d personalities with slots", slotted)
	}
}
