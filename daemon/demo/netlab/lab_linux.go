package netlab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"dynamod/netlink"
	"dynamod/netlink/uplink"
)

// protoStatic marks what an administrator would have configured: RTPROT_STATIC.
const protoStatic = 4

// Lab is the network of real namespaces. Its methods may be called from several goroutines.
type Lab struct {
	opts                      Options
	log                       *slog.Logger
	router, carrier, internet *namespace
	endpoint                  endpoint
	cell                      *cell
	children                  children
	servers                   sync.WaitGroup
	closers                   []func()
}

var _ Network = (*Lab)(nil)

// New builds the lab. Its error is ErrForbidden, ErrNoTUN or what the kernel refused.
func New(ctx context.Context, opts Options) (*Lab, error) {
	l := &Lab{opts: opts, log: opts.Log}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if err := l.build(ctx); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("lab network: %w", err)
	}
	return l, nil
}

func (l *Lab) build(ctx context.Context) error {
	for _, p := range []struct {
		ns   **namespace
		name string
	}{{&l.router, "router"}, {&l.carrier, "carrier"}, {&l.internet, "internet"}} {
		ns, err := newNamespace(ctx, p.name)
		if err != nil {
			return err
		}
		*p.ns = ns
	}
	if err := l.buildCore(ctx); err != nil {
		return err
	}
	if !l.opts.SingleUplink {
		if err := l.buildOther(ctx); err != nil {
			return err
		}
	}
	if err := l.serveCarrier(); err != nil {
		return err
	}
	var err error
	l.cell, err = newCell(ctx, l)
	return err
}

// buildCore joins carrier and internet; the carrier forwards.
func (l *Lab) buildCore(ctx context.Context) error {
	if err := l.carrier.conn.AddVeth(ctx, "core0", "core1", l.internet.fd()); err != nil {
		return err
	}
	host := func(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
	for _, p := range []struct {
		ns   *namespace
		spec uplink.Spec
	}{
		{l.carrier, uplink.Spec{Interface: "lo", Addrs: []netip.Prefix{host(ReachAddr), host(DNSAddr), host(ReachAddr6), host(DNSAddr6)}}},
		{l.carrier, uplink.Spec{Interface: "core0", Addrs: []netip.Prefix{coreCarrier}}},
		{l.internet, uplink.Spec{Interface: "core1", Addrs: []netip.Prefix{coreFar}}},
		{l.internet, uplink.Spec{Interface: "lo", Addrs: []netip.Prefix{host(SMDPAddr), host(PortalAddr)}}},
	} {
		_, err := uplink.Apply(ctx, p.ns.conn, p.spec)
		if no6, ok := errors.AsType[*uplink.DegradedError](err); ok {
			l.log.Debug("the lab has no IPv6", "error", no6)
		} else if err != nil {
			return err
		}
	}
	if err := l.carrier.change(ctx, "core0", netlink.Add, toInternet(netip.PrefixFrom(netip.IPv4Unspecified(), 0))); err != nil {
		return err
	}
	return l.carrier.do(func() error {
		// /proc/sys/net shows the namespace of the thread.
		err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
		if err != nil {
			return fmt.Errorf("let the carrier forward packets: %w", err)
		}
		return nil
	})
}

// buildOther gives the router its other uplink, as an administrator would: the daemon must not take it for its own.
func (l *Lab) buildOther(ctx context.Context) error {
	if err := l.router.conn.AddVeth(ctx, "eth0", "net0", l.internet.fd()); err != nil {
		return err
	}
	if _, err := uplink.Apply(ctx, l.internet.conn, uplink.Spec{Interface: "net0", Addrs: []netip.Prefix{internetNet}}); err != nil {
		return err
	}
	if err := l.router.change(ctx, "eth0", netlink.Set, netlink.UpDown{Up: true}); err != nil {
		return err
	}
	return l.router.change(ctx, "eth0", netlink.Add,
		netlink.Addr{Prefix: routerNet},
		netlink.Route{Dst: routerNet.Masked(), Scope: netlink.ScopeLink, Table: netlink.TableMain, Protocol: protoStatic, Metric: OtherMetric},
		netlink.Route{
			Dst: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Gateway: internetNet.Addr(),
			Table: netlink.TableMain, Protocol: protoStatic, Metric: OtherMetric,
		})
}

// serveCarrier starts the 204 endpoint and the name server.
func (l *Lab) serveCarrier() error {
	if err := l.serveCarrierOn(ReachAddr, DNSAddr); err != nil {
		return err
	}
	if err := l.serveCarrierOn(ReachAddr6, DNSAddr6); err != nil {
		l.log.Debug("the lab has no IPv6", "error", err)
	}
	return nil
}

func (l *Lab) serveCarrierOn(reach, dns netip.Addr) error {
	ln, err := l.ListenCarrier("tcp", netip.AddrPortFrom(reach, 80).String())
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: &l.endpoint, ReadTimeout: time.Minute, MaxHeaderBytes: 4 << 10}
	l.servers.Go(func() { _ = srv.Serve(ln) })
	l.closers = append(l.closers, func() { _ = srv.Close() })

	var pc net.PacketConn
	err = l.carrier.do(func() error {
		pc, err = net.ListenPacket("udp", netip.AddrPortFrom(dns, 53).String())
		return err
	})
	if err != nil {
		return err
	}
	zone := l.opts.names()
	l.servers.Go(func() {
		b := make([]byte, 4096)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			if out := zone.answer(b[:n]); out != nil {
				_, _ = pc.WriteTo(out, from)
			}
		}
	})
	l.closers = append(l.closers, func() { _ = pc.Close() })
	return nil
}

// Options are those that the lab was made with.
func (l *Lab) Options() Options { return l.opts }

// Kernel is the router's.
func (l *Lab) Kernel() uplink.Kernel { return l.router.conn }

// ListenInternet opens a server in the internet, for example at SMDPAddr. The listener may be used on any goroutine.
func (l *Lab) ListenInternet(network, address string) (net.Listener, error) {
	return l.listen(l.internet, network, address)
}

// ListenCarrier opens a server at the carrier.
func (l *Lab) ListenCarrier(network, address string) (net.Listener, error) {
	return l.listen(l.carrier, network, address)
}

func (l *Lab) listen(ns *namespace, network, address string) (net.Listener, error) {
	var ln net.Listener
	err := ns.do(func() (err error) {
		ln, err = net.Listen(network, address)
		return err
	})
	return ln, err
}

// InRouter calls fn on a thread inside the router's namespace and waits. Only what fn does on its own goroutine is
// inside; sockets that it opened there stay there.
func (l *Lab) InRouter(fn func() error) error { return l.router.do(fn) }

// Start runs a child process in the router's namespace. It ends with this process, with the lab, or with ctx: SIGTERM
// first, SIGKILL 5 s later. The channel yields what cmd.Wait returned.
func (l *Lab) Start(ctx context.Context, cmd *exec.Cmd) (<-chan error, error) {
	return l.children.start(ctx, l.router, cmd)
}

// Run runs a child process in the router's namespace as Start does, and waits for it.
func (l *Lab) Run(ctx context.Context, cmd *exec.Cmd) error {
	ended, err := l.Start(ctx, cmd)
	if err != nil {
		return err
	}
	return <-ended
}

// EnterCommand is the beginning of a command line that runs a program in the router's namespace from another terminal
// of the same user. It works for as long as the lab lives.
func (l *Lab) EnterCommand() []string {
	pid := strconv.Itoa(os.Getpid())
	cmd := []string{"nsenter"}
	if InUserNamespace() {
		cmd = append(cmd, "--target", pid, "--user", "--preserve-credentials")
	}
	return append(cmd, "--net=/proc/"+pid+"/fd/"+strconv.Itoa(l.router.fd()), "--")
}

// Activate plugs the cell in.
func (l *Lab) Activate(lease Lease) error { return l.cell.activate(lease) }

// Deactivate unplugs it.
func (l *Lab) Deactivate() error { return l.cell.deactivate() }

// Blackhole makes an active cell swallow all packets.
func (l *Lab) Blackhole(on bool) error { return l.cell.blackhole(on) }

// Portal makes the 204 endpoint send everybody on.
func (l *Lab) Portal(location string) { l.endpoint.portal.Store(location) }

// Wall takes the carrier's way to the internet away, but for these hosts.
func (l *Lab) Wall(on bool, open ...netip.Addr) error { return l.cell.wall(on, open) }

// Counters reads the carrier's side of the cell.
func (l *Lab) Counters() (Counters, error) { return l.cell.counters() }

// Close ends children, servers and links, and waits for them.
func (l *Lab) Close() error {
	l.children.close()
	var errs []error
	if l.cell != nil {
		errs = append(errs, l.cell.close())
	}
	for _, c := range l.closers {
		c()
	}
	l.closers = nil
	l.servers.Wait()
	for _, ns := range []*namespace{l.router, l.carrier, l.internet} {
		ns.close()
	}
	return errors.Join(errs...)
}
