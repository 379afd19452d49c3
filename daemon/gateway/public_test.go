package gateway

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"sync/atomic"
	"testing"

	"dynamod/euicc/es9p"
)

func TestCheckPublic(t *testing.T) {
	for address, public := range map[string]bool{
		"192.0.2.1": true, "8.8.8.8": true, "172.15.255.255": true, "172.32.0.1": true, "100.63.0.1": true, "100.128.0.1": true, "2001:db8::1": true,
		"127.0.0.1": false, "127.8.9.1": false, "0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.8.1": false,
		"169.254.169.254": false, "100.64.0.1": false, "224.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fdab::1": false, "fec0::1": false, "ff02::1": false,
		"::ffff:127.0.0.1": false, "::ffff:192.168.8.1": false, "::ffff:8.8.8.8": true,
		"64:ff9b::7f00:1": false, "64:ff9b::c0a8:801": false, "64:ff9b::808:808": true,
	} {
		err := checkPublic(netip.MustParseAddr(address))
		if inside, ok := errors.AsType[*es9p.AddressError](err); (err == nil) != public || ok && inside.Address.String() != address {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// An address as an activation code may have it, and what the configuration allows.
func TestServerAddresses(t *testing.T) {
	proxy := &url.URL{Scheme: "http", Host: "10.1.1.1:3128"}
	resolved := map[string]netip.AddrPort{"smdp.example.com": netip.MustParseAddrPort("192.168.8.9:8443")}
	for _, row := range []struct {
		name, address string
		proxy         *url.URL
		allow         bool
		dials         string // "" for none
	}{
		{"public", "192.0.2.1:443", nil, false, "192.0.2.1:443"},
		{"a name", "smdp.example.net:443", nil, false, "smdp.example.net:443"},
		{"loopback", "127.0.0.1:443", nil, false, ""},
		{"IPv6 loopback", "[::1]:443", nil, false, ""},
		{"6to4 of loopback", "[2002:7f00:1::]:443", nil, false, ""},
		{"6to4 of a public address", "[2002:c000:201::1]:443", nil, false, "[2002:c000:201::1]:443"},
		{"cloud metadata", "169.254.169.254:80", nil, false, ""},
		{"the LAN", "192.168.8.1:80", nil, false, ""},
		{"the LAN, allowed", "192.168.8.1:80", nil, true, "192.168.8.1:80"},
		{"of [lpa.resolve]", "192.168.8.9:8443", nil, false, "192.168.8.9:8443"},
		{"another port of it", "192.168.8.9:22", nil, false, ""},
		{"a name, by a proxy that is inside", "smdp.example.net:443", proxy, false, "10.1.1.1:3128"},
		{"loopback of the proxy", "127.0.0.1:443", proxy, false, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newGateway(t)
			cfg := *g.config()
			cfg.LPA.Proxy, cfg.LPA.AllowPrivate, cfg.LPA.Resolve = row.proxy, row.allow, resolved
			g.conf.Store(&cfg)
			dialled, far := "", errors.New("it is far")
			g.opts.Dial = func(_ context.Context, _, address string) (net.Conn, error) {
				dialled = address
				return nil, far
			}
			_, err := g.dialServer(t.Context(), "tcp", row.address)
			if dialled != row.dials || row.dials == "" && !errors.As(err, new(*es9p.AddressError)) || row.dials != "" && !errors.Is(err, far) {
				t.Errorf("dialled %q, want %q: %v", dialled, row.dials, err)
			}
		})
	}
}

// A name is checked by what it leads to, with all its addresses, and nothing is
// connected to before that.
func TestServerNames(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var came atomic.Int32
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			came.Add(1)
			c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	name := net.JoinHostPort("localhost", port)
	g := newGateway(t)
	cfg := *g.config()
	cfg.LPA.Via = "lo"
	g.conf.Store(&cfg)
	if _, err := g.dialServer(t.Context(), "tcp", name); !errors.As(err, new(*es9p.AddressError)) || came.Load() > 0 {
		t.Errorf("%d connections: %v", came.Load(), err)
	}
	cfg.LPA.AllowPrivate = true
	g.conf.Store(&cfg)
	c, err := g.dialServer(t.Context(), "tcp", name)
	if err != nil {
		t.Fatalf("allowed: %v", err)
	}
	c.Close()
}
