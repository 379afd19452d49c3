package activation

import (
	"context"
	"errors"
	"strings"

	"dynamod/euicc"
)

// maxRetries is how many further sessions a run begins by itself after one that
// failed. Each costs the order one of the tries that the server grants.
const maxRetries = 1

// again decides what follows a session that has failed, and has been cancelled or
// has come to its result: one new session from the start, with the same code, when
// the error may have been of the moment; else the error.
//
// The result of a failed installation goes to the server whatever follows. One that
// is of the moment is tried again when the server knows of it: it would take the
// order for downloaded otherwise.
func (r *run) again(ctx context.Context, cause error) (State, error) {
	if r.failed != nil && refusedOrder(cause) {
		// The server does not give the order once more: that is what became of
		// the first error and not what is wrong.
		r.o.Log.Warn("the server does not begin again", "run", r.rec.ID, "error", cause)
		return "", finally(r.failed, cause)
	}
	e, ok := errors.AsType[*euicc.Error](cause)
	if ok && e.Install {
		err := r.reportFailure(ctx)
		if err != nil && r.regained(ctx) {
			err = r.reportFailure(ctx)
		}
		if err != nil {
			r.o.Log.Warn("the failed installation is reported later, and not tried again before", "run", r.rec.ID, "error", err)
			return "", cause
		}
	}
	switch moment := ok && ofTheMoment(e); {
	case !ok || ctx.Err() != nil || r.wasAborted():
		return "", cause
	case moment && r.rec.Retries < maxRetries:
		r.change(func(rec *Record) { rec.Retries++ })
	case (moment || outOfReach(e)) && r.regained(ctx):
	default:
		return "", cause
	}
	r.o.Log.Warn("a new session is begun", "run", r.rec.ID, "error", cause)
	r.o.Status.Log("the download failed and is begun again: " + e.Text)
	r.change(func(rec *Record) { rec.TransactionID = "" })
	r.failed = cause
	return Authenticated, nil
}

// keepsSession reports whether the card refuses to begin because it has a session
// open that nobody knows any more, and keeps that over everything short of a reset.
func keepsSession(err error) bool {
	e, ok := errors.AsType[*euicc.Error](err)
	return ok && e.Stage == euicc.StageGetEUICCChallenge && e.SW == 0x6985
}

// endForgotten powers the card off and on, which ends any session, and lets the
// run begin once more: nothing was spent yet.
func (r *run) endForgotten(ctx context.Context, cause error) (State, error) {
	r.recovered = true
	r.o.Log.Warn("the card keeps a session that is forgotten; it is reset", "run", r.rec.ID, "error", cause)
	r.o.Status.Log("the card does not begin a session; it is reset")
	profiles, err := r.o.Card.Profiles(ctx)
	if err != nil {
		return "", errors.Join(cause, err)
	}
	enabled := ""
	for _, p := range profiles {
		if p.State == euicc.Enabled {
			enabled = p.ICCID.String()
		}
	}
	release := r.o.Link.Hold()
	defer release()
	if err := r.o.Card.Recover(ctx, enabled); err != nil {
		return "", errors.Join(cause, err)
	}
	return Accepted, nil
}

// finally is the first error with what the server's last word leaves to be done.
func finally(first, refusal error) error {
	e, ok := errors.AsType[*euicc.Error](first)
	last, refused := errors.AsType[*euicc.Error](refusal)
	if !ok || !refused {
		return first
	}
	both := *e
	both.Retry, both.Advice = last.Retry, last.Advice
	return &both
}

// ofTheMoment reports whether a new session may go better without anybody having
// done anything.
func ofTheMoment(e *euicc.Error) bool {
	return e.Retry == euicc.RetryNow && !e.Unknown
}

// outOfReach reports whether the server could not be reached, as when the link went.
func outOfReach(e *euicc.Error) bool {
	return strings.HasPrefix(e.Code, "net-") && e.Retry == euicc.RetryLater
}

// maxRegained is how often a run waits for the only link to come back: in a place
// where it goes every minute nothing is won by a further session.
const maxRegained = 3

// regained waits for the only way to the server where that was the modem's link and
// was lost, until ctx ends, and reports that there is one again.
func (r *run) regained(ctx context.Context) bool {
	if ctx.Err() != nil || r.wasAborted() || r.rec.Regained >= maxRegained || !r.o.Card.Regained(ctx) {
		return false
	}
	r.change(func(rec *Record) { rec.Regained++ })
	r.o.Log.Info("there is a way to the server again", "run", r.rec.ID)
	return true
}

// refusedOrder reports whether the server has answered with a status code that
// nobody here can do anything about.
func refusedOrder(err error) bool {
	e, ok := errors.AsType[*euicc.Error](err)
	return ok && e.Subject != "" && e.Retry != euicc.RetryAsk
}

// reportFailure brings a failed installation's result off the card and to the
// server.
func (r *run) reportFailure(ctx context.Context) error {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), reportTime)
	defer done()
	if _, err := r.o.Card.Collect(ctx); err != nil {
		return err
	}
	return r.o.Card.Deliver(ctx)
}
