package netlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"dynamod/daemon/garden"
	"dynamod/netlink"
	"dynamod/netlink/dhcp"
	"dynamod/netlink/nlsim"
	"dynamod/netlink/ra"
	"dynamod/netlink/reach"
	"dynamod/netlink/uplink"
)

// Simulated is the network without a kernel: nlsim decides which way a connection takes, and the connection is a pipe in
// memory. It gets through only if the interface is up, addressed and routed as the lease says, and the cell is active.
// There are no file descriptors in it, so it runs inside testing/synctest.
type Simulated struct {
	opts     Options
	kernel   *nlsim.Kernel
	zone     names
	endpoint endpoint
	server   *http.Server
	wg       sync.WaitGroup

	mu        sync.Mutex
	active    *Lease
	swallow   bool
	wall      *[]netip.Addr // what is reached all the same; nil without a wall
	closed    bool
	listeners map[site]*memListener
	conns     map[*memConn]bool // over the cell
	n         Counters
}

// site is where a server is.
type site struct {
	carrier bool // else the internet
	addr    netip.AddrPort
}

var _ Network = (*Simulated)(nil)

// NewSimulated builds the network.
func NewSimulated(opts Options) (*Simulated, error) {
	s := &Simulated{
		opts:      opts,
		kernel:    nlsim.New(),
		zone:      opts.names(),
		listeners: make(map[site]*memListener),
		conns:     make(map[*memConn]bool),
	}
	modem := netlink.Link{Name: opts.Interface(), Type: netlink.TypeEthernet, HWAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	if opts.RawIP {
		modem.Type, modem.HWAddr, modem.NoARP = netlink.TypeNone, nil, true
	}
	s.kernel.AddLink(modem)
	if !opts.SingleUplink {
		if err := s.buildOther(); err != nil {
			return nil, fmt.Errorf("simulated network: %w", err)
		}
	}
	ln, err := s.ListenCarrier("tcp4", netip.AddrPortFrom(ReachAddr, 80).String())
	if err != nil {
		return nil, fmt.Errorf("simulated network: %w", err)
	}
	s.server = &http.Server{Handler: &s.endpoint}
	s.wg.Go(func() { _ = s.server.Serve(ln) })
	return s, nil
}

func (s *Simulated) buildOther() error {
	index := s.kernel.AddLink(netlink.Link{Name: "eth0", Type: netlink.TypeEthernet, HWAddr: net.HardwareAddr{2, 0, 0, 0, 0, 2}})
	s.kernel.SetCarrier("eth0", true)
	for _, c := range []netlink.Change{
		{Op: netlink.Set, Object: netlink.UpDown{Index: index, Dev: "eth0", Up: true}},
		{Op: netlink.Add, Object: netlink.Addr{Index: index, Dev: "eth0", Prefix: routerNet}},
		{Op: netlink.Add, Object: netlink.Route{
			Index: index, Dev: "eth0", Dst: routerNet.Masked(), Scope: netlink.ScopeLink,
			Table: netlink.TableMain, Protocol: 4, Metric: OtherMetric,
		}},
		{Op: netlink.Add, Object: netlink.Route{
			Index: index, Dev: "eth0", Dst: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Gateway: internetNet.Addr(),
			Table: netlink.TableMain, Protocol: 4, Metric: OtherMetric,
		}},
	} {
		if err := s.kernel.Change(context.Background(), c); err != nil {
			return err
		}
	}
	return nil
}

// Options are those that the network was made with.
func (s *Simulated) Options() Options { return s.opts }

// Kernel is the router's.
func (s *Simulated) Kernel() uplink.Kernel { return s.kernel }

// Walls are the router's.
func (s *Simulated) Walls() garden.Walls { return s.kernel }

// NLSim is the router's kernel with its faults.
func (s *Simulated) NLSim() *nlsim.Kernel { return s.kernel }

// Activate plugs the cell in.
func (s *Simulated) Activate(lease Lease) error {
	if !lease.Addr.IsValid() || !s.opts.RawIP && !lease.Addr.Contains(lease.Gateway) {
		return fmt.Errorf("simulated cell: %s is no lease with a gateway inside", lease.Addr)
	}
	if err := s.Deactivate(); err != nil {
		return err
	}
	s.mu.Lock()
	s.active, s.swallow = &lease, false
	s.mu.Unlock()
	s.kernel.SetCarrier(s.opts.Interface(), true)
	return nil
}

// Deactivate unplugs it; connections over it break.
func (s *Simulated) Deactivate() error {
	s.mu.Lock()
	s.active = nil
	var broken []*memConn
	for c := range s.conns {
		broken = append(broken, c)
	}
	s.mu.Unlock()
	s.kernel.SetCarrier(s.opts.Interface(), false)
	for _, c := range broken {
		_ = c.Close()
	}
	return nil
}

// Blackhole makes new connections hang and breaks those that are there.
func (s *Simulated) Blackhole(on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swallow = on && s.active != nil
	if s.swallow {
		for c := range s.conns {
			_ = c.Conn.SetDeadline(time.Unix(1, 0))
		}
	}
	return nil
}

// Portal makes the 204 endpoint send everybody on.
func (s *Simulated) Portal(location string) { s.endpoint.portal.Store(location) }

// Wall breaks the connections that it stands across, too.
func (s *Simulated) Wall(on bool, open ...netip.Addr) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wall = nil; !on {
		return nil
	}
	s.wall = &open
	for c := range s.conns {
		if !c.carrier && !slices.Contains(open, c.to.Addr()) {
			_ = c.Conn.SetDeadline(time.Unix(1, 0))
		}
	}
	return nil
}

// Counters count writes of connections over the cell.
func (s *Simulated) Counters() (Counters, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.n
	n.Reached = s.endpoint.reached.Load()
	return n, nil
}

// Close ends servers and connections.
func (s *Simulated) Close() error {
	err := s.Deactivate()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	err = errors.Join(err, s.server.Close())
	s.wg.Wait()
	return err
}

// DHCP gets a lease: the cell answers on Ethernet while it is active.
func (s *Simulated) DHCP(ctx context.Context, ifname string) (dhcp.Lease, error) {
	fail := func(err error) (dhcp.Lease, error) {
		return dhcp.Lease{}, fmt.Errorf("dhcp discover on %s: %w", ifname, err)
	}
	snap, err := s.kernel.Snapshot(ctx)
	if err != nil {
		return fail(err)
	}
	l, ok := snap.Link(ifname)
	switch {
	case !ok:
		return fail(syscall.ENODEV)
	case !l.Ethernet():
		return fail(dhcp.ErrNotEthernet)
	case !l.Up:
		return fail(syscall.ENETDOWN)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ifname != s.opts.Interface() || s.active == nil || s.swallow {
		return fail(dhcp.ErrNoAnswer)
	}
	s.n.Leases++
	a := s.active
	return dhcp.Lease{
		Addr: a.Addr, Gateway: a.Gateway, DNS: a.DNS, MTU: a.MTU, Server: a.Gateway,
		Obtained: time.Now(), Renew: time.Hour / 2, Rebind: time.Hour / 8 * 7, Valid: time.Hour,
	}, nil
}

// Advertised hears nothing: there is no IPv6.
func (s *Simulated) Advertised(ctx context.Context, _ string, _ netip.Addr, _ func(ra.Link)) error {
	<-ctx.Done()
	return nil
}

// KeepLease keeps a lease that nobody lets run out.
func (s *Simulated) KeepLease(ctx context.Context, _ string, _ dhcp.Lease, _ func(dhcp.Lease)) error {
	<-ctx.Done()
	return nil
}

// Dial connects from the router by its main routing table.
func (s *Simulated) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	return s.dial(ctx, network, netip.Addr{}, to, "")
}

// Dialer connects from the router by the link that the Spec describes.
func (s *Simulated) Dialer(spec uplink.Spec) reach.Dialer { return simDialer{s, spec.Dialer()} }

type simDialer struct {
	net *Simulated
	d   uplink.Dialer
}

func (d simDialer) source() netip.Addr {
	for _, a := range d.d.Sources {
		if a.Is4() {
			return a
		}
	}
	return netip.Addr{}
}

func (d simDialer) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if _, err := netip.ParseAddr(host); err == nil || len(d.d.DNS) == 0 {
		return d.d.LookupNetIP(ctx, network, host)
	}
	// The name server is a place in the network like any other: no way there, no answer.
	server := netip.AddrPortFrom(d.d.DNS[0], 53)
	if _, err := d.net.way(ctx, d.source(), server, d.d.Interface); err != nil {
		return nil, &net.DNSError{Err: err.Error(), Name: host, Server: server.String(), IsTimeout: true}
	}
	a, ok := d.net.zone.find(host)
	if server.Addr() != DNSAddr || !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, Server: server.String(), IsNotFound: true}
	}
	return []netip.Addr{a}, nil
}

func (d simDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := d.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	to, err := netip.ParseAddrPort(net.JoinHostPort(addrs[0].String(), port))
	if err != nil {
		return nil, err
	}
	return d.net.dial(ctx, network, d.source(), to, d.d.Interface)
}

// path is the way of a connection.
type path struct {
	source netip.Addr
	cell   bool // over the cell, else by eth0
}

// way finds out whether packets would arrive, and how. Where they would be lost it waits for the end of ctx.
func (s *Simulated) way(ctx context.Context, src netip.Addr, to netip.AddrPort, oif string) (path, error) {
	r, source, ok := s.kernel.Lookup(src, to.Addr(), oif)
	if !ok {
		return path{}, syscall.ENETUNREACH
	}
	snap, err := s.kernel.Snapshot(ctx)
	if err != nil {
		return path{}, err
	}
	if l, _ := snap.Link(r.Dev); !l.Carrier {
		return path{}, syscall.EHOSTUNREACH
	}
	if r.Dev != s.opts.Interface() {
		if r.Dev != "eth0" || source != routerNet.Addr() {
			return path{}, lost(ctx)
		}
		return path{source: source}, nil
	}
	s.mu.Lock()
	active, swallow := s.active, s.swallow
	s.mu.Unlock()
	switch {
	case active == nil:
		return path{}, syscall.EHOSTUNREACH
	case !s.opts.RawIP && r.Gateway != active.Gateway && !active.Addr.Contains(to.Addr()):
		return path{}, syscall.EHOSTUNREACH // nobody answers the ARP request
	case swallow, source != active.Addr.Addr():
		return path{}, lost(ctx) // the carrier drops what it did not hand out
	}
	return path{source: source, cell: true}, nil
}

// connectTimeout is how long Linux repeats a SYN with default settings, roughly.
const connectTimeout = 2 * time.Minute

func lost(ctx context.Context) error {
	t := time.NewTimer(connectTimeout)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return syscall.ETIMEDOUT
	}
}

func (s *Simulated) dial(ctx context.Context, network string, src netip.Addr, to netip.AddrPort, oif string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(to), Err: err}
	}
	if network != "tcp" && network != "tcp4" {
		return fail(net.UnknownNetworkError(network))
	}
	p, err := s.way(ctx, src, to, oif)
	if err != nil {
		return fail(err)
	}
	if p.cell && oif == "" && !s.kernel.Passes(s.opts.Interface(), to.Addr()) {
		return fail(syscall.ECONNREFUSED)
	}
	s.mu.Lock()
	ln := s.listeners[site{carrier: false, addr: to}]
	if l := s.listeners[site{carrier: true, addr: to}]; l != nil && p.cell {
		ln = l
	}
	walled := p.cell && (ln == nil || !ln.site.carrier) && s.wall != nil && !slices.Contains(*s.wall, to.Addr())
	s.mu.Unlock()
	if walled {
		return fail(syscall.ENETUNREACH)
	}
	if ln == nil {
		if !p.cell && to.Addr() == ReachAddr {
			return fail(lost(ctx)) // the internet has no way there
		}
		return fail(syscall.ECONNREFUSED)
	}
	c, err := s.connect(ctx, ln, p, to)
	if err != nil {
		return fail(err)
	}
	return c, nil
}
