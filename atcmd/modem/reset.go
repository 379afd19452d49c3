package modem

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

// ResetGoal says what the modem must show after a profile was switched.
type ResetGoal struct {
	ICCID string // to appear; empty when a profile was disabled and none enabled
	Not   string // to be gone; looked at when ICCID is empty
	// OldIMSI is the subscriber before the switch, or empty. +CRSM reads the
	// card and shows the new ICCID also on a modem that did not act on REFRESH
	// and goes on with the old subscriber (lpac#236). Until a rung has really
	// reset the card, ICCID alone does not count while +CIMI still says this;
	// after that it does, since two profiles may have one IMSI.
	OldIMSI string
}

// Rung is a place on the dialect's SIM reset ladder: rung Index, of whose
// commands those before Step are sent.
type Rung struct {
	Index, Step int
}

// Next is the beginning of the next rung.
func (r Rung) Next() Rung { return Rung{Index: r.Index + 1} }

var (
	// ErrReopen means that the port went away with a reset: open
	// it again, make a new Modem, and go on with ResetSIM from the rung that
	// came with this error.
	ErrReopen = errors.New("modem restarts; open its port again")
	// ErrNotReset means that the whole ladder did not make the modem show the
	// goal.
	ErrNotReset = errors.New("modem does not show the card's new state after any reset")
)

// pollInterval is the time between two looks at the card during a reset.
const pollInterval = time.Second

// ResetSIM makes the modem read the card again after a profile was switched:
// it climbs the dialect's ladder from the given rung until the goal is met. It
// returns the rung that did it, or with ErrReopen, the place to go on from. The
// card's logical channels do not survive it: tell the card transport. Events
// have to be enabled again after it. report, if not nil, is told the
// name of each rung as it begins.
func (m *Modem) ResetSIM(ctx context.Context, goal ResetGoal, from Rung, report func(name string)) (Rung, error) {
	for at := from; at.Index < len(m.d.SIMReset); at = at.Next() {
		rung := m.d.SIMReset[at.Index]
		m.log.Info("resetting SIM", "rung", rung.Name)
		if report != nil {
			report(rung.Name)
		}
		failed, err := m.run(ctx, rung.Steps, at.Step, nil)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return at, ctx.Err()
		case atcmd.PortLost(err):
			return Rung{at.Index, failed + 1}, fmt.Errorf("%w: %w", ErrReopen, err)
		case answered(err) || errors.Is(err, atcmd.ErrTimeout):
			m.log.Warn("SIM reset command failed", "rung", rung.Name, "error", err)
			if failed == 0 && len(rung.Steps) == 1 && answered(err) {
				continue // nothing was done, nothing to wait for
			}
			// A later command may bring the radio back that an earlier one
			// switched off.
			if _, err := m.run(ctx, rung.Steps, failed+1, nil); atcmd.PortLost(err) {
				return Rung{at.Index, len(rung.Steps)}, fmt.Errorf("%w: %w", ErrReopen, err)
			}
		default:
			return at, err
		}
		met, err := m.await(ctx, goal, rung)
		switch {
		case met:
			return at, nil
		case atcmd.PortLost(err): // some modems restart when the card asks for a REFRESH
			return Rung{at.Index, len(rung.Steps)}, fmt.Errorf("%w: %w", ErrReopen, err)
		case err != nil:
			return at, err
		}
	}
	return Rung{Index: len(m.d.SIMReset)}, ErrNotReset
}

// await looks at the card until the goal is met or the rung's time is over.
func (m *Modem) await(ctx context.Context, goal ResetGoal, rung dialect.ResetStep) (bool, error) {
	deadline := time.NewTimer(rung.Settle.Std())
	defer deadline.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for ready := !rung.Drops; ; {
		// A modem that was reset may have its echo and its errors without
		// numbers back, and may not listen yet.
		if !ready {
			err := m.Init(ctx)
			if err != nil && !errors.Is(err, atcmd.ErrTimeout) {
				return false, err
			}
			ready = err == nil
		}
		met, err := m.meets(ctx, goal)
		if met && len(rung.Steps) == 0 && goal.OldIMSI != "" {
			met, err = m.newSubscriber(ctx, goal)
		}
		if err != nil || met {
			return met, err
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// meets reports whether the modem shows the goal now. That the card cannot be
// read yet is not an error.
func (m *Modem) meets(ctx context.Context, goal ResetGoal) (bool, error) {
	iccid, err := m.ICCID(ctx)
	switch {
	case err == nil && goal.ICCID != "":
		return iccid == goal.ICCID, nil
	case err == nil:
		return iccid != goal.Not, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, atcmd.ErrTimeout):
		return false, nil
	case !answered(err) && !isStatus(err):
		return false, err
	case goal.ICCID != "":
		return false, nil
	}
	// No profile: the card answers, and has nothing to show. Busy is not that.
	sim, err := m.SIM(ctx)
	if err != nil {
		return false, ignoreTimeout(err)
	}
	switch sim.State {
	case SIMNoProfile, SIMAbsent, SIMFailure:
		return true, nil
	}
	return false, nil
}

// newSubscriber reports whether the modem itself has another subscriber than
// before, or none when none is wanted.
func (m *Modem) newSubscriber(ctx context.Context, goal ResetGoal) (bool, error) {
	imsi, err := text(ctx, m.s, "+CIMI")
	switch {
	case err == nil:
		return imsi != goal.OldIMSI, nil
	case isLocked(err):
		return true, nil // a subscriber whose PIN is asked for; the old one's was not
	case answered(err):
		return goal.ICCID == "", nil
	}
	return false, ignoreTimeout(err)
}

// isLocked reports whether the SIM waits for PIN or PUK (27.007, 9.2.1).
func isLocked(err error) bool {
	cme, ok := errors.AsType[*atcmd.CMEError](err)
	return ok && (cme.Code == 11 || cme.Code == 12)
}

func ignoreTimeout(err error) error {
	if errors.Is(err, atcmd.ErrTimeout) {
		return nil
	}
	return err
}
