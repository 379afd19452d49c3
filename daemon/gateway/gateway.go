// Package gateway is where the daemon's parts are built and joined. Everything
// that runs is a task of one group; nothing here decides anything.
package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/atcmd/port"
	"dynamod/configs/cosa"
	"dynamod/configs/cosa/importer"
	"dynamod/daemon/activation"
	"dynamod/daemon/bearer"
	"dynamod/daemon/bundle"
	"dynamod/daemon/config"
	"dynamod/daemon/dynamo"
	"dynamod/daemon/fallback"
	"dynamod/daemon/hook"
	"dynamod/daemon/hook/access"
	"dynamod/daemon/hook/webhook"
	"dynamod/daemon/journal"
	"dynamod/daemon/learned"
	"dynamod/daemon/outbox"
	"dynamod/daemon/ppp"
	"dynamod/daemon/recovery"
	"dynamod/daemon/status"
	"dynamod/daemon/task"
	"dynamod/euicc"
	"dynamod/euicc/lpa"
	"dynamod/netlink/reach"
	"dynamod/netlink/uplink"
)

// Options are what a Gateway does not read from its configuration. The zero
// value of each means the real thing.
type Options struct {
	Log     *slog.Logger
	Version string
	Floor   time.Time // when the program was built; an earlier clock is wrong
	Now     func() time.Time

	// In place of the kernel, for a lab without network namespaces.
	Kernel uplink.Kernel
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	// DialLink is Dial by a link that the main table leaves out.
	DialLink func(uplink.Spec) reach.Dialer
	DHCP     func(ctx context.Context, ifname string) (bearer.Lease, error)
	// Advertised is nil for no IPv6 by router advertisement, with a Kernel.
	Advertised func(ctx context.Context, ifname string, identifier netip.Addr, changed func(bearer.Lease)) error
	Probe      func(ctx context.Context, spec uplink.Spec) bearer.Reach
	// OpenPort opens the modem's port in place of package port.
	OpenPort func(ctx context.Context, name string) (atcmd.Port, error)
	// PPPD is the program for PPP; "" looks for pppd.
	PPPD string
	// PowerCycle cuts the modem's power for a moment, by a line of the board. Nil
	// means that no such line is known.
	PowerCycle func(ctx context.Context) error
	// Tree is where devices are looked up.
	Tree port.Tree
	// LeaveRun leaves an activation that an earlier process did not end to the
	// daemon, unless a request has to do with one: whoever looks at the modem for
	// a moment must not begin a switch of profiles and break it off again.
	LeaveRun bool
	// Standing has Direct keep the standing watch, as Run does.
	Standing bool
	// Ready is called when the hook answers; nil is fine.
	Ready func()
	// Load reads the configuration again at SIGHUP; nil leaves it as it is.
	Load func() (*config.Config, error)
	// Of the support bundle: the configuration's file, what was logged last, and
	// what tells the journal to people. Each may be missing.
	ConfigFile string
	Recent     *bundle.Ring
	Story      func(io.Writer, []journal.Record) error
	// Level is that of Log, which follows the configuration; nil is fine.
	Level *slog.LevelVar
}

// Gateway is one daemon with one modem.
type Gateway struct {
	conf     atomic.Pointer[config.Config] // see config
	opts     Options
	log      *slog.Logger
	clock    *clock
	kernel   uplink.Kernel
	status   *status.Model
	journal  *journal.Journal
	learned  *learned.Store
	outbox   *outbox.Box
	vault    *activation.Vault
	lame     []error // what was wrong with outbox and vault at the start
	bearer   *bearer.Bearer
	line     *ppp.Line // nil where data does not come by PPP
	ladder   *recovery.Ladder
	watch    *fallback.Watch
	runs     *activation.Orchestrator
	wanted   chan struct{} // closed once runs may be carried out
	want     sync.Once
	hook     *hook.Server
	audit    *access.Audit
	ends     *webhook.Sender
	balances *dynamo.Balances
	tracer   tracer
	recent   bundle.Ring // lines between us and the modem

	dialects  *dialect.Set
	life      context.Context  // the daemon's
	cardToken chan struct{}    // held by the eUICC's user
	memory    lpa.Memory       // of the holder of cardToken
	pins      modem.PINMemory  // of all modems that were opened
	slotOf    map[string]bool  // IMEIs of modems whose SIM slot was changed; only keepModem's
	manager   *port.Inhibition // keeps ModemManager off; only keepModem's, as the next two
	managerOf string           // the device that it is for
	place     *port.Place      // of the modem on USB when it was open last; only keepModem's
	last      atomic.Pointer[device]
	mute      chan muteRestart // for a modem that does not answer
	plugged   chan struct{}    // the kernel has added a port
	// uncollected says that the card may have notifications that the outbox has
	// not.
	uncollected atomic.Bool
	reachFirst  atomic.Uint32 // page that the reach check begins with, counted round

	linkPulse, modemPulse task.Pulse
	link                  context.Context // ends when the bearer has left the link, which needs the modem
	linkLeft              context.CancelFunc

	mu           sync.Mutex
	device       *device
	deviceErr    error
	openings     int           // of the modem's port
	deviceChange chan struct{} // closed at each change of device
	past         status.Figures
	operators    *cosa.DB
	staleCarrier string // name of the carrier configuration that stayed behind a switch
}

// ErrLocked means that another dynamod uses the same state.
var ErrLocked = errors.New("another dynamod is running with this state directory")

// Run runs a daemon until ctx ends.
func Run(ctx context.Context, cfg *config.Config, opts Options) error {
	return start(ctx, cfg, opts, func() (net.Listener, error) { return hook.Listen(cfg.Hook.Socket, cfg.Hook.Group) }, nil)
}

// Direct runs a daemon without a socket for as long as f takes. It holds the
// same lock as Run, so the two never share a modem.
func Direct(ctx context.Context, cfg *config.Config, opts Options, f func(*hook.Client) error) error {
	client, l := hook.InProcess()
	return start(ctx, cfg, opts, func() (net.Listener, error) { return l, nil }, func() error { return f(client) })
}

// start builds the parts and runs their tasks. Without f it runs until ctx
// ends, with it until f returns.
func start(ctx context.Context, cfg *config.Config, opts Options, listen func() (net.Listener, error), f func() error) (err error) {
	if err := os.MkdirAll(cfg.State.Run, 0o755); err != nil {
		return &activation.Fault{Code: "state-unwritable", Text: "cannot make the run directory", Err: err, Advice: "run as root, or name another directory in [state] run"}
	}
	merr := os.MkdirAll(cfg.State.Dir, 0o755)
	unlock, err := lock(filepath.Join(cfg.State.Dir, "lock"))
	if err != nil && !errors.Is(err, ErrLocked) && mediumBroken(errors.Join(err, merr)) {
		unlock, err = lock(filepath.Join(cfg.State.Run, "lock"))
	}
	if err != nil && !errors.As(err, new(*activation.Fault)) {
		err = &activation.Fault{Code: "state-unwritable", Text: "cannot use the state directory", Err: errors.Join(merr, err), Advice: "run as root, or name another directory in [state] dir"}
	}
	if err != nil {
		return err
	}
	left := false // somebody who may still use both
	defer func() {
		if !left {
			unlock()
		}
	}()
	g, closeAll, err := build(cfg, opts)
	if err != nil {
		return err
	}
	defer func() {
		if !left {
			closeAll()
		}
	}()
	g.keepCrash()
	l, err := listen()
	if err != nil {
		return err
	}
	defer l.Close()

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g.life = ctx
	verb := make(chan error, 1)
	tasks := []task.Task{
		{Name: "hook", Run: func(ctx context.Context) error { return g.hook.Serve(ctx, l) }},
		{Name: "modem", Run: g.keepModem},
		{Name: "ports", Run: g.watchPorts},
		{Name: "outbox", Run: g.keepOutbox},
		{Name: "recovery", Run: g.keepRecovery},
		{Name: "link", Run: func(ctx context.Context) error {
			defer func() {
				if ctx.Err() != nil {
					g.linkLeft()
				}
			}()
			return g.bearer.Run(ctx)
		}},
		{Name: "kernel", Run: g.bearer.Watch},
		{Name: "activation", Run: g.keepRuns},
	}
	if f == nil || opts.Standing {
		tasks = append(tasks, task.Task{Name: "fallback", Run: g.watch.Run})
	}
	if f == nil {
		tasks = append(tasks, task.Task{Name: "reload", Run: g.reload}, task.Task{Name: "door", Run: g.keepDoor}, task.Task{Name: "webhooks", Run: g.ends.Run}, task.Task{Name: "watchdog", Run: g.keepWatchdog})
	} else {
		tasks = append(tasks, task.Task{Name: "verb", Run: func(context.Context) error {
			defer stop()
			err := f()
			verb <- err
			return err
		}})
	}
	if !opts.LeaveRun {
		g.wantRuns()
	}
	if opts.Ready != nil {
		opts.Ready()
	}
	if err = g.runTasks(ctx, tasks); errors.Is(err, errLeft) {
		left, err = true, nil
		select {
		case err = <-verb:
		default:
		}
	}
	return err
}

// mediumBroken reports whether err is of a medium that takes nothing.
func mediumBroken(err error) bool {
	return errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EDQUOT)
}

// lock takes the advisory lock that keeps a second daemon off the state.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if mediumBroken(err) {
		if there, oerr := os.Open(path); oerr == nil {
			f, err = there, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	for err = syscall.EINTR; errors.Is(err, syscall.EINTR); { // Go's own signals cut it short
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		var pid [16]byte
		n, _ := f.ReadAt(pid[:], 0)
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &activation.Fault{Code: "locked", Text: ErrLocked.Error() + pidText(pid[:n]), Advice: "use the running daemon, or stop it first", Retry: euicc.RetryLater}
		}
		return nil, fmt.Errorf("lock: %s: %w", path, err)
	}
	// The number is for people; that it cannot be written does no harm.
	if f.Truncate(0) == nil {
		fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	return func() { f.Close() }, nil
}

func pidText(b []byte) string {
	var pid int
	if _, err := fmt.Sscan(string(b), &pid); err != nil {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}

func build(cfg *config.Config, opts Options) (g *Gateway, closeAll func(), err error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	g = &Gateway{
		opts: opts, log: opts.Log, clock: &clock{floor: opts.Floor, system: opts.Now},
		cardToken: make(chan struct{}, 1), deviceChange: make(chan struct{}), wanted: make(chan struct{}), mute: make(chan muteRestart), plugged: make(chan struct{}, 1), life: context.Background(), // until it runs
	}
	g.conf.Store(cfg)
	g.link, g.linkLeft = context.WithCancel(context.Background())
	now := g.clock.now
	g.status = status.New(opts.Version, now)
	// Nothing of the state is needed for the link: a router whose flash is full,
	// read-only or damaged comes up all the same, and refuses activations.
	broken := func(err error) {
		g.log.Error("a part of the state directory cannot be used", "error", err)
		g.status.Log(err.Error())
	}
	if g.journal, err = journal.Open(filepath.Join(cfg.State.Dir, "journal"), 0, now); err != nil {
		broken(err)
	}
	err = nil // it is no reason not to start, nor are the next two
	var opened []io.Closer
	undo := func() {
		for _, c := range slices.Backward(opened) {
			c.Close()
		}
	}
	opened = append(opened, g.journal)
	defer func() {
		if err != nil {
			undo()
		}
	}()
	if d := g.journal.Damage(); d != nil {
		g.log.Warn("journal", "damage", d)
		g.status.Log(d.Error())
	}
	if g.learned, err = learned.Open(filepath.Join(cfg.State.Dir, "learned.json"), now); err != nil {
		g.log.Warn("what was learned is lost", "error", err)
	}
	opened = append(opened, g.learned)
	if g.outbox, err = outbox.Open(filepath.Join(cfg.State.Dir, "outbox"), now, g.log); err != nil {
		broken(err)
		g.lame = append(g.lame, err)
	}
	if err := g.loadOperators(); err != nil {
		return nil, nil, err
	}
	var bad config.Errors
	g.dialects, bad = config.LoadDialects(cfg.Modem.Dialects)
	for _, e := range bad {
		g.log.Error("a file of modem families is left out", "error", e)
	}
	if g.kernel = opts.Kernel; g.kernel == nil {
		k, err := dialKernel()
		if err != nil {
			return nil, nil, err
		}
		opened = append(opened, k)
		g.kernel = k
	}
	if g.vault, err = activation.OpenVault(cfg.State.Dir); err != nil {
		broken(err)
		g.lame = append(g.lame, err)
	}
	g.keepPINs()
	g.ladder, g.watch = g.newLadder(), g.newWatch()
	g.buildBearer()
	card := &runCard{g: g}
	g.runs, err = activation.New(activation.Config{
		Card: card, Link: g.bearer, Journal: g.journal, Vault: g.vault, Status: g.status,
		Deadline: cfg.Activation.Deadline, LinkHolds: cfg.Activation.Hold, Limits: limitsOf(cfg.Activation.Limits), Bootstrap: g.isBootstrap, Log: g.log, Now: now,
	})
	if err != nil {
		return nil, nil, err
	}
	g.hook = hook.New(g, g.status, g.log)
	g.hook.Panicked = g.panicked
	g.audit = access.OpenAudit(g.hookDir())
	opened = append(opened, g.audit)
	g.hook.Audit, g.hook.Now, g.hook.Hosts = g.audit, now, cfg.Hook.Hosts
	g.buildWebhooks()
	g.balances = dynamo.NewBalances(balanceAsker{g}, now)
	opened = append(opened, g.balances)
	g.showOutbox()
	return g, undo, nil
}

func limitsOf(l config.Limits) map[activation.State]time.Duration {
	return map[activation.State]time.Duration{
		activation.Accepted: l.Accepted, activation.Authenticated: l.Authenticated, activation.Agreed: l.Agreed, activation.Waiting: l.Waiting,
		activation.Downloading: l.Downloading, activation.Installed: l.Installed, activation.Reporting: l.Reporting,
		activation.Notifying: l.Notifying,
	}
}

func (g *Gateway) buildBearer() {
	cfg := g.config()
	b := bearer.Config{
		Kernel: g.kernel, DHCP: g.opts.DHCP, Advertised: g.opts.Advertised, Probe: g.opts.Probe, Operators: g.getOperators, Learned: g.learned,
		Status: g.status, Ladder: g.ladder, Log: g.log, Now: g.clock.now, Interface: g.modemInterface,
		Spec: uplink.Spec{
			MTU: cfg.Uplink.MTU, DefaultRoute: cfg.Uplink.DefaultRoute, Metric: uint32(cfg.Uplink.Metric),
			Table: uint32(cfg.Uplink.Table), DNSFile: cfg.Uplink.DNSFile,
		},
		PIN: g.pin, Keeper: g.vault, ModemID: g.modemID, StaleCarrier: g.getStaleCarrier, Settings: bearerSettings(cfg), Pulse: &g.linkPulse, Saw: g.watch.Saw,
		Apply: cfg.Uplink.Apply == config.ApplySelf,
		Given: g.configuredAPN, Bootstrap: g.isBootstrap,
		Roaming: func(s cosa.RoamState) bool {
			switch g.config().Bearer.Roaming {
			case config.RoamingDeny:
				return s == cosa.Home || s == cosa.RoamUnknown
			case config.RoamingDomestic:
				return s != cosa.International
			}
			return true
		},
	}
	if b.DHCP == nil {
		b.DHCP = g.acquireDHCP
	}
	if b.Advertised == nil && g.opts.Kernel == nil {
		b.Advertised = g.advertised
	}
	if b.Probe == nil {
		b.Probe = g.probe
	}
	g.bearer = bearer.New(b)
	g.buildLine()
	g.configuredAPN() // what is wrong is told from the start
}

func bearerSettings(cfg *config.Config) bearer.Settings {
	return bearer.Settings{
		GivenFor: cfg.APN.ICCID, DNS: cfg.Uplink.DNS, NetworkAssigned: cfg.Bearer.NetworkAssigned, DataAPNInAttach: cfg.Bearer.DataAPNInAttach,
		Interval: cfg.Reach.Interval, Try: cfg.Bearer.Deadline, KeepUp: cfg.Bearer.KeepUp,
	}
}

// configuredAPN is the connection of [apn]. Its password is read each time, so that
// a file that was missing is used once it is there. Until then the APN is tried
// without: a router that would not start for it could not be reached to mend it.
func (g *Gateway) configuredAPN() []cosa.Given {
	warnings := g.stateWarnings()
	c, ok := g.config().APN.Connection()
	if file := g.config().APN.PasswordFile; file != "" {
		password, err := config.ReadSecret(file)
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("[apn] password_file: %v; the APN is tried without a password", err))
		}
		c.Password = cosa.Secret(password)
	}
	g.status.Update(func(s *status.Snapshot) {
		if len(warnings) > 0 && !slices.Equal(s.Warnings, warnings) {
			g.log.Error(strings.Join(warnings, "; "))
		}
		s.Warnings = warnings
	})
	if !ok {
		return nil
	}
	return []cosa.Given{{Connection: c, Origin: "[apn] apn"}}
}

// stateWarnings tells what of the state directory cannot be used.
func (g *Gateway) stateWarnings() (warnings []string) {
	if err := g.journal.Unwritable(); err != nil {
		warnings = append(warnings, fmt.Sprintf("%v; the link is not affected, activations are refused", err))
	}
	for _, err := range g.lame {
		warnings = append(warnings, err.Error())
	}
	return warnings
}

func (g *Gateway) getOperators() *cosa.DB {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.operators
}

// loadOperators reads operators.d. A bad file is named and left out.
func (g *Gateway) loadOperators() error {
	db, problems, err := importer.Load(g.config().Operators.Dir)
	if err != nil {
		return err
	}
	for _, p := range problems {
		if p.Partial {
			g.log.Warn("operators file", "error", p)
		} else {
			g.log.Error("operators file", "error", p)
		}
	}
	g.mu.Lock()
	g.operators = db
	g.mu.Unlock()
	return nil
}

// Log returns the journal.
func (g *Gateway) Log() ([]hook.LogRecord, error) {
	var out []hook.LogRecord
	for _, r := range g.journal.Records() {
		out = append(out, hook.LogRecord{Seq: r.Seq, Time: r.Time, Kind: r.Kind, Data: json.RawMessage(r.Data)})
	}
	return out, nil
}
