package netlab_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"dynamod/daemon/demo/netlab"
	"dynamod/netlink"
	"dynamod/netlink/dhcp"
	"dynamod/netlink/reach"
	"dynamod/netlink/uplink"
)

// specOf is what the daemon makes of a lease.
func specOf(o netlab.Options, l netlab.Lease) uplink.Spec {
	return uplink.Spec{
		Interface: o.Interface(), MTU: l.MTU, Addrs: []netip.Prefix{l.Addr}, Gateway: l.Gateway,
		DefaultRoute: true, Metric: 100, Table: 1700, DNS: l.DNS,
	}
}

func probe(t *testing.T, n netlab.Network, s uplink.Spec, timeout time.Duration) reach.Result {
	t.Helper()
	r, err := reach.Probe(t.Context(), reach.Config{Dialer: n.Dialer(s), Targets: []string{netlab.ReachTarget}, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// brief is how long a probe waits that is to find nothing, patient one that is to find something.
const (
	brief   = 200 * time.Millisecond
	patient = time.Minute
)

// TestStory: a cell comes up, is used, is closed to traffic, shows a portal, and goes; the other uplink stays.
func TestStory(t *testing.T) {
	for _, o := range []netlab.Options{{}, {RawIP: true}, {SingleUplink: true}, {RawIP: true, SingleUplink: true}} {
		t.Run(fmt.Sprintf("%s single=%v", o.Interface(), o.SingleUplink), func(t *testing.T) {
			eachNetwork(t, o, func(t *testing.T, n netlab.Network) {
				ctx := t.Context()
				smdp := serveSMDP(t, n)
				k := n.Kernel()
				ifname := o.Interface()

				// Before: no carrier, and the SM-DP+ by the other uplink alone.
				if err := uplink.Up(ctx, k, ifname); err != nil {
					t.Fatal(err)
				}
				if st, err := uplink.Read(ctx, k, uplink.Spec{Interface: ifname}); err != nil || !st.Link.Up || st.Link.Carrier {
					t.Fatalf("before: %v, %v", st.Link, err)
				}
				c, err := n.Dial(ctx, "tcp", smdp)
				if (err == nil) == o.SingleUplink {
					t.Errorf("before: dial the SM-DP+: %v", err)
				}
				if err == nil {
					hello(t, c)
				}
				if !o.RawIP {
					short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
					_, err := n.DHCP(short, ifname)
					cancel()
					if err == nil {
						t.Error("before: a DHCP server answered")
					}
				}

				// Active.
				lease := o.Lease()
				if err := n.Activate(lease); err != nil {
					t.Fatal(err)
				}
				if _, err := uplink.WaitCarrier(ctx, k, ifname); err != nil {
					t.Fatal(err)
				}
				s := specOf(o, lease)
				if !o.RawIP {
					l, err := n.DHCP(ctx, ifname)
					if err != nil {
						t.Fatal(err)
					}
					s.Addrs, s.Gateway, s.DNS, s.MTU = []netip.Prefix{l.Addr}, l.Gateway, l.DNS, l.MTU
					if l.Addr != lease.Addr || l.Gateway != lease.Gateway || !slices.Equal(l.DNS, lease.DNS) || l.MTU != lease.MTU {
						t.Errorf("the DHCP server granted %+v of %+v", l, lease)
					}
				} else if _, err := n.DHCP(ctx, ifname); !errors.Is(err, dhcp.ErrNotEthernet) {
					t.Errorf("DHCP on raw IP: %v", err)
				}
				if _, err := uplink.Apply(ctx, k, s); err != nil {
					t.Fatal(err)
				}
				before, err := n.Counters()
				if err != nil {
					t.Fatal(err)
				}
				if r := probe(t, n, s, patient); r.State != reach.OK {
					t.Fatalf("reach: %+v", r)
				}
				after, err := n.Counters()
				if err != nil || after.Reached != before.Reached+1 || after.UpBytes <= before.UpBytes || after.DownBytes <= before.DownBytes {
					t.Errorf("nothing crossed: %+v, %+v, %v", before, after, err)
				}
				// The SM-DP+ over the cell too, by name and bound to the link.
				c, err = n.Dialer(s).DialContext(ctx, "tcp", netlab.SMDPName+":443")
				if err != nil {
					t.Fatal(err)
				}
				if got := c.LocalAddr().(*net.TCPAddr).AddrPort().Addr(); got != lease.Addr.Addr() {
					t.Errorf("the connection came from %s", got)
				}
				hello(t, c)
				var de *net.DNSError
				if _, err := n.Dialer(s).LookupNetIP(ctx, "ip", "nowhere.test"); !errors.As(err, &de) || !de.IsNotFound {
					t.Errorf("unknown name: %v", err)
				}

				// A portal, and a cell that swallows.
				n.Portal("http://portal.lab.test/top-up?msisdn=1")
				if r := probe(t, n, s, patient); r.State != reach.Limited || !strings.HasSuffix(r.Reason, "at portal.lab.test") {
					t.Errorf("portal: %+v", r)
				}
				n.Portal("")
				if err := n.Blackhole(true); err != nil {
					t.Fatal(err)
				}
				if r := probe(t, n, s, brief); r.State != reach.None {
					t.Errorf("swallowed: %+v", r)
				}
				if st, err := uplink.Read(ctx, k, s); err != nil || !st.Usable() || len(uplink.Diff(s, st)) != 0 {
					t.Errorf("a cell that swallows shows: %+v, %v", st, err)
				}
				if err := n.Blackhole(false); err != nil {
					t.Fatal(err)
				}
				if r := probe(t, n, s, patient); r.State != reach.OK {
					t.Errorf("no longer swallowed: %+v", r)
				}

				// Gone, and again with another address: the old one gets nothing through.
				if err := errors.Join(n.Blackhole(true), n.Deactivate(), n.Deactivate()); err != nil {
					t.Fatal(err)
				}
				if st, err := uplink.Read(ctx, k, s); err != nil || st.Link.Carrier {
					t.Errorf("inactive: %v, %v", st.Link, err)
				}
				if r := probe(t, n, s, brief); r.State != reach.None {
					t.Errorf("inactive: %+v", r)
				}
				other := lease
				other.Addr = netip.MustParsePrefix("10.77.0.2/30")
				if !o.RawIP {
					other.Gateway = netip.MustParseAddr("10.77.0.1")
				}
				if err := n.Activate(other); err != nil {
					t.Fatal(err)
				}
				if _, err := uplink.WaitCarrier(ctx, k, ifname); err != nil {
					t.Fatal(err)
				}
				if r := probe(t, n, s, brief); r.State != reach.None {
					t.Errorf("with the old address: %+v", r)
				}
				s.Addrs, s.Gateway = []netip.Prefix{other.Addr}, other.Gateway
				if _, err := uplink.Apply(ctx, k, s); err != nil {
					t.Fatal(err)
				}
				if r := probe(t, n, s, patient); r.State != reach.OK {
					t.Errorf("with the new address: %+v", r)
				}
				if _, err := uplink.Down(ctx, k, s); err != nil {
					t.Fatal(err)
				}
				snap, err := k.Snapshot(ctx)
				if err != nil {
					t.Fatal(err)
				}
				others := slices.ContainsFunc(snap.Routes, func(r netlink.Route) bool { return r.Default() && r.Dev == "eth0" })
				if others == o.SingleUplink {
					t.Errorf("after Down: routes %v", snap.Routes)
				}
			})
		})
	}
}

// TestReachOnlyByCell: the 204 endpoint does not answer by the other uplink.
func TestReachOnlyByCell(t *testing.T) {
	eachNetwork(t, netlab.Options{}, func(t *testing.T, n netlab.Network) {
		if err := n.Activate(n.Options().Lease()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), brief)
		defer cancel()
		c, err := n.Dial(ctx, "tcp", netip.AddrPortFrom(netlab.ReachAddr, 80).String())
		if err == nil {
			_ = c.Close()
			t.Error("reached by eth0")
		}
	})
}

func TestBadLease(t *testing.T) {
	for _, o := range []netlab.Options{{}, {RawIP: true}} {
		eachNetwork(t, o, func(t *testing.T, n netlab.Network) {
			for _, l := range []netlab.Lease{
				{},
				{Addr: netip.MustParsePrefix("10.0.0.2/30"), Gateway: netip.MustParseAddr("10.9.9.9")},
			} {
				if err := n.Activate(l); err == nil && !(o.RawIP && l.Addr.IsValid()) {
					t.Errorf("%+v was activated", l)
				}
			}
		})
	}
}

// serveSMDP answers at the SM-DP+'s address and returns it.
func serveSMDP(t *testing.T, n netlab.Network) string {
	t.Helper()
	ln, err := n.ListenInternet("tcp", netip.AddrPortFrom(netlab.SMDPAddr, 443).String())
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "smdp") })}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return ln.Addr().String()
}

// hello asks the SM-DP+ for its one page.
func hello(t *testing.T, c net.Conn) {
	t.Helper()
	defer c.Close()
	hc := &http.Client{Transport: &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return c, nil },
		DisableKeepAlives: true,
	}}
	resp, err := hc.Get("http://smdp.test/")
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "smdp" {
		t.Errorf("got %q, %v", b, err)
	}
}
