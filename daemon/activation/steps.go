package activation

import (
	"cmp"
	"context"
	"errors"
	"time"

	"dynamod/daemon/status"
	"dynamod/euicc"
)

func (r *run) preflight(ctx context.Context) (State, error) {
	r.abandon(ctx)
	if len(r.earlier()) > 0 { // what is on the card already needs no way to a server
		if profiles, err := r.o.Card.Profiles(ctx); err == nil && r.onCard(profiles) {
			return Agreed, nil
		}
	}
	if err := r.o.Card.Preflight(ctx, r.req.Code); err != nil {
		return "", err
	}
	// A session would cost the order an attempt. What cannot be read now is read
	// again when the offer is known.
	if profiles, err := r.o.Card.Profiles(ctx); err == nil {
		if r.onCard(profiles) {
			return Agreed, nil
		}
		if err := checkEnabled(profiles, euicc.ICCID{}); err != nil && !r.rec.InstallOnly {
			return "", err
		}
	}
	if err := r.spent(); err != nil {
		return "", err
	}
	return Authenticated, nil
}

// abandon ends the session that an interruption has left open, on the card too
// if it keeps such over a reset. The order lives on when it is ended properly.
func (r *run) abandon(ctx context.Context) {
	id := r.rec.TransactionID
	if id == "" {
		return
	}
	if err := r.o.Card.Abandon(ctx, r.rec.SMDP, id); err != nil {
		r.o.Log.Warn("cannot end the interrupted session", "run", r.rec.ID, "error", err)
	}
	r.change(func(rec *Record) { rec.TransactionID = "" })
}

func (r *run) authenticate(ctx context.Context) (State, error) {
	begin := func(server string, id euicc.TransactionID) error {
		r.change(func(rec *Record) { rec.SMDP, rec.TransactionID = server, id })
		return r.enter(Authenticated)
	}
	code, err := r.req.Code, error(nil)
	if code.Address == "" {
		code, err = r.o.Card.Locate(ctx, r.req, begin)
	}
	var o Order
	if err == nil {
		o, err = r.o.Card.Authenticate(ctx, code, begin)
	}
	if keepsSession(err) && !r.recovered {
		return r.endForgotten(ctx, err)
	}
	if err != nil {
		return r.again(ctx, err)
	}
	r.order = o
	r.change(func(rec *Record) { rec.TransactionID = o.TransactionID() })
	r.describe(o.Metadata())
	return Agreed, nil
}

func (r *run) describe(md euicc.Metadata) {
	r.change(func(rec *Record) {
		rec.ICCID, rec.Provider, rec.Profile, rec.HomePLMN = md.ICCID.String(), md.ServiceProvider, md.Name, md.Owner.PLMN()
		rec.Class, rec.PolicyRules = md.Class.String(), (md.PPR & (euicc.PPR1 | euicc.PPR2)).String()
	})
}

// agree settles everything that may stop the download while the server has not
// yet bound a package to this card. For a profile that is on the card already
// nothing is downloaded, and it may have no session.
func (r *run) agree(ctx context.Context) (State, error) {
	var md euicc.Metadata
	if r.there != nil {
		md = r.there.Metadata
	} else {
		md = r.order.Metadata()
	}
	refuse := func(reason euicc.CancelReason, err error) (State, error) {
		return "", errors.Join(err, r.cancelOrder(ctx, reason))
	}
	look, done := context.WithTimeout(ctx, r.limit(Agreed))
	defer done()
	profiles, err := r.o.Card.Profiles(look)
	if err != nil {
		return refuse(euicc.CancelPostponed, err)
	}
	if reason, err := r.checkProfiles(md, profiles); err != nil {
		return refuse(reason, err)
	}
	r.change(r.o.notePrevious)
	consent := false
	if r.there == nil { // else the card has taken it, rules and all
		consent, err = r.o.Card.CheckPolicy(look, md)
	}
	if err != nil {
		reason := euicc.CancelPostponed
		if euicc.CodeOf(err) == "ppr-not-allowed" {
			reason = euicc.CancelPPRNotAllowed
		}
		return refuse(reason, err)
	}
	if consent {
		r.o.Log.Info("the card wants the user's consent to the profile's policy rules", "run", r.rec.ID, "rules", md.PPR)
	}
	plan, err := r.o.Link.Choose(look, md, r.req.APN)
	switch {
	case err == nil:
		r.plan = plan
		apn, reason := plan.First()
		r.change(func(rec *Record) { rec.APN, rec.APNReason = apn, reason })
	case !r.rec.InstallOnly:
		return refuse(euicc.CancelPostponed, err)
	}
	// Who has agreed once in this run agreed to this profile, with the rules
	// that were shown beside it.
	if !r.req.Consent && r.agreed != md.ICCID {
		if err := r.ask(ctx, WaitConsent); err != nil {
			return refuse(rejection(err), err)
		}
	}
	if r.binds(md) && !r.req.NoWayBack && r.boundTo != md.ICCID {
		if err := r.ask(ctx, WaitNoWayBack); err != nil {
			return refuse(rejection(err), err)
		}
	}
	if r.there != nil {
		if !r.rec.InstallOnly {
			r.o.Status.Log("the profile is on the card already: it is enabled")
		}
		if err := r.cancelOrder(ctx, euicc.CancelPostponed); err != nil {
			r.o.Log.Warn("cannot end the session that is not needed", "run", r.rec.ID, "error", err)
		}
		if r.rec.InstallOnly {
			return r.leaveDisabled(), nil
		}
		return Enabling, nil
	}
	if r.order != nil && r.order.ConfirmationRequired() && r.req.ConfirmationCode == "" {
		if err := r.ask(ctx, WaitConfirmationCode); err != nil {
			return refuse(euicc.CancelPostponed, err)
		}
	}
	if r.order == nil {
		return Accepted, nil // the answer came after the session was given up
	}
	return Downloading, nil
}

// cancelOrder cancels the RSP session, also while the run itself is being
// cancelled.
func (r *run) cancelOrder(ctx context.Context, reason euicc.CancelReason) error {
	if r.order == nil {
		return nil // it was put off while the run waited
	}
	if r.wasAborted() {
		reason = euicc.CancelEndUserRejection
	}
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
	defer done()
	err := r.order.Cancel(ctx, reason)
	r.order.Close()
	r.order = nil
	return err
}

const cancelTime = 30 * time.Second

func (r *run) download(ctx context.Context) (State, error) {
	if r.order == nil {
		return r.settleDownload(nil)
	}
	result, err := r.order.Download(ctx, r.req.ConfirmationCode, func(p status.Progress) {
		r.o.Status.Update(func(s *status.Snapshot) {
			if s.Run != nil && s.Run.ID == r.rec.ID {
				s.Run.Progress = &p
			}
		})
	})
	r.order.Close()
	r.order = nil
	switch {
	case err == nil && result.Success:
		return Installed, nil
	case r.alive.Err() != nil:
		return "", err // shut down: the next start reads the card
	case ctx.Err() != nil && !r.wasAborted():
		return r.settleDownload(cmp.Or(err, ctx.Err())) // too slow
	case err != nil && !unknown(err):
		next, err := r.askAgain(ctx, err)
		if err != nil {
			return r.again(ctx, err)
		}
		return next, nil
	}
	return r.settleDownload(err)
}

func unknown(err error) bool {
	e, ok := errors.AsType[*euicc.Error](err)
	return ok && e.Unknown
}

func (r *run) installed(ctx context.Context) (State, error) {
	if r.wasAborted() {
		// Reporting is where it ends, after a power cut too.
		r.change(func(rec *Record) { rec.Cancelled = true })
	}
	if r.rec.Resumes > 0 {
		// The operator may wait for the report that the line of the new profile
		// waits for, and the only way to it may be a link that comes up now.
		if err := r.o.Card.AwaitWay(ctx); err != nil {
			r.o.Log.Warn("the installation cannot be reported before the switch", "run", r.rec.ID, "error", err)
		}
	}
	if _, err := r.o.Card.Collect(ctx); err != nil {
		r.o.Log.Warn("cannot copy the installation result off the card yet", "run", r.rec.ID, "error", err)
	}
	return Reporting, nil
}

// report offers the installation result over the present link: some operators
// activate the line when it arrives. Where that link is the only one and was lost,
// it is waited for. The run goes on whatever comes of it, but to a switch without a
// way back: a line that is never activated would be the last one.
func (r *run) report(ctx context.Context) (State, error) {
	err := r.o.Card.Deliver(ctx)
	if r.rec.Cancelled || r.rec.InstallOnly {
		if err := r.o.Card.Show(ctx); err != nil {
			r.o.Log.Warn("cannot read the list of profiles after the installation", "run", r.rec.ID, "error", err)
		}
	}
	if !r.rec.Cancelled && r.rec.InstallOnly {
		return r.leaveDisabled(), nil // with what could not be delivered
	}
	if l, set := r.o.Limits[Reporting]; !r.rec.Cancelled && (!set || l > 0) {
		wait, done := context.WithTimeout(r.alive, linkTime)
		defer done()
		for r.o.Card.Unreported(r.rec.ICCID) && r.regained(wait) {
			err = r.reportAgain()
		}
	}
	if !r.rec.Cancelled && r.noWayBack() && r.o.Card.Unreported(r.rec.ICCID) {
		r.change(func(rec *Record) {
			rec.Error = Problem(Reporting, &Fault{
				Code: "not-reported", Text: "the profile can never be disabled again (policy rule PPR1), and its server could not be told that it is installed: its line may not be active", Err: err, Retry: euicc.RetryLater,
				Advice: "`dynamod profiles enable " + rec.ICCID + " --no-way-back` enables it when `dynamod notifications` has no report of it left",
			})
		})
		return Undoing, nil
	}
	if !r.rec.Cancelled {
		return Enabling, err
	}
	r.change(func(rec *Record) {
		rec.Outcome = status.Failed
		rec.Error = Problem(Reporting, &Fault{
			Code: "cancelled-late", Text: "cancelled on request, when the profile was on the card already; it is not enabled", Retry: euicc.RetryNow,
			Advice: "`dynamod profiles enable " + rec.ICCID + "` enables it, `dynamod profiles delete` deletes it",
		})
	})
	return Notifying, nil // with what could not be delivered
}

// reportAgain is the offer once more, with what could not be read off the card.
func (r *run) reportAgain() error {
	ctx, done := context.WithTimeout(r.alive, r.limit(Reporting))
	defer done()
	_, err := r.o.Card.Collect(ctx)
	if derr := r.o.Card.Deliver(ctx); err == nil { // what was copied before needs no card
		err = derr
	}
	return err
}

// leaveDisabled ends a run that was only to install. The APN that came with it is
// for whoever enables the profile.
func (r *run) leaveDisabled() State {
	if r.req.APN != nil {
		if err := r.o.Vault.KeepAPN(r.rec.ICCID, *r.req.APN); err != nil {
			r.o.Log.Warn("cannot keep the connection that came with a profile", "run", r.rec.ID, "error", err)
		}
	}
	r.change(func(rec *Record) { rec.Outcome = status.Installed })
	return Notifying
}

func (r *run) iccid() (euicc.ICCID, error) { return euicc.ParseICCID(r.rec.ICCID) }

func (r *run) enable(ctx context.Context) (State, error) {
	id, err := r.iccid()
	if err != nil {
		return "", err
	}
	err = r.o.Card.Enable(ctx, id)
	if ofTheCard(err) && ctx.Err() == nil {
		// What became of it is read from the card, if need be after a reset, and
		// enabling the enabled profile changes nothing.
		r.o.Log.Warn("the card did not answer to the switch; it is reset", "run", r.rec.ID, "error", err)
		r.o.Status.Log("the card does not answer to the switch; it is reset")
		if rerr := r.o.Card.Recover(ctx, ""); rerr != nil {
			return "", errors.Join(err, rerr)
		}
		err = r.o.Card.Enable(ctx, id)
	}
	return Attaching, err
}

// ofTheCard reports whether a reset of the card may help: it has not answered, or
// not at this moment.
func ofTheCard(err error) bool {
	e, ok := errors.AsType[*euicc.Error](err)
	return ok && (e.Unknown || e.Retry == euicc.RetryNow || e.Retry == euicc.RetryLater)
}

func (r *run) bringUp(ctx context.Context) (State, error) {
	if r.plan == nil {
		plan, err := r.o.Link.Plan(ctx, r.rec.ICCID, r.req.APN)
		if err != nil {
			return "", err
		}
		r.plan = plan
	}
	for try := 1; ; try++ {
		up, err := r.o.Link.Up(ctx, r.plan, func(s State) {
			// The link does not wait for the journal: these states resume alike.
			r.enter(s)
		})
		if err != nil {
			return "", err
		}
		figures := r.figures()
		if up.Limited, err = r.lasts(ctx, up.Limited); err == nil {
			if err = r.worthIt(up.Limited); err != nil {
				return "", err
			}
			r.change(func(rec *Record) {
				rec.APN, rec.APNReason = up.APN, up.APNReason
				rec.Outcome = status.Committed
				rec.Figures = figures
			})
			return Committed, nil
		}
		if try == lastTries || ctx.Err() != nil {
			return "", err
		}
		r.o.Log.Warn("the new link did not last; it is brought up again", "run", r.rec.ID, "error", err)
	}
}

func (r *run) commit(context.Context) (State, error) {
	r.change(func(rec *Record) { rec.Outcome, rec.Error = status.Committed, nil })
	return Notifying, nil
}

func (r *run) notify(ctx context.Context) (State, error) {
	end := Done
	if !r.rec.Succeeded() {
		end = Failed
	}
	_, err := r.o.Card.Collect(ctx)
	if derr := r.o.Card.Deliver(ctx); err == nil {
		err = derr
	}
	if err != nil {
		r.o.Log.Warn("notifications are delivered later", "run", r.rec.ID, "error", err)
	}
	return end, nil
}
