package uplink_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"dynamod/netlink"
	"dynamod/netlink/nlsim"
	"dynamod/netlink/uplink"
)

// A world is a kernel with the two kinds of modem interface, both down, and another uplink that works:
//
//	usb0  Ethernet
//	wwan0 raw IP
//	eth0  Ethernet, up, 192.0.2.2/24, default via 192.0.2.1 metric 1000
type world struct {
	name    string
	kernel  uplink.Kernel
	carrier func(t *testing.T, dev string, on bool)
	remove  func(t *testing.T, dev string)
	six     bool // has IPv6
}

func simWorld() *world {
	k := nlsim.New()
	k.AddLink(netlink.Link{Name: "usb0", Type: netlink.TypeEthernet, HWAddr: []byte{2, 0, 0, 0, 0, 1}})
	k.AddLink(netlink.Link{Name: "wwan0", Type: netlink.TypeNone, NoARP: true})
	k.AddLink(netlink.Link{Name: "eth0", Type: netlink.TypeEthernet, HWAddr: []byte{2, 0, 0, 0, 0, 2}})
	for _, dev := range []string{"usb0", "wwan0", "eth0"} {
		k.SetCarrier(dev, true)
	}
	return &world{
		name:    "nlsim",
		kernel:  k,
		carrier: func(_ *testing.T, dev string, on bool) { k.SetCarrier(dev, on) },
		remove:  func(_ *testing.T, dev string) { k.RemoveLink(dev) },
		six:     true,
	}
}

// furnish gives the world its other uplink.
func (w *world) furnish(t *testing.T) {
	t.Helper()
	eth0 := w.link(t, "eth0")
	w.change(t, netlink.Set, netlink.UpDown{Index: eth0.Index, Dev: "eth0", Up: true})
	w.change(t, netlink.Add, netlink.Addr{Index: eth0.Index, Dev: "eth0", Prefix: prefix("192.0.2.2/24")})
	w.change(t, netlink.Add, netlink.Route{Index: eth0.Index, Dev: "eth0", Dst: prefix("192.0.2.0/24"), Scope: netlink.ScopeLink, Table: netlink.TableMain, Protocol: 4})
	w.change(t, netlink.Add, netlink.Route{Index: eth0.Index, Dev: "eth0", Dst: prefix("0.0.0.0/0"), Gateway: addr("192.0.2.1"), Metric: 1000, Table: netlink.TableMain, Protocol: 4})
}

func (w *world) change(t *testing.T, op netlink.Op, o netlink.Object) {
	t.Helper()
	if err := w.kernel.Change(context.Background(), netlink.Change{Op: op, Object: o}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) snapshot(t *testing.T) netlink.Snapshot {
	t.Helper()
	s, err := w.kernel.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *world) link(t *testing.T, dev string) netlink.Link {
	t.Helper()
	l, ok := w.snapshot(t).Link(dev)
	if !ok {
		t.Fatalf("no link %s", dev)
	}
	return l
}

// picture shows what the world holds, without what the kernel makes by itself.
func (w *world) picture(t *testing.T) string {
	t.Helper()
	s := w.snapshot(t)
	var lines []string
	for _, l := range s.Links {
		if l.Name == "usb0" || l.Name == "wwan0" {
			state := "down"
			if l.Up {
				state = "up"
			}
			lines = append(lines, "link "+l.Name+" "+state)
		}
	}
	for _, a := range s.Addrs {
		if !a.LinkLocal() && a.Dev != "lo" {
			lines = append(lines, "addr "+a.String())
		}
	}
	for _, r := range s.Routes {
		if r.Protocol != netlink.ProtocolKernel {
			lines = append(lines, "route "+r.String())
		}
	}
	for _, r := range s.Rules {
		if r.Protocol != netlink.ProtocolKernel {
			lines = append(lines, "rule "+r.String())
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// furniture is the picture of a world that nobody has used yet.
const furniture = `addr 192.0.2.2/24 dev eth0
link usb0 down
link wwan0 down
route 192.0.2.0/24 dev eth0 scope link proto 4
route default via 192.0.2.1 dev eth0 metric 1000 proto 4`

func strs(cs []uplink.Change) []string {
	var ss []string
	for _, c := range cs {
		ss = append(ss, c.String())
	}
	return ss
}
