package bearer

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/status"
	"dynamod/netlink"
	"dynamod/netlink/uplink"
)

// netifd has the interface: after a while the kernel holds what the status says of the
// link, until ctx ends.
func netifd(ctx context.Context, t *testing.T, b *bench, sub *status.Subscription, after time.Duration) {
	defer sub.Close()
	was := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-sub.Events():
		}
		l := b.model.Snapshot().Link
		if (l != nil) == was {
			continue
		}
		was = l != nil
		spec := uplink.Spec{Interface: "wwan0"}
		var err error
		if l == nil {
			_, err = uplink.Down(ctx, b.kernel, spec)
		} else {
			time.Sleep(after)
			spec.DefaultRoute = true
			for _, a := range l.Addresses {
				spec.Addrs = append(spec.Addrs, netip.MustParsePrefix(a))
			}
			_, err = uplink.Apply(ctx, b.kernel, spec)
		}
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}
}

// TestHandOver waits for netifd before it probes, and changes nothing in the kernel itself.
func TestHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config, r *radio) { c.Apply = false })
		ctx, stop := context.WithCancel(t.Context())
		go netifd(ctx, t, b, b.model.Subscribe(0), 20*time.Second)
		began := time.Now()
		up, err := b.bringUp(ctx)
		if err != nil || up.APN != "first.test" {
			t.Fatalf("%+v, %v", up, err)
		}
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("up after %s", took)
		}
		if l := b.model.Snapshot().Link; l == nil || l.Addresses[0] != "10.0.0.2/32" || l.DNS[0] != "10.0.0.53" || l.MTU != 1400 || l.APN != "first.test" {
			t.Errorf("link %+v", l)
		}
		snap, err := b.kernel.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range snap.Routes {
			if r.Table == 700 || r.Metric == 700 {
				t.Errorf("a route of our own: %v", r)
			}
		}
		// A look at what stands finds it right, with no change of the kernel.
		before := b.kernel.Counts().Changes
		if err := b.look(ctx); err != nil || b.model.Snapshot().State != status.Up || b.kernel.Counts().Changes != before {
			t.Errorf("%v, %+v", err, b.model.Snapshot())
		}
		stop()
		synctest.Wait()
	})
}

// TestNoNetifd tells who is missing, and how.
func TestNoNetifd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config, r *radio) { c.Apply = false })
		_, err := b.bringUp(t.Context())
		f, ok := err.(*activation.Fault)
		if !ok || f.Code != "no-data" || f.Advice != "/etc/config/network needs an interface of proto 'dynamod', and `ifstatus` tells what became of it" {
			t.Errorf("%v", err)
		}
		if l := b.model.Snapshot().Link; l != nil {
			t.Errorf("link %+v", l)
		}
	})
}

func TestHolds(t *testing.T) {
	addr := func(s string) netlink.Addr { return netlink.Addr{Prefix: netip.MustParsePrefix(s)} }
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.2/30"), netip.MustParsePrefix("2001:db8::2/64")}
	for _, tt := range []struct {
		name string
		st   uplink.Status
		want bool
	}{
		{"both", uplink.Status{Link: netlink.Link{Up: true}, Addrs: []netlink.Addr{addr("2001:db8::2/128"), addr("10.0.0.2/32")}}, true},
		{"one is missing", uplink.Status{Link: netlink.Link{Up: true}, Addrs: []netlink.Addr{addr("10.0.0.2/30")}}, false},
		{"that of an earlier link", uplink.Status{Link: netlink.Link{Up: true}, Addrs: []netlink.Addr{addr("10.0.0.3/30"), addr("2001:db8::2/64")}}, false},
		{"down", uplink.Status{Addrs: []netlink.Addr{addr("10.0.0.2/30"), addr("2001:db8::2/64")}}, false},
	} {
		if got := holds(tt.st, want); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
