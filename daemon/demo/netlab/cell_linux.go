package netlab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"

	"dynamod/netlink"
	"dynamod/netlink/uplink"
)

// cellTimeout bounds what the kernel may take for one change of the cell.
const cellTimeout = 30 * time.Second

// cell is the air between modem and carrier. Its carrier side is cell0, its router side the modem's interface.
type cell struct {
	lab *Lab
	tun *tunPair // raw IP only

	mu       sync.Mutex
	active   *Lease
	dhcp     *dhcpServer // Ethernet only, while active
	ra       *advertiser // the same, with IPv6
	swallow  bool
	walled   bool
	open     []netip.Addr // behind the wall
	leases   int64
	releases int64
}

const cellDev = "cell0"

func newCell(ctx context.Context, l *Lab) (*cell, error) {
	c := &cell{lab: l}
	if l.opts.RawIP {
		var err error
		if c.tun, err = newTUNPair(l.router, l.carrier, l.opts.Interface(), cellDev); err != nil {
			return nil, err
		}
		return c, setCarrier(c.tun.router, false)
	}
	// The router's end has no carrier as long as cell0 is down.
	return c, l.router.conn.AddVeth(ctx, l.opts.Interface(), cellDev, l.carrier.fd())
}

func (c *cell) activate(lease Lease) error {
	only6 := !lease.Addr.IsValid() && lease.Addr6.IsValid() && c.tun == nil
	if !only6 && (!lease.Addr.IsValid() || !lease.Addr.Addr().Is4()) {
		return fmt.Errorf("lab cell: %s is no IPv4 address", lease.Addr)
	}
	if c.tun == nil && !only6 && (!lease.Gateway.IsValid() || !lease.Addr.Contains(lease.Gateway)) {
		return fmt.Errorf("lab cell: Ethernet needs a gateway inside of %s", lease.Addr.Masked())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), cellTimeout)
	defer cancel()
	if err := c.unplug(ctx); err != nil {
		return err
	}
	c.active = &lease
	if err := c.plug(ctx); err != nil {
		return errors.Join(err, c.unplug(ctx))
	}
	return nil
}

func (c *cell) deactivate() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), cellTimeout)
	defer cancel()
	return c.unplug(ctx)
}

// spec is the carrier's side of the cell. On raw IP its own address does not matter.
func (c *cell) spec() uplink.Spec {
	if !c.active.Addr.IsValid() {
		return uplink.Spec{Interface: cellDev}
	}
	s := uplink.Spec{Interface: cellDev, Addrs: []netip.Prefix{netip.PrefixFrom(coreCarrier.Addr(), 32)}}
	if c.tun == nil {
		s.Addrs = []netip.Prefix{netip.PrefixFrom(c.active.Gateway, c.active.Addr.Bits())}
	}
	return s
}

// toRouter is the carrier's route to the router's address.
func (c *cell) toRouter() netlink.Route {
	return netlink.Route{
		Dst: netip.PrefixFrom(c.active.Addr.Addr(), 32), Scope: netlink.ScopeLink,
		Table: netlink.TableMain, Protocol: protoStatic,
	}
}

// fromInternet is the internet's.
func (c *cell) fromInternet() netlink.Route {
	r := c.toRouter()
	r.Gateway, r.Scope = coreCarrier.Addr(), netlink.ScopeGlobal
	return r
}

func (c *cell) plug(ctx context.Context) error {
	l := c.lab
	if err := c.plug6(ctx); err != nil || !c.active.Addr.IsValid() {
		return err
	}
	if _, err := uplink.Apply(ctx, l.carrier.conn, c.spec()); err != nil {
		return err
	}
	if err := l.carrier.change(ctx, cellDev, netlink.Add, c.toRouter()); err != nil {
		return err
	}
	if err := l.internet.change(ctx, "core1", netlink.Add, c.fromInternet()); err != nil {
		return err
	}
	if c.tun != nil {
		c.tun.on.Store(true)
		return setCarrier(c.tun.router, true)
	}
	var err error
	c.dhcp, err = c.serveDHCP()
	return err
}

// plug6 is IPv6 of an Ethernet cell.
func (c *cell) plug6(ctx context.Context) (err error) {
	if c.tun != nil || !c.active.Addr6.IsValid() {
		return nil
	}
	if err := uplink.Up(ctx, c.lab.carrier.conn, cellDev); err != nil {
		return err
	}
	if err := c.lab.carrier.change(ctx, cellDev, netlink.Add, c.toRouter6()); err != nil {
		return err
	}
	c.ra, err = c.advertise()
	return err
}

// unplug takes down what plug made, wherever it stopped.
func (c *cell) unplug(ctx context.Context) error {
	if c.active == nil {
		return nil
	}
	l := c.lab
	var errs []error
	if c.tun != nil {
		c.tun.on.Store(false)
		errs = append(errs, setCarrier(c.tun.router, false))
	}
	if c.dhcp != nil {
		c.dhcp.close()
		c.dhcp = nil
	}
	if c.ra != nil {
		c.ra.close()
		c.ra = nil
	}
	if c.active.Addr6.IsValid() && c.tun == nil {
		_ = l.carrier.change(ctx, cellDev, netlink.Delete, c.toRouter6())
	}
	// Whatever plug had not come to is not there to be deleted.
	_ = l.internet.change(ctx, "core1", netlink.Delete, c.fromInternet())
	_ = l.carrier.change(ctx, cellDev, netlink.Delete, c.toRouter())
	if c.swallow && c.tun == nil {
		errs = append(errs, l.carrier.change(ctx, "core0", netlink.Delete, c.toNowhere()))
	}
	c.swallow = false
	_, err := uplink.Down(ctx, l.carrier.conn, c.spec())
	c.active = nil
	return errors.Join(append(errs, err)...)
}

// blackhole lets nothing come back to the router.
func (c *cell) blackhole(on bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active == nil || on == c.swallow {
		return nil
	}
	c.swallow = on
	if c.tun != nil {
		c.tun.on.Store(!on)
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), cellTimeout)
	defer cancel()
	if on {
		return errors.Join(
			c.lab.carrier.change(ctx, cellDev, netlink.Delete, c.toRouter()),
			c.lab.carrier.change(ctx, "core0", netlink.Add, c.toNowhere()))
	}
	return errors.Join(
		c.lab.carrier.change(ctx, "core0", netlink.Delete, c.toNowhere()),
		c.lab.carrier.change(ctx, cellDev, netlink.Add, c.toRouter()))
}

// toNowhere leads the router's packets to the internet, which sends them back until they die.
func (c *cell) toNowhere() netlink.Route {
	r := c.toRouter()
	r.Gateway, r.Scope = coreFar.Addr(), netlink.ScopeGlobal
	return r
}

// wall takes the carrier's way to the internet away, but for single hosts.
func (c *cell) wall(on bool, open []netip.Addr) error {
	ctx, cancel := context.WithTimeout(context.Background(), cellTimeout)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	ns := c.lab.carrier
	for _, a := range c.open {
		if err := ns.change(ctx, "core0", netlink.Delete, toInternet(netip.PrefixFrom(a, a.BitLen()))); err != nil {
			return err
		}
	}
	c.open = nil
	everywhere := toInternet(netip.PrefixFrom(netip.IPv4Unspecified(), 0))
	if on != c.walled {
		op := netlink.Add
		if on {
			op = netlink.Delete
		}
		if err := ns.change(ctx, "core0", op, everywhere); err != nil {
			return err
		}
		c.walled = on
	}
	if !on {
		return nil
	}
	for _, a := range open {
		if !a.Is4() || slices.Contains(c.open, a) {
			continue
		}
		if err := ns.change(ctx, "core0", netlink.Add, toInternet(netip.PrefixFrom(a, a.BitLen()))); err != nil {
			return err
		}
		c.open = append(c.open, a)
	}
	return nil
}

// toInternet is the carrier's route there.
func toInternet(dst netip.Prefix) netlink.Route {
	return netlink.Route{Dst: dst, Gateway: coreFar.Addr(), Table: netlink.TableMain, Protocol: protoStatic}
}

// counters reads cell0's: what the carrier received is what went up.
func (c *cell) counters() (Counters, error) {
	n := Counters{Reached: c.lab.endpoint.reached.Load()}
	c.mu.Lock()
	n.Leases, n.Releases = c.leases, c.releases
	c.mu.Unlock()
	err := c.lab.carrier.do(func() error {
		f, err := os.Open("/proc/thread-self/net/dev")
		if err != nil {
			return err
		}
		defer f.Close()
		for sc := bufio.NewScanner(f); sc.Scan(); {
			dev, rest, ok := strings.Cut(sc.Text(), ":")
			if !ok || strings.TrimSpace(dev) != cellDev {
				continue
			}
			var skip int64
			_, err := fmt.Sscan(rest, &n.UpBytes, &n.Up, &skip, &skip, &skip, &skip, &skip, &skip, &n.DownBytes, &n.Down)
			return err
		}
		return errors.New("no counters of " + cellDev)
	})
	return n, err
}

func (c *cell) close() error {
	err := c.deactivate()
	if c.tun != nil {
		c.tun.close()
	}
	return err
}

// dhcpServer is the modem's little DHCP server: one address, always the same client.
type dhcpServer struct {
	srv *server4.Server
	wg  sync.WaitGroup
}

func (c *cell) serveDHCP() (*dhcpServer, error) {
	d := &dhcpServer{}
	lease := *c.active
	handle := func(conn net.PacketConn, peer net.Addr, m *dhcpv4.DHCPv4) {
		out := c.answerDHCP(lease, m)
		if out == nil {
			return
		}
		answer := func() { _, _ = conn.WriteTo(out.ToBytes(), peer) }
		answer()
		// When the cell is first plugged in our end's queue opens a moment after the
		// router's, and until then the kernel drops what is sent without a word: the
		// router would have to ask again, 2 s later. Who has the first one drops this.
		if m.MessageType() == dhcpv4.MessageTypeDiscover {
			time.AfterFunc(20*time.Millisecond, answer)
		}
	}
	err := c.lab.carrier.do(func() (err error) {
		d.srv, err = server4.NewServer(cellDev, nil, handle)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lab cell: dhcp server: %w", err)
	}
	d.wg.Go(func() { _ = d.srv.Serve() })
	return d, nil
}

// leaseTime is what home routers and modems usually grant.
const leaseTime = 3600

func (c *cell) answerDHCP(l Lease, m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	typ := dhcpv4.MessageTypeAck
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		typ = dhcpv4.MessageTypeOffer
	case dhcpv4.MessageTypeRequest:
		want := m.RequestedIPAddress()
		if want == nil {
			want = m.ClientIPAddr
		}
		if a, ok := netip.AddrFromSlice(want.To4()); !ok || a != l.Addr.Addr() {
			typ = dhcpv4.MessageTypeNak
			break
		}
		c.count(&c.leases)
	case dhcpv4.MessageTypeRelease:
		c.count(&c.releases)
		return nil
	default:
		return nil
	}
	gateway := net.IP(l.Gateway.AsSlice())
	mods := []dhcpv4.Modifier{
		dhcpv4.WithMessageType(typ),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(gateway)),
	}
	if typ != dhcpv4.MessageTypeNak {
		var dns []net.IP
		for _, a := range l.DNS {
			if a.Is4() {
				dns = append(dns, a.AsSlice())
			}
		}
		mods = append(mods,
			dhcpv4.WithYourIP(l.Addr.Addr().AsSlice()),
			dhcpv4.WithNetmask(net.CIDRMask(l.Addr.Bits(), 32)),
			dhcpv4.WithOption(dhcpv4.OptRouter(gateway)),
			dhcpv4.WithLeaseTime(leaseTime))
		if len(dns) > 0 {
			mods = append(mods, dhcpv4.WithOption(dhcpv4.OptDNS(dns...)))
		}
		if l.MTU != 0 {
			mods = append(mods, dhcpv4.WithGeneric(dhcpv4.OptionInterfaceMTU, []byte{byte(l.MTU >> 8), byte(l.MTU)}))
		}
	}
	out, err := dhcpv4.NewReplyFromRequest(m, mods...)
	if err != nil {
		return nil
	}
	return out
}

func (c *cell) count(n *int64) {
	c.mu.Lock()
	*n++
	c.mu.Unlock()
}

func (d *dhcpServer) close() {
	_ = d.srv.Close()
	d.wg.Wait()
}
