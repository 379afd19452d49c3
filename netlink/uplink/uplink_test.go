package uplink_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"dynamod/netlink"
	"dynamod/netlink/nlsim"
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

// TestRefused: whichever step the kernel refuses, nothing half done is left; whichever answer is lost, the next Apply
// ends where it should.
func TestRefused(t *testing.T) {
	errFault := syscall.ENOMEM
	for n := range cases[1].changes {
		for _, lost := range []bool{false, true} {
			w := simWorld()
			w.furnish(t)
			k := w.kernel.(*nlsim.Kernel)
			calls := 0
			fault := func(netlink.Change) error {
				calls++
				if calls == n+1 {
					return errFault
				}
				return nil
			}
			if lost {
				k.SetFaults(nlsim.Faults{After: fault})
			} else {
				k.SetFaults(nlsim.Faults{Before: fault})
			}
			ctx := context.Background()
			if done, err := uplink.Apply(ctx, k, ethernet); !errors.Is(err, errFault) || done != nil {
				t.Fatalf("step %d: %q, %v", n, strs(done), err)
			}
			k.SetFaults(nlsim.Faults{})
			if got := w.picture(t); !lost && got != furniture {
				t.Errorf("step %d refused, left behind:\n%s", n, got)
			}
			if _, err := uplink.Apply(ctx, k, ethernet); err != nil {
				t.Errorf("step %d, applied again: %v", n, err)
			}
			if got := w.picture(t); got != cases[1].picture {
				t.Errorf("step %d, applied again:\n%s", n, got)
			}
		}
	}
}

// TestCrashAt: the process dies after each step, which leaves the earlier ones standing. Apply goes on from there, Down
// cleans up from there.
func TestCrashAt(t *testing.T) {
	for _, spec := range []uplink.Spec{cases[0].spec, cases[1].spec, cases[4].spec} {
		for _, old := range []bool{false, true} {
			for n := 0; ; n++ {
				w := simWorld()
				w.furnish(t)
				k := w.kernel.(*nlsim.Kernel)
				steps := 0
				dead := syscall.EIO
				crash := func(netlink.Change) error {
					if steps++; steps > n {
						return dead // and so is undo: nobody runs it in a dead process
					}
					return nil
				}
				k.SetFaults(nlsim.Faults{Before: crash, NoAddrProtocol: old})
				ctx := context.Background()
				_, err := uplink.Apply(ctx, k, spec)
				k.SetFaults(nlsim.Faults{NoAddrProtocol: old})
				half := w.picture(t)
				if _, err := uplink.Apply(ctx, k, spec); err != nil {
					t.Fatalf("after %d steps: %v\n%s", n, err, half)
				}
				if _, err := uplink.Down(ctx, k, spec); err != nil {
					t.Fatalf("after %d steps: %v\n%s", n, err, half)
				}
				if got := w.picture(t); got != furniture {
					t.Errorf("after %d steps and Down:\n%s", n, got)
				}
				if err == nil {
					break
				}
			}
		}
	}
}

// TestNoIPv6: a kernel that refuses IPv6 still gets its IPv4, and the error says what is missing.
func TestNoIPv6(t *testing.T) {
	w := simWorld()
	w.furnish(t)
	k := w.kernel.(*nlsim.Kernel)
	k.DisableIPv6("wwan0")
	ctx := context.Background()
	_, err := uplink.Apply(ctx, k, cases[4].spec)
	var de *uplink.DegradedError
	if !errors.As(err, &de) || !errors.Is(err, syscall.EACCES) {
		t.Fatalf("got %v", err)
	}
	if got := w.picture(t); got != cases[0].picture {
		t.Errorf("got:\n%s", got)
	}
	only6 := cases[4].spec
	only6.Addrs = only6.Addrs[1:]
	if _, err := uplink.Apply(ctx, k, only6); !errors.Is(err, syscall.EACCES) || errors.As(err, &de) {
		t.Errorf("IPv6 alone: %v", err)
	}
}

// TestFight: somebody takes our route away as soon as it is there. Apply gives up with a reason.
func TestFight(t *testing.T) {
	w := simWorld()
	w.furnish(t)
	k := w.kernel.(*nlsim.Kernel)
	var fight func(netlink.Change) error
	fight = func(c netlink.Change) error {
		if r, ok := c.Object.(netlink.Route); ok && c.Op == netlink.Add && r.Table == netlink.TableMain {
			k.SetFaults(nlsim.Faults{})
			_ = k.Change(context.Background(), netlink.Change{Op: netlink.Delete, Object: r})
			k.SetFaults(nlsim.Faults{After: fight})
		}
		return nil
	}
	k.SetFaults(nlsim.Faults{After: fight})
	_, err := uplink.Apply(context.Background(), k, rawIP)
	const want = `uplink wwan0: the kernel still wants "ip route add default dev wwan0 scope link src 10.64.3.7 metric 200 proto 215" after it was done: another program may manage this interface`
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	k.SetFaults(nlsim.Faults{})
	if got := w.picture(t); got != furniture {
		t.Errorf("left behind:\n%s", got)
	}
}

func TestCancelled(t *testing.T) {
	w := simWorld()
	w.furnish(t)
	k := w.kernel.(*nlsim.Kernel)
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	k.SetFaults(nlsim.Faults{After: func(netlink.Change) error {
		if n++; n == 3 {
			cancel()
		}
		return nil
	}})
	if _, err := uplink.Apply(ctx, k, ethernet); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got := w.picture(t); got != furniture {
		t.Errorf("left behind:\n%s", got)
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*uplink.Spec)
		want string
	}{
		{"good", func(*uplink.Spec) {}, ""},
		{"no interface", func(s *uplink.Spec) { s.Interface = "" }, `uplink: "" is no interface name`},
		{"path as interface", func(s *uplink.Spec) { s.Interface = "../x" }, `uplink: "../x" is no interface name`},
		{"long interface", func(s *uplink.Spec) { s.Interface = "wwx0123456789abc" }, `uplink: "wwx0123456789abc" is no interface name`},
		{"mtu", func(s *uplink.Spec) { s.MTU = 68 }, "uplink usb0: mtu 68 is not in 576..65535 (RFC 791: every host takes 576)"},
		{"mtu for IPv6", func(s *uplink.Spec) { s.MTU = 1000; s.Addrs = prefixes("2001:db8::1/64") }, "uplink usb0: mtu 1000 is too small for IPv6 (RFC 8200 section 5: at least 1280)"},
		{"no address", func(s *uplink.Spec) { s.Addrs = nil }, "uplink usb0: no address"},
		{"0.0.0.0 of a modem that is down", func(s *uplink.Spec) { s.Addrs = prefixes("0.0.0.0/32") }, "uplink usb0: 0.0.0.0/32 is no address that a host can have"},
		{"/0", func(s *uplink.Spec) { s.Addrs = prefixes("10.0.0.1/0") }, "uplink usb0: address 10.0.0.1/0 has no valid prefix length"},
		{"twice", func(s *uplink.Spec) { s.Addrs = prefixes("10.0.0.1/8", "10.0.0.1/32") }, "uplink usb0: address 10.0.0.1 appears twice"},
		{"gateway of the other family", func(s *uplink.Spec) { s.Gateway = addr("fe80::1") }, "uplink usb0: gateway fe80::1 is not an IPv4 host"},
		{"gateway 0.0.0.0", func(s *uplink.Spec) { s.Gateway = addr("0.0.0.0") }, "uplink usb0: gateway 0.0.0.0 is not an IPv4 host"},
		{"system table", func(s *uplink.Spec) { s.Table = 254 }, "uplink usb0: table 254 belongs to the system (253 default, 254 main, 255 local); choose another one or 0"},
		{"dns server", func(s *uplink.Spec) { s.DNS = []netip.Addr{addr("0.0.0.0")} }, "uplink usb0: 0.0.0.0 is no dns server"},
		{"dns file", func(s *uplink.Spec) { s.DNSFile = "resolv.conf" }, "uplink usb0: dns file resolv.conf is not an absolute path"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := ethernet
			tt.edit(&s)
			err := s.Validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestDNSFile(t *testing.T) {
	w := simWorld()
	w.furnish(t)
	ctx := context.Background()
	s := ethernet
	s.DNS = []netip.Addr{addr("10.0.0.53"), addr("2001:db8::53")}
	s.DNSFile = filepath.Join(t.TempDir(), "run", "resolv.conf")
	done, err := uplink.Apply(ctx, w.kernel, s)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := done[len(done)-1].String(), "write "+s.DNSFile+": nameserver 10.0.0.53 2001:db8::53"; got != want {
		t.Errorf("got %s", got)
	}
	b, err := os.ReadFile(s.DNSFile)
	if want := "# made by dynamod for usb0: changes are overwritten\nnameserver 10.0.0.53\nnameserver 2001:db8::53\n"; err != nil || string(b) != want {
		t.Errorf("got %q, %v", b, err)
	}
	if done, err := uplink.Apply(ctx, w.kernel, s); err != nil || len(done) != 0 {
		t.Errorf("again: %q, %v", strs(done), err)
	}
	s.DNS = s.DNS[:1]
	if done, err := uplink.Apply(ctx, w.kernel, s); err != nil || len(done) != 1 {
		t.Errorf("one server less: %q, %v", strs(done), err)
	}
	// Another modem's instance does not take it over.
	other := rawIP
	other.DNS, other.DNSFile, other.Metric, other.Table = s.DNS, s.DNSFile, 300, 1701
	var de *uplink.DegradedError
	if _, err := uplink.Apply(ctx, w.kernel, other); !errors.As(err, &de) {
		t.Errorf("other instance: %v", err)
	}
	if st, err := uplink.Read(ctx, w.kernel, other); err != nil || st.DNS.State != uplink.FileForeign || !st.Usable() {
		t.Errorf("other instance: %+v, %v", st, err)
	}
	if _, err := uplink.Down(ctx, w.kernel, other); err != nil {
		t.Fatal(err)
	}
	if _, err := uplink.Down(ctx, w.kernel, s); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.DNSFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Down: %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(s.DNSFile))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
