package gateway

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/euicc/es10"
)

// A card whose toolkit is busy has done nothing: it is asked again for a while,
// then without REFRESH, and never after it said anything else.
func TestPastToolkit(t *testing.T) {
	busy := fmt.Errorf("enableProfile: %w", es10.ErrCATBusy)
	other := errors.New("policy")
	for _, row := range []struct {
		name    string
		refresh bool
		answers []error // to the changes, in order
		want    error
		asked   string // + with REFRESH, - without
		took    time.Duration
	}{
		{"not busy", true, []error{nil}, nil, "+", 0},
		{"busy once", true, []error{busy, nil}, nil, "++", time.Second},
		{"refused after it", true, []error{busy, other}, other, "++", time.Second},
		{"busy for ever with REFRESH", true, []error{busy, busy, busy, busy, nil}, nil, "++++-", 8 * time.Second},
		{"busy for ever", true, []error{busy, busy, busy, busy, busy}, busy, "++++-", 8 * time.Second},
		{"without REFRESH from the start", false, []error{busy, busy, busy, busy}, busy, "----", 8 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newGateway(t)
			synctest.Test(t, func(t *testing.T) {
				begin, asked := time.Now(), ""
				quiet, err := g.pastToolkit(t.Context(), row.refresh, func(refresh bool) error {
					mark := "-"
					if refresh {
						mark = "+"
					}
					asked += mark
					return row.answers[len(asked)-1]
				})
				if err != row.want || quiet != (len(asked) == 5) || asked != row.asked || time.Since(begin) != row.took {
					t.Errorf("got %v after %q in %v", err, asked, time.Since(begin))
				}
			})
		})
	}
}
