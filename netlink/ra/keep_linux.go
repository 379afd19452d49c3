package ra

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

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
	*net.IPConn
}

func open(ifname string) (*socket, error) {
	ifi, err := net.InterfaceByName(ifname)
	if err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
		var serr error
		err := rc.Control(func(fd uintptr) { serr = prepare(int(fd), ifi) })
		return errors.Join(err, serr)
	}}
	pc, err := lc.ListenPacket(context.Background(), "ip6:ipv6-icmp", "::")
	if err != nil {
		return nil, err
	}
	return &socket{ifname: ifname, index: ifi.Index, IPConn: pc.(*net.IPConn)}, nil
}

// prepare lets advertisements in (RFC 3542, 3.2: a bit that is set blocks a type), with the hops that they may still
// make, and solicitations out.
func prepare(fd int, ifi *net.Interface) error {
	var filter unix.ICMPv6Filter
	for i := range filter.Data {
		filter.Data[i] = ^uint32(0)
	}
	filter.Data[typeAdvert/32] &^= 1 << (typeAdvert % 32)
	return errors.Join(
		unix.BindToDevice(fd, ifi.Name),
		unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &filter),
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, ifi.Index),
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255),
	)
}

func (s *socket) close() { s.IPConn.Close() }

// solicit sends without the source's link-layer address: the router asks for it.
func (s *socket) solicit() error {
	_, err := s.WriteTo([]byte{typeSolicit, 0, 0, 0, 0, 0, 0, 0}, &net.IPAddr{IP: net.IPv6linklocalallrouters, Zone: s.ifname})
	return err
}

func (s *socket) receive(ctx context.Context) ([]byte, netip.Addr, error) {
	defer context.AfterFunc(ctx, func() { _ = s.SetReadDeadline(time.Unix(1, 0)) })()
	b, control := make([]byte, 2048), make([]byte, 64)
	for {
		n, cn, _, from, err := s.ReadMsgIP(b, control)
		if err != nil {
			return nil, netip.Addr{}, err
		}
		// RFC 4861, 6.1.2: 255 proves that no router has forwarded it.
		if a, ok := netip.AddrFromSlice(from.IP); ok && hopLimit(control[:cn]) == 255 {
			return b[:n:n], a, nil
		}
	}
}

// hopLimit is that of a packet, by what the kernel tells beside it, 0 if it does not.
func hopLimit(control []byte) int {
	list, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0
	}
	for _, m := range list {
		if m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_HOPLIMIT && len(m.Data) >= 4 {
			return int(binary.NativeEndian.Uint32(m.Data))
		}
	}
	return 0
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
