package bearer

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"dynamod/netlink"
	"dynamod/netlink/nlsim"
)

// The link of a bootstrap profile is private from the start, or from the look on after
// which it is known for one, and as any other's when it is none any more; a second
// bearer takes it over as it is.
func TestBootstrapLink(t *testing.T) {
	inMain := func(k *nlsim.Kernel) bool {
		snap, err := k.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(snap.Routes, func(r netlink.Route) bool {
			return r.Table == netlink.TableMain && r.Protocol == netlink.Protocol
		})
	}
	// What a profile is for may be found out while its first link comes up: the kernel
	// has nothing of it until then.
	synctest.Test(t, func(t *testing.T) {
		known := false
		var b *bench
		b = newBench(t, func(c *Config, _ *radio) {
			c.Bootstrap = func(string) bool { return known }
			c.AwaitCard = func(_ context.Context, id string) {
				if snap, err := b.kernel.Snapshot(t.Context()); err != nil || len(snap.Routes) > 0 || id != iccid {
					t.Errorf("before the class of %s is known: %v, %v", id, snap.Routes, err)
				}
				known = true
			}
		})
		if _, err := b.bringUp(t.Context()); err != nil || !known || inMain(b.kernel) {
			t.Errorf("%v, asked for %v, in the main table %v", err, known, inMain(b.kernel))
		}
	})
	for _, table := range []uint32{700, 0} {
		synctest.Test(t, func(t *testing.T) {
			bootstrap := true
			b := newBench(t, func(c *Config, _ *radio) {
				c.Bootstrap = func(id string) bool { return bootstrap && id == iccid }
				c.Spec.Table = table
			})
			if _, err := b.bringUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, want := range []bool{true, false, true} {
				bootstrap = want
				for range 2 {
					if err := b.look(t.Context()); err != nil {
						t.Fatal(err)
					}
					link := b.model.Snapshot().Link
					if inMain(b.kernel) == want || link == nil || link.Bootstrap != want {
						t.Errorf("bootstrap %v, table %d: in the main table %v, link %+v", want, table, inMain(b.kernel), link)
					}
				}
			}
			next := newBench(t, func(c *Config, r *radio) {
				*r = radio{sim: b.radio.sim, iccid: iccid, reg: b.radio.reg, kernel: b.kernel, source: b.radio.source, accept: b.radio.accept, dead: b.radio.dead, up: b.radio.up}
				c.Bootstrap = b.Bootstrap
				c.Spec.Table, c.Kernel, c.Probe = table, b.kernel, b.Probe
			})
			if err := next.look(t.Context()); err != nil || inMain(b.kernel) {
				t.Errorf("taken over: %v, in the main table %v", err, inMain(b.kernel))
			}
			next.Down(t.Context())
			snap, err := b.kernel.Snapshot(t.Context())
			if err != nil || slices.ContainsFunc(snap.Rules, func(r netlink.Rule) bool { return r.Protocol == netlink.Protocol }) ||
				slices.ContainsFunc(snap.Routes, func(r netlink.Route) bool { return r.Protocol == netlink.Protocol }) {
				t.Errorf("left behind: %v, %v, %v", snap.Routes, snap.Rules, err)
			}
		})
	}
}
