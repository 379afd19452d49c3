package activation

import (
	"context"
	"time"

	"dynamod/daemon/status"
	"dynamod/euicc"
)

// What a link of the new profile has to be, for the previous profile to be given up.

// notePrevious notes what the way back has to offer.
func (o *Orchestrator) notePrevious(rec *Record) {
	if rec.Previous == "" {
		return
	}
	apn, _, worked := o.Link.Worked(rec.Previous)
	rec.PreviousAPN = apn
	if good, ok := o.Link.LastGood(rec.Previous); ok {
		rec.PreviousLink = &good
	}
	// A link that is down just now may be so for a moment, as after a restart. What is
	// a mistake there the way back makes good: from the second round on it takes the
	// new profile as it is.
	if state := o.Status.Snapshot().State; state == status.Up || worked && state != status.Limited {
		rec.PreviousGood = true
	}
}

// hasWayBack reports whether there is another profile to go back to, and it may be
// gone back to.
func (r *run) hasWayBack() bool {
	return r.rec.Previous != "" && r.rec.Previous != r.rec.ICCID && !r.noWayBack()
}

// lasts waits whether the new link lasts, before the previous profile is given up:
// some lines carry a few packets and no more, and some are shown a portal until they
// are activated. Where there is no way back, any link is better than none. A deadline
// that ends sooner leaves half of its rest. limited is as in Up.
func (r *run) lasts(ctx context.Context, limited string) (string, error) {
	if r.o.LinkHolds == 0 || !r.hasWayBack() {
		return limited, nil
	}
	hold := r.o.LinkHolds
	if deadline, ok := ctx.Deadline(); ok {
		hold = min(hold, time.Until(deadline)/2)
	}
	what := "traffic crosses the new link; it has to last for "
	if limited != "" {
		what = limited + "; the new link is asked again in "
	}
	r.o.Status.Log(what + hold.Round(time.Second).String())
	t := time.NewTimer(hold)
	defer t.Stop()
	select {
	case <-t.C:
		return r.o.Link.Lasts(ctx)
	case <-ctx.Done():
		return limited, ctx.Err()
	}
}

// worthIt is an error if the new profile has a limited link, and the one before a
// better one. limited is as in Up.
func (r *run) worthIt(limited string) error {
	f := r.rec.Fallback
	returns := f != nil && f.Reason == Return // from one that carries traffic
	switch {
	case limited == "", r.rec.AcceptLimited, !r.hasWayBack(), !returns && (f != nil || !r.rec.PreviousGood):
		return nil
	case returns:
		return &Fault{Code: "limited", Text: "the preferred profile gives a limited link: " + limited, Advice: "see what the portal wants: the line's credit may be used up", Retry: euicc.RetryLater}
	}
	return &Fault{
		Code: "limited", Text: "the new profile gives a limited link, and the previous one has a better one: " + limited, Retry: euicc.RetryAsk,
		Advice: "pay for its line or top it up, then switch again; or do that through its own portal, with it enabled as it is: `dynamod profiles enable --accept-limited`",
	}
}
