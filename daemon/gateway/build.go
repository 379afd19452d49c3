package gateway

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"dynamod/configs/cosa"
	"dynamod/configs/cosa/importer"
	"dynamod/daemon/activation"
	"dynamod/daemon/bearer"
	"dynamod/daemon/config"
	"dynamod/daemon/dynamo"
	"dynamod/daemon/hook"
	"dynamod/daemon/hook/access"
	"dynamod/daemon/journal"
	"dynamod/daemon/learned"
	"dynamod/daemon/outbox"
	"dynamod/daemon/status"
	"dynamod/netlink/uplink"
)

// build makes the parts and joins them. closeAll closes what they hold open.
func build(cfg *config.Config, opts Options) (g *Gateway, closeAll func(), err error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	g = &Gateway{
		opts: opts, log: opts.Log, clock: &clock{floor: opts.Floor, system: opts.Now},
		cardToken: make(chan struct{}, 1), deviceChange: make(chan struct{}), wanted: make(chan struct{}), mute: make(chan muteRestart), plugged: make(chan struct{}, 1), bought: make(chan struct{}, 1), opened: make(chan struct{}, 1), life: context.Background(), // until it runs
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
	g.findBoard()
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
	g.buildVisits()
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
		Given: g.configuredAPN, Bootstrap: g.isBootstrap, AwaitCard: g.awaitCard,
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
	g.warn() // what is wrong is told from the start
}

func bearerSettings(cfg *config.Config) bearer.Settings {
	return bearer.Settings{
		GivenFor: cfg.APN.ICCID, DNS: cfg.Uplink.DNS, NetworkAssigned: cfg.Bearer.NetworkAssigned, DataAPNInAttach: cfg.Bearer.DataAPNInAttach,
		Interval: cfg.Reach.Interval, Try: cfg.Bearer.Deadline, KeepUp: cfg.Bearer.KeepUp,
	}
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
