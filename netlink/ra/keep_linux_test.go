package ra

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/ipv6"

	"dynamod/netlink"
	"dynamod/netlink/internal/nstest"
)

// speaker is the network's end: it answers each solicitation that reaches it.
type speaker struct {
	pc  net.PacketConn
	six *ipv6.PacketConn
}

func newSpeaker(t *testing.T, ifname string) *speaker {
	pc, err := net.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		t.Error(err)
		return nil
	}
	ifi, err := net.InterfaceByName(ifname)
	s := &speaker{pc, ipv6.NewPacketConn(pc)}
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterSolicitation)
	if err := errors.Join(err, s.six.SetICMPFilter(&filter), s.six.JoinGroup(ifi, &net.IPAddr{IP: net.IPv6linklocalallrouters}),
		s.six.SetMulticastInterface(ifi), s.six.SetMulticastHopLimit(255), s.six.SetControlMessage(ipv6.FlagHopLimit, true)); err != nil {
		t.Error(err)
	}
	return s
}

// serve sends a for each solicitation, once before with a hop limit that a
// router has lowered.
func (s *speaker) serve(t *testing.T, ifname string, a, forged Advert) {
	b := make([]byte, 1500)
	for {
		n, cm, _, err := s.six.ReadFrom(b)
		if err != nil {
			return
		}
		if n != 8 || cm.HopLimit != 255 {
			t.Errorf("a solicitation of %d bytes with hop limit %d: RFC 4861 4.1 wants 8 and 255", n, cm.HopLimit)
		}
		for _, m := range []struct {
			hops int
			Advert
		}{{64, forged}, {255, a}} {
			if err := s.six.SetMulticastHopLimit(m.hops); err != nil {
				t.Error(err)
			}
			if _, err := s.pc.WriteTo(m.Bytes(), &net.IPAddr{IP: net.IPv6linklocalallnodes, Zone: ifname}); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestKeepOnWire: what Keep makes of an advertisement, and what the kernel makes
// of the same one, when it is let.
func TestKeepOnWire(t *testing.T) {
	if _, err := os.Stat("/proc/sys/net/ipv6/conf"); err != nil {
		t.Skip("this kernel has no IPv6")
	}
	nstest.Run(t, func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		far := nstest.NetNS(t)
		here, there := nstest.Dial(t, 0), nstest.Dial(t, far)
		if err := here.AddVeth(ctx, "usb0", "cell0", far); err != nil {
			t.Fatal(err)
		}
		up := func(c *netlink.Conn, name string) {
			snap, err := c.Snapshot(ctx)
			if err != nil {
				t.Fatal(err)
			}
			l, _ := snap.Link(name)
			if err := c.Change(ctx, netlink.Change{Op: netlink.Set, Object: netlink.UpDown{Index: l.Index, Dev: name, Up: true}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := Ours("usb0"); err != nil {
			t.Fatal(err)
		}
		// A router's address is its own before anybody asks; here it would have to be
		// probed for first (RFC 4862, 5.4), beside the first question.
		nstest.In(t, far, func() {
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/cell0/accept_dad", []byte("0"), 0); err != nil {
				t.Error(err)
			}
		})
		up(there, "cell0")
		up(here, "usb0")

		a, forged := full(), one("2001:db8:bad::/64", Infinite, Infinite)
		var wg sync.WaitGroup
		defer wg.Wait()
		var s *speaker
		nstest.In(t, far, func() { s = newSpeaker(t, "cell0") })
		if s == nil {
			return
		}
		defer s.pc.Close()
		wg.Go(func() { s.serve(t, "cell0", a, forged) })

		var got Link
		kctx, stop := context.WithCancel(ctx)
		if err := Keep(kctx, Config{Interface: "usb0"}, func(l Link) { got = l; stop() }); err != nil {
			t.Fatal(err)
		}
		own, err := net.InterfaceByName("usb0")
		if err != nil {
			t.Fatal(err)
		}
		iid := own.HardwareAddr // EUI-64 (RFC 4291, appendix A)
		ip := netip.MustParseAddr("2001:db8:1::").As16()
		copy(ip[8:], []byte{iid[0] ^ 2, iid[1], iid[2], 0xff, 0xfe, iid[3], iid[4], iid[5]})
		if len(got.Addrs) != 2 || got.Addrs[0] != netip.PrefixFrom(netip.AddrFrom16(ip), 128) || got.Addrs[1].Bits() != 64 || got.MTU != 1430 || len(got.DNS) != 2 || !got.Gateway.IsLinkLocalUnicast() {
			t.Errorf("got %s", text(got))
		}

		// The kernel, asked to, makes the same addresses of what we wrote.
		addrs := func() string {
			var out []string
			list, err := own.Addrs()
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range list {
				out = append(out, a.String())
			}
			return strings.Join(out, " ")
		}
		if now := addrs(); strings.Contains(now, "2001:") {
			t.Errorf("the kernel acted by itself: %s", now)
		}
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/usb0/accept_ra", []byte("2"), 0); err != nil {
			t.Fatal(err)
		}
		c, err := open("usb0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		for want := got.Addrs[0].Addr().String(); !strings.Contains(addrs(), want); {
			if err := c.solicit(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ctx.Done():
				t.Fatalf("the kernel has %s, not %s", addrs(), want)
			case <-time.After(100 * time.Millisecond):
			}
		}
		if now := addrs(); strings.Contains(now, "bad") {
			t.Errorf("the kernel took a forged one: %s", now)
		}
	})
}
