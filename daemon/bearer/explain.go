package bearer

import (
	"context"
	"fmt"
	"slices"

	"dynamod/atcmd/modem"
	"dynamod/configs/cosa"
	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
)

// Explain tells which connections there are for the SIM in the modem, in which
// order and why. It only asks: nothing changes by it.
func (b *Bearer) Explain(ctx context.Context) (hook.APN, error) {
	var out hook.APN
	r, err := b.getRadio()
	if err != nil {
		return out, err
	}
	sim, err := r.SIM(ctx)
	if err != nil {
		return out, err
	}
	if sim.State != modem.SIMReady {
		return out, noSIM(b.SIMState(sim.State))
	}
	facts, err := r.SIMFacts(ctx)
	if err != nil {
		return out, err
	}
	reg, err := r.Registration(ctx)
	if err != nil {
		return out, err
	}
	plmn := ""
	if op, err := r.Operator(ctx); err == nil {
		plmn = op.PLMN
	}
	p, err := b.plan(facts.ICCID, nil)
	if err != nil {
		return out, err
	}
	p.choice = b.chooseFor(simOf(facts))
	out.SIM = hook.APNSIM{
		ICCID: facts.ICCID, IMSI: shortIMSI(facts.IMSI), MNCLength: facts.MNCLength, SPN: facts.SPN, PNN: facts.PNN, GID1: facts.GID1, GID2: facts.GID2,
		Incomplete: facts.Incomplete,
	}
	out.Network = hook.APNNetwork{Registration: reg.State.String(), PLMN: plmn}
	if reg.State.Registered() {
		p.choice = p.choice.at(reg, plmn)
		out.Network.Roaming, out.Network.Allowed = p.choice.roam.String(), b.mayRoam(p.choice.roam)
	}
	if kind, err := b.function(ctx, r); err == nil {
		p.choice.shared = b.shares(r, kind, facts.ICCID)
	}
	out.Settings = p.choice.db.Rationale(p.choice.sim)
	out.Reasons = out.Settings.Lines()
	own, usable := b.ownContext(ctx, r, p.choice.shared)
	list, err := b.candidates(p, own, usable)
	if err != nil {
		err = noAPN(err)
	} else if reg.State.Registered() && !out.Network.Allowed {
		err = roamingOff(p.choice.roam)
	}
	if err != nil {
		out.Problem = activation.Problem("", err)
	}
	stands, known, err := standingOf(ctx, r)
	if err != nil {
		b.Log.Debug("the context of the attach cannot be read", "error", err)
	}
	out.Candidates = b.explainAll(p, list, stands)
	if out.Problem == nil && !slices.ContainsFunc(out.Candidates, func(c hook.APNCandidate) bool { return c.NotTried == "" }) {
		out.Problem = activation.Problem("", attachOnly("nothing is tried: this modem carries the context of its attach alone"))
	}
	if known {
		out.Attach = b.explainAttach(stands, p.choice)
	}
	return out, nil
}

func (b *Bearer) explainAll(p *plan, list []cosa.Candidate, stands standing) []hook.APNCandidate {
	good, known := b.Learned.LastGood(p.iccid)
	a := b.current()
	// While connections are being tried their pauses are about to change.
	paced := b.op.TryLock()
	if paced {
		defer b.op.Unlock()
	}
	out := []hook.APNCandidate{}
	for _, c := range list {
		ask := b.firstAttempt(p, &c.Connection)
		_, user, _ := c.Connection.Credentials()
		e := hook.APNCandidate{
			APN: c.Connection.APN, Name: c.Connection.FriendlyName, IPType: ask.ipType.String(), Auth: ask.auth.String(), Username: user,
			Plan: c.Connection.Plan, Source: c.Source.String(), Reason: c.Reason,
			LastGood: known && isLastGood(good, c),
			Active:   a != nil && a.iccid == p.iccid && sameConnection(&a.candidate.Connection, &c.Connection),
		}
		if c.Profile != nil {
			e.Operator = c.Profile.Name
		}
		switch {
		case !p.choice.shared || b.mayWrite(p):
		case stands.serves(c.Connection.APN):
			e.Reason = reasonKept(e.Reason)
		default:
			e.NotTried = errHeldBack.Error()
		}
		if at := b.pace.until(&c.Connection); paced && b.pace.of.iccid == p.iccid && !at.IsZero() {
			at = at.UTC()
			e.NotBefore = &at
		}
		out = append(out, e)
	}
	return out
}

// explainAttach tells what the modem registers with.
func (b *Bearer) explainAttach(stands standing, c choice) *hook.APNAttach {
	def := stands.def
	out := &hook.APNAttach{
		Context: def.CID, APN: def.APN, Used: stands.used, IPType: ipTypeOf(def.Type).String(), Shared: c.shared,
		Reason: "the modem's own; dynamod leaves it alone",
	}
	if was, changed := b.Learned.Attach(b.modemID()); changed {
		out.Reason = fmt.Sprintf("changed by %s for this profile; %q is put back after it", was.By, was.APN)
		switch {
		case sameContext(def, factory(was)):
			out.Reason = "the modem's own; it was changed, and is as it was again"
		case was.For != c.sim.ICCID:
			out.Reason = fmt.Sprintf("still as another profile had it; %q is put back", was.APN)
		}
	}
	if record := b.attachRecord(c.sim, c.roam); record != nil {
		out.Record = &hook.APNRecord{APN: record.Connection.APN, Reason: record.Reason}
	}
	return out
}
