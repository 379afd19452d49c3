package netlink_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"dynamod/netlink"
	"dynamod/netlink/internal/nstest"
)

// TestErrors pins what an error holds and says.
func TestErrors(t *testing.T) {
	nstest.Run(t, func() {
		ctx := context.Background()
		c := nstest.Dial(t, 0)
		if err := c.AddVeth(ctx, "usb0", "cell0", 0); err != nil {
			t.Fatal(err)
		}
		s, err := c.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		usb0, _ := s.Link("usb0")
		if usb0.Kind != "veth" || !usb0.Ethernet() || usb0.Up || usb0.Carrier || usb0.MTU != 1500 {
			t.Errorf("got %+v", usb0)
		}
		addr := netlink.Addr{Index: usb0.Index, Dev: "usb0", Prefix: netip.MustParsePrefix("10.0.0.2/24"), Protocol: netlink.Protocol}
		if err := c.Change(ctx, netlink.Change{Op: netlink.Add, Object: addr}); err != nil {
			t.Fatal(err)
		}
		def := netlink.Route{Index: usb0.Index, Dev: "usb0", Dst: netip.MustParsePrefix("0.0.0.0/0"), Table: netlink.TableMain}
		via := def
		via.Gateway = netip.MustParseAddr("192.0.2.1")
		nowhere := addr
		nowhere.Index = 4711
		for _, tt := range []struct {
			change netlink.Change
			errno  syscall.Errno
			text   string
		}{
			{netlink.Change{Op: netlink.Add, Object: addr}, unix.EEXIST, "ip addr add 10.0.0.2/24 dev usb0: file exists"},
			{netlink.Change{Op: netlink.Add, Object: nowhere}, unix.ENODEV, "ip addr add 10.0.0.2/24 dev usb0: no such device"},
			{netlink.Change{Op: netlink.Add, Object: def}, unix.ENETDOWN, "ip route add default dev usb0: network is down"},
			{netlink.Change{Op: netlink.Delete, Object: def}, unix.ESRCH, "ip route del default dev usb0: no such process"},
			{netlink.Change{Op: netlink.Set, Object: netlink.MTU{Index: usb0.Index, Dev: "usb0", MTU: 20}}, unix.EINVAL, "ip link set dev usb0 mtu 20: invalid argument"},
			{netlink.Change{Op: netlink.Set, Object: addr}, unix.EINVAL, "ip addr set 10.0.0.2/24 dev usb0: invalid argument: no such change"},
			{netlink.Change{}, unix.EINVAL, "nothing: invalid argument: no such change"},
		} {
			err := c.Change(ctx, tt.change)
			var oe *netlink.OpError
			if !errors.As(err, &oe) || !errors.Is(err, tt.errno) {
				t.Errorf("%s: got %v", tt.change, err)
				continue
			}
			// Newer kernels add a sentence of their own in brackets.
			if got := err.Error(); len(got) < len(tt.text) || got[:len(tt.text)] != tt.text {
				t.Errorf("got  %s\nwant %s", got, tt.text)
			}
		}
	})
}

// TestThread: a Conn stays in the namespace of the thread that opened it, and a Conn for a namespace that is given by
// its file descriptor is there.
func TestThread(t *testing.T) {
	nstest.Run(t, func() {
		ctx := context.Background()
		far := nstest.NetNS(t)
		here, there := nstest.Dial(t, 0), nstest.Dial(t, far)
		if err := here.AddVeth(ctx, "usb0", "cell0", far); err != nil {
			t.Fatal(err)
		}
		has := func(c *netlink.Conn, name string) bool {
			s, err := c.Snapshot(ctx)
			if err != nil {
				t.Fatal(err)
			}
			_, ok := s.Link(name)
			return ok
		}
		if !has(here, "usb0") || has(here, "cell0") || has(there, "usb0") || !has(there, "cell0") {
			t.Error("the ends are not where they should be")
		}
		// The subscription is made by a goroutine on a thread outside.
		for _, c := range []*netlink.Conn{here, there} {
			wctx, cancel := context.WithCancel(ctx)
			calls, ended := make(chan struct{}, 64), make(chan error, 1)
			go func() { ended <- c.Watch(wctx, func() { calls <- struct{}{} }) }()
			<-calls
			s, err := c.Snapshot(ctx)
			if err != nil {
				t.Fatal(err)
			}
			l := s.Links[len(s.Links)-1]
			if err := c.Change(ctx, netlink.Change{Op: netlink.Set, Object: netlink.UpDown{Index: l.Index, Dev: l.Name, Up: true}}); err != nil {
				t.Fatal(err)
			}
			<-calls
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestContext(t *testing.T) {
	nstest.Run(t, func() {
		c := nstest.Dial(t, 0)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := c.Snapshot(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Snapshot: %v", err)
		}
		if err := c.Watch(ctx, func() {}); err != nil {
			t.Errorf("Watch: %v", err)
		}
		if _, err := c.Snapshot(context.Background()); err != nil {
			t.Errorf("Snapshot after a cancelled one: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := c.Snapshot(context.Background()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		if err := c.Watch(context.Background(), func() {}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}

// TestOverflow: a listener that is slow for long enough loses announcements, is told to look again, and goes on.
func TestOverflow(t *testing.T) {
	nstest.Run(t, func() {
		c := nstest.Dial(t, 0)
		ctx, cancel := context.WithCancel(context.Background())
		block, calls, ended := make(chan struct{}), make(chan struct{}, 1), make(chan error, 1)
		go func() {
			ended <- c.Watch(ctx, func() {
				select {
				case calls <- struct{}{}:
				default:
				}
				<-block
			})
		}()
		<-calls
		// The default receive buffer is 208 kB; an announcement takes about 1 kB of it.
		a := netlink.Addr{Index: 1, Dev: "lo", Prefix: netip.MustParsePrefix("10.0.0.1/32")}
		for range 400 {
			for _, op := range []netlink.Op{netlink.Add, netlink.Delete} {
				if err := c.Change(ctx, netlink.Change{Op: op, Object: a}); err != nil {
					t.Fatal(err)
				}
			}
		}
		close(block)
		<-calls
		if err := c.Change(ctx, netlink.Change{Op: netlink.Add, Object: a}); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
}
