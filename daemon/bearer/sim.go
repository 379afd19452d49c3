package bearer

import (
	"context"
	"errors"
	"fmt"

	"dynamod/atcmd/modem"
	"dynamod/daemon/activation"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// card is the SIM as the bearer finds it.
type card struct {
	modem.SIM
	tries *int  // that the PIN has left, where the modem tells and it counts
	err   error // why the PIN of the configuration did not help; nil where there is none
}

// readSIM reads the card's state, and gives a card that asks for its PIN the one
// of the configuration. That is sent once to each card: see modem.EnterPIN.
func (b *Bearer) readSIM(ctx context.Context, r Radio) (card, error) {
	sim, err := r.SIM(ctx)
	c := card{SIM: sim}
	if err != nil || sim.State != modem.SIMNeedsPIN && sim.State != modem.SIMNeedsPUK {
		return c, err
	}
	if sim.State == modem.SIMNeedsPIN && b.PIN != nil {
		var pin modem.Secret
		if pin, c.err = b.PIN(); c.err == nil && pin != "" {
			if c.err = r.EnterPIN(ctx, pin, false); c.err == nil {
				b.Log.Info("the SIM's PIN was entered")
			}
			if c.SIM, err = r.SIM(ctx); err != nil {
				return c, err
			}
		}
	}
	if n, known, err := r.PINTries(ctx); err == nil && known && c.State != modem.SIMReady {
		c.tries = &n
	}
	return c, nil
}

// why says what is wrong with a card that is not ready, and what to do about it.
func why(c card, state modem.SIMState) (reason, advice string) {
	reason, advice = "no SIM can be used: "+string(state), SIMAdvice(state)
	if state != modem.SIMNeedsPIN {
		return reason, advice
	}
	switch {
	case errors.Is(c.err, modem.ErrPIN):
		advice = "put the right PIN into the file that [modem] pin_file names; this one is not sent to the card again"
	case errors.Is(c.err, modem.ErrLastTry):
		advice = "enter the PIN in a telephone: one more wrong one would block the card"
	case c.err != nil:
		advice = "see to the file that [modem] pin_file names"
	}
	if c.err != nil {
		reason += ", " + c.err.Error()
	} else if c.tries != nil {
		reason += fmt.Sprintf(", tries left: %d", *c.tries)
	}
	return reason, advice
}

// SIMAdvice says what helps when the SIM is in a state; "" when it is ready.
func SIMAdvice(s modem.SIMState) string { return simAdvice[s] }

var simAdvice = map[modem.SIMState]string{
	modem.SIMNoProfile: "enable a profile with `dynamod profiles enable`, or activate one with `dynamod activate`",
	modem.SIMAbsent:    "insert a SIM, or select the slot of the eUICC: [modem] sim_slot",
	modem.SIMBusy:      "the card is being started; it is asked again",
	modem.SIMFailure:   "the card does not work: take it out and in again, or restart the modem",
	modem.SIMNeedsPIN:  "put the PIN into a file and name it in [modem] pin_file",
	modem.SIMNeedsPUK:  "the card has seen too many wrong PINs: enter its PUK, and a new PIN, in a telephone; ten wrong PUKs end it for good",
}

// lockedSIM is an error if the SIM waits for a code, without which the modem never
// registers. Whatever else it says may pass.
func (b *Bearer) lockedSIM(ctx context.Context, r Radio) error {
	c, err := b.readSIM(ctx, r)
	if err != nil || c.State != modem.SIMNeedsPIN && c.State != modem.SIMNeedsPUK {
		return nil
	}
	b.Status.Update(func(s *status.Snapshot) { s.SIM = &status.SIM{State: string(c.State), PINTries: c.tries} })
	f := noSIM(c.State)
	f.Text, f.Advice = why(c, c.State)
	f.Err = c.err
	return f
}

func noSIM(state modem.SIMState) *activation.Fault {
	return &activation.Fault{Code: "no-sim", Text: "no SIM can be used: " + string(state), Advice: simAdvice[state], Retry: euicc.RetryLater}
}

// sawSIM tells of the SIM that is there, whether or not it ever registers.
func (b *Bearer) sawSIM(iccid string) {
	b.Status.Update(func(s *status.Snapshot) {
		if s.SIM == nil || s.SIM.State != string(modem.SIMReady) || s.SIM.ICCID != iccid {
			s.SIM = &status.SIM{State: string(modem.SIMReady), ICCID: iccid}
		}
	})
	if b.Saw != nil {
		b.Saw(iccid)
	}
}
