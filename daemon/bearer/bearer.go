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
	"sync"
	"sync/atomic"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/configs/cosa"
	"dynamod/daemon/activation"
	"dynamod/daemon/learned"
	"dynamod/daemon/recovery"
	"dynamod/daemon/status"
	"dynamod/daemon/task"
	"dynamod/euicc"
	"dynamod/netlink/uplink"
)

// Radio is the modem as the bearer needs it; *modem.Modem is one.
type Radio interface {
	Functionality(ctx context.Context) (modem.Functionality, error)
	SetFunctionality(ctx context.Context, f modem.Functionality) error
	SIM(ctx context.Context) (modem.SIM, error)
	EnterPIN(ctx context.Context, pin modem.Secret, lastTry bool) error
	PINTries(ctx context.Context) (int, bool, error)
	SIMFacts(ctx context.Context) (modem.SIMFacts, error)
	ICCID(ctx context.Context) (string, error)
	Registration(ctx context.Context) (modem.Registration, error)
	Operator(ctx context.Context) (modem.Operator, error)
	Signal(ctx context.Context) (modem.Signal, error)
	Cells(ctx context.Context) ([]modem.Cell, error)
	Carrier

	Contexts(ctx context.Context) ([]modem.Context, error)
	ActiveContexts(ctx context.Context) (map[int]bool, error)
	DynamicParameters(ctx context.Context, cid int) (modem.IPConfig, error)
	DefineContext(ctx context.Context, c modem.Context) error
	SetAuth(ctx context.Context, c modem.Context, a modem.Auth) error
	Attach(ctx context.Context, attach bool) error
	AttachCID() int
}

// Carrier is how a context's packets reach this machine: by the modem's network
// interface, started with AT commands, or by PPP. That something has happened to one
// is told by Kick.
type Carrier interface {
	// Function tells which of them it is, or what keeps it from being tried.
	Function(ctx context.Context) (dialect.Kind, error)
	// OnlyCID is the one context that it carries, 0 where it carries any.
	OnlyCID(function dialect.Kind) int
	// Up starts the call, and says where its addresses come from.
	Up(ctx context.Context, call modem.Call) (modem.Lease, error)
	Status(ctx context.Context, call modem.Call) (bool, error)
	Down(ctx context.Context, call modem.Call) error
}

// Keeper keeps the connections that came with activations, each for its
// profile. *activation.Vault is one.
type Keeper interface {
	KeptAPN(iccid string) (activation.APN, bool)
	KeepAPN(iccid string, apn activation.APN) error
}

// Reach is the result of one reach check.
type Reach struct {
	State  status.State // Up, Limited or Down
	Target string
	Reason string
	RTT    time.Duration

	Cause   string               // as in status.Reach
	Targets []status.ReachTarget // those that were asked
	Left    bool                 // others were not, for what that costs: the next check asks them
}

// Config is what a Bearer is made of. All fields are needed but those that say
// otherwise.
type Config struct {
	Kernel uplink.Kernel
	DHCP   func(ctx context.Context, ifname string) (Lease, error)
	// Advertised takes what routers advertise on an interface that is up, until
	// ctx ends, and calls changed with what a host makes of it: IPv6 addresses and
	// their gateway, none when it is over. identifier is a link-local address with
	// the interface identifier to use, zero for the interface's own. Nil takes
	// none.
	Advertised func(ctx context.Context, ifname string, identifier netip.Addr, changed func(Lease)) error
	Probe      func(ctx context.Context, spec uplink.Spec) Reach
	Operators  func() *cosa.DB // the records as they are now
	Learned    *learned.Store
	Keeper     Keeper        // nil keeps nothing
	ModemID    func() string // IMEI; nil or "" where it is not known
	// StaleCarrier names the carrier configuration that stayed behind a switch of
	// profiles, "" for none; nil knows of none.
	StaleCarrier func() string
	PIN          func() (modem.Secret, error) // of the configuration; nil or "" for none
	Status       *status.Model
	Ladder       *recovery.Ladder // is told what fails; nil for none
	Log          *slog.Logger
	Now          func() time.Time

	Interface func() (string, error) // the modem's network interface
	Spec      uplink.Spec            // template: metric, table, default route, DNS file, MTU
	Apply     bool                   // false leaves the kernel to netifd: see handOver
	Given     func() []cosa.Given    // from the configuration, as it is now; nil for none
	Roaming   func(cosa.RoamState) bool
	Bootstrap func(iccid string) bool // for our own traffic alone; nil for none
	// AwaitCard waits for what is being read from the card, a little while at most:
	// until Bootstrap can tell, or with "" until Status has the card. Nil is fine.
	AwaitCard func(ctx context.Context, iccid string)
	Settings              // at first; see Change
	Pulse     *task.Pulse // of Run; nil is fine
	// Saw is called with the ICCID at each look at a SIM that can be used; nil is fine.
	Saw func(iccid string)
}

// Settings are what of a Config may change while the bearer runs.
type Settings struct {
	GivenFor string       // ICCID that Given is for, "" for every one
	DNS      []netip.Addr // where the network names no server
	// NetworkAssigned allows an empty APN as the last try.
	NetworkAssigned bool
	// DataAPNInAttach allows the records' APNs in the attach's context of a modem
	// that carries no other.
	DataAPNInAttach bool
	Interval        time.Duration // between checks of a link that works
	Try             time.Duration // for one connection, until there is an address
	KeepUp          bool          // leave the link up at exit
}

// Bearer is the data link. Its methods may be called from any goroutine.
type Bearer struct {
	Config
	now atomic.Pointer[Settings]

	mu     sync.Mutex // guards what follows
	radio  Radio
	change chan struct{} // closed at each change of radio
	held   int
	stop   context.CancelFunc // ends the look that is under way
	kick   chan struct{}
	taken  atomic.Uint64 // how often the network ended a context, or detached the modem
	looked chan struct{} // closed at the end of a look
	links  uint64        // how many were brought up
	active *active

	refusedAttach refusedAttach
	noOwn         Radio // there is no context beside the attach's

	op         turn // held while the modem or the kernel is being changed, and for what follows
	pace       pace
	ownCarries Radio // traffic has crossed a context beside the attach's
	hadSIM     bool  // a SIM could be used since the last one that was switched off
}

// active is the link as it was brought up last.
type active struct {
	iccid     string
	candidate cosa.Candidate
	call      modem.Call
	asked     modem.Context // what call's context had to serve
	shared    bool          // the modem carries no other context than the attach's
	spec      uplink.Spec
	source    string
	lease     *keeping // nil where there is nothing to keep
	since     time.Time
	limited   string // of the probe that it was chosen for; see activation.Up

	choice choice // that the candidate comes from

	number uint64 // of those that were brought up
	seen   sight  // when it was last seen to carry traffic
}

// sight is what a link was seen under: with another modem, or after the network's
// word that it ended something, it has to be seen again.
type sight struct {
	radio Radio
	taken uint64 // as in Bearer
}

// New returns a bearer without a modem.
func New(c Config) *Bearer {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	b := &Bearer{Config: c, op: make(turn, 1), change: make(chan struct{}), kick: make(chan struct{}, 1), looked: make(chan struct{})}
	b.now.Store(&c.Settings)
	return b
}

// Change changes the settings. A link that is up is looked at with them, and
// stays if nothing is wrong with it.
func (b *Bearer) Change(s Settings) {
	b.now.Store(&s)
	b.Kick()
}

func (b *Bearer) settings() *Settings { return b.now.Load() }

// SetRadio tells the bearer of its modem, or with nil that it is gone.
func (b *Bearer) SetRadio(r Radio) {
	b.mu.Lock()
	b.radio = r
	close(b.change)
	b.change = make(chan struct{})
	b.mu.Unlock()
	b.Kick()
}

// TakenAway tells that the network ended a context, or detached the modem. What is
// being tried over it then says nothing about its APN.
func (b *Bearer) TakenAway() { b.taken.Add(1) }

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
	var a *active
	for {
		if err := b.awaitRadio(ctx); err != nil {
			return activation.Up{}, err
		}
		b.mu.Lock()
		used, change := b.radio, b.change
		b.mu.Unlock()
		var err error
		b.op.Lock()
		a, err = b.up(ctx, p.(*plan), stage, false)
		b.op.Unlock()
		if err == nil {
			break
		}
		// A modem that goes in the middle of it may only be restarting.
		if !b.lost(ctx, used, change, err) {
			return activation.Up{}, err
		}
	}
	up := activation.Up{APN: a.candidate.Connection.APN, APNReason: a.candidate.Reason, Interface: a.spec.Interface, Limited: a.limited}
	if len(a.spec.Addrs) > 0 {
		up.Address = a.spec.Addrs[0].String()
	}
	return up, nil
}

// goneFor is how long a modem whose port has gone may take to be noticed as gone.
const goneFor = 10 * time.Second

// lost reports whether err came because the modem went away, once that is known:
// a port may fail before its owner has seen why.
func (b *Bearer) lost(ctx context.Context, used Radio, change <-chan struct{}, err error) bool {
	if !atcmd.PortLost(err) {
		return false
	}
	ctx, done := context.WithTimeout(ctx, goneFor)
	defer done()
	for {
		b.mu.Lock()
		now := b.radio
		b.mu.Unlock()
		if now != used {
			return true
		}
		select {
		case <-change:
		case <-ctx.Done():
			return false
		}
		b.mu.Lock()
		change = b.change
		b.mu.Unlock()
	}
}

// up does the work of Up. Paced, it leaves out connections that were refused a
// short time ago. b.op is held.
func (b *Bearer) up(ctx context.Context, p *plan, stage func(activation.State), paced bool) (*active, error) {
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
	kind, err := b.function(ctx, r)
	if err != nil {
		return nil, err
	}
	reg, plmn, err := b.attach(ctx, r, p, kind, paced)
	if paced {
		b.noteRegistration(ctx, reg, err)
	}
	if err != nil {
		return nil, err
	}
	if err := b.decide(ctx, r, p, kind, reg, plmn); err != nil {
		return nil, err
	}
	if old := b.current(); old != nil && old.iccid != p.iccid {
		b.down(ctx, old, r)
	}
	a, err := b.round(ctx, r, p, kind, stage, paced)
	if err != nil {
		return nil, err
	}
	if p.apn != nil && a.candidate.Connection.Key() == p.given[0].Connection.Key() && b.Keeper != nil {
		// It stands nowhere else, and the link has to come back without it being
		// asked for again.
		if err := b.Keeper.KeepAPN(p.iccid, *p.apn); err != nil {
			b.Log.Warn("cannot keep the APN of the activation: after a restart the operator settings hold", "error", err)
		}
	}
	return a, nil
}

// function tells how packets reach the host. What the kernel made of the
// modem's interface outranks what the modem says: many do not say it at all,
// and a raw IP interface of a modem in another mode is raw IP all the same.
func (b *Bearer) function(ctx context.Context, r Radio) (dialect.Kind, error) {
	kind, err := r.Function(ctx)
	if err != nil || kind == dialect.PPP { // whose interface comes with the call
		return kind, err
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
