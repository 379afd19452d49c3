package activation

import (
	"context"
	"errors"
	"slices"
	"time"

	"dynamod/atcmd"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// settleDownload finds out from the card what became of a download whose answer
// was lost. Its profile is there: go on. A result is there: that is the error.
// Neither: the stranded session is ended, and the same code begins a new one.
func (r *run) settleDownload(cause error) (State, error) {
	arrived, pending, err := r.askForOutcome(cause)
	if err != nil {
		return "", err
	}
	if arrived {
		// However often it was asked: what is left of the run cannot repeat it.
		r.change(func(rec *Record) { rec.Resumes = min(rec.Resumes, 1) })
		return Installed, nil
	}
	ctx, done := context.WithTimeout(r.alive, settleTime)
	defer done()
	for _, p := range pending {
		if p.Install != nil && p.Install.TransactionID.Equal(r.rec.TransactionID) && !p.Install.Success {
			e := &euicc.Error{Stage: "install", Install: true, Command: p.Install.Command, BPPReason: p.Install.Reason, Err: cause}
			code, d := euicc.DiagnoseInstall(p.Install.Reason)
			e.Code = code
			d.Apply(e)
			return "", e
		}
	}
	if err := r.o.Card.Abandon(ctx, r.rec.SMDP, r.rec.TransactionID); err != nil {
		r.o.Log.Warn("cannot end the interrupted session", "run", r.rec.ID, "error", err)
	}
	r.change(func(rec *Record) { rec.TransactionID = "" })
	if r.wasAborted() {
		return "", errors.Join(cause, context.Canceled)
	}
	// A retry costs the order an attempt, so only an interruption earns one.
	if errors.Is(cause, atcmd.ErrGone) {
		if _, err := r.again(ctx, settled(cause)); err != nil {
			return "", err
		}
		return Accepted, nil // the link went with the modem
	}
	if cause != nil {
		return "", settled(cause)
	}
	if !r.req.hasWay() {
		return "", &Fault{
			Code: "request-lost", Text: "the download was interrupted, nothing of the profile is on the card, and the request cannot be read any more",
			Advice: "submit the activation code again", Retry: euicc.RetryNow,
		}
	}
	return Accepted, nil
}

// askForOutcome asks the card until it answers. Nothing else can tell what became
// of the download, and to leave that open would be to lose a profile that is paid
// for: there is no end to it but somebody's who has had enough.
func (r *run) askForOutcome(cause error) (arrived bool, pending []euicc.PendingNotification, err error) {
	cancelled := r.wasAborted()
	for round := 0; ; round++ {
		// A run that is interrupted here time and again rests first, as on the way back.
		if round > 0 || r.rec.Resumes <= 2*maxResumes {
			if arrived, pending, err = r.outcome(); err == nil || r.alive.Err() != nil {
				return arrived, pending, err
			}
			r.o.Log.Error("the card does not tell what became of the download", "run", r.rec.ID, "round", round+1, "error", err)
		}
		if round > 0 && !cancelled && r.wasAborted() { // somebody has had enough while it was asked
			break
		}
		if !r.awaitCard(restTime(round)) {
			break
		}
	}
	if r.alive.Err() != nil {
		return false, nil, r.alive.Err()
	}
	if cause == nil {
		cause = err
	}
	return false, nil, &Fault{
		Code: codeOutcomeUnknown, Text: "the card stopped answering in the middle of the download, and it is not asked any more what became of it",
		Advice: "restart the modem; `dynamod profiles` shows then whether the profile arrived", Retry: euicc.RetryLater, Err: cause,
	}
}

// codeOutcomeUnknown is a download of which nobody wants to know any more.
const codeOutcomeUnknown = "outcome-unknown"

// outcome asks once, which may take a reset of the card.
func (r *run) outcome() (arrived bool, pending []euicc.PendingNotification, err error) {
	ctx, done := context.WithTimeout(r.alive, settleTime)
	defer done()
	profiles, err := r.settledProfiles(ctx)
	if err != nil {
		return false, nil, err
	}
	if slices.ContainsFunc(profiles, func(p euicc.Profile) bool { return p.ICCID.String() == r.rec.ICCID }) {
		return true, nil, nil
	}
	pending, err = r.o.Card.Collect(ctx)
	return false, pending, err
}

// awaitCard leaves modem and card to others, the recovery before all, until the
// time is over, or sooner when the modem or the card is back. It returns false when
// somebody has had enough, or the daemon ends.
func (r *run) awaitCard(limit time.Duration) bool {
	r.change(func(rec *Record) { rec.Waiting = WaitCard })
	if err := r.enter(Downloading); err == nil {
		r.o.Status.Log("the card does not tell what became of the download; it is asked again in " + limit.String())
	}
	defer r.change(func(rec *Record) { rec.Waiting = "" })
	r.o.Card.Release()
	mute := func(s status.Snapshot) bool { return s.Card != nil && s.Card.Error != "" }
	before := mute(r.o.Status.Snapshot())
	return r.pause(r.alive, limit, func(s status.Snapshot) bool { return before && !mute(s) })
}

// settled is cause once the card has told that nothing arrived.
func settled(cause error) error {
	e, ok := errors.AsType[*euicc.Error](cause)
	if !ok || !e.Unknown {
		return cause
	}
	known := *e
	known.Unknown, known.Retry = false, euicc.RetryNow
	known.Advice = "the card answers again and holds nothing of the profile: try again with the same code"
	return &known
}

const (
	// settleTime bounds the search for a download's outcome, a modem's restart
	// included.
	settleTime = 5 * time.Minute
	// askTime is what a card has that is only asked for its profiles: it may
	// have been silent for minutes already.
	askTime = 30 * time.Second
)

// settledProfiles reads the profiles, if need be after the card was powered off
// and on.
func (r *run) settledProfiles(ctx context.Context) ([]euicc.Profile, error) {
	ask, done := context.WithTimeout(ctx, askTime)
	defer done()
	profiles, err := r.o.Card.Profiles(ask)
	if err == nil {
		return profiles, nil
	}
	r.o.Log.Warn("the card does not tell what became of the download; it is reset", "run", r.rec.ID, "error", err)
	r.o.Status.Log("the card does not answer; it is reset")
	release := r.o.Link.Hold()
	defer release()
	if rerr := r.o.Card.Recover(ctx, r.rec.Previous); rerr != nil {
		return nil, errors.Join(err, rerr)
	}
	return r.o.Card.Profiles(ctx)
}
