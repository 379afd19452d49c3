//go:build linux && !nodemo

package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/daemon/bearer"
	"dynamod/daemon/config"
	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/gateway"
	"dynamod/netlink/dhcp"
	"dynamod/netlink/ra"
	"dynamod/netlink/reach"
	"dynamod/netlink/uplink"
)

// Where the servers listen in the lab's internet, which has one address for both.
const (
	smdpPort = 443
	smdsPort = 8443
)

// carrier is the lab's network as the simulated modem drives it.
type carrier struct{ n netlab.Network }

func (c carrier) Up(l atsim.Lease) error {
	return c.n.Activate(netlab.Lease{Addr: l.Addr, Gateway: l.Gateway, DNS: l.DNS, MTU: l.MTU})
}

func (c carrier) Down()    { _ = c.n.Deactivate() } // one that is down already is down
func (c carrier) Swallow() { _ = c.n.Blackhole(true) }

func (c carrier) Portal(location string) { c.n.Portal(location) }

func (c carrier) Wall(on bool, open ...netip.Addr) error { return c.n.Wall(on, open...) }

func (c carrier) Traffic() (int64, error) {
	n, err := c.n.Counters()
	return n.UpBytes + n.DownBytes, err
}

func leaseOf(o netlab.Options) atsim.Lease {
	l := o.Lease()
	return atsim.Lease{Addr: l.Addr, Gateway: l.Gateway, DNS: l.DNS, MTU: l.MTU}
}

// World is a Lab that runs, in its network, with its files in Options.Dir.
type World struct {
	*Lab
	net     netlab.Network
	stop    context.CancelFunc
	outside string // address of the SM-DP+ for clients on this machine
	wg      sync.WaitGroup

	mu   sync.Mutex
	errs []error
	file labFile // lab.json
}

// Open makes the lab's files and starts its servers.
func Open(ctx context.Context, n netlab.Network, o Options) (_ *World, err error) {
	o.Carrier, o.Lease = carrier{n}, leaseOf(n.Options())
	o.Hosts = append(o.Hosts, netlab.SMDPAddr.String())
	lab, err := New(o)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	w := &World{Lab: lab, net: n, stop: stop}
	defer func() {
		if err != nil {
			w.Close()
		}
	}()
	ln, err := n.ListenInternet("tcp", netip.AddrPortFrom(netlab.SMDPAddr, smdpPort).String())
	if err != nil {
		return nil, err
	}
	w.serve(ctx, ln)
	if ln, err = n.ListenInternet("tcp", netip.AddrPortFrom(netlab.SMDPAddr, smdsPort).String()); err != nil {
		return nil, err
	}
	w.serveSMDS(ctx, ln)
	tty := filepath.Join(o.Dir, "modem")
	w.run(func() error { return lab.ServeModem(ctx, tty) })
	if err := waitFile(ctx, tty); err != nil {
		return nil, errors.Join(append(w.failures(), err)...)
	}
	return w, w.writeFiles()
}

// serve answers on l as the SM-DP+.
func (w *World) serve(ctx context.Context, l net.Listener) {
	w.run(func() error { return w.ServeRSP(ctx, l) })
}

// serveSMDS answers on l as the SM-DS.
func (w *World) serveSMDS(ctx context.Context, l net.Listener) {
	w.run(func() error { return w.ServeSMDS(ctx, l) })
}

func (w *World) run(f func() error) {
	w.wg.Go(func() {
		if err := f(); err != nil && !errors.Is(err, context.Canceled) {
			w.mu.Lock()
			w.errs = append(w.errs, err)
			w.mu.Unlock()
			w.log.Error("lab", "error", err)
		}
	})
}

func (w *World) failures() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.errs
}

// Close ends the servers and waits for them.
func (w *World) Close() {
	w.stop()
	w.Operator.stopMeter()
	w.wg.Wait()
}

func waitFile(ctx context.Context, path string) error {
	for range 1000 {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s did not appear", path)
}

// writeFiles writes what a client of the lab needs.
func (w *World) writeFiles() error {
	dir := w.opts.Dir
	if err := os.MkdirAll(filepath.Join(dir, "operators.d"), 0o755); err != nil {
		return err
	}
	if err := w.CI.ExportCertificate(filepath.Join(dir, "ci.pem")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "operators.d", "lab.json"), operatorsFile(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "dynamod.toml"), w.configFile(), 0o644)
}

// configFile is a ready configuration for a daemon in the router's namespace.
func (w *World) configFile() []byte {
	dir := w.opts.Dir
	return fmt.Appendf(nil, `# Configuration for this lab; made by dynamod sim.

[modem]
port = %q

[lpa]
ci = [%q]

[lpa.resolve]
%q = "%s:%d"
%q = "%s:%d"

[uplink]
interface = %q
dns_file = %q

[reach]
targets = [%q]

[activation]
# Nobody wants to wait in a lab; a router takes 30s.
hold = "1s"

[state]
dir = %q
run = %q

[operators]
dir = %q

[hook]
socket = %q
`, filepath.Join(dir, "modem"), filepath.Join(dir, "ci.pem"), SMDP, netlab.SMDPAddr, smdpPort,
		SMDS, netlab.SMDPAddr, smdsPort, w.net.Options().Interface(),
		filepath.Join(dir, "resolv.conf"), netlab.ReachTarget, filepath.Join(dir, "state"), filepath.Join(dir, "run"),
		filepath.Join(dir, "operators.d"), filepath.Join(dir, "run", "dynamod.sock"))
}

// Daemon runs a daemon in this process, with the lab's dynamod.toml, until ctx ends.
func (w *World) Daemon(ctx context.Context, log *slog.Logger, version string) error {
	cfg, err := config.Load(filepath.Join(w.opts.Dir, "dynamod.toml"))
	if err != nil {
		return err
	}
	return gateway.Run(ctx, cfg, w.gatewayOptions(log, version, time.Time{}, cfg))
}

// gatewayOptions make an in-process daemon run on the lab's router.
func (w *World) gatewayOptions(log *slog.Logger, version string, floor time.Time, cfg *config.Config) gateway.Options {
	return gateway.Options{
		Log: log, Version: version, Floor: floor, Kernel: w.net.Kernel(), Walls: w.net.Walls(), Dial: w.net.Dial, DialLink: w.net.Dialer,
		DHCP: func(ctx context.Context, ifname string) (bearer.Lease, error) {
			l, err := w.net.DHCP(ctx, ifname)
			if err != nil {
				return bearer.Lease{}, err
			}
			return gateway.LeaseOf(l, func(ctx context.Context, l dhcp.Lease, changed func(dhcp.Lease)) error {
				return w.net.KeepLease(ctx, ifname, l, changed)
			}), nil
		},
		Advertised: func(ctx context.Context, ifname string, identifier netip.Addr, changed func(bearer.Lease)) error {
			return w.net.Advertised(ctx, ifname, identifier, func(l ra.Link) { changed(gateway.SixOf(l)) })
		},
		Probe: func(ctx context.Context, spec uplink.Spec) bearer.Reach {
			return gateway.ProbeWith(ctx, w.net.Dialer(spec), cfg.Reach.Targets, reach.Config{Timeout: cfg.Reach.Timeout})
		},
	}
}
