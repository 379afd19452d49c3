package reach

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/netlink/uplink"
)

// network answers for every host by its name, over net.Pipe. What it does with names is in those that begin with "dns-".
type network map[string]func(c net.Conn)

func (n network) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Is6() {
			return nil, errors.New("look up: no address of a family that the link has")
		}
		return []netip.Addr{a}, nil
	}
	switch {
	case n.has("dns-none"):
		return nil, fmt.Errorf("look up %s on usb0: %w", host, uplink.ErrNoDNS)
	case n.has("dns-silent"):
		<-ctx.Done()
		return nil, ctx.Err()
	case n.has("dns-fails"): // SERVFAIL
		return nil, &net.DNSError{Err: "server misbehaving", Name: host, IsTemporary: true}
	case n.has("dns-hijack"): // each name is the portal's
		return []netip.Addr{netip.MustParseAddr("192.168.8.1")}, nil
	case n.has("dns-empty"):
		return nil, nil
	}
	if _, ok := n[host]; !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []netip.Addr{hostAddr(host)}, nil
}

func (n network) has(name string) bool { _, ok := n[name]; return ok }

// with is n and the names.
func (n network) with(names ...string) network {
	out := maps.Clone(n)
	for _, name := range names {
		out[name] = nil
	}
	return out
}

// hostAddr gives each name an address by its first letter.
func hostAddr(host string) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, host[0]}) }

func (n network) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	ap := netip.MustParseAddrPort(address)
	if n.has("ip-silent") {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if serve := n["portal"]; serve != nil && (ap.Port() == 80 || n.has("portal-takes-all")) {
		here, there := net.Pipe()
		go serve(there)
		return here, nil
	}
	for host, serve := range n {
		if hostAddr(host) == ap.Addr() && serve != nil {
			here, there := net.Pipe()
			go serve(there)
			return here, nil
		}
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

// says answers a request with fixed bytes.
func says(answer string) func(net.Conn) {
	return func(c net.Conn) {
		defer c.Close()
		if req, err := http.ReadRequest(bufio.NewReader(c)); err != nil || req.Method != http.MethodGet {
			return
		}
		_, _ = io.WriteString(c, answer)
	}
}

func hangs(c net.Conn) {
	defer c.Close()
	_, _ = io.Copy(io.Discard, c)
}

func TestProbe(t *testing.T) {
	n := network{
		"good.test":     says("HTTP/1.1 204 No Content\r\n\r\n"),
		"redirect.test": says("HTTP/1.1 302 Found\r\nLocation: http://portal.test/login?msisdn=123\r\n\r\n"),
		"page.test":     says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
		"auth.test":     says("HTTP/1.1 511 Network Authentication Required\r\n\r\n"),
		"busy.test":     says("HTTP/1.1 503 Service Unavailable\r\n\r\n"),
		"long.test":     says("HTTP/1.1 302 Found\r\nSet-Cookie: " + strings.Repeat("x", 5000) + "\r\n\r\n"),
		"junk.test":     says("SSH-2.0-dropbear\r\n"),
		"early.test":    func(c net.Conn) { c.Close() },
		"mute.test":     hangs,
		"nothing.test":  nil,
	}
	portal := says("HTTP/1.1 302 Found\r\nLocation: http://portal.test/login?msisdn=123\r\n\r\n")
	page := says("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello")
	defaults := n.with("connectivitycheck.gstatic.com")
	defaults["connectivitycheck.gstatic.com"] = says("HTTP/1.1 204 No Content\r\n\r\n")
	withPortal := func(serve func(net.Conn), names ...string) network {
		out := n.with(names...)
		out["portal"] = serve
		return out
	}
	const (
		pageReason     = "http: status 200 instead of 204, a captive portal answers for the target"
		redirectReason = "http: status 302 instead of 204, sent on to a captive portal at portal.test"
		namesDead      = "dns: no answer within 10s, but tcp:198.51.100.103:443 answers: the link works, its name servers do not"
	)
	ip := "tcp:198.51.100.103:443" // of good.test
	for _, tt := range []struct {
		name    string
		n       network
		targets []string
		state   State
		cause   Cause
		stage   Stage
		reason  string
		tried   int
		took    time.Duration
	}{
		{"204", n, []string{"http://good.test/generate_204"}, OK, "", StageHTTP, "", 1, 0},
		{"address instead of a name", n, []string{"http://198.51.100.103"}, OK, "", StageHTTP, "", 1, 0},
		{"first one is enough", n, []string{"http://good.test", "http://page.test"}, OK, "", StageHTTP, "", 1, 0},
		{"second one is good", n, []string{"http://xyz.test", "http://good.test"}, OK, "", StageHTTP, "", 2, 0},
		{"the defaults", defaults, nil, OK, "", StageHTTP, "", 1, 0},
		{"redirect", n, []string{"http://redirect.test"}, Limited, Portal, StageHTTP, redirectReason, 1, 0},
		{"page", n, []string{"http://page.test"}, Limited, Portal, StageHTTP, pageReason, 1, 0},
		{"RFC 6585", n, []string{"http://auth.test"}, Limited, Portal, StageHTTP, "http: status 511 instead of 204, a captive portal wants a log-in", 1, 0},
		{"503", n, []string{"http://busy.test"}, Limited, Portal, StageHTTP, "http: status 503 instead of 204", 1, 0},
		{"endless headers", n, []string{"http://long.test"}, Limited, Portal, StageHTTP, "http: an answer of more than 1 kB instead of an empty one", 1, 0},
		{"not http", n, []string{"http://junk.test"}, None, WalledGarden, StageHTTP, "http: malformed HTTP", 1, 0},
		{"closed", n, []string{"http://early.test"}, None, NoLink, StageHTTP, "http: ", 1, 0},
		{"silent", n, []string{"http://mute.test"}, None, NoLink, StageHTTP, "http: no answer within 10s", 1, 10 * time.Second},
		{"refused", n, []string{"http://nothing.test"}, None, WalledGarden, StageTCP, "tcp: dial tcp: connection refused", 1, 0},
		{"no such name", n, []string{"http://xyz.test"}, None, WalledGarden, StageDNS, "dns: lookup xyz.test: no such host", 1, 0},
		{"a name without addresses", n.with("dns-empty"), []string{"http://good.test"}, None, NoLink, StageDNS, "dns: no address", 1, 0},
		{"limited beats none", n, []string{"http://xyz.test", "http://page.test", "http://mute.test"}, Limited, Portal, StageHTTP, pageReason, 2, 0},
		{"an answer beats none", n, []string{"http://nothing.test", "http://mute.test"}, None, WalledGarden, StageTCP, "tcp: dial tcp: connection refused", 2, 10 * time.Second},

		{"tcp", n, []string{"tcp:good.test:443"}, OK, "", StageTCP, "", 1, 0},
		{"tcp, an address", n, []string{ip}, OK, "", StageTCP, "", 1, 0},
		{"tcp, refused", n, []string{"tcp:nothing.test:443"}, None, WalledGarden, StageTCP, "tcp: dial tcp: connection refused", 1, 0},
		{"dns", n, []string{"dns:good.test"}, OK, "", StageDNS, "", 1, 0},
		{"dns, no such name", n, []string{"dns:xyz.test"}, None, WalledGarden, StageDNS, "dns: lookup xyz.test: no such host", 1, 0},
		{"a name that cannot exist does not", n, []string{"dns:probe.invalid"}, OK, "", StageDNS, "", 1, 0},
		{"NXDOMAIN hijack", n.with("probe.invalid"), []string{"dns:probe.invalid"}, Limited, Portal, StageDNS, "dns: the name servers have an address for a name that cannot exist: a portal's", 1, 0},
		{"NXDOMAIN hijack, and a good page", n.with("probe.invalid"), []string{"dns:probe.invalid", "http://good.test"}, OK, "", StageHTTP, "", 2, 0},

		{"DNS hijack, with a page", withPortal(page, "dns-hijack"), []string{"http://good.test", ip}, Limited, Portal, StageHTTP, pageReason, 1, 0},
		{"DNS hijack, with a redirect", withPortal(portal, "dns-hijack", "ip-refused"), []string{"http://good.test"}, Limited, Portal, StageHTTP, redirectReason, 1, 0},
		{"DNS hijack, and nobody there", n.with("dns-hijack"), []string{"http://good.test"}, None, WalledGarden, StageTCP, "tcp: dial tcp: connection refused; the name server's answer 192.168.8.1 is an address of the operator's own", 1, 0},
		{"portal for every connection", withPortal(portal, "portal-takes-all"), []string{"http://good.test", "http://page.test"}, Limited, Portal, StageHTTP, redirectReason, 1, 0},
		{"name servers silent, addresses alive", n.with("dns-silent"), []string{"http://good.test", "http://page.test", ip}, Limited, NameServers, StageDNS, namesDead, 2, 10 * time.Second},
		{"no name server, addresses alive", n.with("dns-none"), []string{"http://good.test", ip}, Limited, NameServers, StageDNS,
			"dns: look up good.test on usb0: no dns server on this link, but tcp:198.51.100.103:443 answers: the link works, its name servers do not", 2, 0},
		{"name servers fail, addresses alive", n.with("dns-fails"), []string{"http://good.test", ip}, Limited, NameServers, StageDNS,
			"dns: lookup good.test: server misbehaving, but tcp:198.51.100.103:443 answers: the link works, its name servers do not", 2, 0},
		{"name servers know no name, addresses alive", n, []string{"http://xyz.test", "http://zyx.test", ip}, Limited, NameServers, StageDNS,
			"dns: lookup xyz.test: no such host, but tcp:198.51.100.103:443 answers: the link works, its name servers do not", 3, 0},
		{"one name unknown, addresses alive", n, []string{"http://xyz.test", "http://nothing.test", ip}, OK, "", StageTCP, "", 3, 0},
		{"nothing answers", n.with("dns-silent", "ip-silent"), []string{"http://good.test", "http://page.test", ip}, None, NoLink, StageTCP, "tcp: no answer within 10s", 2, 20 * time.Second},
		{"names alone answer", n.with("ip-silent"), []string{"http://good.test", "http://page.test", "http://early.test", "http://auth.test", ip}, None, NoLink, StageTCP, "tcp: no answer within 10s", 3, 30 * time.Second},
		{"IPv4 only", n, []string{"tcp:[2001:db8::1]:443", "http://good.test"}, OK, "", StageHTTP, "", 2, 0},
		{"IPv4 only, name servers dead", n.with("dns-silent"), []string{"http://good.test", ip, "tcp:[2001:db8::1]:443"}, Limited, NameServers, StageDNS, namesDead, 2, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				r, err := Probe(t.Context(), Config{Dialer: tt.n, Targets: tt.targets})
				if err != nil {
					t.Fatal(err)
				}
				if r.State != tt.state || r.Cause != tt.cause || r.Stage != tt.stage || len(r.Attempts) != tt.tried {
					t.Errorf("got %+v", r)
				}
				if took := time.Since(begin); took != tt.took {
					t.Errorf("it took %s", took)
				}
				if r.Reason != tt.reason && !(tt.name == "not http" || tt.name == "closed") || !strings.HasPrefix(r.Reason, tt.reason) {
					t.Errorf("reason %q", r.Reason)
				}
				if strings.Contains(fmt.Sprintf("%+v", r), "msisdn") {
					t.Errorf("the portal's address is told: %+v", r)
				}
				wire := 0
				for _, a := range r.Attempts {
					wire += a.Wire
				}
				if wire > MaxWire || r.Left && r.State == OK {
					t.Errorf("the check costs %d bytes, others are left %v", wire, r.Left)
				}
				for _, a := range r.Attempts {
					if a.Bytes > 2000 || (a.State == OK) != (a.Reason == "") || (a.State == OK) != (a.Cause == "") {
						t.Errorf("%+v", a)
					}
					// The steps are in order, and only the last can have failed.
					for i, s := range a.Steps {
						if s.Stage != stages[i] || (s.Failed != "") != (i == len(a.Steps)-1 && a.State != OK) {
							t.Errorf("step %d of %s is %+v", i, a.Target, s)
						}
					}
				}
			})
		})
	}
}

// A page that is broken by itself does not stand for the link: where asking another one
// as well would cost too much, the next check begins with that.
func TestPagesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network{"page.test": says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), "good.test": says("HTTP/1.1 204 No Content\r\n\r\n")}
		targets := []string{"http://page.test", "tcp:198.51.100.112:443", "http://good.test", "http://page.test/2"}
		for _, tt := range []struct {
			first  int
			state  State
			target string
			left   bool
		}{
			{0, Limited, "http://page.test", true},
			{1, OK, "http://good.test", false},
			{2, Limited, "http://page.test/2", true},
			{3, Limited, "http://page.test", true},
			{-2, OK, "http://good.test", false},
		} {
			r, err := Probe(t.Context(), Config{Dialer: n, Targets: targets, First: tt.first})
			if err != nil {
				t.Fatal(err)
			}
			if r.State != tt.state || r.Target != tt.target || r.Left != tt.left {
				t.Errorf("from %d: %s by %s, left %v", tt.first, r.State, r.Target, r.Left)
			}
		}
		// Without pages there is nothing to take turns.
		if r, err := Probe(t.Context(), Config{Dialer: n, Targets: []string{"tcp:good.test:443"}, First: 5}); err != nil || r.State != OK {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestProbeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n := network{"mute.test": hangs}
		if _, err := Probe(ctx, Config{Dialer: n, Targets: []string{"http://mute.test"}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestCheck(t *testing.T) {
	if len(DefaultTargets) > MaxTargets {
		t.Error("too many default targets")
	}
	for _, target := range append([]string{
		"http://good.test:8080/x?y=z", "http://192.0.2.1/", "http://[2001:db8::1]/", "tcp:good.test:53", "tcp:192.0.2.1:443", "tcp:[2001:db8::1]:443",
		"dns:good.test", "dns:good.test.", "dns:good.test@9.9.9.9", "dns:good.test@2620:fe::fe", "dns:_x._tcp.good.test", "dns:x.invalid",
	}, DefaultTargets...) {
		if err := Check(target); err != nil {
			t.Error(err)
		}
	}
	for _, target := range []string{
		"", "https://good.test", "http://", "http:///x", "good.test", "http://u:p@good.test", "http://a b", "http://good.test/" + strings.Repeat("x", 300), "http://good.test/#x",
		"http://good.test:0/", "http://good.test:65536/", "http://und*er/", "tcp:good.test", "tcp::53", "tcp:good.test:", "tcp:good.test:0", "tcp:good.test:http", "tcp:2001:db8::1:443",
		"dns:", "dns:192.0.2.1", "dns:good.test@", "dns:good.test@ns.test", "dns:good.test@fe80::1%eth0", "dns:a..b", "dns:" + strings.Repeat("x", 64) + ".test", "icmp:192.0.2.1", "http://g\u00f6\u00f6d.test/",
	} {
		if err := Check(target); err == nil {
			t.Errorf("%q passed", target)
		}
	}
	if _, err := Probe(t.Context(), Config{Targets: slices.Repeat(DefaultTargets, 2)}); err == nil || err.Error() != "10 reach targets, at most 8" {
		t.Errorf("got %v", err)
	}
}

// What a target is, is what its text says, and no text makes a request of more than one line.
func FuzzCheck(f *testing.F) {
	for _, s := range append([]string{"dns:a@9.9.9.9", "tcp:[::1]:1", "http://[fe80::1%25eth0]/"}, DefaultTargets...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parse(text)
		if err != nil {
			return
		}
		if again, err := parse(p.text); err != nil || again.kind != p.kind || again.host != p.host || again.port != p.port || again.server != p.server {
			t.Errorf("%+v, and again %+v, %v", p, again, err)
		}
		if p.kind == StageHTTP && (strings.ContainsAny(p.url.RequestURI()+p.url.Host, "\r\n ") || p.url.RequestURI() == "") || (p.port == "") != (p.kind == StageDNS) {
			t.Errorf("%+v", p)
		}
	})
}
