package uplink_test

import (
	"context"
	"testing"

	"dynamod/netlink"
	"dynamod/netlink/internal/nstest"
)

// eachWorld runs a test against nlsim and against the kernel.
func eachWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("nlsim", func(t *testing.T) {
		w := simWorld()
		w.furnish(t)
		test(t, w)
	})
	t.Run("linux", func(t *testing.T) {
		nstest.Run(t, func() {
			w := linuxWorld(t)
			w.furnish(t)
			test(t, w)
		})
	})
}

func linuxWorld(t *testing.T) *world {
	t.Helper()
	ctx := context.Background()
	c := nstest.Dial(t, 0)
	tun := nstest.Tun(t, "wwan0")
	w := &world{name: "linux", kernel: c}
	for _, pair := range [][2]string{{"usb0", "cell0"}, {"eth0", "net0"}} {
		if err := c.AddVeth(ctx, pair[0], pair[1], 0); err != nil {
			t.Fatal(err)
		}
		far := w.link(t, pair[1])
		w.change(t, netlink.Set, netlink.UpDown{Index: far.Index, Dev: far.Name, Up: true})
	}
	w.carrier = func(t *testing.T, dev string, on bool) {
		t.Helper()
		far := w.link(t, map[string]string{"usb0": "cell0", "eth0": "net0"}[dev])
		w.change(t, netlink.Set, netlink.UpDown{Index: far.Index, Dev: far.Name, Up: on})
	}
	w.remove = func(t *testing.T, dev string) {
		t.Helper()
		if dev == "wwan0" {
			_ = tun.Close()
			return
		}
		if err := c.DelLink(ctx, w.link(t, dev)); err != nil {
			t.Fatal(err)
		}
	}
	// Some kernels are built or started without IPv6.
	lo := w.link(t, "lo")
	probe := netlink.Addr{Index: lo.Index, Dev: "lo", Prefix: prefix("2001:db8::1/128")}
	if c.Change(ctx, netlink.Change{Op: netlink.Add, Object: probe}) == nil {
		w.six = true
		w.change(t, netlink.Delete, probe)
	}
	return w
}
