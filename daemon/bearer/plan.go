package bearer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/configs/cosa"
	"dynamod/daemon/activation"
	"dynamod/daemon/learned"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// plan is a list of connections to try for one profile.
type plan struct {
	iccid  string
	apn    *activation.APN // of the request
	given  []cosa.Given    // that outrank the records; apn's first
	list   []cosa.Candidate
	choice choice
}

// choice is what SIM, records and network came to.
type choice struct {
	sim     cosa.SIM
	db      *cosa.DB
	match   cosa.Decision
	plmn    string // serving network
	act     cosa.AcT
	roaming bool
	roam    cosa.RoamState
	given   bool // a connection outranks the records
	shared  bool // data takes the attach's context
	late    bool // the SIM may tell more later
}

// First returns the connection that is tried first.
func (p *plan) First() (apn, reason string) {
	if len(p.list) == 0 {
		return "", ""
	}
	return p.list[0].Connection.APN, p.list[0].Reason
}

// Choose finds connections by what the metadata tell of a profile that is not
// enabled yet. Where they tell no home network, or too little to exclude a record
// that would have a connection, the choice is made when the SIM can be read.
func (b *Bearer) Choose(_ context.Context, md euicc.Metadata, apn *activation.APN) (activation.Plan, error) {
	p, err := b.plan(md.ICCID.String(), apn)
	if err != nil {
		return nil, err
	}
	p.choice = b.chooseFor(cosa.SIM{
		ICCID: md.ICCID.String(), MCCMNC: md.Owner.PLMN(), GID1: fmt.Sprintf("%X", md.Owner.GID1), GID2: fmt.Sprintf("%X", md.Owner.GID2),
	})
	if err := p.choice.match.Err(); err != nil && len(p.given) == 0 {
		if p.choice.sim.MCCMNC == "" || p.choice.db.Undecided(p.choice.sim) {
			return p, nil // too little is known yet for anything to be wrong
		}
		// An APN of the network's may do, but an order is not spent on it.
		f := noAPN(err)
		f.Advice += `; [apn] apn = "" leaves it to the network`
		return nil, f
	}
	if p.list, err = b.candidates(p, nil, false); err != nil {
		if p.choice.db.Undecided(p.choice.sim) {
			return p, nil
		}
		return nil, noAPN(err)
	}
	return p, nil
}

// Plan finds connections for the enabled profile.
func (b *Bearer) Plan(_ context.Context, iccid string, apn *activation.APN) (activation.Plan, error) {
	return b.plan(iccid, apn)
}

func (b *Bearer) plan(iccid string, apn *activation.APN) (*plan, error) {
	given, err := b.given(iccid, apn)
	if err != nil {
		return nil, err
	}
	return &plan{iccid: iccid, apn: apn, given: given}, nil
}

// given lists the connections that somebody asked for, the most particular
// first: of the request, of [apn] with this ICCID, of the activation that
// brought the profile, of [apn] for every profile.
func (b *Bearer) given(iccid string, apn *activation.APN) ([]cosa.Given, error) {
	var given []cosa.Given
	if apn != nil {
		c, err := apn.Connection()
		if err != nil {
			return nil, err
		}
		given = append(given, cosa.Given{Connection: c, Origin: "activation request"})
	}
	var configured []cosa.Given
	if b.Given != nil {
		configured = b.Given()
	}
	givenFor := b.settings().GivenFor
	if givenFor != "" && givenFor == strings.TrimRight(iccid, "Ff") {
		given = append(given, configured...)
	}
	if apn == nil && b.Keeper != nil {
		if kept, ok := b.Keeper.KeptAPN(iccid); ok {
			c, err := kept.Connection()
			if err != nil {
				b.Log.Warn("the APN of the activation cannot be used", "error", err)
			} else {
				given = append(given, cosa.Given{Connection: c, Origin: "the activation of this profile"})
			}
		}
	}
	if givenFor == "" {
		given = append(given, configured...)
	}
	return given, nil
}

func simOf(f modem.SIMFacts) cosa.SIM {
	return cosa.SIM{ICCID: f.ICCID, IMSI: f.IMSI, MNCLength: f.MNCLength, SPN: f.SPN, PNN: f.PNN, GID1: f.GID1, GID2: f.GID2}
}

// chooseFor matches a SIM with the records as they are now.
func (b *Bearer) chooseFor(sim cosa.SIM) choice {
	db := b.Operators()
	return choice{sim: sim, db: db, match: db.Match(sim)}
}

// at adds where the modem is registered. A modem that does not tell its network
// for a moment is where it was.
func (c choice) at(reg modem.Registration, plmn string) choice {
	if plmn == "" && c.roaming == reg.State.Roaming() {
		plmn = c.plmn
	}
	c.plmn, c.act, c.roaming = plmn, actOf(reg.AcT), reg.State.Roaming()
	c.roam = cosa.RoamStateOf(c.roaming, c.match.HomeNetwork, plmn)
	return c
}

// decide completes the plan with what the SIM tells.
func (b *Bearer) decide(ctx context.Context, r Radio, p *plan, kind dialect.Kind, reg modem.Registration, plmn string) error {
	facts, err := r.SIMFacts(ctx)
	if err != nil {
		return err
	}
	if p.iccid != "" && facts.ICCID != p.iccid {
		id, _ := euicc.ParseICCID(facts.ICCID)
		return &activation.Fault{Code: "wrong-sim", Text: fmt.Sprintf("the modem shows another profile (%s)", id.Short()), Advice: "see `dynamod profiles`", Retry: euicc.RetryLater}
	}
	p.iccid = facts.ICCID
	b.Status.Update(func(s *status.Snapshot) {
		s.SIM = &status.SIM{State: string(modem.SIMReady), ICCID: facts.ICCID, IMSI: shortIMSI(facts.IMSI), HomePLMN: facts.MCC + facts.MNC, SPN: facts.SPN}
	})
	p.choice = b.chooseFor(simOf(facts)).at(reg, plmn)
	p.choice.given, p.choice.late = len(p.given) > 0, facts.Incomplete
	p.choice.shared = b.shares(r, kind, p.iccid)
	if !b.mayRoam(p.choice.roam) {
		return roamingOff(p.choice.roam)
	}
	own, usable := b.ownContext(ctx, r, p.choice.shared)
	if p.list, err = b.candidates(p, own, usable); err != nil {
		b.pace.list = nil // nothing is waited for
		return noAPN(err)
	}
	return nil
}

func (b *Bearer) mayRoam(s cosa.RoamState) bool { return b.Roaming == nil || b.Roaming(s) }

func roamingOff(s cosa.RoamState) error {
	return &activation.Fault{Code: "roaming-off", Text: "data is switched off while " + s.String(), Advice: "set [bearer] roaming = \"allow\"", Retry: euicc.RetryLater}
}

// candidates lists the connections to try.
func (b *Bearer) candidates(p *plan, own *cosa.Given, usable bool) ([]cosa.Candidate, error) {
	if p.choice.shared {
		return b.candidatesShared(p, own, usable)
	}
	return b.candidatesOwn(p, own, usable)
}

// candidatesOwn are those where data has a context of its own. What the modem
// came with goes before the records where the modem is attached with it, and is
// the only hope beside an empty APN where no record knows the SIM.
func (b *Bearer) candidatesOwn(p *plan, own *cosa.Given, usable bool) ([]cosa.Candidate, error) {
	req := cosa.Request{Explicit: p.given, Roaming: p.choice.roam, AcT: p.choice.act, NetworkAssigned: b.settings().NetworkAssigned}
	good, known := b.Learned.LastGood(p.choice.sim.ICCID)
	if known && good.PLMN != "" {
		// What worked at home is no news of a place for which there is another.
		then := cosa.RoamStateOf(good.Roams, p.choice.match.HomeNetwork, good.PLMN)
		known = p.choice.roam == cosa.RoamUnknown || !p.choice.otherFirst(then)
	}
	if usable || !p.choice.match.Found() {
		req.Modem = own
	}
	list, err := p.choice.match.Candidates(req)
	// Among several that differ in the password alone the Key finds the first.
	twin := known && slices.ContainsFunc(list, func(c cosa.Candidate) bool { return isLastGood(good, c) && good.Record != "" })
	if known && !twin && err == nil {
		req.LastGood = good.Key
		list, err = p.choice.match.Candidates(req)
	}
	if err != nil || !known || len(p.given) > 0 {
		return list, err
	}
	// Among the records the last good one is first already.
	i := slices.IndexFunc(list, func(c cosa.Candidate) bool {
		return c.Connection.Key() == good.Key && (!twin || isLastGood(good, c)) && !p.choice.lastResort(c)
	})
	if i > 0 || i == 0 && twin {
		c := list[i]
		c.Reason += ", worked last with this ICCID"
		list = slices.Insert(slices.Delete(list, i, i+1), 0, c)
	}
	return list, nil
}

// otherFirst tells whether the records have another connection first where the
// modem roams as in then.
func (c choice) otherFirst(then cosa.RoamState) bool {
	if c.roam == then {
		return false
	}
	a, b := c.first(c.roam), c.first(then)
	return a != nil && b != nil && !sameConnection(a, b)
}

// first is the first connection of the records where the modem roams as in s, nil
// without any.
func (c choice) first(s cosa.RoamState) *cosa.Connection {
	list, err := c.match.Candidates(cosa.Request{Roaming: s, AcT: c.act})
	if err != nil {
		return nil
	}
	return &list[0].Connection
}

// placeOf tells where a connection with a password stands among the records, ""
// for any other: two may differ in it alone, and it is not kept itself.
func placeOf(c cosa.Candidate) string {
	if c.Profile == nil || c.Connection.Password == "" {
		return ""
	}
	i := slices.IndexFunc(c.Profile.Connections, func(o cosa.Connection) bool { return sameConnection(&o, &c.Connection) })
	return fmt.Sprintf("%s/%d", c.Profile.ID, i)
}

// isLastGood tells whether c is the connection that worked last.
func isLastGood(good learned.APN, c cosa.Candidate) bool {
	return good.Key == c.Connection.Key() && (good.Record == "" || good.Record == placeOf(c))
}

// sameConnection compares what Key names, and the password.
func sameConnection(a, b *cosa.Connection) bool {
	return a.Key() == b.Key() && a.Password == b.Password
}

// lastResort tells that c is the empty APN that is tried last although a record
// knows the SIM. That it carried traffic once says nothing against the record,
// which may be newer, or may have been found by a fact of the SIM that came late.
func (c choice) lastResort(cand cosa.Candidate) bool {
	return c.match.Found() && cand.Profile == nil && cand.Connection.APN == ""
}

// noAPN is the fault of a choice that left no connection.
func noAPN(err error) *activation.Fault {
	f := &activation.Fault{Code: "no-apn", Text: err.Error(), Retry: euicc.RetryNow, Advice: "give an APN with the request, set [apn] apn, or add a file to operators.d"}
	if none, ok := errors.AsType[*cosa.NoAPNError](err); ok {
		f.Advice = none.Hint()
	}
	return f
}
