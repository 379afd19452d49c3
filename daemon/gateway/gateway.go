// Package gateway is where the daemon's parts are built and joined. Everything
// that runs is a task of one group; nothing here decides anything.
package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/atcmd/port"
	"dynamod/board"
	"dynamod/board/gpio"
	"dynamod/configs/cosa"
	"dynamod/daemon/activation"
	"dynamod/daemon/bearer"
	"dynamod/daemon/bundle"
	"dynamod/daemon/config"
	"dynamod/daemon/dynamo"
	"dynamod/daemon/fallback"
	"dynamod/daemon/garden"
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
	// Walls is nil for no walled garden, with a Kernel.
	Walls garden.Walls
	// OpenPort opens the modem's port in place of package port.
	OpenPort func(ctx context.Context, name string) (atcmd.Port, error)
	// PPPD is the program for PPP; "" looks for pppd.
	PPPD string
	// PowerCycle cuts the modem's power for a moment, by a line of the board. Nil
	// means that no such line is known; then the switch of its USB port is used.
	PowerCycle func(ctx context.Context) error
	// Unprivileged has a daemon that is root ask the helper all the same.
	Unprivileged bool
	// Tree is where devices are looked up.
	Tree port.Tree
	// Chips is what the board's lines are asked by; nil is the kernel.
	Chips gpio.System
	// Root is where the box says what it is; "" is "/".
	Root string
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
	// wasLimited is whether only a portal answered when a balance was asked for last.
	wasLimited atomic.Bool
	visits     *dynamo.Transactions
	carrying   sync.Mutex    // held by who carries out what was bought
	bought     chan struct{} // something was
	opened     chan struct{} // a portal was, on another device
	tracer     tracer
	recent     bundle.Ring // lines between us and the modem

	box       board.Identity
	board     board.Board
	simLine   gpio.Line // holds the SIM slot that was selected; only keepModem's
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
	cutting   sync.Mutex       // held while the power of a USB port is cut
	plugged   chan struct{}    // the kernel has added a port
	// uncollected says that the card may have notifications that the outbox has
	// not.
	uncollected atomic.Bool
	walled      atomic.Bool   // a walled garden is wanted
	reachFirst  atomic.Uint32 // page that the reach check begins with, counted round

	linkPulse, modemPulse task.Pulse
	link                  context.Context // ends when the bearer has left the link, which needs the modem
	linkLeft              context.CancelFunc

	mu           sync.Mutex
	device       *device
	deviceErr    error
	openings     int           // of the modem's port
	deviceChange chan struct{} // closed at each change of device
	cardReading  chan struct{} // closed when the card was read; nil while nobody is to do it
	past         status.Figures
	operators    *cosa.DB
	offers       []cosa.OperatorProfile // of the directory service or the catalogue
	staleCarrier string                 // name of the carrier configuration that stayed behind a switch
}

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
		{Name: "board", Run: g.keepBoard},
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
		tasks = append(tasks, task.Task{Name: "fallback", Run: g.watch.Run}, task.Task{Name: "visits", Run: g.keepVisits}, task.Task{Name: "portals", Run: g.keepPolls})
	}
	if f == nil || opts.Walls != nil {
		tasks = append(tasks, task.Task{Name: "garden", Run: g.keepGarden}, task.Task{Name: "balance", Run: g.keepBalance})
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
