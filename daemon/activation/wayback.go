package activation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"dynamod/daemon/status"
	"dynamod/euicc"
)

// restTimes lie between the rounds of the way back; the last one repeats. The
// rounds have no end: nobody may be able to come to this box.
var restTimes = []time.Duration{time.Minute, 3 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour}

// lockedRounds is in how manieth a round a profile is enabled again whose PIN nobody
// knew: once a day.
const lockedRounds = 24

func restTime(round int) time.Duration { return restTimes[min(round, len(restTimes)-1)] }

// undo goes back to a profile that gives a link: the previous one, else the
// others that are on the card. Where none was enabled before, it takes the new
// one out of use. It never deletes, and it never gives up; between two rounds
// day-two work has the modem, and somebody may end it.
func (r *run) undo(ctx context.Context) (State, error) {
	r.change(func(rec *Record) {
		rec.Waiting = ""
		if rec.Outcome != status.RolledBack { // by an earlier process
			rec.Outcome = status.Failed
		}
	})
	if r.rec.Previous == "" && r.req.KeepTrying || r.rec.Previous == r.rec.ICCID && r.rec.ICCID != "" {
		return Notifying, nil // it stays enabled, and day-two work goes on
	}
	for round := 0; ; round++ {
		// A run that is interrupted here time and again does not keep the modem to
		// itself: a link may come up without it.
		var err error
		if round > 0 || r.rec.Resumes <= maxResumes {
			var next State
			if next, err = r.goBack(ctx, round); err == nil {
				return next, nil
			}
			if ctx.Err() != nil {
				return "", err
			}
			r.o.Log.Error("no way back yet", "run", r.rec.ID, "round", round+1, "error", err)
			if r.rec.Fallback != nil && r.rec.Outcome == status.RolledBack && r.rec.BackTo == "" {
				return Notifying, nil // as it was before; whoever began this tries again
			}
		}
		begin, limit := time.Now(), restTime(round)
		if !r.rest(ctx, limit) {
			return Notifying, cmp.Or(ctx.Err(), err)
		}
		// A rest that ends early may have seen another card, or a PIN that was taken.
		if time.Since(begin) < limit || (round+1)%lockedRounds == 0 {
			r.locked = nil
		}
	}
}

// goBack is one round of undo.
func (r *run) goBack(ctx context.Context, round int) (State, error) {
	r.hold()
	profiles, err := r.o.Card.Profiles(ctx)
	if err != nil {
		// The card may answer to a switch all the same; to nothing, after a reset.
		r.o.Log.Warn("the card does not tell its profiles", "run", r.rec.ID, "error", err)
	}
	if slices.ContainsFunc(profiles, func(p euicc.Profile) bool {
		return p.State == euicc.Enabled && p.PPR.Has(euicc.PPR1) && p.ICCID.String() != r.rec.Previous
	}) {
		// It was agreed to that there is no way back from it.
		r.o.Status.Log("the enabled profile must not be disabled: there is no way back")
		return Notifying, nil
	}
	if r.rec.Previous == "" {
		id, err := r.iccid()
		if err != nil {
			return Notifying, nil
		}
		return Notifying, r.insist(ctx, "disable the new profile", undoRetries, func() error { return r.o.Card.Disable(ctx, id) })
	}
	failed, tried := error(nil), ""
	for _, home := range r.homes(profiles, round) {
		if r.locked[home.String()] {
			failed = errors.Join(failed, fmt.Errorf("profile %s: its PIN is not known, it is left out for a day", home.Short()))
			continue
		}
		next, err := r.live(ctx, home)
		if err == nil {
			return next, nil
		}
		tried, failed = home.String(), errors.Join(failed, fmt.Errorf("profile %s: %w", home.Short(), err))
		if ctx.Err() != nil {
			return "", failed
		}
		r.o.Status.Log(fmt.Sprintf("no link with profile %s: %v", home.Short(), err))
	}
	// The previous one is the likeliest to come back by itself.
	if previous, err := euicc.ParseICCID(r.rec.Previous); err == nil && tried != r.rec.Previous && holds(profiles, previous) {
		failed = errors.Join(failed, r.enableBack(ctx, previous, 1))
	}
	return "", cmp.Or(failed, errors.New("the previous profile is not on the card any more, and there is no other"))
}

func holds(profiles []euicc.Profile, id euicc.ICCID) bool {
	return slices.ContainsFunc(profiles, func(p euicc.Profile) bool { return p.ICCID == id })
}

// homes are the profiles to go back to, best first: the previous one, then the
// others by their last success, bootstrap profiles last. The
// new one has another turn from the second round on: its line may have been
// activated late. A card that does not answer is asked for the previous one.
func (r *run) homes(profiles []euicc.Profile, round int) []euicc.ICCID {
	previous, _ := euicc.ParseICCID(r.rec.Previous)
	if len(profiles) == 0 {
		return []euicc.ICCID{previous}
	}
	if r.rec.Fallback != nil {
		return r.rec.Fallback.homes(profiles)
	}
	type home struct {
		id   euicc.ICCID
		rank int
		at   time.Time
	}
	var list []home
	for _, p := range profiles {
		h := home{id: p.ICCID, rank: 1}
		_, h.at, _ = r.o.Link.Worked(p.ICCID.String())
		switch {
		case p.ICCID == previous:
			h.rank = 0
		case p.Class == euicc.ClassTest, p.PPR.Has(euicc.PPR1):
			continue // no network for it, or no way on from it
		case p.ICCID.String() == r.rec.ICCID && round == 0:
			continue
		case p.Class == euicc.ClassProvisioning, r.o.Bootstrap != nil && r.o.Bootstrap(p.ICCID.String()):
			h.rank = 3
		case p.ICCID.String() == r.rec.ICCID:
			h.rank = 2
		}
		list = append(list, h)
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		return cmp.Or(cmp.Compare(a.rank, b.rank), b.at.Compare(a.at), cmp.Compare(a.id.String(), b.id.String())) < 0
	})
	var ids []euicc.ICCID
	for _, h := range list {
		ids = append(ids, h.id)
	}
	return ids
}

// live brings the link of a profile up and tells what follows.
func (r *run) live(ctx context.Context, id euicc.ICCID) (State, error) {
	iccid := id.String()
	tries := 1
	if iccid == r.rec.Previous {
		tries = undoRetries
	}
	if err := r.enableBack(ctx, id, tries); err != nil {
		return "", err
	}
	up, err := r.upAgain(ctx, iccid)
	if err != nil {
		if faultCode(err) == "no-sim" { // it is enabled, and cannot be used without its PIN or PUK
			if r.locked == nil {
				r.locked = map[string]bool{}
			}
			r.locked[iccid] = true
		}
		return "", err
	}
	if iccid != r.rec.ICCID {
		return Notifying, nil
	}
	// It came late, and it came.
	r.change(func(rec *Record) {
		rec.APN, rec.APNReason, rec.BackTo = up.APN, up.APNReason, ""
		rec.Figures = r.figures()
	})
	return Committed, nil
}

// enableBack enables a profile on the way back; a card that does not answer is
// reset once.
func (r *run) enableBack(ctx context.Context, id euicc.ICCID, tries int) error {
	enable := func() error { return r.o.Card.Enable(ctx, id) }
	err := r.insist(ctx, "enable profile "+id.Short(), tries, enable)
	if err != nil && tries > 1 && ctx.Err() == nil {
		if rerr := r.o.Card.Recover(ctx, ""); rerr == nil {
			err = enable()
		}
	}
	if err != nil {
		return err
	}
	r.change(func(rec *Record) {
		rec.Outcome, rec.BackTo = status.RolledBack, ""
		if id.String() != rec.Previous {
			rec.BackTo = id.String()
		}
	})
	return nil
}

// upAgain brings the link of the enabled profile up within the deadline. What the
// previous one had its link with is tried first, as ever; if nothing tells an APN for
// it any more, the one in the journal does. The password is in no journal: that of an
// activation is in the vault, others are in the configuration and operators.d, where
// Plan finds them. One that is in none of them is lost, and tried without.
func (r *run) upAgain(ctx context.Context, iccid string) (Up, error) {
	ctx, done := context.WithTimeout(ctx, r.deadline())
	defer done()
	try := func(apn *APN) (Up, error) {
		plan, err := r.o.Link.Plan(ctx, iccid, apn)
		if err != nil {
			return Up{}, err
		}
		return r.o.Link.Up(ctx, plan, func(State) {})
	}
	if good := r.rec.PreviousLink; good != nil && iccid == r.rec.Previous {
		r.o.Link.Recall(iccid, *good)
	}
	up, err := try(nil)
	if faultCode(err) == "no-apn" && iccid == r.rec.Previous && r.rec.PreviousAPN != "" {
		up, err = try(r.rec.previousConnection())
	}
	return up, err
}

// previousConnection is what the journal tells of the previous profile's.
func (rec Record) previousConnection() *APN {
	a := APN{APN: rec.PreviousAPN}
	if rec.PreviousLink != nil {
		a.IPType = rec.PreviousLink.IPType
		if _, user, auth := rec.PreviousLink.Parts(); user != "" {
			a.Username, a.Auth = user, cmp.Or(rec.PreviousLink.Auth, auth)
		}
	}
	return &a
}

// rest leaves modem and link to day-two work until the time is over, or sooner
// when the link is up or the modem has come back. It returns false when somebody
// has had enough, or the daemon ends.
func (r *run) rest(ctx context.Context, limit time.Duration) bool {
	r.change(func(rec *Record) { rec.Waiting = WaitLink })
	r.enter(Undoing)
	defer func() {
		r.change(func(rec *Record) { rec.Waiting = "" })
		r.hold()
	}()
	r.o.Card.Release()
	r.letGo()
	return r.pause(ctx, limit, func(s status.Snapshot) bool { return s.State == status.Up })
}

// pause waits until the time is over, something is so, or the modem has come back.
// It returns false when somebody has had enough, or ctx ends.
func (r *run) pause(ctx context.Context, limit time.Duration, so func(status.Snapshot) bool) bool {
	there := func(s status.Snapshot) bool { return s.Modem != nil && s.Modem.Present }
	sub := r.o.Status.Subscribe(0)
	defer sub.Close()
	modem := there(r.o.Status.Snapshot())
	t := time.NewTimer(limit)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-r.enough:
			return false
		case <-t.C:
			return true
		case <-sub.Events():
			s := r.o.Status.Snapshot()
			if so(s) || there(s) && !modem {
				return true
			}
			modem = there(s)
		}
	}
}

// insist repeats what the way back depends on. Each try reads the card first.
func (r *run) insist(ctx context.Context, what string, tries int, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if err == nil || ctx.Err() != nil {
			return err
		}
		r.o.Log.Error("cannot "+what, "run", r.rec.ID, "try", try, "error", err)
		if try >= tries {
			return err
		}
		select {
		case <-time.After(time.Duration(try) * 5 * time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
