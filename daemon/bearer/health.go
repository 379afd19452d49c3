package bearer

import (
	"context"
	"errors"
	"slices"

	"dynamod/atcmd/modem"
	"dynamod/configs/cosa"
	"dynamod/daemon/status"
)

// healthy reports whether the link still carries traffic, and renews its lease.
func (b *Bearer) healthy(ctx context.Context, r Radio, a *active) (ok bool, err error) {
	seen := sight{r, b.taken.Load()}
	defer func() {
		switch {
		case ok:
		case ctx.Err() != nil: // which says nothing about the link
			return
		default:
			seen = sight{} // lost, or not known to be there
		}
		b.mu.Lock()
		a.seen = seen
		b.mu.Unlock()
	}()
	reg, err := r.Registration(ctx)
	if err != nil {
		return false, err
	}
	plmn := b.showRegistration(ctx, r, reg)
	up, err := r.Status(ctx, a.call)
	if modem.NoAnswer(err) {
		return false, err
	}
	if err != nil { // what the modem does not tell, traffic does
		b.Log.Debug("the modem does not tell whether the context is active", "error", err)
		up = true
	}
	if !up || !reg.State.Registered() {
		b.Log.Warn("the network took the link away", "registration", reg.State, "active", up)
		reason := "the network has ended the context"
		if !reg.State.Registered() {
			reason = "the modem is not registered: " + reg.State.String()
		}
		b.Status.Update(func(s *status.Snapshot) {
			s.State, s.Reason, s.Advice, s.Link, s.Reach = status.Down, reason, "it is brought up again; see `dynamod diag`", nil, nil
		})
		// A modem out of coverage for a moment keeps its context, and then what
		// the kernel has stays right.
		if !up {
			b.down(ctx, a, r)
		}
		return false, nil
	}
	if now := a.choice.at(reg, plmn); now.roam != a.choice.roam || now.plmn != a.choice.plmn {
		if !b.mayRoam(now.roam) || !a.candidate.Connection.Roaming.Allows(now.roam) {
			b.Log.Warn("the link may not be used here", "roaming", now.roam.String())
			b.down(ctx, a, r)
			return false, nil
		}
		// A record may have another type, or another connection, for this place.
		c := &a.candidate.Connection
		other := !now.given && now.otherFirst(a.choice.roam) && !sameConnection(now.first(now.roam), c)
		if other || c.EffectiveIPType(now.roaming) != c.EffectiveIPType(a.choice.roaming) {
			b.Log.Info("the operator settings have another connection here", "roaming", now.roam.String())
			b.down(ctx, a, r)
			return false, nil
		}
		if r.AttachCID() != 0 && !(now.shared && now.given) && b.attachAt(now) != b.attachAt(a.choice) {
			b.Log.Info("the operator settings have another attach here", "roaming", now.roam.String())
			b.down(ctx, a, r)
			return false, nil
		}
		a.choice = now
	}
	switch changed, err := a.lease.news(); {
	case err != nil:
		b.Log.Warn("the lease is over", "error", err)
		b.down(ctx, a, r)
		return false, nil
	case changed, a.lease != nil && a.spec.Private != b.isBootstrap(a.iccid):
		spec := a.lease.spec()
		b.Log.Info("the link is another one now", "addresses", spec.Addrs, "gateway", spec.Gateway, "gateway6", spec.Gateway6, "bootstrap", spec.Private)
		b.mu.Lock()
		a.spec = spec
		b.mu.Unlock()
	}
	if err := b.apply(ctx, a.spec); err != nil { // does nothing when nothing is wrong
		return false, err
	}
	reach := b.probe(ctx, a.spec)
	if err := ctx.Err(); err != nil {
		return false, err // which says nothing about the link
	}
	if reach.State == status.Down {
		b.Log.Warn("no traffic crosses the link", "reason", reach.Reason)
		b.down(ctx, a, r)
		return false, nil
	}
	b.show(a, reach)
	b.Ladder.Well(ofLink...)
	return true, nil
}

// stillRight redoes the choice that a link came from when the SIM may tell more
// than it did, or the records are others. A link that the new choice has too
// stays as it is; one that is some other operator's is taken down.
func (b *Bearer) stillRight(ctx context.Context, r Radio, a *active) bool {
	if a.choice.given || !a.choice.late && a.choice.db == b.Operators() {
		return true
	}
	facts, err := r.SIMFacts(ctx)
	if err != nil {
		b.Log.Debug("the SIM cannot be read", "error", err)
		return true
	}
	now := b.chooseFor(simOf(facts))
	now.plmn, now.act, now.roaming, now.roam = a.choice.plmn, a.choice.act, a.choice.roaming, a.choice.roam
	now.late, now.shared = facts.Incomplete, a.choice.shared
	same := now.match.Equal(a.choice.match)
	if !same {
		own, usable := b.ownContext(ctx, r, now.shared)
		list, err := b.candidates(&plan{iccid: a.iccid, choice: now}, own, usable)
		if none, ok := errors.AsType[*cosa.NoAPNError](err); ok {
			b.Log.Info("the operator settings have no connection for this SIM any more", "apn", a.candidate.Connection.APN, "reason", none.Error())
			b.down(ctx, a, r)
			return false
		}
		same = err != nil || !now.lastResort(a.candidate) &&
			slices.ContainsFunc(list, func(c cosa.Candidate) bool { return c.Connection.Key() == a.candidate.Connection.Key() })
	}
	if same {
		a.choice = now
		return true
	}
	b.Log.Info("the operator settings have another connection for this SIM now", "apn", a.candidate.Connection.APN, "reason", now.match.Reason())
	b.down(ctx, a, r)
	return false
}
