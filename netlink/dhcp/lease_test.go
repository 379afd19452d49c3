package dhcp

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// ack makes a DHCPACK; modifiers come last.
func ack(t testing.TB, mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	t.Helper()
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{
		dhcpv4.WithMessageType(dhcpv4.MessageTypeAck),
		dhcpv4.WithYourIP(net.IPv4(192, 168, 225, 30)),
		dhcpv4.WithNetmask(net.CIDRMask(24, 32)),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(192, 168, 225, 1))),
		dhcpv4.WithOption(dhcpv4.OptRouter(net.IPv4(192, 168, 225, 1))),
		dhcpv4.WithOption(dhcpv4.OptDNS(net.IPv4(192, 168, 225, 1), net.IPv4(192, 168, 225, 1), net.IPv4zero)),
		dhcpv4.WithLeaseTime(3600),
	}, mods...)...)
	if err != nil {
		t.Fatal(err)
	}
	m.OpCode = dhcpv4.OpcodeBootReply
	return m
}

func option(code dhcpv4.OptionCode, b ...byte) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptGeneric(code, b))
}

func TestNewLease(t *testing.T) {
	obtained := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	good := Lease{
		Addr:     netip.MustParsePrefix("192.168.225.30/24"),
		Gateway:  netip.MustParseAddr("192.168.225.1"),
		DNS:      []netip.Addr{netip.MustParseAddr("192.168.225.1")},
		Server:   netip.MustParseAddr("192.168.225.1"),
		Obtained: obtained,
		Renew:    30 * time.Minute, Rebind: 3150 * time.Second, Valid: time.Hour,
	}
	with := func(edit func(*Lease)) Lease { l := good; edit(&l); return l }
	for _, tt := range []struct {
		name string
		mod  dhcpv4.Modifier
		want Lease
		err  string
	}{
		{"plain", nil, good, ""},
		{"RFC 2132 5.1: mtu", option(dhcpv4.OptionInterfaceMTU, 5, 150), with(func(l *Lease) { l.MTU = 1430 }), ""},
		{"mtu of 68", option(dhcpv4.OptionInterfaceMTU, 0, 68), good, ""},
		{"mtu of three bytes", option(dhcpv4.OptionInterfaceMTU, 0, 5, 150), good, ""},
		{"no mask", dhcpv4.WithoutOption(dhcpv4.OptionSubnetMask), with(func(l *Lease) { l.Addr = netip.MustParsePrefix("192.168.225.30/32") }), ""},
		{"no router", dhcpv4.WithoutOption(dhcpv4.OptionRouter), with(func(l *Lease) { l.Gateway = netip.Addr{} }), ""},
		{
			"RFC 3442: classless routes count, not the router", option(dhcpv4.OptionClasslessStaticRoute, 8, 10, 192, 168, 225, 2, 0, 192, 168, 225, 3),
			with(func(l *Lease) { l.Gateway = netip.MustParseAddr("192.168.225.3") }), "",
		},
		{
			"classless routes without a default", option(dhcpv4.OptionClasslessStaticRoute, 8, 10, 192, 168, 225, 2),
			with(func(l *Lease) { l.Gateway = netip.Addr{} }), "",
		},
		{"for ever", dhcpv4.WithLeaseTime(1<<32 - 1), with(func(l *Lease) { l.Valid, l.Renew, l.Rebind = 0, 0, 0 }), ""},
		{"RFC 2131 4.4.5: T1 and T2 given", func(m *dhcpv4.DHCPv4) {
			m.UpdateOption(dhcpv4.OptRenewTimeValue(10 * time.Minute))
			m.UpdateOption(dhcpv4.Option{Code: dhcpv4.OptionRebindingTimeValue, Value: dhcpv4.Duration(20 * time.Minute)})
		}, with(func(l *Lease) { l.Renew, l.Rebind = 10*time.Minute, 20*time.Minute }), ""},
		{"T1 behind the end", dhcpv4.WithOption(dhcpv4.OptRenewTimeValue(2 * time.Hour)), good, ""},
		{"too short", dhcpv4.WithLeaseTime(1), Lease{}, "unusable dhcp lease: valid for 1s, at least 30s"},
		{"no lease time", dhcpv4.WithoutOption(dhcpv4.OptionIPAddressLeaseTime), Lease{}, "unusable dhcp lease: valid for 0s, at least 30s"},
		{"address 0.0.0.0", dhcpv4.WithYourIP(net.IPv4zero), Lease{}, "unusable dhcp lease: address 0.0.0.0"},
		{"broadcast address", dhcpv4.WithYourIP(net.IPv4bcast), Lease{}, "unusable dhcp lease: address 255.255.255.255"},
		{"loopback", dhcpv4.WithYourIP(net.IPv4(127, 0, 0, 1)), Lease{}, "unusable dhcp lease: address 127.0.0.1"},
		{"mask with a hole", dhcpv4.WithNetmask(net.IPv4Mask(255, 0, 255, 0)), Lease{}, "unusable dhcp lease: subnet mask ff00ff00"},
		{"mask of 0", dhcpv4.WithNetmask(net.IPv4Mask(0, 0, 0, 0)), Lease{}, "unusable dhcp lease: subnet mask 00000000"},
		{"no server", dhcpv4.WithoutOption(dhcpv4.OptionServerIdentifier), Lease{}, "unusable dhcp lease: server identifier <nil>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := ack(t)
			if tt.mod != nil {
				tt.mod(m)
			}
			l, err := newLease(m, obtained)
			if tt.err != "" {
				if !errors.Is(err, ErrBadLease) || err.Error() != tt.err {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			w := tt.want
			if !l.Equal(w) || l.Server != w.Server || l.Obtained != w.Obtained || l.Renew != w.Renew || l.Rebind != w.Rebind || l.Valid != w.Valid {
				t.Errorf("got  %+v\nwant %+v", l, w)
			}
		})
	}
}

func FuzzLease(f *testing.F) {
	f.Add(ack(f).ToBytes())
	f.Add(ack(f, option(dhcpv4.OptionClasslessStaticRoute, 0, 192, 168, 225, 3), dhcpv4.WithLeaseTime(1<<32-1)).ToBytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := dhcpv4.FromBytes(b)
		if err != nil {
			return
		}
		l, err := newLease(m, time.Now())
		if err != nil {
			return
		}
		if !l.Addr.IsValid() || l.Addr.Bits() == 0 || len(l.DNS) > maxServers || l.MTU != 0 && l.MTU < minMTU {
			t.Errorf("got %+v", l)
		}
		if l.Valid != 0 && (l.Renew <= 0 || l.Renew > l.Rebind || l.Rebind >= l.Valid) {
			t.Errorf("times %v %v %v", l.Renew, l.Rebind, l.Valid)
		}
	})
}
