package uplink_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"dynamod/netlink"
	"dynamod/netlink/internal/nstest"
	"dynamod/netlink/reach"
	"dynamod/netlink/uplink"
)

// TestDialer: two uplinks lead to two internets with the same addresses in them. The main table prefers eth0; a Dialer
// for usb0 gets there by usb0. (Names are looked up by goroutines on threads outside of the namespace: see the lab's
// tests, where a whole process is inside.)
func TestDialer(t *testing.T) {
	nstest.Run(t, func() {
		ctx := t.Context()
		k := nstest.Dial(t, 0)
		side := func(dev string, gateway netip.Prefix, says string) {
			far := nstest.NetNS(t)
			fk := nstest.Dial(t, far)
			if err := k.AddVeth(ctx, dev, "far0", far); err != nil {
				t.Fatal(err)
			}
			spec := uplink.Spec{Interface: "far0", Addrs: []netip.Prefix{gateway, prefix("198.51.100.1/32")}}
			if _, err := uplink.Apply(ctx, fk, spec); err != nil {
				t.Fatal(err)
			}
			nstest.In(t, far, func() { serveFar(t, says) })
		}
		side("eth0", prefix("10.1.0.1/24"), "eth0")
		side("usb0", prefix("10.2.0.1/24"), "usb0")
		eth0 := uplink.Spec{Interface: "eth0", Addrs: prefixes("10.1.0.2/24"), Gateway: addr("10.1.0.1"), DefaultRoute: true, Metric: 100}
		usb0 := uplink.Spec{
			Interface: "usb0", Addrs: prefixes("10.2.0.2/24"), Gateway: addr("10.2.0.1"), Table: 1700,
			DNS: []netip.Addr{addr("198.51.100.1")},
		}
		for _, s := range []uplink.Spec{eth0, usb0} {
			if _, err := uplink.Apply(ctx, k, s); err != nil {
				t.Fatal(err)
			}
		}
		get := func(d uplink.Dialer, url string) (string, error) {
			c, err := d.DialContext(ctx, "tcp", url)
			if err != nil {
				return "", err
			}
			defer c.Close()
			if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
				return "", err
			}
			b, err := io.ReadAll(c)
			return string(b[max(0, len(b)-4):]), err
		}
		for _, tt := range []struct {
			dialer uplink.Dialer
			want   string
		}{
			{uplink.Dialer{}, "eth0"},
			{eth0.Dialer(), "eth0"},
			{usb0.Dialer(), "usb0"},
		} {
			if got, err := get(tt.dialer, "198.51.100.1:80"); err != nil || got != tt.want {
				t.Errorf("%+v: got %q, %v, want %s", tt.dialer, got, err, tt.want)
			}
		}
		if _, err := eth0.Dialer().LookupNetIP(ctx, "ip", "reach.lab.test"); !errors.Is(err, uplink.ErrNoDNS) {
			t.Errorf("no dns: %v", err)
		}
		d := usb0.Dialer()
		d.RecvBuffer = 4096
		r, err := reach.Probe(ctx, reach.Config{Dialer: d, Targets: []string{"http://198.51.100.1/204"}})
		if err != nil || r.State != reach.OK || r.RTT <= 0 || r.Bytes == 0 {
			t.Errorf("reach: %+v, %v", r, err)
		}
		// The cable is out: nothing leaks to the other uplink.
		snap, err := k.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		l, _ := snap.Link("usb0")
		if err := k.Change(ctx, netlink.Change{Op: netlink.Set, Object: netlink.UpDown{Index: l.Index, Dev: "usb0"}}); err != nil {
			t.Fatal(err)
		}
		if got, err := get(usb0.Dialer(), "198.51.100.1:80"); err == nil {
			t.Errorf("without usb0 an answer came from %s", got)
		}
	})
}

// serveFar answers HTTP in the calling thread's namespace.
func serveFar(t *testing.T, says string) {
	l, err := net.Listen("tcp4", "198.51.100.1:80")
	if err != nil {
		t.Error(err)
		return
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/204" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = io.WriteString(w, says)
	})}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(l) })
	t.Cleanup(func() {
		_ = srv.Shutdown(context.Background())
		wg.Wait()
	})
}
