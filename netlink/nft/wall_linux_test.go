package nft

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	mdnetlink "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"dynamod/netlink"
	"dynamod/netlink/internal/nstest"
)

var wall = Wall{Table: "dynamod-test", Interface: "wwan0"}

// box is a router of its own namespace: wwan0 leads outside, lan0 to its clients.
type box struct {
	t         *testing.T
	wwan, lan *os.File
	k         Kernel
}

func withBox(t *testing.T, test func(b *box)) {
	nstest.Run(t, func() {
		b := &box{t: t, wwan: nstest.Tun(t, "wwan0"), lan: nstest.Tun(t, "lan0")}
		if err := (Kernel{}).Raise(t.Context(), wall, nil); errors.Is(err, ErrUnsupported) {
			t.Skip(err)
		}
		if err := (Kernel{}).Fall(t.Context(), wall.Table); err != nil {
			t.Error(err)
			return
		}
		c := nstest.Dial(t, 0)
		for _, dev := range []struct {
			name, addr4, addr6 string
			routes             []string
		}{
			{"wwan0", "10.64.3.7/32", "2001:db8:1::7/128", []string{"0.0.0.0/0", "::/0"}},
			{"lan0", "192.168.1.1/24", "2001:db8:2::1/64", []string{"192.168.1.0/24"}},
		} {
			snap, err := c.Snapshot(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			l, _ := snap.Link(dev.name)
			_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+dev.name+"/accept_dad", []byte("0"), 0)
			for _, ch := range []netlink.Change{
				{Op: netlink.Set, Object: netlink.UpDown{Index: l.Index, Dev: dev.name, Up: true}},
				{Op: netlink.Add, Object: netlink.Addr{Index: l.Index, Dev: dev.name, Prefix: netip.MustParsePrefix(dev.addr4)}},
				{Op: netlink.Add, Object: netlink.Addr{Index: l.Index, Dev: dev.name, Prefix: netip.MustParsePrefix(dev.addr6)}},
			} {
				if err := c.Change(t.Context(), ch); err != nil {
					t.Errorf("%v", err)
					return
				}
			}
			for _, dst := range dev.routes {
				r := netlink.Route{Index: l.Index, Dev: dev.name, Dst: netip.MustParsePrefix(dst), Table: netlink.TableMain, Protocol: 4}
				if r.Dst.Addr().Is4() {
					r.Scope = netlink.ScopeLink
				}
				if err := c.Change(t.Context(), netlink.Change{Op: netlink.Add, Object: r}); err != nil {
					t.Errorf("%v", err)
					return
				}
			}
		}
		// A test asks faster than the kernel would tell.
		for _, f := range [][2]string{{"ipv4/ip_forward", "1"}, {"ipv6/conf/all/forwarding", "1"}, {"ipv4/icmp_ratelimit", "0"}, {"ipv4/icmp_msgs_per_sec", "100000"}, {"ipv4/icmp_msgs_burst", "100000"}} {
			if err := os.WriteFile("/proc/sys/net/"+f[0], []byte(f[1]), 0); errors.Is(err, os.ErrNotExist) {
				continue // of the whole machine, in older kernels
			} else if err != nil {
				t.Error(err)
				return
			}
		}
		test(b)
	})
}

// read is the next UDP datagram's payload, or the SYN, that leaves by a device, "" if
// there is none.
func read(f *os.File) string {
	buf := make([]byte, 2000)
	for range 200 {
		n, err := unix.Read(int(f.Fd()), buf)
		if errors.Is(err, unix.EAGAIN) {
			return ""
		}
		if err != nil {
			return err.Error()
		}
		if p := buf[:n]; p[0]>>4 == 4 && p[9] == unix.IPPROTO_UDP {
			return string(p[28:])
		} else if p[0]>>4 == 4 && p[9] == unix.IPPROTO_TCP {
			return "tcp"
		} else if p[0]>>4 == 6 && p[6] == unix.IPPROTO_UDP {
			return string(p[48:])
		}
	}
	return "no end"
}

// sent tells whether a datagram of the box's own leaves by wwan0.
func (b *box) sent(to string) bool {
	b.t.Helper()
	c, err := net.Dial("udp", to)
	if err != nil {
		b.t.Errorf("%v", err)
		return false
	}
	defer c.Close()
	_, err = c.Write([]byte(to))
	got := read(b.wwan)
	if (err == nil) != (got == to) {
		b.t.Errorf("%s: %q left, %v", to, got, err)
	}
	return got == to
}

// forwarded tells whether a client's datagram does, and whether it is answered if not.
func (b *box) forwarded(to string) bool {
	b.t.Helper()
	_, err := unix.Write(int(b.lan.Fd()), datagram(netip.MustParseAddrPort("192.168.1.50:40000"), netip.MustParseAddrPort(to)))
	if err != nil {
		b.t.Errorf("%v", err)
		return false
	}
	// Either the datagram leaves, or its sender is told.
	for {
		fds := []unix.PollFd{{Fd: int32(b.wwan.Fd()), Events: unix.POLLIN}, {Fd: int32(b.lan.Fd()), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, 10_000); err != nil && !errors.Is(err, unix.EINTR) || n == 0 && err == nil {
			b.t.Errorf("%s: nothing leaves and nobody is told: %v", to, err)
			return false
		}
		if read(b.wwan) == to {
			return true
		}
		p := make([]byte, 2000)
		if _, err := unix.Read(int(b.lan.Fd()), p); err == nil && p[0]>>4 == 4 && p[9] == unix.IPPROTO_ICMP {
			if p[20] != 3 || p[21] != 13 { // RFC 1812 section 5.2.7.1
				b.t.Errorf("%s: ICMP type %d, code %d", to, p[20], p[21])
			}
			return false
		}
	}
}

// datagram is an IPv4 packet of UDP with its destination as its payload. The kernel
// tells nobody of one with a bad checksum.
func datagram(from, to netip.AddrPort) []byte {
	load := []byte(to.String())
	udp := uint16(8 + len(load))
	p := make([]byte, 28, 28+len(load))
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(p[2:], 20+udp)
	copy(p[12:], from.Addr().AsSlice())
	copy(p[16:], to.Addr().AsSlice())
	binary.BigEndian.PutUint16(p[10:], checksum(p[:20]))
	binary.BigEndian.PutUint16(p[20:], from.Port())
	binary.BigEndian.PutUint16(p[22:], to.Port())
	binary.BigEndian.PutUint16(p[24:], udp)
	p = append(p, load...)
	pseudo := append(slices.Clone(p[12:20]), 0, unix.IPPROTO_UDP, byte(udp>>8), byte(udp))
	binary.BigEndian.PutUint16(p[26:], checksum(append(pseudo, p[20:]...)))
	return p
}

func checksum(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) > 0 {
		sum += uint32(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

func hosts(addrs ...string) (list []Host) {
	for _, a := range addrs {
		list = append(list, Host{Addr: netip.MustParseAddr(a), For: time.Hour})
	}
	return list
}

func TestWallInTheKernel(t *testing.T) {
	withBox(t, func(b *box) {
		ctx := t.Context()
		check := func(what string, open bool, to ...string) {
			t.Helper()
			for _, a := range to {
				if got := b.sent(a); got != open {
					t.Errorf("%s: %s leaves: %v", what, a, got)
				}
				if strings.HasPrefix(a, "[") {
					continue
				}
				if got := b.forwarded(a); got != open {
					t.Errorf("%s: a client's packet to %s leaves: %v", what, a, got)
				}
			}
		}
		one, other := []string{"192.0.2.20:443", "[2001:db8::20]:443"}, []string{"192.0.2.30:443", "[2001:db8::30]:443"}
		check("no wall", true, append(slices.Clone(one), other...)...)
		for range 2 { // raised twice is raised once
			if err := b.k.Raise(ctx, wall, hosts("192.0.2.20", "2001:db8::20", "192.0.2.20")); err != nil {
				t.Error(err)
				return
			}
			check("open", true, one...)
			check("closed", false, other...)
		}
		// What is the interface's own.
		if !b.sent("[ff02::1:2%wwan0]:547") || !b.sent("10.9.9.9:67") || b.sent("10.9.9.9:68") {
			t.Error("multicast and DHCP do not pass, or more does")
		}
		// A marked socket.
		marked := net.Dialer{Control: func(_, _ string, rc syscall.RawConn) error {
			var err error
			return errors.Join(rc.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, Mark) }), err)
		}}
		if c, err := marked.DialContext(ctx, "udp", other[0]); err != nil {
			t.Error(err)
		} else if _, err := c.Write([]byte("marked")); err != nil || read(b.wwan) != "marked" {
			t.Errorf("a marked packet does not leave: %v", err)
		}
		// TCP of the box's own is refused at once.
		if c, err := net.DialTimeout("tcp", other[0], 10*time.Second); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("TCP: %v, %v", c, err)
		}
		// Who asks from outside is answered.
		l, err := net.ListenPacket("udp4", "10.64.3.7:22")
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		from := netip.MustParseAddrPort("203.0.113.9:5000")
		if _, err := unix.Write(int(b.wwan.Fd()), datagram(from, netip.MustParseAddrPort("10.64.3.7:22"))); err != nil {
			t.Error(err)
			return
		}
		buf := make([]byte, 100)
		if _, peer, err := l.ReadFrom(buf); err != nil || peer.String() != from.String() {
			t.Errorf("from outside: %v, %v", peer, err)
			return
		}
		if _, err := l.WriteTo([]byte("answer"), net.UDPAddrFromAddrPort(from)); err != nil || read(b.wwan) != "answer" {
			t.Errorf("an answer does not leave: %v", err)
		}
		// Other hosts.
		for range 2 {
			if err := b.k.Fill(ctx, wall, hosts("192.0.2.30", "2001:db8::30")); err != nil {
				t.Error(err)
				return
			}
			check("filled again, closed", false, one...)
			check("filled again, open", true, other...)
		}
		if err := b.k.Fill(ctx, wall, nil); err != nil {
			t.Error(err)
		}
		check("empty", false, other...)
		// For a time, which begins anew.
		short := []Host{{Addr: netip.MustParseAddr("192.0.2.20"), For: time.Millisecond}, {Addr: netip.MustParseAddr("192.0.2.30")}}
		if err := b.k.Fill(ctx, wall, short); err != nil {
			t.Error(err)
		}
		deadline := time.Now().Add(30 * time.Second)
		for b.sent("192.0.2.20:443") {
			if time.Now().After(deadline) {
				t.Error("a millisecond has no end")
				break
			}
		}
		check("without an end", true, "192.0.2.30:443")
		if err := b.k.Fill(ctx, wall, hosts("192.0.2.20")); err != nil {
			t.Error(err)
		}
		check("back", true, "192.0.2.20:443")
		for range 2 {
			if err := b.k.Fall(ctx, wall.Table); err != nil {
				t.Error(err)
			}
			check("fallen", true, append(slices.Clone(one), other...)...)
		}
		if err := b.k.Fill(ctx, wall, nil); !errors.Is(err, unix.ENOENT) {
			t.Errorf("filling what is not there: %v", err)
		}
	})
}

// Another interface's traffic, and another's table, are nobody's business.
func TestWallLeavesOthersAlone(t *testing.T) {
	withBox(t, func(b *box) {
		ctx := t.Context()
		elsewhere := Wall{Table: "dynamod-other", Interface: "wwan1"}
		if err := errors.Join(b.k.Raise(ctx, elsewhere, nil), b.k.Raise(ctx, wall, nil)); err != nil {
			t.Error(err)
			return
		}
		if b.sent("192.0.2.1:443") {
			t.Error("no wall")
		}
		if err := b.k.Fall(ctx, wall.Table); err != nil {
			t.Error(err)
		}
		if !b.sent("192.0.2.1:443") {
			t.Error("a wall on another interface")
		}
		if err := b.k.Fill(ctx, elsewhere, hosts("192.0.2.1")); err != nil {
			t.Errorf("the other wall fell: %v", err)
		}
	})
}

// A batch that is refused leaves all as it was, and many hosts fit.
func TestWallIsAtomic(t *testing.T) {
	withBox(t, func(b *box) {
		ctx := t.Context()
		var many []Host
		for i := range MaxHosts {
			a := netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1))
			if i%2 == 0 {
				a = netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)})
			}
			many = append(many, Host{Addr: a, For: time.Hour})
		}
		if err := b.k.Raise(ctx, wall, many); err != nil {
			t.Error(err)
			return
		}
		last := many[MaxHosts-1].Addr
		if !b.sent(netip.AddrPortFrom(last, 443).String()) {
			t.Error("the last host is not there")
		}
		bad := append(wall.fill(nil), deleteTable("dynamod-nowhere"))
		if err := b.k.send(ctx, bad); !errors.Is(err, unix.ENOENT) {
			t.Errorf("a bad batch: %v", err)
		}
		if !b.sent(netip.AddrPortFrom(last, 443).String()) {
			t.Error("half of a batch was carried out")
		}
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if err := b.k.Fill(gone, wall, nil); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

// The messages, as far as their form goes: attributes that fill their parent exactly.
func TestEncodedForm(t *testing.T) {
	msgs := batch(append(wall.raise(), wall.fill(hosts("192.0.2.1", "2001:db8::1"))...))
	if first, last := msgs[0], msgs[len(msgs)-1]; first.Header.Type != unix.NFNL_MSG_BATCH_BEGIN || last.Header.Type != unix.NFNL_MSG_BATCH_END ||
		!bytes.Equal(first.Data, []byte{0, 0, 0, 10}) || !bytes.Equal(last.Data, first.Data) {
		t.Errorf("the batch is %v ... %v", first, last)
	}
	acks := 0
	var walk func(b []byte)
	walk = func(b []byte) {
		for len(b) > 0 {
			n, typ := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
			if n < 4 || (n+3)&^3 > len(b) {
				t.Fatalf("an attribute of %d bytes in %x", n, b)
			}
			if typ&unix.NLA_F_NESTED != 0 {
				walk(b[4:n])
			}
			b = b[(n+3)&^3:]
		}
	}
	for _, m := range msgs[1 : len(msgs)-1] {
		if m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || m.Data[0] != unix.NFPROTO_INET {
			t.Errorf("%v", m)
		}
		if m.Header.Flags&mdnetlink.Acknowledge != 0 {
			acks++
		}
		walk(m.Data[4:])
	}
	if acks != 1 {
		t.Errorf("%d acknowledgements are asked for", acks)
	}
}
