package netlab_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dynamod/daemon/demo/netlab"
	"dynamod/netlink"
	"dynamod/netlink/reach"
	"dynamod/netlink/uplink"
)

// TestReachOnTheWire: what a reach check costs, by whom it goes and whose address it has, as packets tell. The main
// table prefers the other uplink all the while.
func TestReachOnTheWire(t *testing.T) {
	n := newLab(t, netlab.Options{})
	defer closeNetwork(t, n)
	if err := n.Activate(n.Options().Lease()); err != nil {
		t.Fatal(err)
	}
	cmd := self("wire")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := n.Run(t.Context(), cmd); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	t.Log(out.String())
	var up, down traffic
	if _, err := fmt.Sscanf(out.String(), "up ok %d %d %d %d\ndown none %d %d %d %d\n", &up.wire, &up.sent, &up.foreign, &up.other, &down.wire, &down.sent, &down.foreign, &down.other); err != nil {
		t.Fatalf("%q: %v", &out, err)
	}
	if up.wire == 0 || up.wire >= 2000 {
		t.Errorf("a good check costs %d bytes", up.wire)
	}
	if up.sent < 4 { // a question, a connection, a request and its end
		t.Errorf("only %d packets were seen: the test looks at the wrong place", up.sent)
	}
	// The whole check, several targets, whatever answers.
	for _, tt := range []struct {
		name, portal string
		silent       bool
		targets      string
		state        reach.State
		behind       bool // a long page after a target that was not there
	}{
		{"all answer", "", false, threePages, reach.OK, false},
		{"a portal sends on", "http://portal.lab.test/top-up?msisdn=1", false, threePages, reach.Limited, false},
		{"a portal has a long page", "http://portal.lab.test/" + strings.Repeat("x", 20000), false, threePages, reach.Limited, false},
		{"a portal has a long page, behind a name that is not there", "http://portal.lab.test/" + strings.Repeat("x", 20000), false,
			strings.Replace(threePages, netlab.ReachName, "no."+netlab.ReachName, 1), reach.Limited, true},
		{"connections are not answered", "", false, strings.ReplaceAll(threePages, netlab.ReachName, netlab.ReachName+":81"), reach.None, false},
		{"names are not answered", "", false, strings.ReplaceAll(threePages, netlab.ReachName, "no."+netlab.ReachName), reach.None, false},
		{"nothing answers", "", true, threePages, reach.None, false},
	} {
		n.Portal(tt.portal)
		if err := n.Blackhole(tt.silent); err != nil {
			t.Fatal(err)
		}
		cmd := self("wire")
		timeout := patient
		if tt.state == reach.None {
			timeout = brief // nothing comes that would be waited for
		}
		cmd.Env = append(cmd.Env, wireTargets+"="+tt.targets, wireTimeout+"="+timeout.String())
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := n.Run(t.Context(), cmd); err != nil {
			t.Fatalf("%v: %s", err, &out)
		}
		var state string
		var tr traffic
		if _, err := fmt.Sscanf(out.String(), "whole %s %d %d %d %d\n", &state, &tr.wire, &tr.sent, &tr.foreign, &tr.other); err != nil {
			t.Fatalf("%q: %v", &out, err)
		}
		t.Logf("%s: %s, %d bytes, %d packets of ours", tt.name, state, tr.wire, tr.sent)
		limit := reach.MaxWire
		if tt.behind {
			limit = 2500 // the kernel opens no smaller window than the page fills
		}
		if state != tt.state.String() || tr.wire >= limit || tr.wire == 0 {
			t.Errorf("%s: %s, want %s; %d bytes", tt.name, state, tt.state, tr.wire)
		}
	}
	for _, tr := range []traffic{up, down} {
		if tr.foreign != 0 || tr.other != 0 {
			t.Errorf("%d packets with another source address, %d over the other uplink", tr.foreign, tr.other)
		}
	}
}

// threePages are targets as the defaults are.
const threePages = netlab.ReachTarget + " " + netlab.ReachTarget + "?2 " + netlab.ReachTarget + "?3 tcp:198.51.100.99:443"

// Variables with the targets of a whole check, and the time for each.
const (
	wireTargets = "WIRE_TARGETS"
	wireTimeout = "WIRE_TIMEOUT"
)

// traffic is what was seen of a reach check.
type traffic struct {
	wire    int // bytes of ours on the link, both ways, with all headers but Ethernet's, which no cell has
	sent    int // packets of ours on the link
	foreign int // packets on the link that have neither source nor destination ours
	other   int // packets on the other uplink
}

// wireRole is probeRole that watches the wires, with the link up and after it went down.
func wireRole() error {
	ctx := context.Background()
	k, err := netlink.Dial(netlink.Config{})
	if err != nil {
		return err
	}
	o := netlab.Options{}
	s := specOf(o, o.Lease())
	if _, err := uplink.Apply(ctx, k, s); err != nil {
		return err
	}
	snap, err := k.Snapshot(ctx)
	if err != nil {
		return err
	}
	link, _ := snap.Link(s.Interface)
	other, ok := snap.Link("eth0")
	if !ok {
		return errors.New("no other uplink")
	}
	for _, r := range snap.Routes {
		if r.Default() && r.Dev == "eth0" {
			r.Metric = 1                                                                                                      // better than ours
			if err := k.Change(ctx, netlink.Change{Op: netlink.Add, Object: r}); err != nil && !errors.Is(err, unix.EEXIST) { // from an earlier check
				return err
			}
		}
	}
	check := func(name string, timeout time.Duration, targets ...string) error {
		on, err := capture(link.Index)
		if err != nil {
			return err
		}
		off, err := capture(other.Index)
		if err != nil {
			return err
		}
		d := s.Dialer()
		d.RecvBuffer = reach.RecvBuffer
		r, err := reach.Probe(ctx, reach.Config{Dialer: d, Targets: targets, Timeout: timeout})
		if err != nil {
			return err
		}
		var t traffic
		own := s.Addrs[0].Addr()
		for _, p := range on() {
			from, to, isIP := ends(p)
			if isIP && (from == own || to == own) {
				t.wire += len(p) - ethernet
			}
			switch {
			case isIP && from == own:
				t.sent++
			case isIP && to != own:
				t.foreign++
			}
		}
		for _, p := range off() {
			if _, _, isIP := ends(p); isIP {
				t.other++
			}
		}
		fmt.Println(name, r.State, t.wire, t.sent, t.foreign, t.other)
		return nil
	}
	if whole := os.Getenv(wireTargets); whole != "" {
		timeout, err := time.ParseDuration(os.Getenv(wireTimeout))
		if err != nil {
			return err
		}
		return check("whole", timeout, strings.Fields(whole)...)
	}
	some := []string{netlab.ReachTarget, "tcp:198.51.100.53:53"}
	if err := check("up", patient, some...); err != nil {
		return err
	}
	if err := k.Change(ctx, netlink.Change{Op: netlink.Set, Object: netlink.UpDown{Index: link.Index, Dev: link.Name}}); err != nil {
		return err
	}
	return check("down", patient, some...)
}

// capture begins to record the packets of an interface, and returns what ends it.
func capture(index int) (packets func() [][]byte, err error) {
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}); err != nil {
		return nil, err
	}
	return func() (list [][]byte) {
		defer unix.Close(fd)
		for {
			b := make([]byte, 4096)
			n, _, err := unix.Recvfrom(fd, b, 0)
			if err != nil {
				return list
			}
			list = append(list, b[:n])
		}
	}, nil
}

// ethernet is the length of its header.
const ethernet = 14

// ends are the addresses of an IPv4 packet in an Ethernet frame.
func ends(frame []byte) (from, to netip.Addr, ok bool) {
	if len(frame) < 34 || binary.BigEndian.Uint16(frame[12:]) != unix.ETH_P_IP {
		return from, to, false
	}
	return netip.AddrFrom4([4]byte(frame[26:30])), netip.AddrFrom4([4]byte(frame[30:34])), true
}
