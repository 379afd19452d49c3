package bearer

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/daemon/status"
	"dynamod/netlink"
)

// routers is what the routers of a network say at which times.
type routers struct {
	says []said

	mu         sync.Mutex
	identifier netip.Addr
	listened   int
}

type said struct {
	at   time.Duration // since the listening began
	link Lease
}

func (r *routers) advertised(ctx context.Context, _ string, identifier netip.Addr, changed func(Lease)) error {
	r.mu.Lock()
	r.identifier = identifier
	r.listened++
	r.mu.Unlock()
	start := time.Now()
	for _, s := range r.says {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(s.at - time.Since(start)):
			changed(s.link)
		}
	}
	<-ctx.Done()
	return nil
}

// routes6 tells the IPv6 default routes: next hop and table.
func (b *simBench) routes6() string {
	snap, err := b.kernel.Snapshot(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, r := range snap.Routes {
		if r.Default() && r.Dst.Addr().Is6() {
			out = append(out, r.Gateway.String()+map[bool]string{true: " main", false: " own"}[r.Table == netlink.TableMain])
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// TestAdvertised: IPv6 by router advertisement, beside what the modem and DHCP
// tell.
func TestAdvertised(t *testing.T) {
	six := Lease{
		Addrs: []netip.Prefix{netip.MustParsePrefix("2001:db8:7::a/128")}, Gateway: netip.MustParseAddr("fe80::1"),
		DNS: []netip.Addr{netip.MustParseAddr("2001:db8::53")}, MTU: 1400,
	}
	four := lease("192.168.225.30/24", "192.168.225.1", "192.168.225.1")
	const v4, v6, routes = "192.168.225.30/24", "2001:db8:7::a/128", "fe80::1 main, fe80::1 own"
	both := simLease
	only6, only4 := atsim.Lease{Addr6: simLease.Addr6}, atsim.Lease{Addr: simLease.Addr}
	for _, tt := range []struct {
		name     string
		rawIP    bool
		apn      string // record
		granted  atsim.Lease
		four     *Lease // DHCP's; nil for silence
		says     []said
		wait     time.Duration
		want     string // addresses
		routes   string
		dns      string
		listened int
		asked    int // DHCP
		down     bool
	}{
		{name: "both: IPv4 first, IPv6 a moment later", granted: both, four: &four, says: []said{{3 * time.Second, six}}, wait: time.Minute,
			want: v4 + " " + v6, routes: routes, dns: "192.168.225.1 2001:db8::53", listened: 1, asked: 1},
		{name: "IPv6 alone: DHCP is not asked", apn: `, "ipType": "ipv6"`, granted: only6, says: []said{{3 * time.Second, six}}, wait: time.Minute,
			want: v6, routes: routes, dns: "2001:db8::53", listened: 1},
		{name: "TS 24.301 #51: both asked for, IPv6 granted", granted: only6, says: []said{{3 * time.Second, six}}, wait: time.Minute,
			want: v6, routes: routes, dns: "2001:db8::53", listened: 1},
		{name: "TS 24.301 #50: both asked for, IPv4 granted", granted: only4, four: &four, says: []said{{3 * time.Second, six}}, wait: time.Minute,
			want: v4, dns: "192.168.225.1", asked: 1},
		{name: "both granted, and DHCP is silent", granted: both, says: []said{{3 * time.Second, six}}, wait: time.Minute,
			want: v6, routes: routes, dns: "2001:db8::53", listened: 1, asked: 1},
		{name: "IPv6 alone, and no router", apn: `, "ipType": "ipv6"`, granted: only6, wait: time.Minute, down: true, listened: 2},
		{name: "the router says good-bye: IPv4 stays", granted: both, four: &four, says: []said{{3 * time.Second, six}, {time.Minute, Lease{}}}, wait: 2 * time.Minute,
			want: v4, dns: "192.168.225.1", listened: 1, asked: 1},
		{name: "raw IP: the modem tells the identifier alone", rawIP: true, apn: `, "ipType": "ipv6"`, granted: atsim.Lease{Addr6: netip.MustParsePrefix("fe80::a:b:c:d/64")},
			says: []said{{3 * time.Second, six}}, wait: time.Minute, want: v6 + " fe80::a:b:c:d/128", routes: routes, dns: "2620:fe::fe 2001:db8::53", listened: 1},
		{name: "raw IP: the modem tells the address", rawIP: true, granted: both, says: []said{{3 * time.Second, six}}, wait: time.Minute,
			want: "10.64.0.2/32 2001:db8::2/64", routes: "invalid IP main, invalid IP own", dns: "9.9.9.9 2620:fe::fe"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, s := &routers{says: tt.says}, &leases{refuse: tt.four == nil, after: 1000 * time.Hour}
				if tt.four != nil {
					s.grant = *tt.four
				}
				b := newSimBench(t, simOptions{ethernet: !tt.rawIP, records: record(`{"apn": "first.test"` + tt.apn + `}`), bearer: func(c *Config) {
					c.DHCP, c.Advertised, c.DataAPNInAttach, c.NetworkAssigned = s.acquire, r.advertised, true, false
				}})
				l := tt.granted
				if tt.rawIP {
					l.DNS = simLease.DNS
				}
				b.core.APNs = []atsim.APN{{Name: "first.test", Lease: l}}
				b.run(func() {
					time.Sleep(tt.wait)
					var addrs []string
					for a := range strings.FieldsSeq(b.holds()) {
						if strings.Contains(a, "/") {
							addrs = append(addrs, a)
						}
					}
					link := b.model.Snapshot().Link
					if tt.down {
						if b.state() != status.Down || len(addrs) > 0 {
							t.Errorf("%s with %s", b.state(), addrs)
						}
						return
					}
					if b.state() != status.Up || strings.Join(addrs, " ") != tt.want || b.routes6() != tt.routes {
						t.Errorf("%s (%s) with %s, routes %s", b.state(), b.model.Snapshot().Reason, addrs, b.routes6())
					}
					if link != nil && strings.Join(link.DNS, " ") != tt.dns {
						t.Errorf("name servers %v", link.DNS)
					}
					if r.listened != tt.listened || s.asked != tt.asked {
						t.Errorf("listened %d times, asked for a lease %d times", r.listened, s.asked)
					}
					if tt.rawIP && tt.listened > 0 && r.identifier != tt.granted.Addr6.Addr() {
						t.Errorf("identifier of %s", r.identifier)
					}
					changes := b.kernel.Counts().Changes
					time.Sleep(20 * time.Minute)
					if n := b.kernel.Counts().Changes - changes; n != 0 {
						t.Errorf("%d changes in four looks at a link that is right", n)
					}
				})
			})
		})
	}
}
