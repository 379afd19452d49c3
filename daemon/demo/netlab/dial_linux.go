package netlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"dynamod/daemon/garden"
	"dynamod/netlink/dhcp"
	"dynamod/netlink/nft"
	"dynamod/netlink/reach"
	"dynamod/netlink/uplink"
)

// Dial connects from the router by its main routing table. The address is an IP address and a port.
func (l *Lab) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, err
	}
	var c net.Conn
	err := l.router.do(func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// DHCP gets a lease for an interface of the router, which must be up.
func (l *Lab) DHCP(ctx context.Context, ifname string) (dhcp.Lease, error) {
	var lease dhcp.Lease
	err := l.router.do(func() (err error) {
		lease, err = dhcp.New(dhcp.Config{Interface: ifname, Log: l.log}).Acquire(ctx)
		return err
	})
	return lease, err
}

// KeepLease renews a lease of the router's.
func (l *Lab) KeepLease(ctx context.Context, ifname string, lease dhcp.Lease, changed func(dhcp.Lease)) error {
	return l.router.do(func() error {
		return dhcp.New(dhcp.Config{Interface: ifname, Log: l.log}).Keep(ctx, lease, changed)
	})
}

// Dialer connects from the router by the link that the Spec describes.
func (l *Lab) Dialer(s uplink.Spec) reach.Dialer {
	d := s.Dialer()
	d.Mark = nft.Mark
	return labDialer{l, d}
}

// Walls are the router's.
func (l *Lab) Walls() garden.Walls { return nft.Kernel{NetNS: l.router.fd()} }

// labDialer is an uplink.Dialer that stays on threads of the router: Go's own resolver would ask on other ones.
type labDialer struct {
	lab *Lab
	uplink.Dialer
}

func (d labDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := d.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	return d.dial(ctx, network, net.JoinHostPort(addrs[0].String(), port))
}

func (d labDialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var c net.Conn
	err := d.lab.router.do(func() (err error) {
		c, err = d.Dialer.DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// dnsTries and dnsTimeout are a stub resolver's: resolv.conf(5).
const (
	dnsTries   = 2
	dnsTimeout = 5 * time.Second
)

// LookupTTL is LookupNetIP: the lab's answers hold for a second.
func (d labDialer) LookupTTL(ctx context.Context, network, host string) ([]netip.Addr, time.Duration, error) {
	addrs, err := d.LookupNetIP(ctx, network, host)
	return addrs, time.Second, err
}

func (d labDialer) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if _, err := netip.ParseAddr(host); err == nil || len(d.DNS) == 0 {
		return d.Dialer.LookupNetIP(ctx, network, host)
	}
	var errs []error
	for i := range dnsTries {
		server := netip.AddrPortFrom(d.DNS[i%len(d.DNS)], 53).String()
		addrs, err := d.queryAll(ctx, server, host)
		if err == nil {
			return addrs, nil
		}
		errs = append(errs, err)
		var de *net.DNSError
		if ctx.Err() != nil || errors.As(err, &de) && de.IsNotFound {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// queryAll asks one server for the addresses of a name that the link can reach.
func (d labDialer) queryAll(ctx context.Context, server, host string) (addrs []netip.Addr, err error) {
	for _, typ := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		if len(d.Sources) > 0 && !slices.ContainsFunc(d.Sources, func(a netip.Addr) bool { return a.Is4() == (typ == dnsmessage.TypeA) }) {
			continue
		}
		var more []netip.Addr
		if more, err = d.query(ctx, server, host, typ); err == nil {
			addrs = append(addrs, more...)
		}
	}
	if len(addrs) > 0 {
		return addrs, nil
	}
	return nil, err
}

// query asks one server for the addresses of a name of one type.
func (d labDialer) query(ctx context.Context, server, host string, typ dnsmessage.Type) ([]netip.Addr, error) {
	fail := func(err error) ([]netip.Addr, error) {
		return nil, fmt.Errorf("look up %s at %s: %w", host, server, err)
	}
	ctx, cancel := context.WithTimeout(ctx, dnsTimeout)
	defer cancel()
	name, err := dnsmessage.NewName(host + ".")
	if err != nil {
		return fail(err)
	}
	id := uint16(time.Now().UnixNano())
	q := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: typ, Class: dnsmessage.ClassINET}},
	}
	out, err := q.Pack()
	if err != nil {
		return fail(err)
	}
	c, err := d.dial(ctx, "udp", server)
	if err != nil {
		return fail(err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	if _, err := c.Write(out); err != nil {
		return fail(err)
	}
	b := make([]byte, 1500)
	for {
		n, err := c.Read(b)
		if err != nil {
			return fail(err)
		}
		var m dnsmessage.Message
		if m.Unpack(b[:n]) != nil || m.ID != id || !m.Response {
			continue
		}
		var addrs []netip.Addr
		for _, a := range m.Answers {
			switch r := a.Body.(type) {
			case *dnsmessage.AResource:
				addrs = append(addrs, netip.AddrFrom4(r.A))
			case *dnsmessage.AAAAResource:
				addrs = append(addrs, netip.AddrFrom16(r.AAAA))
			}
		}
		if len(addrs) == 0 {
			return nil, &net.DNSError{Err: "no such host", Name: host, Server: server, IsNotFound: true}
		}
		return addrs, nil
	}
}
