//go:build linux && !nodemo

package walk

import (
	"errors"
	"fmt"

	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// Report is a notification by its name: what a server needs to tell it from every
// other one of the same card.
type Report struct {
	ICCID     string
	Operation string
	Seq       int64
}

// String names the report.
func (r Report) String() string {
	return fmt.Sprintf("%s of %s, number %d", r.Operation, r.ICCID, r.Seq)
}

// Reports compares what the card had to report with what the server was told: every
// report by its name, at least once and at most as often as most says, and nothing
// else. Zero is any number of times, for a server whose answers get lost. False
// signatures are no fault of who delivers.
func Reports(issued []euiccsim.Notification, received []smdpsim.Notification, most int) error {
	var bad []error
	times := map[Report]int{}
	for _, n := range received {
		times[Report{n.ICCID, n.Operation.String(), n.Seq}]++
	}
	for _, n := range issued {
		r := Report{n.ICCID, n.Event.String(), n.Sequence}
		switch got := times[r]; {
		case got == 0:
			bad = append(bad, fmt.Errorf("not delivered: %v", r))
		case most > 0 && got > most:
			bad = append(bad, fmt.Errorf("delivered %d times: %v", got, r))
		}
		delete(times, r)
	}
	for r := range times {
		bad = append(bad, fmt.Errorf("delivered, and the card never issued it: %v", r))
	}
	return errors.Join(bad...)
}
