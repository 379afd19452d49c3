package bearer

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/status"
	"dynamod/netlink/ra"
	"dynamod/netlink/reach"
	"dynamod/netlink/uplink"
)

// TestIPv6OnEthernet: an ECM modem whose network advertises a prefix, in the
// kernel's own network: the requests of the reach check cross the link by IPv6.
func TestIPv6OnEthernet(t *testing.T) {
	if _, err := os.Stat("/proc/sys/net/ipv6/conf"); err != nil {
		t.Skip("this kernel has no IPv6")
	}
	four := netlab.Options{}.Lease()
	prefix := netip.MustParsePrefix("2001:db8:64:1::/64")
	for _, tt := range []struct {
		name  string
		apn   string // more of the record
		lease atsim.Lease
	}{
		{"an APN of IPv6 alone", `, "ipType": "ipv6"`, atsim.Lease{Addr6: prefix, DNS: []netip.Addr{netlab.DNSAddr6}, MTU: four.MTU}},
		{"an APN of both", "", atsim.Lease{Addr: four.Addr, Gateway: four.Gateway, Addr6: prefix, DNS: []netip.Addr{netlab.DNSAddr, netlab.DNSAddr6}, MTU: four.MTU}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lab, err := netlab.New(t.Context(), netlab.Options{SingleUplink: true})
			if errors.Is(err, netlab.ErrForbidden) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			defer lab.Close()
			b := newSimBench(t, simOptions{
				ethernet: true, records: record(`{"apn": "first.test"` + tt.apn + `}`),
				modem: func(c *atsim.Config) {
					c.DataUp = func(_ int, l atsim.Lease) error {
						return lab.Activate(netlab.Lease{Addr: l.Addr, Gateway: l.Gateway, Addr6: l.Addr6, DNS: l.DNS, MTU: l.MTU})
					}
					c.DataDown = func(int) { _ = lab.Deactivate() }
				},
				bearer: func(c *Config) {
					c.Kernel, c.NetworkAssigned, c.DataAPNInAttach = lab.Kernel(), false, true
					c.Interface = func() (string, error) { return lab.Options().Interface(), nil }
					c.DHCP = func(ctx context.Context, ifname string) (Lease, error) {
						l, err := lab.DHCP(ctx, ifname)
						return Lease{Addrs: []netip.Prefix{l.Addr}, Gateway: l.Gateway, DNS: l.DNS, MTU: l.MTU}, err
					}
					c.Advertised = func(ctx context.Context, ifname string, id netip.Addr, changed func(Lease)) error {
						return lab.Advertised(ctx, ifname, id, func(l ra.Link) { changed(Lease{Addrs: l.Addrs, Gateway: l.Gateway, DNS: l.DNS, MTU: l.MTU}) })
					}
					c.Probe = func(ctx context.Context, s uplink.Spec) Reach {
						r, err := reach.Probe(ctx, reach.Config{Dialer: lab.Dialer(s), Targets: []string{netlab.ReachTarget}})
						if err != nil || r.State != reach.OK {
							return Reach{State: status.Down, Reason: r.Reason}
						}
						return Reach{State: status.Up, Target: r.Target}
					}
				},
			})
			b.core.APNs = []atsim.APN{{Name: "first.test", Lease: tt.lease}}
			b.run(func() {
				ctx, done := context.WithTimeout(t.Context(), time.Minute)
				defer done()
				six := func() (uplink.Spec, bool) {
					s, ok := b.Active()
					for _, p := range s.Addrs {
						if ok && prefix.Contains(p.Addr()) {
							return s, true
						}
					}
					return s, false
				}
				// What is meant is known before it is in the kernel.
				applied := func(s uplink.Spec) bool {
					st, err := uplink.Read(ctx, b.Kernel, s)
					return err == nil && len(uplink.Diff(s, st)) == 0
				}
				for {
					if s, ok := six(); ok && b.state() == status.Up && applied(s) {
						break
					}
					select {
					case <-ctx.Done():
						s, _ := b.Active()
						t.Fatalf("%s: %s; %+v", b.state(), b.model.Snapshot().Reason, s)
					case <-time.After(20 * time.Millisecond):
					}
				}
				release := b.Hold() // of the looks
				defer release()
				s, _ := six()
				if !strings.HasPrefix(s.Gateway6.String(), "fe80::") || len(s.Addrs) != 1 && !tt.lease.Addr.IsValid() {
					t.Errorf("spec %+v", s)
				}
				if changes, err := uplink.Apply(ctx, b.Kernel, s); err != nil || len(changes) != 0 {
					t.Errorf("applied again: %v, %v", changes, err)
				}
				only6 := s
				only6.DNS, only6.Addrs, only6.Gateway = []netip.Addr{netlab.DNSAddr6}, nil, netip.Addr{}
				for _, p := range s.Addrs {
					if p.Addr().Is6() {
						only6.Addrs = append(only6.Addrs, p)
					}
				}
				before, err := lab.Counters()
				if err != nil {
					t.Fatal(err)
				}
				if r := b.Probe(ctx, only6); r.State != status.Up {
					t.Errorf("over IPv6: %+v", r)
				}
				after, err := lab.Counters()
				if err != nil || after.Reached == before.Reached { // one of the look that was cut off may come late
					t.Errorf("%d requests arrived: %v", after.Reached-before.Reached, err)
				}
				b.Down(ctx)
				st, err := uplink.Read(ctx, b.Kernel, s)
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range st.Addrs {
					if prefix.Contains(a.Prefix.Addr()) {
						t.Errorf("%s is left", a)
					}
				}
			})
		})
	}
}
