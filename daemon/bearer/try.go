package bearer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/configs/cosa"
	"dynamod/daemon/activation"
	"dynamod/daemon/learned"
	"dynamod/daemon/status"
	"dynamod/euicc"
	"dynamod/netlink/uplink"
)

// round tries the plan's connections, each once, until traffic crosses the link
// with one of them. An answer of a portal's is traffic of a kind: such a
// connection is used if no other does better.
func (b *Bearer) round(ctx context.Context, r Radio, p *plan, kind dialect.Kind, stage func(activation.State), paced bool) (*active, error) {
	b.pace.under(circumstances{iccid: p.iccid, imsi: p.choice.sim.IMSI, plmn: p.choice.plmn, db: p.choice.db, radio: r}, p.list)
	due := p.list
	if paced {
		if due = b.pace.due(p.list); len(due) == 0 {
			return nil, b.pace.early()
		}
	}
	t := &tries{Bearer: b, r: r, p: p, kind: kind, stage: stage}
	a, err := t.all(ctx, due, false)
	if a == nil && err == nil && t.portal == nil && !p.choice.shared && (len(t.unclear) > 0 || b.hasNoOwn(r)) {
		// A modem that carries the attach's context alone looks like this, too.
		a, err = t.all(ctx, append(t.unclear, t.foundOut(ctx)...), true)
	}
	if a == nil && err == nil && t.portal != nil {
		a, err = t.one(ctx, *t.portal, t.portalShared)
	}
	if a != nil || err != nil {
		return a, err
	}
	if err := b.putBackAttach(context.WithoutCancel(ctx), r); err != nil {
		b.Log.Warn("the attach context is not as it was", "error", err)
	}
	f := t.noData(t.failures)
	b.pace.last = f
	if paced {
		b.noteFailures(t.failures, f)
	}
	return nil, f
}

// tries are those of one round.
type tries struct {
	*Bearer
	r     Radio
	p     *plan
	kind  dialect.Kind
	stage func(activation.State)

	failures []failure
	unclear  []cosa.Candidate // failed, and may do better on a shared context
	portal   *cosa.Candidate  // the first with which only a portal answered

	portalShared bool
	stood        bool // the attach's context was tried as it stands
	guessed      bool // a connection might do better in it, and may not be written there
}

// failure is why a connection is not the link.
type failure struct {
	c   cosa.Candidate
	err error
}

// all tries connections until one is the link. A nil link without an error means
// that none is.
func (t *tries) all(ctx context.Context, list []cosa.Candidate, shared bool) (*active, error) {
	others := ctx // for tries while a portal's connection is there to go back to
	for i, c := range list {
		if t.portal != nil && others == ctx {
			if deadline, ok := ctx.Deadline(); ok {
				var done context.CancelFunc
				others, done = context.WithDeadline(ctx, time.Now().Add(time.Until(deadline)/2))
				defer done()
			}
		}
		a, reach, err := t.try(others, c, shared)
		switch {
		case err == nil && (reach.State == status.Up || t.portal == nil && i+1 == len(list)):
			t.use(t.r, t.p, a, reach)
			return a, nil
		case err == nil:
			t.down(context.WithoutCancel(ctx), a, t.r)
			if t.portal == nil {
				t.portal, t.portalShared = &c, shared
			}
		case ctx.Err() != nil:
			return nil, t.outOfTime(ctx, c, err)
		case others.Err() != nil:
			return nil, nil
		case atcmd.PortLost(err):
			return nil, err // which says nothing about the connection
		default:
			t.failed(c, err, shared)
		}
	}
	return nil, nil
}

// outOfTime is the error of a round that ctx ended while c was tried.
func (t *tries) outOfTime(ctx context.Context, c cosa.Candidate, err error) error {
	if len(t.failures) == 0 || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("APN %q: %w", c.Connection.APN, err)
	}
	return t.noData(append(t.failures, failure{c, errors.New("the time is over")}))
}

// one goes back to a connection, and takes it as it is.
func (t *tries) one(ctx context.Context, c cosa.Candidate, shared bool) (*active, error) {
	t.stood = false
	a, reach, err := t.try(ctx, c, shared)
	if err != nil {
		t.failed(c, err, true)
		return nil, nil
	}
	t.use(t.r, t.p, a, reach)
	return a, nil
}

func (t *tries) failed(c cosa.Candidate, err error, shared bool) {
	held := errors.Is(err, errHeldBack)
	switch {
	case held && shared:
		t.guessed = true // that it would do better there
		return
	case held:
		t.Log.Info("connection is left out", "apn", c.Connection.APN, "reason", err)
	default:
		t.Log.Warn("connection gives no traffic", "apn", c.Connection.APN, "error", err)
	}
	if !held && !shared && t.mayShare(t.r, t.kind) && causeOf(err) == modem.CauseUnknown {
		if _, carried := t.Learned.LastGood(t.p.iccid); !carried && t.ownCarries != t.r {
			t.unclear = append(t.unclear, c)
		}
	}
	key := paceKey(&c.Connection)
	if i := slices.IndexFunc(t.failures, func(f failure) bool { return paceKey(&f.c.Connection) == key }); i >= 0 {
		t.failures[i].err = err // on the other context, too
		return
	}
	if held {
		t.pace.hold(&c.Connection)
	} else {
		t.pace.failed(&c.Connection, causeOf(err))
	}
	t.failures = append(t.failures, failure{c, err})
}

// use makes a the link.
func (b *Bearer) use(r Radio, p *plan, a *active, reach Reach) {
	b.pace.clear()
	a.limited = reach.limited()
	b.mu.Lock()
	old := b.active
	b.links++
	a.number, b.active = b.links, a
	b.mu.Unlock()
	if old != nil && old != a {
		old.lease.end()
	}
	b.show(a, reach)
	b.Ladder.Well(ofLink...)
	if reach.State != status.Up {
		return // a portal's page is no reason to begin with it the next time
	}
	good := learned.APN{
		Key: a.candidate.Connection.Key(), Record: placeOf(a.candidate), IPType: ipTypeOf(a.asked.Type).String(),
		Wanted: a.candidate.Connection.EffectiveIPType(p.choice.roaming).String(), Auth: authOf(a.call.Auth.Method).String(), PLMN: p.choice.plmn, Roams: p.choice.roaming,
	}
	if a.shared {
		good.SharedOn = b.modemID()
	}
	if !a.shared && a.call.Context.CID != r.AttachCID() {
		b.ownCarries = r
	}
	if err := b.Learned.SetLastGood(p.iccid, good); err != nil {
		b.Log.Warn("cannot remember the connection", "error", err)
	}
}

// noData is the error of a round that failed. The advice is about the connection
// that was likeliest to work.
func (t *tries) noData(failures []failure) *activation.Fault {
	f := &activation.Fault{Code: "no-data", Text: "no connection carries traffic", Retry: euicc.RetryLater, Advice: "check the APN with the operator; `dynamod diag` shows where it ends"}
	// That the empty APN is not written over the one that is there is no reason:
	// another name might do better, none would not.
	failures = slices.DeleteFunc(slices.Clone(failures), func(f failure) bool {
		return f.c.Connection.APN == "" && errors.Is(f.err, errHeldBack) && len(failures) > 1
	})
	for i, failed := range failures {
		if errors.Is(failed.err, errHeldBack) {
			f = attachOnly(f.Text)
		} else if i == 0 && causeOf(failed.err).Slow() {
			f.Advice = "the operator refuses the connection: check the subscription and the APN's credentials"
		} else if own, ok := errors.AsType[*activation.Fault](failed.err); ok && i == 0 && own.Advice != "" {
			f.Advice = own.Advice
		}
		f.Text += fmt.Sprintf("%s%q: %v", []string{": ", "; "}[min(i, 1)], failed.c.Connection.APN, failed.err)
	}
	if t.guessed && f.Code == "no-data" {
		f.Advice += "; if the modem carries the context of its attach alone, see [bearer] data_apn_in_attach"
	}
	if none, ok := errors.AsType[*cosa.NoAPNError](t.p.choice.match.Err()); ok && len(t.p.given) == 0 {
		f.Code, f.Text, f.Advice = "no-apn", none.Error()+"; without one "+f.Text, none.Hint()
	}
	return f
}

// attempt is one way to ask for a connection.
type attempt struct {
	ipType cosa.IPType
	auth   cosa.Auth
	joined bool // on the attach's context, which has the APN already
	shared bool // on the attach's context, whatever is in it
}

// firstAttempt is what the connection says, or what this network granted last.
func (b *Bearer) firstAttempt(p *plan, c *cosa.Connection) attempt {
	auth, _, _ := c.Credentials()
	a := attempt{ipType: c.EffectiveIPType(p.choice.roaming), auth: auth}
	good, ok := b.Learned.LastGood(p.iccid)
	if ok && good.Key == c.Key() && good.PLMN == p.choice.plmn {
		// A record that was changed since, to one type, is asked for as it says.
		if t, ok := cosa.ParseIPType(good.IPType); ok && (good.Wanted == a.ipType.String() || good.Wanted == "" && a.ipType == cosa.IPv4v6) {
			a.ipType = t
		}
		if m, ok := cosa.ParseAuth(good.Auth); ok && openAuth(c) && m != cosa.AuthNone {
			a.auth = m
		}
	}
	return a
}

// openAuth tells whether the record leaves the method to the device.
func openAuth(c *cosa.Connection) bool {
	auth, _, _ := c.Credentials()
	return auth != cosa.AuthNone && (c.Auth == cosa.AuthUnset || c.Auth == cosa.AuthAuto || c.Auth == cosa.PAPOrCHAP)
}

// after is the way to ask when a was refused: by the cause that the network
// gave (TS 24.301, 6.5.1.4; TS 24.008, 6.1.3.1). ok is false where nothing else
// is worth asking.
func (a attempt) after(c *cosa.Connection, err error) (next attempt, ok bool) {
	if errors.Is(err, modem.ErrDefine) && a.ipType == cosa.IPv4v6 {
		a.ipType = cosa.IPv4 // older modems have no type for both
		return a, true
	}
	refused, ok := errors.AsType[*modem.ActivationError](err)
	if !ok {
		return a, false
	}
	switch refused.Cause {
	case modem.CauseType, modem.CauseIPv4Only, modem.CauseSingleAddress:
		a.ipType = cosa.IPv4
	case modem.CauseIPv6Only:
		a.ipType = cosa.IPv6
	case modem.CauseBothOnly:
		a.ipType = cosa.IPv4v6
	case modem.CauseAuth:
		if !openAuth(c) {
			return a, false
		}
		if a.auth == cosa.PAP {
			a.auth = cosa.CHAP
		} else {
			a.auth = cosa.PAP
		}
	case modem.CauseSamePDN:
		a.joined = true
	case modem.CauseUnknown:
		// A modem that tells no cause may mean an old network's #28.
		if c.IPType != cosa.IPTypeUnset || c.RoamingIPType != cosa.IPTypeUnset || a.ipType != cosa.IPv4v6 {
			return a, false
		}
		a.ipType = cosa.IPv4
	default:
		return a, false
	}
	return a, true
}

func causeOf(err error) modem.Cause {
	if refused, ok := errors.AsType[*modem.ActivationError](err); ok {
		return refused.Cause
	}
	return modem.CauseUnknown
}

// try brings the link up with one connection, asked for in at most one way for
// each thing that the network may refuse about it.
func (t *tries) try(ctx context.Context, c cosa.Candidate, shared bool) (*active, Reach, error) {
	ask := t.firstAttempt(t.p, &c.Connection)
	ask.shared = shared || t.mayShare(t.r, t.kind) && (t.p.choice.shared || t.hasNoOwn(t.r))
	var asked []attempt
	again := false
	for {
		asked = append(asked, ask)
		want := callOf(c.Connection, ask, t.kind)
		call, err := t.contextFor(ctx, t.r, t.p, want, ask)
		if err != nil {
			return nil, Reach{}, err
		}
		tried := c
		if call.Keep {
			tried.Reason = reasonKept(c.Reason)
		}
		stands := call.Keep && (ask.shared || t.shares(t.r, t.kind, t.p.iccid))
		if stands && t.stood {
			return nil, Reach{}, errors.New("the context of the attach has it, and gave no traffic")
		}
		t.stood = t.stood || stands
		a, reach, err := t.attempt(ctx, tried, call, want.Context, ask.shared)
		if err == nil || ctx.Err() != nil {
			return a, reach, err
		}
		if errors.Is(err, errTakenAway) && !again {
			t.Log.Info("the network took the connection away, it is asked for once more", "apn", c.Connection.APN)
			if _, _, err := t.registerIn(ctx, t.r, true); err != nil {
				return nil, Reach{}, err
			}
			again, asked = true, asked[:len(asked)-1]
			t.stood = t.stood && !stands
			continue
		}
		next, ok := ask.after(&c.Connection, err)
		if !ok && errors.Is(err, modem.ErrDefine) && !ask.shared && t.mayShare(t.r, t.kind) {
			t.setNoOwn(t.r)
			next, ok = attempt{ipType: asked[0].ipType, auth: ask.auth, shared: true}, true
		}
		if !ok || stands || slices.Contains(asked, next) {
			return nil, reach, err
		}
		t.Log.Info("refused, asking in another way", "apn", c.Connection.APN, "cause", causeOf(err), "ip_type", next.ipType, "auth", next.auth)
		ask = next
	}
}

// reasonKept is the reason for a connection that the attach's context has already.
func reasonKept(reason string) string { return reason + ", and the context of the attach has it" }

// attempt asks once. Success is an address and an answer to the reach check.
func (t *tries) attempt(ctx context.Context, c cosa.Candidate, call modem.Call, asked modem.Context, shared bool) (*active, Reach, error) {
	b := t.Bearer
	taken := b.taken.Load()
	dial, done := context.WithTimeout(ctx, b.settings().Try)
	lease, err := t.r.Up(dial, call)
	done()
	choice := t.p.choice
	choice.shared = choice.shared || shared
	a := &active{iccid: t.p.iccid, candidate: c, call: call, asked: asked, shared: shared, source: string(lease.Source), since: b.Now(), choice: choice, seen: sight{t.r, taken}}
	fail := func(err error) (*active, Reach, error) {
		gone := b.taken.Load() != taken
		if !gone && errors.Is(err, errNoTraffic) { // not every modem announces it
			up, serr := t.r.Status(ctx, call)
			gone = serr == nil && !up
		}
		if gone {
			err = fmt.Errorf("%w: %w", errTakenAway, err)
		}
		b.down(context.WithoutCancel(ctx), a, t.r)
		return nil, Reach{}, err
	}
	if errors.Is(err, modem.ErrNoAddress) {
		return fail(err)
	} else if err != nil {
		return nil, Reach{}, err
	}
	t.stage(activation.Configuring)
	ifname := lease.Interface
	if ifname == "" {
		if ifname, err = b.Interface(); err != nil {
			return fail(err)
		}
	}
	if a.lease, err = b.obtain(ctx, t.p.iccid, ifname, call, lease); err != nil {
		return fail(err)
	}
	a.lease.mtu = c.Connection.MTU
	a.spec = a.lease.spec()
	if err := b.apply(ctx, a.spec); err != nil {
		return fail(err)
	}
	t.stage(activation.Probing)
	reach := b.probe(ctx, a.spec)
	if reach.State == status.Down {
		return fail(fmt.Errorf("%w: %s", errNoTraffic, reach.Reason))
	}
	return a, reach, nil
}

// errTakenAway is of a connection that was up, and was not any more when it gave
// no traffic: the network detached the modem meanwhile.
var errTakenAway = errors.New("the network took the connection away")

// probeTries allows for the first packets of a new link, which some networks drop.
const probeTries = 3

func (b *Bearer) probe(ctx context.Context, spec uplink.Spec) (reach Reach) {
	for try := range probeTries {
		if reach = b.Probe(ctx, spec); reach.State != status.Down || ctx.Err() != nil {
			return reach
		}
		select {
		case <-ctx.Done():
			return reach
		case <-time.After(time.Duration(try+1) * time.Second):
		}
	}
	return reach
}

func (b *Bearer) apply(ctx context.Context, s uplink.Spec) error {
	if !b.Apply {
		return b.handOver(ctx, s)
	}
	changes, err := uplink.Apply(ctx, b.Kernel, s)
	for _, c := range changes {
		b.Log.Debug("uplink", "change", c.String())
	}
	if degraded, ok := errors.AsType[*uplink.DegradedError](err); ok {
		b.Log.Warn("link is up with a part missing", "error", degraded)
		return nil
	}
	return err
}
