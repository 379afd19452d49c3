package uplink_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"dynamod/netlink"
	"dynamod/netlink/uplink"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }

func prefixes(ss ...string) (ps []netip.Prefix) {
	for _, s := range ss {
		ps = append(ps, prefix(s))
	}
	return ps
}

// rawIP is what +CGCONTRDP gives for a Quectel EC25 in raw IP mode: an address and nothing else.
var rawIP = uplink.Spec{
	Interface: "wwan0", MTU: 1430,
	Addrs:        prefixes("10.64.3.7/32"),
	DefaultRoute: true, Metric: 200, Table: 1700,
}

// ethernet is what the DHCP server of a Sierra or Huawei stick gives.
var ethernet = uplink.Spec{
	Interface:    "usb0",
	Addrs:        prefixes("192.168.225.30/24"),
	Gateway:      addr("192.168.225.1"),
	DefaultRoute: true, Metric: 200, Table: 1700,
}

// private is the link of a profile that the router's own traffic must not use.
func private(s uplink.Spec) uplink.Spec {
	s.Private = true
	return s
}

var cases = []struct {
	name    string
	spec    uplink.Spec
	changes []string
	picture string
	six     bool
}{
	{
		name: "raw IP, /32 without gateway",
		spec: rawIP,
		changes: []string{
			"ip link set dev wwan0 mtu 1430",
			"ip link set dev wwan0 up",
			"ip addr add 10.64.3.7/32 dev wwan0",
			"ip route add default dev wwan0 scope link src 10.64.3.7 metric 200 proto 215",
			"ip route add default dev wwan0 scope link src 10.64.3.7 table 1700 proto 215",
			"ip rule add from 10.64.3.7 lookup 1700 priority 20000 proto 215",
		},
		picture: `addr 10.64.3.7/32 dev wwan0
addr 192.0.2.2/24 dev eth0
link usb0 down
link wwan0 up
route 192.0.2.0/24 dev eth0 scope link proto 4
route default dev wwan0 scope link src 10.64.3.7 metric 200 proto 215
route default dev wwan0 scope link src 10.64.3.7 table 1700 proto 215
route default via 192.0.2.1 dev eth0 metric 1000 proto 4
rule from 10.64.3.7 lookup 1700 priority 20000 proto 215`,
	},
	{
		name: "Ethernet, /24 with gateway inside",
		spec: ethernet,
		changes: []string{
			"ip link set dev usb0 up",
			"ip addr add 192.168.225.30/24 dev usb0",
			"ip route add 192.168.225.0/24 dev usb0 scope link src 192.168.225.30 metric 200 proto 215",
			"ip route add 192.168.225.0/24 dev usb0 scope link src 192.168.225.30 table 1700 proto 215",
			"ip route add default via 192.168.225.1 dev usb0 src 192.168.225.30 metric 200 proto 215",
			"ip route add default via 192.168.225.1 dev usb0 src 192.168.225.30 table 1700 proto 215",
			"ip rule add from 192.168.225.30 lookup 1700 priority 20000 proto 215",
		},
		picture: `addr 192.0.2.2/24 dev eth0
addr 192.168.225.30/24 dev usb0
link usb0 up
link wwan0 down
route 192.0.2.0/24 dev eth0 scope link proto 4
route 192.168.225.0/24 dev usb0 scope link src 192.168.225.30 metric 200 proto 215
route 192.168.225.0/24 dev usb0 scope link src 192.168.225.30 table 1700 proto 215
route default via 192.0.2.1 dev eth0 metric 1000 proto 4
route default via 192.168.225.1 dev usb0 src 192.168.225.30 metric 200 proto 215
route default via 192.168.225.1 dev usb0 src 192.168.225.30 table 1700 proto 215
rule from 192.168.225.30 lookup 1700 priority 20000 proto 215`,
	},
	{
		name: "Ethernet, /32 and a gateway outside of it (Huawei NCM)",
		spec: uplink.Spec{Interface: "usb0", Addrs: prefixes("10.20.30.40/32"), Gateway: addr("10.20.30.1"), DefaultRoute: true},
		changes: []string{
			"ip link set dev usb0 up",
			"ip addr add 10.20.30.40/32 dev usb0",
			"ip route add default via 10.20.30.1 dev usb0 onlink src 10.20.30.40 proto 215",
		},
		picture: `addr 10.20.30.40/32 dev usb0
addr 192.0.2.2/24 dev eth0
link usb0 up
link wwan0 down
route 192.0.2.0/24 dev eth0 scope link proto 4
route default via 10.20.30.1 dev usb0 onlink src 10.20.30.40 proto 215
route default via 192.0.2.1 dev eth0 metric 1000 proto 4`,
	},
	{
		name: "management link: own table only, no default route for others",
		spec: uplink.Spec{Interface: "wwan0", Addrs: prefixes("10.64.3.7/32"), Table: 300},
		changes: []string{
			"ip link set dev wwan0 up",
			"ip addr add 10.64.3.7/32 dev wwan0",
			"ip route add default dev wwan0 scope link src 10.64.3.7 table 300 proto 215",
			"ip rule add from 10.64.3.7 lookup 300 priority 20000 proto 215",
		},
		picture: `addr 10.64.3.7/32 dev wwan0
addr 192.0.2.2/24 dev eth0
link usb0 down
link wwan0 up
route 192.0.2.0/24 dev eth0 scope link proto 4
route default dev wwan0 scope link src 10.64.3.7 table 300 proto 215
route default via 192.0.2.1 dev eth0 metric 1000 proto 4
rule from 10.64.3.7 lookup 300 priority 20000 proto 215`,
	},
	{
		name: "dual stack, +CGCONTRDP with two lines",
		six:  true,
		spec: uplink.Spec{
			Interface: "wwan0", MTU: 1500,
			Addrs: prefixes("10.64.3.7/32", "2001:db8:1:2::7/64"), Gateway6: addr("fe80::1"),
			DefaultRoute: true, Metric: 200, Table: 1700,
		},
		changes: []string{
			"ip link set dev wwan0 up",
			"ip addr add 10.64.3.7/32 dev wwan0",
			"ip -6 addr add 2001:db8:1:2::7/64 dev wwan0",
			"ip -6 route add 2001:db8:1:2::/64 dev wwan0 src 2001:db8:1:2::7 metric 200 proto 215",
			"ip -6 route add 2001:db8:1:2::/64 dev wwan0 src 2001:db8:1:2::7 metric 1024 table 1700 proto 215",
			"ip route add default dev wwan0 scope link src 10.64.3.7 metric 200 proto 215",
			"ip route add default dev wwan0 scope link src 10.64.3.7 table 1700 proto 215",
			"ip -6 route add default via fe80::1 dev wwan0 src 2001:db8:1:2::7 metric 200 proto 215",
			"ip -6 route add default via fe80::1 dev wwan0 src 2001:db8:1:2::7 metric 1024 table 1700 proto 215",
			"ip rule add from 10.64.3.7 lookup 1700 priority 20000 proto 215",
			"ip -6 rule add from 2001:db8:1:2::7 lookup 1700 priority 20000 proto 215",
		},
		picture: `addr 10.64.3.7/32 dev wwan0
addr 192.0.2.2/24 dev eth0
addr 2001:db8:1:2::7/64 dev wwan0
link usb0 down
link wwan0 up
route 192.0.2.0/24 dev eth0 scope link proto 4
route 2001:db8:1:2::/64 dev wwan0 src 2001:db8:1:2::7 metric 1024 table 1700 proto 215
route 2001:db8:1:2::/64 dev wwan0 src 2001:db8:1:2::7 metric 200 proto 215
route default dev wwan0 scope link src 10.64.3.7 metric 200 proto 215
route default dev wwan0 scope link src 10.64.3.7 table 1700 proto 215
route default via 192.0.2.1 dev eth0 metric 1000 proto 4
route default via fe80::1 dev wwan0 src 2001:db8:1:2::7 metric 1024 table 1700 proto 215
route default via fe80::1 dev wwan0 src 2001:db8:1:2::7 metric 200 proto 215
rule from 10.64.3.7 lookup 1700 priority 20000 proto 215
rule from 2001:db8:1:2::7 lookup 1700 priority 20000 proto 215`,
	},
	{
		name: "Ethernet, private: nothing in the main table",
		spec: private(ethernet),
		changes: []string{
			"ip link set dev usb0 up",
			"ip addr add 192.168.225.30/24 dev usb0",
			"ip route add 192.168.225.0/24 dev usb0 scope link src 192.168.225.30 table 1700 proto 215",
			"ip route add default via 192.168.225.1 dev usb0 src 192.168.225.30 table 1700 proto 215",
			"ip rule add from 192.168.225.30 lookup 1700 priority 20000 proto 215",
		},
		picture: `addr 192.0.2.2/24 dev eth0
addr 192.168.225.30/24 dev usb0
link usb0 up
link wwan0 down
route 192.0.2.0/24 dev eth0 scope link proto 4
route 192.168.225.0/24 dev usb0 scope link src 192.168.225.30 table 1700 proto 215
route default via 192.0.2.1 dev eth0 metric 1000 proto 4
route default via 192.168.225.1 dev usb0 src 192.168.225.30 table 1700 proto 215
rule from 192.168.225.30 lookup 1700 priority 20000 proto 215`,
	},
}

// TestApply: what Diff says, Apply does; the second time there is nothing to do; Down restores.
func TestApply(t *testing.T) {
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			eachWorld(t, func(t *testing.T, w *world) {
				if tt.six && !w.six {
					t.Skip("no IPv6 in this kernel")
				}
				ctx := context.Background()
				if got := w.picture(t); got != furniture {
					t.Fatalf("before:\n%s", got)
				}
				st, err := uplink.Read(ctx, w.kernel, tt.spec)
				if err != nil {
					t.Fatal(err)
				}
				if got := strs(uplink.Diff(tt.spec, st)); !slices.Equal(got, tt.changes) {
					t.Errorf("Diff:\n%s", strings.Join(got, "\n"))
				}
				done, err := uplink.Apply(ctx, w.kernel, tt.spec)
				if err != nil {
					t.Fatal(err)
				}
				if got := strs(done); !slices.Equal(got, tt.changes) {
					t.Errorf("Apply:\n%s", strings.Join(got, "\n"))
				}
				if got := w.picture(t); got != tt.picture {
					t.Errorf("applied:\n%s\nwant:\n%s", got, tt.picture)
				}
				if done, err := uplink.Apply(ctx, w.kernel, tt.spec); err != nil || len(done) != 0 {
					t.Errorf("applied again: %q, %v", strs(done), err)
				}
				if _, err := uplink.Down(ctx, w.kernel, tt.spec); err != nil {
					t.Fatal(err)
				}
				if got := w.picture(t); got != furniture {
					t.Errorf("after Down:\n%s", got)
				}
				if done, err := uplink.Down(ctx, w.kernel, tt.spec); err != nil || len(done) != 0 {
					t.Errorf("down again: %q, %v", strs(done), err)
				}
			})
		})
	}
}

// TestApplyFrom: a link in any earlier state of ours becomes what the Spec says, and nothing of the old one is left.
func TestApplyFrom(t *testing.T) {
	moved := rawIP
	moved.Addrs = prefixes("10.99.0.2/32")
	moved.Metric = 50
	widened := ethernet
	widened.Addrs = prefixes("192.168.225.30/25")
	tabled := rawIP
	tabled.Table = 1701
	for _, tt := range []struct {
		name     string
		from, to uplink.Spec
	}{
		{"new address and metric after a re-activation", rawIP, moved},
		{"other prefix length", ethernet, widened},
		{"other table", rawIP, tabled},
		{"no table any more", rawIP, func() uplink.Spec { s := rawIP; s.Table = 0; return s }()},
		{"private from now on", ethernet, private(ethernet)},
		{"not private any more", private(ethernet), ethernet},
		{"no default route any more", ethernet, func() uplink.Spec { s := ethernet; s.DefaultRoute = false; return s }()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachWorld(t, func(t *testing.T, w *world) {
				ctx := context.Background()
				if _, err := uplink.Apply(ctx, w.kernel, tt.to); err != nil {
					t.Fatal(err)
				}
				want := w.picture(t)
				if _, err := uplink.Down(ctx, w.kernel, tt.to); err != nil {
					t.Fatal(err)
				}
				if _, err := uplink.Apply(ctx, w.kernel, tt.from); err != nil {
					t.Fatal(err)
				}
				done, err := uplink.Apply(ctx, w.kernel, tt.to)
				if err != nil {
					t.Fatal(err)
				}
				if got := w.picture(t); got != want {
					t.Errorf("got:\n%s\nwant:\n%s\nby:\n%s", got, want, strings.Join(strs(done), "\n"))
				}
			})
		})
	}
}

// TestForeign: what others configured on our interface stays, and then the link stays up too.
func TestForeign(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		usb0 := w.link(t, "usb0")
		w.change(t, netlink.Set, netlink.UpDown{Index: usb0.Index, Dev: "usb0", Up: true})
		w.change(t, netlink.Add, netlink.Addr{Index: usb0.Index, Dev: "usb0", Prefix: prefix("172.16.0.9/24")})
		w.change(t, netlink.Add, netlink.Route{Index: usb0.Index, Dev: "usb0", Dst: prefix("172.16.0.0/24"), Scope: netlink.ScopeLink, Table: netlink.TableMain, Protocol: 4})
		before := w.picture(t)
		if _, err := uplink.Apply(ctx, w.kernel, ethernet); err != nil {
			t.Fatal(err)
		}
		if got := w.picture(t); !strings.Contains(got, "addr 172.16.0.9/24 dev usb0") || !strings.Contains(got, "addr 192.168.225.30/24 dev usb0") {
			t.Errorf("applied:\n%s", got)
		}
		if _, err := uplink.Down(ctx, w.kernel, ethernet); err != nil {
			t.Fatal(err)
		}
		if got := w.picture(t); got != before {
			t.Errorf("after Down:\n%s\nbefore:\n%s", got, before)
		}
	})
}

// TestMetricTaken: a route with the same destination, table and metric stands in the way. The error says which one, and
// nothing half done is left.
func TestMetricTaken(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		s := ethernet
		s.Metric = 1000
		_, err := uplink.Apply(context.Background(), w.kernel, s)
		const want = `uplink usb0: ip route add default via 192.168.225.1 dev usb0 src 192.168.225.30 metric 1000 proto 215: file exists: ` +
			`its place is taken by "default via 192.0.2.1 dev eth0 metric 1000 proto 4", choose another metric`
		var ae *uplink.ApplyError
		if !errors.As(err, &ae) || !errors.Is(err, syscall.EEXIST) || err.Error() != want {
			t.Errorf("got %v", err)
		}
		if got := w.picture(t); got != furniture {
			t.Errorf("left behind:\n%s", got)
		}
	})
}

func TestNoInterface(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		s := rawIP
		s.Interface = "wwan7"
		if _, err := uplink.Apply(ctx, w.kernel, s); !errors.Is(err, uplink.ErrNoInterface) {
			t.Errorf("Apply: %v", err)
		}
		if _, err := uplink.Down(ctx, w.kernel, s); err != nil {
			t.Errorf("Down: %v", err)
		}
		// Pulled out while up: the rule is all that is left, and it goes too.
		if _, err := uplink.Apply(ctx, w.kernel, ethernet); err != nil {
			t.Fatal(err)
		}
		w.remove(t, "usb0")
		if done, err := uplink.Down(ctx, w.kernel, ethernet); err != nil || len(done) != 1 {
			t.Errorf("Down after removal: %q, %v", strs(done), err)
		}
		if got := w.picture(t); strings.Contains(got, "rule") || strings.Contains(got, "usb0") {
			t.Errorf("left behind:\n%s", got)
		}
	})
}

// TestWatch sees the link come, lose its carrier, and go.
func TestWatch(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(context.Background())
		seen := make(chan uplink.Status, 64)
		ended := make(chan error, 1)
		go func() {
			ended <- uplink.Watch(ctx, w.kernel, ethernet, func(st uplink.Status) { seen <- st })
		}()
		until := func(what string, ok func(uplink.Status) bool) {
			t.Helper()
			for {
				select {
				case st := <-seen:
					if ok(st) {
						return
					}
				case err := <-ended:
					t.Fatalf("Watch ended before %s: %v", what, err)
				}
			}
		}
		until("the first report", func(st uplink.Status) bool { return st.Present && !st.Link.Up })
		if _, err := uplink.Apply(ctx, w.kernel, ethernet); err != nil {
			t.Fatal(err)
		}
		until("up", func(st uplink.Status) bool { return st.Usable() && len(uplink.Diff(ethernet, st)) == 0 })
		w.carrier(t, "usb0", false)
		until("no carrier", func(st uplink.Status) bool { return st.Link.Up && !st.Link.Carrier && !st.Usable() })
		w.carrier(t, "usb0", true)
		until("carrier", uplink.Status.Usable)
		rule := netlink.Rule{From: prefix("192.168.225.30/32"), Table: 1700, Priority: uplink.RulePriority, Protocol: netlink.Protocol}
		w.change(t, netlink.Delete, rule)
		until("somebody deleted our rule", func(st uplink.Status) bool {
			return slices.Equal(strs(uplink.Diff(ethernet, st)), []string{"ip rule add " + rule.String()})
		})
		w.remove(t, "usb0")
		until("gone", func(st uplink.Status) bool { return !st.Present })
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
}
