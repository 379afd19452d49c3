package lpa

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"dynamod/euicc"
	"dynamod/euicc/euiccsim"
)

// shortAnswers is a modem session that hands no long ones on.
type shortAnswers struct {
	*euiccsim.Card
	err error
}

func (s shortAnswers) Transmit(ctx context.Context, session string, cmd []byte) ([]byte, error) {
	b, err := s.Card.Transmit(ctx, session, cmd)
	if err == nil && len(b) > 4096 {
		return nil, s.err
	}
	return b, err
}

type tooLong struct{ error }

func (tooLong) TooLong() bool { return true }

// A card may have more reports than fit in one answer. They have to come off it all
// the same, or nobody ever hears of them.
func TestManyReports(t *testing.T) {
	for _, tt := range []struct {
		name        string
		getResponse bool
		switches    int
		modem       error // to an answer of more than 4 kB
	}{
		{name: "more than 64 kB by GET RESPONSE", getResponse: true, switches: 40},
		{name: "more than 64 kB, which the modem collects", switches: 40},
		{name: "more than the modem session takes", switches: 8, modem: tooLong{errors.New("too long")}},
		{name: "ERROR to a long answer", switches: 8, modem: modemSaysError{errors.New("ERROR")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := changeLab(t, func(c *euiccsim.Config) { c.GetResponse = tt.getResponse })
			if tt.modem != nil {
				l.cfg.Transport = shortAnswers{l.card, tt.modem}
			}
			c := l.open()
			for i := range tt.switches {
				iccid, err := euicc.ParseICCID([]string{secondICCID, testICCID}[i%2])
				if err != nil {
					t.Fatal(err)
				}
				if err := c.Enable(t.Context(), iccid, false); err != nil {
					t.Fatalf("switch %d: %v", i, err)
				}
			}
			got, err := c.RetrieveAll(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := l.card.Pending()
			if len(got) != len(want) || len(want) != 2*tt.switches {
				t.Fatalf("%d reports of %d", len(got), len(want))
			}
			for i, p := range got {
				if p.Seq != want[i].Sequence || !bytes.Equal(p.Raw, want[i].Signed) {
					t.Errorf("report %d has number %d, want %d as it is on the card", i, p.Seq, want[i].Sequence)
				}
			}
		})
	}
}
