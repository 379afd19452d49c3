package bearer

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/configs/cosa"
	"dynamod/daemon/learned"
)

// The context that a modem attaches to LTE with is the modem's and the
// network's affair. A network refuses the whole registration where it does not
// know its APN (EMM cause 19), so an APN that is left in it shuts the next SIM
// out. It is changed for an explicit reason only:
//
//   - a record of the SIM's operator has the purpose attach;
//   - the modem has or carries no other context, so that data and attach share
//     it (see shared.go), and a person named the APN for it, or allowed the
//     records' in it.
//
// Before the first change it is noted as it is, and put back as it was when the
// profile goes, when the record goes, and when no connection worked.

// ownCID is the context of a data call that has its own.
const ownCID = 2

// contextFor gives a call the context that serves it: the attach's, if it is up
// with the APN that is wanted (the network would refuse a second one, or charge
// for it), else one of the call's own, else the only one that the modem carries.
func (b *Bearer) contextFor(ctx context.Context, r Radio, p *plan, call modem.Call, ask attempt) (modem.Call, error) {
	attach, only := r.AttachCID(), r.OnlyCID(call.Function)
	if attach != 0 && (only == 0 || only == attach) && (call.Auth.Method == modem.NoAuth || b.attachHas(call.Auth, p)) {
		if def, ok := attachServes(ctx, r, call.Context, ask.joined); ok {
			call.Context, call.Keep = def, true
			return call, nil
		}
	}
	switch {
	case attach != 0 && (only == attach || ask.shared):
		return b.shareAttach(ctx, r, p, call)
	case only != 0:
		call.Context.CID = only
	case attach == ownCID:
		call.Context.CID = 1
	default:
		call.Context.CID = ownCID
	}
	return call, nil
}

// attachHas tells whether the attach context was written with these credentials.
// They cannot be read from the modem, but the record that they came from can.
func (b *Bearer) attachHas(auth modem.Auth, p *plan) bool {
	was, changed := b.Learned.Attach(b.modemID())
	if !changed || was.By != learned.ByRecord || was.For != p.iccid {
		return false
	}
	record := b.attachRecord(p.choice.sim, p.choice.roam)
	if record == nil {
		return false
	}
	method, user, password := record.Connection.Credentials()
	return method != cosa.AuthNone && user == auth.User && password.Reveal() == string(auth.Password)
}

// attachServes tells whether the context of the attach is up with the APN and
// the addresses that are wanted, and how it is defined. An attach with one kind
// of address serves a wish for both. joined leaves the addresses aside.
func attachServes(ctx context.Context, r Radio, want modem.Context, joined bool) (modem.Context, bool) {
	cid := r.AttachCID()
	def, ok, err := contextOf(ctx, r, cid)
	if err != nil || !ok {
		return def, false
	}
	if active, err := r.ActiveContexts(ctx); err != nil || !active[cid] {
		return def, false
	}
	used := def.APN
	if conf, err := r.DynamicParameters(ctx, cid); err == nil && conf.APN != "" {
		used = conf.APN
	}
	switch {
	case joined && def.APN == "": // the network says that it is this APN
	case want.APN == "" && def.APN != "", want.APN != "" && !strings.EqualFold(used, want.APN):
		return def, false
	}
	return def, joined || def.Type == want.Type || def.Type == modem.IPv4v6 || want.Type == modem.IPv4v6
}

// contextOf reads a context's definition. ok is false where there is none.
func contextOf(ctx context.Context, r Radio, cid int) (def modem.Context, ok bool, err error) {
	list, err := r.Contexts(ctx)
	if err != nil {
		return modem.Context{}, false, fmt.Errorf("cannot read context %d: %w", cid, err)
	}
	i := slices.IndexFunc(list, func(c modem.Context) bool { return c.CID == cid })
	if i < 0 {
		return modem.Context{}, false, nil
	}
	return list[i], true, nil
}

func (b *Bearer) modemID() string {
	if b.ModemID == nil {
		return ""
	}
	return b.ModemID()
}

// noteAttach notes how the attach context is, before want takes its place for
// the profile iccid.
func (b *Bearer) noteAttach(ctx context.Context, r Radio, want modem.Context, iccid, by string) error {
	cur, ok, err := contextOf(ctx, r, want.CID)
	if err != nil {
		return err // what is not known cannot be put back
	}
	if ok && sameContext(cur, want) {
		return nil
	}
	was, changed := b.Learned.Attach(b.modemID())
	if !changed {
		if !ok {
			cur = modem.Context{Type: modem.IPv4v6} // what TS 24.301 asks for without any
		}
		was = learned.Attach{CID: want.CID, Type: string(cur.Type), APN: cur.APN}
	}
	was.For, was.By = iccid, by
	if err := b.Learned.SetAttach(b.modemID(), was); err != nil {
		return fmt.Errorf("the attach context is left as it is, because it could not be put back: %w", err)
	}
	return nil
}

func sameContext(a, b modem.Context) bool {
	return a.CID == b.CID && a.Type == b.Type && strings.EqualFold(a.APN, b.APN)
}

// factory is the attach context as it was found.
func factory(was learned.Attach) modem.Context {
	return modem.Context{CID: was.CID, Type: modem.PDPType(was.Type), APN: was.APN}
}

// settleAttach gives the modem the attach context that its SIM is to register
// with: an explicit record's, or the one that was found in the modem. again tells
// that the records have several and it is not known yet which is for this place.
func (b *Bearer) settleAttach(ctx context.Context, r Radio, p *plan, kind dialect.Kind) (again bool, err error) {
	cid := r.AttachCID()
	if cid == 0 {
		return false, nil
	}
	facts, err := r.SIMFacts(ctx)
	if err != nil {
		b.Log.Debug("the SIM cannot be read yet", "error", err) // it is asked again when it has registered
		return false, nil
	}
	was, changed := b.Learned.Attach(b.modemID())
	shared := b.shares(r, kind, facts.ICCID)
	if shared && changed && was.By == learned.ByData && was.For == facts.ICCID && b.mayWrite(p) {
		return false, nil // data has it, and may have it
	}
	roam, roaming := b.roamNow(ctx, r, simOf(facts))
	record := b.attachRecord(simOf(facts), roam)
	if record == nil {
		if other := b.attachRecord(simOf(facts), cosa.RoamUnknown); other != nil {
			b.Log.Warn("the record for the attach is not used here", "apn", other.Connection.APN, "roaming", roam.String())
		}
	}
	if shared && len(p.given) > 0 || b.attachRefused(facts.ICCID) {
		record = nil // a person named another APN for the only context, or the network refuses it
	} else {
		again = roam == cosa.RoamUnknown && b.attachVaries(simOf(facts))
	}
	if record == nil {
		if !changed {
			return again, nil
		}
		if err := b.restoreAttach(ctx, r, was); err != nil || !shared {
			return again, err
		}
		b.reattach(ctx, r) // it is up with what was in it
		return again, nil
	}
	call := attachCall(record, roaming, cid, kind)
	cur, ok, err := contextOf(ctx, r, cid)
	if err != nil || ok && sameContext(cur, call.Context) {
		return again, err
	}
	if again && changed && was.By == learned.ByRecord && was.For == facts.ICCID && b.attachIsFor(simOf(facts), cur, kind) {
		return again, nil // most routers are where they were
	}
	if err := b.noteAttach(ctx, r, call.Context, facts.ICCID, learned.ByRecord); err != nil {
		if ctx.Err() != nil {
			return false, err
		}
		b.Log.Warn("the record for the attach is not used", "apn", call.Context.APN, "error", err)
		return false, nil // a full disk is no reason to stay without a link
	}
	b.Log.Info("attach context", "apn", call.Context.APN, "type", call.Context.Type, "reason", record.Reason)
	err = defineAttach(ctx, r, call)
	if err != nil && call.Context.Type == modem.IPv4v6 && ctx.Err() == nil {
		call.Context.Type = modem.IPv4 // older modems have no type for both
		if ok && sameContext(cur, call.Context) {
			return again, nil
		}
		err = defineAttach(ctx, r, call)
	}
	if err != nil {
		// Most networks attach without it, too.
		b.Log.Warn("the modem does not take the record for the attach", "apn", call.Context.APN, "error", err)
		was, _ = b.Learned.Attach(b.modemID())
		return false, b.restoreAttach(ctx, r, was)
	}
	b.reattach(ctx, r)
	return again, nil
}

func attachCall(record *cosa.Candidate, roaming bool, cid int, kind dialect.Kind) modem.Call {
	c := &record.Connection
	call := callOf(*c, attempt{ipType: c.EffectiveIPType(roaming), auth: firstMethod(c)}, kind)
	call.Context.CID = cid
	return call
}

// attachIsFor tells whether cur is what a record wants of the SIM's attach
// somewhere.
func (b *Bearer) attachIsFor(sim cosa.SIM, cur modem.Context, kind dialect.Kind) bool {
	return slices.ContainsFunc([]cosa.RoamState{cosa.Home, cosa.Domestic, cosa.International}, func(s cosa.RoamState) bool {
		record := b.attachRecord(sim, s)
		return record != nil && sameContext(cur, attachCall(record, s != cosa.Home, cur.CID, kind).Context)
	})
}

// attachVaries tells whether the SIM's attach depends on where the modem roams.
func (b *Bearer) attachVaries(sim cosa.SIM) bool {
	home := b.attachAt(choice{sim: sim, roam: cosa.Home})
	return home != b.attachAt(choice{sim: sim, roam: cosa.Domestic, roaming: true}) || home != b.attachAt(choice{sim: sim, roam: cosa.International, roaming: true})
}

// attachAt tells attach records apart, with the type that they have at a place.
// It stays in memory.
func (b *Bearer) attachAt(c choice) string {
	record := b.attachRecordOf(c)
	if record == nil {
		return ""
	}
	return paceKey(&record.Connection) + "|" + record.Connection.EffectiveIPType(c.roaming).String()
}

// roamNow tells how the modem roams before it is registered anew: not known
// where it is not registered now.
func (b *Bearer) roamNow(ctx context.Context, r Radio, sim cosa.SIM) (state cosa.RoamState, roaming bool) {
	reg, err := r.Registration(ctx)
	if err != nil || !reg.State.Registered() {
		return cosa.RoamUnknown, false
	}
	plmn := ""
	if op, err := r.Operator(ctx); err == nil {
		plmn = op.PLMN
	}
	c := b.chooseFor(sim).at(reg, plmn)
	return c.roam, c.roaming
}

// attachRecord is the SIM's record with the purpose attach that may be used where
// the modem is, or nil.
func (b *Bearer) attachRecord(sim cosa.SIM, roam cosa.RoamState) *cosa.Candidate {
	list, err := b.Operators().Match(sim).Candidates(cosa.Request{Purpose: cosa.Attach, Roaming: roam})
	if err != nil || len(list) == 0 {
		return nil
	}
	return &list[0]
}

func defineAttach(ctx context.Context, r Radio, call modem.Call) error {
	if err := r.DefineContext(ctx, call.Context); err != nil {
		return fmt.Errorf("cannot set the attach context: %w", err)
	}
	if err := r.SetAuth(ctx, call.Context, call.Auth); err != nil {
		return fmt.Errorf("cannot set the attach context: %w", err)
	}
	return nil
}

// reattach makes the modem use a new attach context. That it does not attach at
// once is seen when its registration is waited for.
func (b *Bearer) reattach(ctx context.Context, r Radio) {
	for _, on := range []bool{false, true} {
		if err := r.Attach(ctx, on); err != nil {
			b.Log.Debug("attach", "on", on, "error", err)
		}
	}
}

// restoreAttach puts the attach context back as it was found, and has a modem
// that is not registered with the changed one try it.
func (b *Bearer) restoreAttach(ctx context.Context, r Radio, was learned.Attach) error {
	def := factory(was)
	if cur, ok, err := contextOf(ctx, r, def.CID); err != nil || !ok || !sameContext(cur, def) {
		if a := b.current(); a != nil && a.call.Context.CID == def.CID {
			b.down(ctx, a, r)
		}
		b.Log.Info("attach context as it was", "apn", def.APN, "type", def.Type)
		if err := defineAttach(ctx, r, modem.Call{Context: def}); err != nil {
			return err
		}
		if reg, err := r.Registration(ctx); err == nil && !reg.State.Registered() {
			b.reattach(ctx, r)
		}
	}
	if err := b.Learned.ForgetAttach(b.modemID()); err != nil {
		b.Log.Warn("after a restart the attach context is put back once more", "error", err)
	}
	return nil
}

// putBackAttach undoes what a failed round of tries did to a shared context.
func (b *Bearer) putBackAttach(ctx context.Context, r Radio) error {
	was, changed := b.Learned.Attach(b.modemID())
	if !changed || was.By != learned.ByData {
		return nil
	}
	return b.restoreAttach(ctx, r, was)
}

// LeaveProfile puts the modem's attach context back as it was found, before
// another profile is enabled: its network may refuse the one of this profile.
func (b *Bearer) LeaveProfile(ctx context.Context) error {
	b.op.Lock()
	defer b.op.Unlock()
	was, changed := b.Learned.Attach(b.modemID())
	if !changed {
		return nil
	}
	r, err := b.getRadio()
	if err != nil {
		return err
	}
	return b.restoreAttach(ctx, r, was)
}

// attachRecordOf is the record for the attach that a choice has, unless the
// network refuses it.
func (b *Bearer) attachRecordOf(c choice) *cosa.Candidate {
	if b.attachRefused(c.sim.ICCID) {
		return nil
	}
	return b.attachRecord(c.sim, c.roam)
}

func (b *Bearer) attachRefused(iccid string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refusedAttach == refusedAttach{iccid, b.Operators()}
}

// refusedAttach is a record's attach context with which the network refused the
// registration. It is not used again until SIM or records change.
type refusedAttach struct {
	iccid string
	db    *cosa.DB
}

// registerWithout registers with the attach context that was found in the modem
// where the network refused the registration with ours.
func (b *Bearer) registerWithout(ctx context.Context, r Radio, denied error) (modem.Registration, string, error) {
	was, changed := b.Learned.Attach(b.modemID())
	if !changed {
		return modem.Registration{}, "", denied
	}
	b.Log.Warn("the network refuses the attach context; the modem's own is put back", "error", denied)
	if was.By == learned.ByRecord {
		b.mu.Lock()
		b.refusedAttach = refusedAttach{was.For, b.Operators()}
		b.mu.Unlock()
	}
	if err := b.restoreAttach(ctx, r, was); err != nil {
		return modem.Registration{}, "", err
	}
	return b.register(ctx, r)
}

// ownContext is the modem's own context for data, as it was found: nil if it
// names no APN, or one that is not for the internet. usable tells that the modem
// is attached with it now, or that data takes it as it stands.
func (b *Bearer) ownContext(ctx context.Context, r Radio, shared bool) (given *cosa.Given, usable bool) {
	cid := r.AttachCID()
	def, ok, _ := contextOf(ctx, r, cid)
	was, changed := b.Learned.Attach(b.modemID())
	if changed {
		def = factory(was)
	}
	if cid == 0 || !ok && !changed || def.APN == "" || cosa.CheckAPN(def.APN) != "" || notForData(def.APN) {
		return nil, false
	}
	if !changed {
		active, err := r.ActiveContexts(ctx)
		usable = err == nil && active[cid] || shared && !b.settings().DataAPNInAttach
	}
	return &cosa.Given{
		Connection: cosa.Connection{APN: def.APN, IPType: ipTypeOf(def.Type)}, Origin: fmt.Sprintf("the modem's own context %d", cid),
	}, usable
}

// notForData tells that an APN is by its name for the operator's own services:
// calls and messages (ims, vzwims, ims.metropcs; xcap for their settings) or
// emergency calls (sos). Some operators want the attach itself to have one.
func notForData(apn string) bool {
	return slices.ContainsFunc(strings.Split(strings.ToLower(apn), "."), func(label string) bool {
		return strings.HasSuffix(label, "ims") || label == "sos" || label == "xcap"
	})
}
