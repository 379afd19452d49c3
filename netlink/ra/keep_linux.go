package ra

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// Keep solicits and listens on an interface, which must be up, in the network namespace of the calling thread, until ctx
// ends; then it returns nil. changed is called with what a host makes of what it hears, whenever that changes; a Link
// without addresses when the last one or its router is over.
func Keep(ctx context.Context, cfg Config, changed func(Link)) error {
	c, err := open(cfg.Interface)
	if err == nil {
		defer c.close()
		err = keep(ctx, c, cfg, changed)
	}
	if err != nil {
		return fmt.Errorf("router advertisements on %s: %w", cfg.Interface, err)
	}
	return nil
}

// Ours keeps the kernel from acting on advertisements by itself on an interface: its addresses and default routes
// would stand beside ours.
func Ours(ifname string) error {
	return os.WriteFile("/proc/sys/net/ipv6/conf/"+ifname+"/accept_ra", []byte("0"), 0)
}

// socket is a raw ICMPv6 socket of one interface. The kernel checks and fills in checksums.
type socket struct {
	ifname string
	index  int
	net.PacketConn
	six *ipv6.PacketConn
}

func open(ifname string) (*socket, error) {
	ifi, err := net.InterfaceByName(ifname)
	if err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
		var serr error
		err := rc.Control(func(fd uintptr) { serr = unix.BindToDevice(int(fd), ifname) })
		return errors.Join(err, serr)
	}}
	pc, err := lc.ListenPacket(context.Background(), "ip6:ipv6-icmp", "::")
	if err != nil {
		return nil, err
	}
	s := &socket{ifname: ifname, index: ifi.Index, PacketConn: pc, six: ipv6.NewPacketConn(pc)}
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterAdvertisement)
	if err := errors.Join(s.six.SetICMPFilter(&filter), s.six.SetControlMessage(ipv6.FlagHopLimit, true), s.six.SetMulticastInterface(ifi), s.six.SetMulticastHopLimit(255)); err != nil {
		pc.Close()
		return nil, err
	}
	return s, nil
}

func (s *socket) close() { s.PacketConn.Close() }

// solicit sends without the source's link-layer address: the router asks for it.
func (s *socket) solicit() error {
	_, err := s.WriteTo([]byte{typeSolicit, 0, 0, 0, 0, 0, 0, 0}, &net.IPAddr{IP: net.IPv6linklocalallrouters, Zone: s.ifname})
	return err
}

func (s *socket) receive(ctx context.Context) ([]byte, netip.Addr, error) {
	defer context.AfterFunc(ctx, func() { _ = s.SetReadDeadline(time.Unix(1, 0)) })()
	b := make([]byte, 2048)
	for {
		n, cm, from, err := s.six.ReadFrom(b)
		if err != nil {
			return nil, netip.Addr{}, err
		}
		// RFC 4861, 6.1.2: 255 proves that no router has forwarded it.
		if ip, ok := from.(*net.IPAddr); ok && cm != nil && cm.HopLimit == 255 {
			if a, ok := netip.AddrFromSlice(ip.IP); ok {
				return b[:n:n], a, nil
			}
		}
	}
}

// iid waits for nothing: an address under duplicate address detection is not there yet for the kernel, which then
// refuses to send from it.
func (s *socket) iid() (iid [8]byte, err error) {
	ifi, err := net.InterfaceByIndex(s.index)
	if err != nil {
		return iid, err
	}
	addrs, err := ifi.Addrs()
	if err != nil {
		return iid, err
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
			ip := p.Addr().As16()
			return [8]byte(ip[8:]), nil
		}
	}
	return iid, errNoLinkLocal
}
