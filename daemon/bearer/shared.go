package bearer

import (
	"context"
	"errors"
	"slices"
	"strings"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/configs/cosa"
	"dynamod/daemon/activation"
	"dynamod/daemon/learned"
	"dynamod/euicc"
)

// A modem that carries its attach's context alone has one place for two APNs.
// Data takes that context as it stands: with what the network made of it, what
// the modem came with, or what an operator's record for the attach says. An APN
// of the records for data is put there only where [bearer] data_apn_in_attach
// allows it; one that a person named is meant for the only context that there is.

// errHeldBack is why a connection is not tried.
var errHeldBack = errors.New("it would have to be written into the context of the attach")

// attachOnly is the error of a modem whose one context gives no traffic as it
// stands, while there are connections that would have to be written into it.
func attachOnly(text string) *activation.Fault {
	return &activation.Fault{
		Code: "attach-only", Text: text, Retry: euicc.RetryLater,
		Advice: "name the APN in [apn], add it to operators.d with the purpose attach, or set [bearer] data_apn_in_attach = true to have the records' APNs tried in that context",
	}
}

// shares tells whether data has to take the attach's context: the dialect knows
// that no other reaches the interface, or it was found out.
func (b *Bearer) shares(r Radio, kind dialect.Kind, iccid string) bool {
	attach, only := r.AttachCID(), r.OnlyCID(kind)
	if attach == 0 || only != 0 {
		return attach != 0 && only == attach
	}
	good, _ := b.Learned.LastGood(iccid)
	return b.hasNoOwn(r) || good.SharedOn != "" && good.SharedOn == b.modemID()
}

// mayShare tells whether data may be carried on the attach's context although
// the modem's dialect has one for it.
func (b *Bearer) mayShare(r Radio, kind dialect.Kind) bool {
	return r.AttachCID() != 0 && r.OnlyCID(kind) == 0
}

func (b *Bearer) hasNoOwn(r Radio) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.noOwn != nil && b.noOwn == r
}

func (b *Bearer) setNoOwn(r Radio) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.noOwn = r
}

// mayWrite tells whether a data connection of the plan may be written into the
// attach's context.
func (b *Bearer) mayWrite(p *plan) bool { return b.settings().DataAPNInAttach || len(p.given) > 0 }

// standing is the attach's context as it stands.
type standing struct {
	def  modem.Context
	used string // the APN that the network made of it, "" where it is not up or not told
}

func standingOf(ctx context.Context, r Radio) (s standing, ok bool, err error) {
	if s.def, ok, err = contextOf(ctx, r, r.AttachCID()); !ok {
		return s, false, err
	}
	if active, err := r.ActiveContexts(ctx); err == nil && active[s.def.CID] {
		if conf, err := r.DynamicParameters(ctx, s.def.CID); err == nil {
			s.used = conf.APN
		}
	}
	return s, true, nil
}

// serves tells whether a connection by this APN is what the context gives.
func (s standing) serves(apn string) bool {
	return strings.EqualFold(apn, s.def.APN) || apn != "" && strings.EqualFold(apn, s.used)
}

// shareAttach gives a call the attach's context: newly defined where that is
// allowed, else as it stands.
func (b *Bearer) shareAttach(ctx context.Context, r Radio, p *plan, call modem.Call) (modem.Call, error) {
	call.Context.CID = r.AttachCID()
	if b.mayWrite(p) {
		return call, b.noteAttach(ctx, r, call.Context, p.iccid, learned.ByData)
	}
	s, ok, err := standingOf(ctx, r)
	switch {
	case err != nil:
		return call, err
	case !ok && call.Context.APN == "": // it names no APN, and there has to be one
		return call, b.noteAttach(ctx, r, call.Context, p.iccid, learned.ByData)
	case !ok || !s.serves(call.Context.APN):
		return call, errHeldBack
	}
	call.Context, call.Auth, call.Keep = s.def, modem.Auth{}, true
	return call, nil
}

// candidatesShared is the list for a modem whose data takes the attach's context:
// with the record for the attach, which is a connection there, and with the
// modem's own behind the records, so that who names what is in it gives the reason.
func (b *Bearer) candidatesShared(p *plan, own *cosa.Given, usable bool) ([]cosa.Candidate, error) {
	list, err := b.candidatesOwn(p, own, usable)
	if len(p.given) > 0 {
		return list, err
	}
	record := b.attachRecordOf(p.choice)
	if none, ok := errors.AsType[*cosa.NoAPNError](err); ok && record != nil && none.Why == "" {
		list, err = nil, nil // it has a connection for the attach alone
	}
	if err != nil {
		return nil, err
	}
	isOwn := func(c cosa.Candidate) bool {
		return own != nil && c.Profile == nil && c.Connection.APN == own.Connection.APN
	}
	if i := slices.IndexFunc(list, isOwn); i >= 0 && !b.settings().DataAPNInAttach {
		kept := list[i]
		if rest, err := b.candidatesOwn(p, nil, false); err == nil {
			list = insertBeforeEmpty(rest, kept)
		}
	}
	if record == nil || slices.ContainsFunc(list, func(c cosa.Candidate) bool { return strings.EqualFold(c.Connection.APN, record.Connection.APN) }) {
		return list, nil
	}
	attach := *record
	attach.Reason += ", for the attach"
	if b.settings().DataAPNInAttach { // what is there is tried before anything is written
		return slices.Insert(list, 0, attach), nil
	}
	return insertBeforeEmpty(list, attach), nil
}

// insertBeforeEmpty puts c behind the list's connections, but before the empty
// APN that is the last try.
func insertBeforeEmpty(list []cosa.Candidate, c cosa.Candidate) []cosa.Candidate {
	n := len(list)
	if n > 0 && list[n-1].Profile == nil && list[n-1].Connection.APN == "" {
		n--
	}
	return slices.Insert(list, n, c)
}

// foundOut are the connections that sharing the attach's context adds to a plan
// that was made without it.
func (t *tries) foundOut(ctx context.Context) []cosa.Candidate {
	shared := *t.p
	shared.choice.shared = true
	own, usable := t.ownContext(ctx, t.r, true)
	list, err := t.candidates(&shared, own, usable)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(list, func(c cosa.Candidate) bool {
		return slices.ContainsFunc(t.p.list, func(o cosa.Candidate) bool { return paceKey(&o.Connection) == paceKey(&c.Connection) })
	})
}
