package netlab_test

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"dynamod/daemon/demo/netlab"
	"dynamod/netlink/nft"
	"dynamod/netlink/reach"
	"dynamod/netlink/uplink"
)

// TestWall: a carrier that wants money lets a line reach some hosts alone, without
// its session being touched.
func TestWall(t *testing.T) {
	for _, o := range []netlab.Options{{SingleUplink: true}, {RawIP: true, SingleUplink: true}} {
		t.Run(o.Interface(), func(t *testing.T) {
			eachNetwork(t, o, func(t *testing.T, n netlab.Network) {
				ctx, k := t.Context(), n.Kernel()
				smdp := serveSMDP(t, n)
				lease := o.Lease()
				s := specOf(o, lease)
				if err := errors.Join(uplink.Up(ctx, k, o.Interface()), n.Activate(lease)); err != nil {
					t.Fatal(err)
				}
				if _, err := uplink.WaitCarrier(ctx, k, o.Interface()); err != nil {
					t.Fatal(err)
				}
				if _, err := uplink.Apply(ctx, k, s); err != nil {
					t.Fatal(err)
				}
				for i, tt := range []struct {
					on   bool
					open []netip.Addr
					ok   bool
				}{
					{true, nil, false},
					{true, nil, false},
					{true, []netip.Addr{netlab.SMDPAddr, netlab.PortalAddr, netlab.SMDPAddr}, true},
					{true, []netip.Addr{netlab.PortalAddr}, false},
					{false, nil, true},
					{false, nil, true},
				} {
					if err := n.Wall(tt.on, tt.open...); err != nil {
						t.Fatal(err)
					}
					c, err := n.Dialer(s).DialContext(ctx, "tcp", smdp)
					if (err == nil) != tt.ok {
						t.Errorf("%d: %+v: dial: %v", i, tt, err)
					}
					if err == nil {
						hello(t, c)
					}
					// The carrier's own name server and endpoint are inside of every wall.
					if r := probe(t, n, s, patient); r.State != reach.OK {
						t.Errorf("%d: reach: %+v", i, r)
					}
					if a, err := n.Dialer(s).LookupNetIP(ctx, "ip", netlab.PortalName); err != nil || fmt.Sprint(a) != "[192.0.2.20]" {
						t.Errorf("%d: portal's name: %v, %v", i, a, err)
					}
				}
			})
		})
	}
}

// TestRouterWall: what the router itself lets out, and what passes by its mark.
func TestRouterWall(t *testing.T) {
	o := netlab.Options{SingleUplink: true}
	eachNetwork(t, o, func(t *testing.T, n netlab.Network) {
		ctx, k := t.Context(), n.Kernel()
		smdp := serveSMDP(t, n)
		s := specOf(o, o.Lease())
		if err := errors.Join(uplink.Up(ctx, k, o.Interface()), n.Activate(o.Lease())); err != nil {
			t.Fatal(err)
		}
		if _, err := uplink.WaitCarrier(ctx, k, o.Interface()); err != nil {
			t.Fatal(err)
		}
		if _, err := uplink.Apply(ctx, k, s); err != nil {
			t.Fatal(err)
		}
		check := func(what string, open bool) {
			t.Helper()
			c, err := n.Dial(ctx, "tcp", smdp)
			if (err == nil) != open || err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s: dial: %v", what, err)
			}
			if err == nil {
				hello(t, c)
			}
			if c, err = n.Dialer(s).DialContext(ctx, "tcp", smdp); err != nil {
				t.Errorf("%s: dynamod's own: %v", what, err)
			} else {
				hello(t, c)
			}
		}
		w := nft.Wall{Table: "dynamod", Interface: o.Interface()}
		err := n.Walls().Raise(ctx, w, nil)
		if errors.Is(err, nft.ErrUnsupported) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		check("raised", false)
		if err := n.Walls().Fill(ctx, w, []nft.Host{{Addr: netlab.SMDPAddr, For: time.Hour}}); err != nil {
			t.Fatal(err)
		}
		check("filled", true)
		if err := n.Walls().Fill(ctx, w, nil); err != nil {
			t.Fatal(err)
		}
		check("emptied", false)
		if err := n.Walls().Fall(ctx, w.Table); err != nil {
			t.Fatal(err)
		}
		check("fallen", true)
	})
}
