package reach

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// network answers for every host by its name, over net.Pipe.
type network map[string]func(c net.Conn)

func (n network) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if _, ok := n[host]; !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []netip.Addr{hostAddr(host)}, nil
}

// hostAddr gives each name an address by its first letter.
func hostAddr(host string) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, host[0]}) }

func (n network) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	ap := netip.MustParseAddrPort(address)
	for host, serve := range n {
		if hostAddr(host) == ap.Addr() && serve != nil {
			here, there := net.Pipe()
			go serve(there)
			return here, nil
		}
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
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
	for _, tt := range []struct {
		name    string
		targets []string
		state   State
		stage   Stage
		reason  string
		tried   int
	}{
		{"204", []string{"http://good.test/generate_204"}, OK, StageHTTP, "", 1},
		{"address instead of a name", []string{"http://198.51.100.103"}, OK, StageHTTP, "", 1},
		{"first one is enough", []string{"http://good.test", "http://page.test"}, OK, StageHTTP, "", 1},
		{"second one is good", []string{"http://xyz.test", "http://good.test"}, OK, StageHTTP, "", 2},
		{"redirect", []string{"http://redirect.test"}, Limited, StageHTTP, "http: status 302 instead of 204, sent on to a captive portal at portal.test", 1},
		{"page", []string{"http://page.test"}, Limited, StageHTTP, "http: status 200 instead of 204, a captive portal answers for the target", 1},
		{"RFC 6585", []string{"http://auth.test"}, Limited, StageHTTP, "http: status 511 instead of 204, a captive portal wants a log-in", 1},
		{"503", []string{"http://busy.test"}, Limited, StageHTTP, "http: status 503 instead of 204", 1},
		{"endless headers", []string{"http://long.test"}, Limited, StageHTTP, "http: an answer of more than 1 kB instead of an empty one", 1},
		{"not http", []string{"http://junk.test"}, None, StageHTTP, `http: malformed HTTP status code "junk"`, 1},
		{"closed", []string{"http://early.test"}, None, StageHTTP, "http: io: read/write on closed pipe", 1},
		{"silent", []string{"http://mute.test"}, None, StageHTTP, "http: no answer within 10s", 1},
		{"refused", []string{"http://nothing.test"}, None, StageTCP, "tcp: dial tcp: connection refused", 1},
		{"no such name", []string{"http://xyz.test"}, None, StageDNS, "dns: lookup xyz.test: no such host", 1},
		{"limited beats none", []string{"http://xyz.test", "http://page.test", "http://mute.test"}, Limited, StageHTTP, "http: status 200 instead of 204, a captive portal answers for the target", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, err := Probe(t.Context(), Config{Dialer: n, Targets: tt.targets})
				if err != nil {
					t.Fatal(err)
				}
				if r.State != tt.state || r.Stage != tt.stage || len(r.Attempts) != tt.tried {
					t.Errorf("got %+v", r)
				}
				if r.Reason != tt.reason && !(tt.name == "not http" && strings.HasPrefix(r.Reason, "http: malformed HTTP")) &&
					!(tt.name == "closed" && strings.HasPrefix(r.Reason, "http: ")) {
					t.Errorf("reason %q", r.Reason)
				}
				if r.Bytes > 2000 {
					t.Errorf("%d bytes", r.Bytes)
				}
			})
		})
	}
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
	for _, target := range DefaultTargets {
		if err := Check(target); err != nil {
			t.Error(err)
		}
	}
	for _, target := range []string{"", "https://good.test", "http://", "http:///x", "good.test", "http://u:p@good.test", "http://a b", "http://good.test/" + strings.Repeat("x", 300)} {
		if err := Check(target); err == nil {
			t.Errorf("%q passed", target)
		}
	}
	if _, err := Probe(t.Context(), Config{Targets: slices.Repeat(DefaultTargets, 5)}); err == nil || err.Error() != "10 reach targets, at most 8" {
		t.Errorf("got %v", err)
	}
}
