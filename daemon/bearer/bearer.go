// Package bearer keeps the data link: registered, context active, interface
// configured, traffic crossing. An activation borrows it to bring a new
// profile's link up; at all other times it looks after the link by itself.
package bearer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/configs/cosa"
	"dynamod/daemon/activation"
	"dynamod/daemon/learned"
	"dynamod/daemon/status"
	"dynamod/euicc"
	"dynamod/netlink/uplink"
)

// Radio is the modem as the bearer needs it; *modem.Modem is one.
type Radio interface {
	Functionality(ctx context.Context) (modem.Functionality, error)
	SetFunctionality(ctx context.Context, f modem.Functionality) error
	SIM(ctx context.Context) (modem.SIM, error)
	SIMFacts(ctx context.Context) (modem.SIMFacts, error)
	ICCID(ctx context.Context) (string, error)
	Registration(ctx context.Context) (modem.Registration, error)
	Operator(ctx context.Context) (modem.Operator, error)
	Signal(ctx context.Context) (modem.Signal, error)
	Function(ctx context.Context) (dialect.Kind, error)
	Up(ctx context.Context, call modem.Call) (modem.Lease, error)
	Status(ctx context.Context, call modem.Call) (bool, error)
	Down(ctx context.Context, call modem.Call) error
}

// Lease is an address that was obtained on the interface itself.
type Lease struct {
	Addrs   []netip.Prefix
	Gateway netip.Addr
	DNS     []netip.Addr
	MTU     int
	Renew   time.Time // when to ask again; zero for never
}

// Reach is the result of one reach check.
type Reach struct {
	State  status.State // Up, Limited or Down
	Target string
	Reason string
	RTT    time.Duration
}

// Config is what a Bearer is made of. All fields are needed but those that say
// otherwise.
type Config struct {
	Kernel    uplink.Kernel
	DHCP      func(ctx context.Context, ifname string) (Lease, error)
	Probe     func(ctx context.Context, spec uplink.Spec) Reach
	Operators func() *cosa.DB // the records as they are now
	Learned   *learned.Store
	Status    *status.Model
	Log       *slog.Logger
	Now       func() time.Time

	Interface func() (string, error) // the modem's network interface
	Spec      uplink.Spec            // template: metric, table, default route, DNS file, MTU
	Apply     bool                   // false leaves the kernel to netifd
	Given     []cosa.Given           // from the configuration
	GivenFor  string                 // ICCID that Given is for, "" for every one
	Roaming   func(cosa.RoamState) bool
	Interval  time.Duration // between checks of a link that works
	Try       time.Duration // for one connection, until there is an address
	KeepUp    bool          // leave the link up at exit
}

// Bearer is the data link. Its methods may be called from any goroutine.
type Bearer struct {
	Config

	mu     sync.Mutex // guards what follows
	radio  Radio
	change chan struct{} // closed at each change of radio
	held   int
	stop   context.CancelFunc // ends the look that is under way
	kick   chan struct{}
	active *active

	op sync.Mutex // held while the modem or the kernel is being changed
}

// active is the link as it was brought up last.
type active struct {
	iccid     string
	candidate cosa.Candidate
	call      modem.Call
	spec      uplink.Spec
	source    string
	renew     time.Time
	since     time.Time
}

// cid is the context that carries the link. On Qualcomm modems the first one is
// the attach's own, so that one bearer serves both.
const cid = 1

// New returns a bearer without a modem.
func New(c Config) *Bearer {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Bearer{Config: c, change: make(chan struct{}), kick: make(chan struct{}, 1)}
}

// SetRadio tells the bearer of its modem, or with nil that it is gone.
func (b *Bearer) SetRadio(r Radio) {
	b.mu.Lock()
	b.radio = r
	close(b.change)
	b.change = make(chan struct{})
	b.mu.Unlock()
	b.Kick()
}

// Kick makes the bearer look at once.
func (b *Bearer) Kick() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// ErrNoModem means that no modem is there.
var ErrNoModem = errors.New("no modem is there")

func (b *Bearer) getRadio() (Radio, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.radio == nil {
		return nil, &activation.Fault{Code: "no-modem", Text: ErrNoModem.Error(), Advice: "see `dynamod diag`", Retry: euicc.RetryLater, Err: nil}
	}
	return b.radio, nil
}

// awaitRadio waits for a modem that is restarting, or that is not found yet
// because the daemon has just been started.
func (b *Bearer) awaitRadio(ctx context.Context) error {
	for {
		b.mu.Lock()
		change := b.change
		b.mu.Unlock()
		_, err := b.getRadio()
		if err == nil {
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return err
		}
	}
}

// Hold keeps day-two work off the modem until the returned function is called.
// What is under way is ended first.
func (b *Bearer) Hold() (release func()) {
	b.mu.Lock()
	b.held++
	if b.stop != nil {
		b.stop()
	}
	b.mu.Unlock()
	b.op.Lock() // waits for its end
	defer b.op.Unlock()
	var once sync.Once
	return func() {
		once.Do(func() {
			b.mu.Lock()
			b.held--
			b.mu.Unlock()
			b.Kick()
		})
	}
}

// Up brings the link up with the first connection of the plan that carries
// traffic.
func (b *Bearer) Up(ctx context.Context, p activation.Plan, stage func(activation.State)) (activation.Up, error) {
	if err := b.awaitRadio(ctx); err != nil {
		return activation.Up{}, err
	}
	b.op.Lock()
	defer b.op.Unlock()
	a, err := b.up(ctx, p.(*plan), stage)
	if err != nil {
		return activation.Up{}, err
	}
	up := activation.Up{APN: a.candidate.Connection.APN, APNReason: a.candidate.Reason, Interface: a.spec.Interface}
	if len(a.spec.Addrs) > 0 {
		up.Address = a.spec.Addrs[0].String()
	}
	return up, nil
}

// up does the work of Up. b.op is held.
func (b *Bearer) up(ctx context.Context, p *plan, stage func(activation.State)) (*active, error) {
	r, err := b.getRadio()
	if err != nil {
		return nil, err
	}
	if f, err := r.Functionality(ctx); err != nil {
		return nil, err
	} else if f != modem.Full {
		if err := r.SetFunctionality(ctx, modem.Full); err != nil {
			return nil, err
		}
	}
	reg, err := b.register(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := b.decide(ctx, r, p, reg); err != nil {
		return nil, err
	}
	kind, err := b.function(ctx, r)
	if err != nil {
		return nil, err
	}
	if old := b.current(); old != nil && old.iccid != p.iccid {
		b.down(ctx, old, r)
	}
	var failures []string
	var last error
	for _, c := range p.list {
		a, err := b.try(ctx, r, p.iccid, c, kind, reg, stage)
		if err == nil {
			return a, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("APN %q: %w", c.Connection.APN, err)
		}
		b.Log.Warn("connection gives no traffic", "apn", c.Connection.APN, "error", err)
		failures = append(failures, fmt.Sprintf("%q: %v", c.Connection.APN, err))
		last = err
	}
	f := &activation.Fault{
		Code: "no-data", Text: "no connection carries traffic: " + strings.Join(failures, "; "), Retry: euicc.RetryLater,
		Advice: "check the APN with the operator; `dynamod diag` shows where it ends",
	}
	if cause, ok := errors.AsType[*modem.ActivationError](last); ok && cause.Cause.Slow() {
		f.Advice = "the operator refuses the connection: check the subscription and the APN's credentials"
	}
	return nil, f
}

// function tells how packets reach the host. What the kernel made of the
// modem's interface outranks what the modem says: many do not say it at all,
// and a raw IP interface of a modem in another mode is raw IP all the same.
func (b *Bearer) function(ctx context.Context, r Radio) (dialect.Kind, error) {
	kind, err := r.Function(ctx)
	if err != nil {
		return "", err
	}
	ifname, err := b.Interface()
	if err != nil {
		return "", err
	}
	snap, err := b.Kernel.Snapshot(ctx)
	if err != nil {
		return "", err
	}
	link, ok := snap.Link(ifname)
	switch {
	case !ok:
		return "", &activation.Fault{Code: "no-interface", Text: fmt.Sprintf("there is no interface %s", ifname), Advice: "name the modem's in [uplink] interface", Retry: euicc.RetryLater}
	case !link.Ethernet():
		return dialect.RawIP, nil
	case !kind.Ethernet():
		return dialect.ECM, nil
	}
	return kind, nil
}

const (
	registerPoll = time.Second
	deniedFor    = 45 * time.Second // a denial may be about one cell, or too early
)

// register waits until the network offers packet data.
func (b *Bearer) register(ctx context.Context, r Radio) (modem.Registration, error) {
	var denied time.Time
	var last modem.Registration
	for {
		reg, err := r.Registration(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			return reg, err
		case err == nil:
			last = reg
			b.showRegistration(ctx, r, reg)
			if reg.State.Registered() {
				return reg, nil
			}
			if reg.State != modem.RegDenied {
				denied = time.Time{}
			} else if denied.IsZero() {
				denied = time.Now()
			} else if time.Since(denied) > deniedFor {
				return reg, &activation.Fault{
					Code: "registration-denied", Text: fmt.Sprintf("the network denies the registration (cause %d, %v)", int(reg.Cause), reg.Cause),
					Advice: "ask the operator whether the line is active and this device allowed", Retry: euicc.RetryLater,
				}
			}
		}
		select {
		case <-ctx.Done():
			return last, &activation.Fault{
				Code: "not-registered", Text: fmt.Sprintf("the modem did not register in time, last state: %v", last.State), Err: ctx.Err(),
				Advice: "check antenna and coverage, and that the line is active", Retry: euicc.RetryLater,
			}
		case <-time.After(registerPoll):
		}
	}
}

// decide completes the plan with what the SIM tells.
func (b *Bearer) decide(ctx context.Context, r Radio, p *plan, reg modem.Registration) error {
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
	p.sim = cosa.SIM{ICCID: facts.ICCID, IMSI: facts.IMSI, MNCLength: facts.MNCLength, SPN: facts.SPN, GID1: facts.GID1, GID2: facts.GID2}
	roam := cosa.RoamUnknown
	if home, _ := b.Operators().HomeNetwork(p.sim); home != "" {
		serving := ""
		if op, err := r.Operator(ctx); err == nil {
			serving = op.PLMN
		}
		roam = cosa.RoamStateOf(reg.State.Roaming(), home, serving)
	}
	if b.Roaming != nil && !b.Roaming(roam) {
		return &activation.Fault{Code: "roaming-off", Text: "data while roaming is switched off", Advice: "set [bearer] roaming = \"allow\"", Retry: euicc.RetryLater}
	}
	if p.list, err = b.candidates(p.sim, p.given, roam); err != nil {
		return noAPN(err)
	}
	return nil
}

// try brings the link up with one connection.
func (b *Bearer) try(ctx context.Context, r Radio, iccid string, c cosa.Candidate, kind dialect.Kind, reg modem.Registration, stage func(activation.State)) (*active, error) {
	ifname, err := b.Interface()
	if err != nil {
		return nil, err
	}
	call := callOf(c.Connection, kind, reg.State.Roaming())
	dial, done := context.WithTimeout(ctx, b.Try)
	lease, err := r.Up(dial, call)
	done()
	if err != nil {
		return nil, err
	}
	a := &active{iccid: iccid, candidate: c, call: call, source: string(lease.Source), since: b.Now()}
	fail := func(err error) (*active, error) {
		b.down(context.WithoutCancel(ctx), a, r)
		return nil, err
	}
	stage(activation.Configuring)
	a.spec, a.renew, err = b.spec(ctx, ifname, lease)
	if err != nil {
		return fail(err)
	}
	if c.Connection.MTU > 0 && a.spec.MTU == 0 {
		a.spec.MTU = c.Connection.MTU
	}
	if err := b.apply(ctx, a.spec); err != nil {
		return fail(err)
	}
	stage(activation.Probing)
	reach := b.probe(ctx, a.spec)
	if reach.State == status.Down {
		return fail(fmt.Errorf("there is an address, but no traffic: %s", reach.Reason))
	}
	b.mu.Lock()
	b.active = a
	b.mu.Unlock()
	b.show(a, reach)
	auth, user, _ := c.Connection.Credentials()
	if err := b.Learned.SetLastGood(iccid, learned.APN{APN: c.Connection.APN, IPType: c.Connection.IPType.String(), Auth: auth.String(), User: user}); err != nil {
		b.Log.Warn("cannot remember the connection", "error", err)
	}
	return a, nil
}

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

// carrierTime is how long DHCP waits for carrier; some drivers never show it.
const carrierTime = 10 * time.Second

// spec makes the uplink's Spec of a lease.
func (b *Bearer) spec(ctx context.Context, ifname string, lease modem.Lease) (uplink.Spec, time.Time, error) {
	s := b.Spec
	s.Interface = ifname
	l := Lease{Addrs: lease.Config.Addrs, DNS: lease.Config.DNS, MTU: lease.Config.MTU}
	for _, gw := range lease.Config.Gateway {
		if gw.Is4() {
			l.Gateway = gw
		} else {
			s.Gateway6 = gw
		}
	}
	if lease.Source == dialect.DHCP {
		// The client needs the interface up; addresses come with the lease.
		if b.Apply {
			if err := uplink.Up(ctx, b.Kernel, ifname); err != nil {
				return s, time.Time{}, err
			}
		}
		// A request that leaves before there is carrier is lost, and the next
		// one follows seconds later.
		carrier, done := context.WithTimeout(ctx, carrierTime)
		_, err := uplink.WaitCarrier(carrier, b.Kernel, ifname)
		done()
		if err != nil {
			b.Log.Warn("no carrier yet on the modem's interface", "interface", ifname, "error", err)
		}
		got, err := b.DHCP(ctx, ifname)
		if err != nil {
			return s, time.Time{}, err
		}
		l = got
	}
	s.Addrs, s.Gateway, s.DNS = l.Addrs, l.Gateway, l.DNS
	if s.MTU == 0 {
		s.MTU = l.MTU
	}
	if len(s.Addrs) == 0 {
		return s, time.Time{}, errors.New("the network gave no address")
	}
	return s, l.Renew, nil
}

func (b *Bearer) apply(ctx context.Context, s uplink.Spec) error {
	if !b.Apply {
		return nil
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
