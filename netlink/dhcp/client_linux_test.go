package dhcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"

	"dynamod/netlink"
	"dynamod/netlink/internal/nstest"
)

// server is a DHCP server behind the modem: it grants one address and counts.
type server struct {
	mu     sync.Mutex
	counts map[dhcpv4.MessageType]int
	last   map[dhcpv4.MessageType]net.IP // who asked, 0.0.0.0 becomes the broadcast address
	answer func(m *dhcpv4.DHCPv4, peer net.IP) []dhcpv4.Modifier
}

func (s *server) handle(conn net.PacketConn, peer net.Addr, m *dhcpv4.DHCPv4) {
	s.mu.Lock()
	s.counts[m.MessageType()]++
	s.last[m.MessageType()] = peer.(*net.UDPAddr).IP
	answer := s.answer
	s.mu.Unlock()
	mods := answer(m, peer.(*net.UDPAddr).IP)
	if mods == nil {
		return
	}
	r, err := dhcpv4.NewReplyFromRequest(m, append([]dhcpv4.Modifier{
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(192, 168, 225, 1))),
	}, mods...)...)
	if err == nil {
		_, _ = conn.WriteTo(r.ToBytes(), peer)
	}
}

func (s *server) count(mt dhcpv4.MessageType) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[mt]
}

func (s *server) from(mt dhcpv4.MessageType) net.IP {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[mt]
}

func (s *server) set(answer func(m *dhcpv4.DHCPv4) []dhcpv4.Modifier) {
	s.setPeer(func(m *dhcpv4.DHCPv4, _ net.IP) []dhcpv4.Modifier { return answer(m) })
}

// setPeer is set for an answer that depends on who asks, as in server.last.
func (s *server) setPeer(answer func(m *dhcpv4.DHCPv4, peer net.IP) []dhcpv4.Modifier) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func grant(m *dhcpv4.DHCPv4) []dhcpv4.Modifier {
	mods := []dhcpv4.Modifier{
		dhcpv4.WithMessageType(dhcpv4.MessageTypeOffer),
		dhcpv4.WithYourIP(net.IPv4(192, 168, 225, 30)),
		dhcpv4.WithNetmask(net.CIDRMask(24, 32)),
		dhcpv4.WithOption(dhcpv4.OptRouter(net.IPv4(192, 168, 225, 1))),
		dhcpv4.WithOption(dhcpv4.OptDNS(net.IPv4(10, 0, 0, 53))),
		dhcpv4.WithLeaseTime(3600),
	}
	switch m.MessageType() {
	case dhcpv4.MessageTypeRequest:
		mods[0] = dhcpv4.WithMessageType(dhcpv4.MessageTypeAck)
	case dhcpv4.MessageTypeRelease:
		return nil
	}
	return mods
}

func silence(*dhcpv4.DHCPv4) []dhcpv4.Modifier { return nil }

func refuse(m *dhcpv4.DHCPv4) []dhcpv4.Modifier {
	if m.MessageType() != dhcpv4.MessageTypeRequest {
		return grant(m)
	}
	return []dhcpv4.Modifier{
		dhcpv4.WithMessageType(dhcpv4.MessageTypeNak),
		dhcpv4.WithOption(dhcpv4.OptMessage("not yours")),
	}
}

// bench is usb0 in the test's namespace, cabled to cell0 in another one where the server is.
func bench(t *testing.T, test func(ctx context.Context, k *netlink.Conn, usb0 netlink.Link, s *server)) {
	t.Helper()
	nstest.Run(t, func() {
		ctx := t.Context()
		far := nstest.NetNS(t)
		here, there := nstest.Dial(t, 0), nstest.Dial(t, far)
		if err := here.AddVeth(ctx, "usb0", "cell0", far); err != nil {
			t.Fatal(err)
		}
		up := func(c *netlink.Conn, name string) netlink.Link {
			snap, err := c.Snapshot(ctx)
			if err != nil {
				t.Fatal(err)
			}
			l, _ := snap.Link(name)
			if err := c.Change(ctx, netlink.Change{Op: netlink.Set, Object: netlink.UpDown{Index: l.Index, Dev: name, Up: true}}); err != nil {
				t.Fatal(err)
			}
			return l
		}
		usb0, cell0 := up(here, "usb0"), up(there, "cell0")
		for _, o := range []netlink.Object{
			netlink.Addr{Index: cell0.Index, Dev: "cell0", Prefix: netip.MustParsePrefix("192.168.225.1/24")},
			netlink.Route{Index: cell0.Index, Dev: "cell0", Dst: netip.MustParsePrefix("192.168.225.0/24"), Scope: netlink.ScopeLink, Table: netlink.TableMain},
		} {
			if err := there.Change(ctx, netlink.Change{Op: netlink.Add, Object: o}); err != nil {
				t.Fatal(err)
			}
		}
		s := &server{counts: make(map[dhcpv4.MessageType]int), last: make(map[dhcpv4.MessageType]net.IP)}
		s.set(grant)
		var srv *server4.Server
		nstest.In(t, far, func() {
			var err error
			if srv, err = server4.NewServer("cell0", nil, s.handle); err != nil {
				t.Errorf("dhcp server: %v", err)
			}
		})
		if srv == nil {
			return
		}
		var wg sync.WaitGroup
		wg.Go(func() { _ = srv.Serve() })
		defer wg.Wait()
		defer srv.Close()
		test(ctx, here, usb0, s)
	})
}

func TestClient(t *testing.T) {
	bench(t, func(ctx context.Context, k *netlink.Conn, usb0 netlink.Link, s *server) {
		c := New(Config{Interface: "usb0", Timeout: 5 * time.Second})
		l, err := c.Acquire(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.String(); got != "192.168.225.30/24 via 192.168.225.1 for 1h0m0s" || len(l.DNS) != 1 {
			t.Errorf("got %s, dns %v", got, l.DNS)
		}
		for _, o := range []netlink.Object{
			netlink.Addr{Index: usb0.Index, Dev: "usb0", Prefix: l.Addr},
			netlink.Route{Index: usb0.Index, Dev: "usb0", Dst: l.Addr.Masked(), Scope: netlink.ScopeLink, Table: netlink.TableMain},
		} {
			if err := k.Change(ctx, netlink.Change{Op: netlink.Add, Object: o}); err != nil {
				t.Fatal(err)
			}
		}
		// A renewal that says the times only: the rest is as it was.
		s.set(func(m *dhcpv4.DHCPv4) []dhcpv4.Modifier {
			return []dhcpv4.Modifier{
				dhcpv4.WithMessageType(dhcpv4.MessageTypeAck),
				dhcpv4.WithYourIP(m.ClientIPAddr),
				dhcpv4.WithLeaseTime(7200),
			}
		})
		renewed, err := c.Renew(ctx, l)
		if err != nil {
			t.Fatal(err)
		}
		if !renewed.Equal(l) || renewed.Valid != 2*time.Hour || renewed.Renew != time.Hour {
			t.Errorf("renewed: %+v", renewed)
		}
		if got := s.from(dhcpv4.MessageTypeRequest); !got.Equal(net.IPv4(192, 168, 225, 30)) {
			t.Errorf("the renewal came from %s: RFC 2131 4.4.5 wants it unicast from the leased address", got)
		}
		s.set(grant)
		rebound, err := c.Rebind(ctx, renewed)
		if err != nil || !rebound.Equal(l) {
			t.Errorf("rebound: %+v, %v", rebound, err)
		}
		if err := c.Release(ctx, rebound); err != nil {
			t.Error(err)
		}
		s.set(refuse)
		if _, err := c.Renew(ctx, l); !errors.Is(err, ErrRefused) || err.Error() != `dhcp renew on usb0: dhcp server refused: "not yours"` {
			t.Errorf("got %v", err)
		}
		if _, err := c.Acquire(ctx); !errors.Is(err, ErrRefused) {
			t.Errorf("got %v", err)
		}
		for s.count(dhcpv4.MessageTypeRelease) == 0 { // nobody answers a release
			time.Sleep(time.Millisecond)
		}
	})
}

func TestClientFaults(t *testing.T) {
	bench(t, func(ctx context.Context, k *netlink.Conn, usb0 netlink.Link, s *server) {
		s.set(silence)
		c := New(Config{Interface: "usb0", Timeout: 10 * time.Millisecond, Tries: 3})
		_, err := c.Acquire(ctx)
		if !errors.Is(err, ErrNoAnswer) || err.Error() != "dhcp discover on usb0: no dhcp server answered 3 requests in 70ms" {
			t.Errorf("got %v", err)
		}
		patient := New(Config{Interface: "usb0", Timeout: time.Minute})
		cctx, cancel := context.WithCancel(ctx)
		s.set(func(m *dhcpv4.DHCPv4) []dhcpv4.Modifier {
			if m.MessageType() == dhcpv4.MessageTypeRequest {
				cancel()
				return nil
			}
			return grant(m)
		})
		if _, err := patient.Acquire(cctx); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		s.set(func(m *dhcpv4.DHCPv4) []dhcpv4.Modifier {
			return append(grant(m), dhcpv4.WithYourIP(net.IPv4bcast))
		})
		if _, err := patient.Acquire(ctx); !errors.Is(err, ErrBadLease) {
			t.Errorf("hostile lease: %v", err)
		}
		if _, err := Acquire(ctx, "lo"); !errors.Is(err, ErrNotEthernet) {
			t.Errorf("lo: %v", err)
		}
		if _, err := Acquire(ctx, "wwan7"); err == nil || err.Error() != "dhcp acquire on wwan7: route ip+net: no such network interface" {
			t.Errorf("missing interface: %v", err)
		}
		if err := k.Change(ctx, netlink.Change{Op: netlink.Set, Object: netlink.UpDown{Index: usb0.Index, Dev: "usb0"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := Acquire(ctx, "usb0"); err == nil || err.Error() != "dhcp acquire on usb0: network is down" {
			t.Errorf("down: %v", err)
		}
	})
}

// TestKeepOnWire: the server that granted the lease is silent, another one
// answers the broadcast with another address, and then takes it back. When what
// is asked is in TestKeep.
func TestKeepOnWire(t *testing.T) {
	bench(t, func(ctx context.Context, k *netlink.Conn, usb0 netlink.Link, s *server) {
		times := []dhcpv4.Modifier{
			dhcpv4.WithOption(dhcpv4.OptRenewTimeValue(time.Second)),
			dhcpv4.WithOption(dhcpv4.Option{Code: dhcpv4.OptionRebindingTimeValue, Value: dhcpv4.Duration(2 * time.Second)}),
		}
		s.set(func(m *dhcpv4.DHCPv4) []dhcpv4.Modifier { return append(grant(m), times...) })
		c := New(Config{Interface: "usb0"})
		l, err := c.Acquire(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range []netlink.Object{
			netlink.Addr{Index: usb0.Index, Dev: "usb0", Prefix: l.Addr},
			netlink.Route{Index: usb0.Index, Dev: "usb0", Dst: l.Addr.Masked(), Scope: netlink.ScopeLink, Table: netlink.TableMain},
		} {
			if err := k.Change(ctx, netlink.Change{Op: netlink.Add, Object: o}); err != nil {
				t.Fatal(err)
			}
		}
		s.setPeer(func(m *dhcpv4.DHCPv4, peer net.IP) []dhcpv4.Modifier {
			if !peer.Equal(net.IPv4bcast) {
				return nil // unicast
			}
			return append(append(grant(m), times...),
				dhcpv4.WithYourIP(net.IPv4(192, 168, 225, 99)),
				dhcpv4.WithOption(dhcpv4.OptRouter(net.IPv4(192, 168, 225, 2))))
		})
		var got []Lease
		err = c.Keep(ctx, l, func(next Lease) {
			got = append(got, next)
			s.set(refuse)
		})
		if !errors.Is(err, ErrRefused) {
			t.Errorf("kept until %v", err)
		}
		if len(got) != 1 || got[0].String() != "192.168.225.99/24 via 192.168.225.2 for 1h0m0s" {
			t.Errorf("changed to %v", got)
		}
	})
}
