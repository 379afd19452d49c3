package bearer

import (
	"context"
	"errors"
	"slices"
	"syscall"

	"dynamod/atcmd"
	"dynamod/atcmd/modem"
	"dynamod/daemon/activation"
	"dynamod/daemon/recovery"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// What a look shows of the modem's health is told to the ladder of package
// recovery. What the operator refuses, what the configuration forbids and what a
// person has to mend are no symptoms: no reset changes them.

// ofLink are the symptoms that a link with traffic proves gone.
var ofLink = []recovery.Symptom{recovery.Silent, recovery.SIMLost, recovery.CardSilent, recovery.NotRegistered, recovery.NoContext, recovery.NoTraffic}

var errNoTraffic = errors.New("there is an address, but no traffic")

// noteSIM tells of the card's state. It returns an error where a card was there
// and is gone; an empty slot and "no enabled profile" are states.
func (b *Bearer) noteSIM(state modem.SIMState) error {
	b.Ladder.Well(recovery.Silent, recovery.CardSilent) // +CPIN? was answered
	switch state {
	case modem.SIMReady:
		b.hadSIM = true
		b.Ladder.Well(recovery.SIMLost)
	case modem.SIMAbsent, modem.SIMFailure:
		card := b.Status.Snapshot().Card
		enabled := card != nil && slices.ContainsFunc(card.Profiles, func(p status.Profile) bool { return p.State == euicc.Enabled.String() })
		if b.hadSIM || enabled {
			f := &activation.Fault{Code: "sim-lost", Text: "the SIM was there, and now the modem says: " + string(state), Advice: simAdvice[state], Retry: euicc.RetryLater}
			b.Ladder.Saw(recovery.SIMLost, f.Text)
			return f
		}
	case modem.SIMNoProfile:
		b.hadSIM = false
		b.Ladder.Well(ofLink...)
	case modem.SIMNeedsPIN, modem.SIMNeedsPUK, modem.SIMLocked:
		b.Ladder.Well(ofLink...)
	}
	return nil
}

// noteCard tells of a command that needs the card and failed.
func (b *Bearer) noteCard(err error) error {
	if errors.Is(err, atcmd.ErrTimeout) {
		b.Ladder.Saw(recovery.CardSilent, err.Error())
	}
	return err
}

// noteRegistration tells that the modem could not register.
func (b *Bearer) noteRegistration(ctx context.Context, reg modem.Registration, err error) {
	switch {
	case err == nil, reg.State == modem.RegDenied, reg.Cause != 0:
		b.Ladder.Well(recovery.NotRegistered) // somebody out there has answered
	case errors.Is(err, atcmd.ErrTimeout):
		b.Ladder.Saw(recovery.Silent, err.Error())
	case ctx.Err() == nil:
		if f, ok := errors.AsType[*activation.Fault](err); ok && f.Code == "not-registered" {
			b.Ladder.Saw(recovery.NotRegistered, f.Text)
		}
	}
}

// noteFailures tells of a round of connections of which none carries traffic.
// Where one has an address, the others' refusals say nothing about it.
func (b *Bearer) noteFailures(failures []failure, f *activation.Fault) {
	if f.Code != "no-data" {
		return // without an APN nothing else is to be expected
	}
	is := func(what func(error) bool) bool {
		return slices.ContainsFunc(failures, func(failed failure) bool { return what(failed.err) })
	}
	switch {
	case is(func(err error) bool { return errors.Is(err, errNoTraffic) }):
		b.Ladder.Well(recovery.NoContext)
		b.Ladder.Saw(recovery.NoTraffic, f.Text)
	case is(func(err error) bool { return causeOf(err) != modem.CauseUnknown }):
		b.Ladder.Well(recovery.NoContext) // an operator's answer came through the modem
	case !is(isOurs):
		b.Ladder.Saw(recovery.NoContext, f.Text)
	}
}

// isOurs reports whether this box is what fails, and not its modem. A carrier says
// it with a Fault.
func isOurs(err error) bool {
	if _, ok := errors.AsType[syscall.Errno](err); ok {
		return true
	}
	if _, ok := errors.AsType[*activation.Fault](err); ok {
		return true
	}
	return errors.Is(err, modem.ErrDefine) || errors.Is(err, context.Canceled)
}

// Seize keeps everybody off the modem, day-two work and activations, until the
// returned function is called: with true if the modem, or a part of it, was
// started again. What failed before may work then and need not wait.
func (b *Bearer) Seize() (release func(restarted bool)) {
	unhold := b.Hold()
	b.op.Lock()
	return func(restarted bool) {
		if restarted {
			b.pace.restarted()
		}
		b.op.Unlock()
		unhold()
	}
}
