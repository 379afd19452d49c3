package uplink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// Dialer opens connections that leave by one interface, whatever the main routing table prefers: sockets are bound to
// the interface and to our address, names are asked for at the link's own DNS servers over the link. (A name in
// /etc/hosts is not asked for.) Its DialContext fits http.Transport.
type Dialer struct {
	Interface string
	Sources   []netip.Addr // our addresses on the link; the first of the wanted family is taken
	DNS       []netip.Addr // the link's DNS servers, asked in turn

	// Allow, if not nil, says which addresses are connected to. Its error is for those that are not; of a name's
	// addresses they are left out, and it is DialContext's where none is left.
	Allow func(netip.Addr) error

	// Mark, if not 0, is the mark of the sockets (SO_MARK), by which nft.Wall knows them.
	Mark uint32

	// RecvBuffer, if not 0, bounds how many bytes the other end of a TCP connection may send ahead.
	RecvBuffer int
}

// Dialer gives the dialer of a link that is as the Spec says.
func (s Spec) Dialer() Dialer {
	d := Dialer{Interface: s.Interface, DNS: s.DNS}
	for _, p := range s.Addrs {
		if !p.Addr().IsLinkLocalUnicast() {
			d.Sources = append(d.Sources, p.Addr())
		}
	}
	return d
}

// ErrNoDNS: a name is to be looked up, and the link brought no DNS server.
var ErrNoDNS = errors.New("no dns server on this link")

// maxAddresses is how many addresses of a name are tried.
const maxAddresses = 4

// DialContext connects over the link. network is "tcp" or "udp", or either with "4" or "6".
func (d Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return nil, err
	}
	family := "ip"
	if n := network[len(network)-1:]; n == "4" || n == "6" {
		family += n
	}
	addrs, err := d.LookupNetIP(ctx, family, host)
	if err != nil {
		return nil, err
	}
	if addrs, err = d.allowed(addrs); err != nil {
		return nil, err
	}
	var errs []error
	for _, a := range addrs[:min(len(addrs), maxAddresses)] {
		c, err := d.dial(ctx, network, netip.AddrPortFrom(a, uint16(port)))
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// LookupNetIP finds the addresses of a name that the link can reach, asking over the link. An address stands for
// itself. network is "ip", "ip4" or "ip6".
func (d Dialer) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return d.lookUp(ctx, network, host, func(c net.Conn) net.Conn { return c })
}

// lookUp is LookupNetIP; watch may look at what the name servers answer.
func (d Dialer) lookUp(ctx context.Context, network, host string, watch func(net.Conn) net.Conn) ([]netip.Addr, error) {
	if network == "ip" {
		network += d.family() // a question for the other one costs bytes and is of no use
	}
	var addrs []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{a.Unmap()}
	} else {
		if len(d.DNS) == 0 {
			return nil, fmt.Errorf("look up %s on %s: %w", host, d.Interface, ErrNoDNS)
		}
		var turn atomic.Uint32
		r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			server := d.DNS[int(turn.Add(1)-1)%len(d.DNS)]
			c, err := d.dial(ctx, network, netip.AddrPortFrom(server, 53))
			if err != nil {
				return nil, err
			}
			return watch(c), nil
		}}
		// The final dot: no search domain of the box belongs to this link.
		addrs, err = r.LookupNetIP(ctx, network, absolute(host))
		if err != nil {
			return nil, err
		}
		for i := range addrs {
			addrs[i] = addrs[i].Unmap()
		}
	}
	addrs = slices.DeleteFunc(addrs, func(a netip.Addr) bool {
		return network == "ip4" && !a.Is4() || network == "ip6" && !a.Is6() || len(d.Sources) > 0 && !d.source(a).IsValid()
	})
	if len(addrs) == 0 {
		return nil, fmt.Errorf("look up %s on %s: no address of a family that the link has", host, d.Interface)
	}
	return addrs, nil
}

// allowed leaves out the addresses that Allow does not; with none left the error is Allow's.
func (d Dialer) allowed(addrs []netip.Addr) (left []netip.Addr, err error) {
	if d.Allow == nil {
		return addrs, nil
	}
	for _, a := range addrs {
		if e := d.Allow(a); e == nil {
			left = append(left, a)
		} else if err == nil {
			err = e
		}
	}
	if len(left) > 0 {
		err = nil
	}
	return left, err
}

func absolute(host string) string {
	if host != "" && host[len(host)-1] == '.' {
		return host
	}
	return host + "."
}

// family is "4" or "6" where the link has only that one.
func (d Dialer) family() string {
	is4 := func(a netip.Addr) bool { return a.Is4() }
	switch four := slices.ContainsFunc(d.Sources, is4); {
	case len(d.Sources) == 0:
		return ""
	case !four:
		return "6"
	case !slices.ContainsFunc(d.Sources, func(a netip.Addr) bool { return !is4(a) }):
		return "4"
	}
	return ""
}

// source is our address for packets to a.
func (d Dialer) source(a netip.Addr) netip.Addr {
	i := slices.IndexFunc(d.Sources, func(s netip.Addr) bool { return s.Is4() == a.Is4() })
	if i < 0 {
		return netip.Addr{}
	}
	return d.Sources[i]
}

func (d Dialer) dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	nd := net.Dialer{
		FallbackDelay: -1, // one family at a time, in the resolver's order
		KeepAlive:     -time.Second,
		Control: func(network, _ string, rc syscall.RawConn) error {
			var err error
			return errors.Join(rc.Control(func(fd uintptr) { err = d.bind(network, fd) }), err)
		},
	}
	if src := d.source(to.Addr()); src.IsValid() {
		if network[:3] == "udp" {
			nd.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(src, 0))
		} else {
			nd.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(src, 0))
		}
	}
	return nd.DialContext(ctx, network, net.JoinHostPort(to.Addr().String(), strconv.Itoa(int(to.Port()))))
}
