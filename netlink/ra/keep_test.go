package ra

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// air is an interface's ICMPv6 in memory.
type air struct {
	start time.Time
	in    chan Advert
	asked []string
	ready time.Time // from when there is a link-local address
}

func (a *air) solicit() error {
	a.asked = append(a.asked, time.Since(a.start).String())
	return nil
}

func (a *air) receive(ctx context.Context) ([]byte, netip.Addr, error) {
	select {
	case m := <-a.in:
		return m.Bytes(), m.Router, nil
	case <-ctx.Done():
		return nil, netip.Addr{}, ctx.Err()
	}
}

func (a *air) iid() (iid [8]byte, err error) {
	if time.Now().Before(a.ready) {
		return iid, errNoLinkLocal
	}
	return [8]byte{2, 0, 0, 0xff, 0xfe, 0, 0, 1}, nil
}

// one is an advertisement with one prefix.
func one(prefix string, valid, preferred time.Duration) Advert {
	return Advert{Router: router, Lifetime: time.Hour, Prefixes: []Prefix{{Prefix: netip.MustParsePrefix(prefix), Auto: true, Valid: valid, Preferred: preferred}}}
}

func TestKeep(t *testing.T) {
	const own = "2001:db8:1:0:200:ff:fe00:1/128"
	type said struct {
		at time.Duration
		a  Advert
	}
	with := func(a Advert, f func(*Advert)) Advert { a.Prefixes = slices.Clone(a.Prefixes); f(&a); return a }
	good := one("2001:db8:1::/64", Infinite, Infinite)
	for _, tt := range []struct {
		name    string
		iid     string
		ready   time.Duration
		said    []said
		length  time.Duration
		changed []string // time, and what the link is
		asked   []string
	}{
		{
			name: "TS 29.061: a prefix that is not on the link, and for ever",
			said: []said{{time.Second, good}, {30 * time.Minute, good}}, length: 50 * time.Minute,
			changed: []string{"1s " + own + " via fe80::1"}, asked: []string{"0s"},
		},
		{
			name: "TS 23.401 5.3.1.2.2: the identifier that the network gave", iid: "fe80::a:b:c:d",
			said: []said{{time.Second, good}}, length: time.Minute,
			changed: []string{"1s 2001:db8:1:0:a:b:c:d/128 via fe80::1"}, asked: []string{"0s"},
		},
		{
			name: "RFC 4862 5.4: the link-local address is not there yet", ready: 600 * time.Millisecond,
			said: []said{{100 * time.Millisecond, good}, {time.Second, good}}, length: time.Minute,
			changed: []string{"1s " + own + " via fe80::1"}, asked: []string{"750ms"},
		},
		{
			name: "nobody answers", length: 3 * time.Minute,
			asked: []string{"0s", "4s", "12s", "28s", "1m0s", "2m4s"},
		},
		{
			name: "RFC 4861 6.3.4: a router says good-bye, and comes again",
			said: []said{{time.Second, good}, {time.Minute, with(good, func(a *Advert) { a.Lifetime = 0 })}, {110 * time.Second, good}}, length: 3 * time.Minute,
			changed: []string{"1s " + own + " via fe80::1", "1m0s none", "1m50s " + own + " via fe80::1"},
			asked:   []string{"0s", "1m0s", "1m4s", "1m12s", "1m28s"},
		},
		{
			name: "RFC 4861 6.3.5: the router's time is over",
			said: []said{{time.Second, good}}, length: time.Hour + 5*time.Second,
			changed: []string{"1s " + own + " via fe80::1", "1h0m1s none"}, asked: []string{"0s", "1h0m1s", "1h0m5s"},
		},
		{
			name: "RFC 4862 5.5.4: renumbering, the old prefix is deprecated",
			said: []said{{time.Second, good}, {time.Minute, with(one("2001:db8:2::/64", Infinite, Infinite), func(a *Advert) {
				a.Prefixes = append(a.Prefixes, one("2001:db8:1::/64", Infinite, 0).Prefixes...)
			})}}, length: 2 * time.Minute,
			changed: []string{"1s " + own + " via fe80::1", "1m0s 2001:db8:2:0:200:ff:fe00:1/128 " + own + " via fe80::1"}, asked: []string{"0s"},
		},
		{
			name: "RFC 4862 5.5.3 e: an address is not cut off within two hours",
			said: []said{{time.Second, with(good, func(a *Advert) { a.Lifetime = 9000 * time.Second })}, {time.Minute, with(one("2001:db8:1::/64", 0, 0), func(a *Advert) { a.Lifetime = 9000 * time.Second })}}, length: 130 * time.Minute,
			changed: []string{"1s " + own + " via fe80::1", "2h1m0s none"}, asked: []string{"0s", "2h1m0s", "2h1m4s", "2h1m12s", "2h1m28s", "2h2m0s", "2h3m4s", "2h5m4s", "2h7m4s", "2h9m4s"},
		},
		{
			name: "RFC 4862 5.5.3: no address of a prefix that is longer, link-local or without A",
			said: []said{{time.Second, one("2001:db8:1:2::/72", Infinite, Infinite)}, {2 * time.Second, one("fe80::/64", Infinite, Infinite)},
				{3 * time.Second, with(good, func(a *Advert) { a.Prefixes[0].Auto = false })}}, length: 3500 * time.Millisecond,
			asked: []string{"0s"},
		},
		{
			name: "RFC 8106: name servers, with a life of their own; on-link; MTU",
			said: []said{{time.Second, with(one("2001:db8:1::/64", Infinite, Infinite), func(a *Advert) {
				a.MTU, a.Prefixes[0].OnLink = 1430, true
				a.DNS = []Server{{netip.MustParseAddr("2001:db8::53"), time.Minute}}
			})}}, length: 2 * time.Minute,
			changed: []string{"1s 2001:db8:1:0:200:ff:fe00:1/64 via fe80::1 dns 2001:db8::53 mtu 1430", "1m1s 2001:db8:1:0:200:ff:fe00:1/64 via fe80::1 mtu 1430"}, asked: []string{"0s"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &air{start: time.Now(), in: make(chan Advert), ready: time.Now().Add(tt.ready)}
				ctx, cancel := context.WithTimeout(t.Context(), tt.length)
				defer cancel()
				go func() {
					for _, s := range tt.said {
						time.Sleep(s.at - time.Since(a.start))
						select {
						case a.in <- s.a:
						case <-ctx.Done():
						}
					}
				}()
				var cfg Config
				if tt.iid != "" {
					cfg.IID = netip.MustParseAddr(tt.iid)
				}
				var changed []string
				if err := keep(ctx, a, cfg, func(l Link) { changed = append(changed, time.Since(a.start).String()+" "+text(l)) }); err != nil {
					t.Error(err)
				}
				if !slices.Equal(changed, tt.changed) {
					t.Errorf("changed %q\nwant    %q", changed, tt.changed)
				}
				if !slices.Equal(a.asked, tt.asked) {
					t.Errorf("asked %q\nwant  %q", a.asked, tt.asked)
				}
			})
		})
	}
}

func text(l Link) string {
	if len(l.Addrs) == 0 {
		return "none"
	}
	var out []string
	for _, p := range l.Addrs {
		out = append(out, p.String())
	}
	out = append(out, "via "+l.Gateway.String())
	for _, a := range l.DNS {
		out = append(out, "dns "+a.String())
	}
	if l.MTU != 0 {
		out = append(out, fmt.Sprint("mtu ", l.MTU))
	}
	return strings.Join(out, " ")
}

// failing is an interface that goes away.
type failing struct{ air }

var errGone = errors.New("network is down")

func (f *failing) receive(context.Context) ([]byte, netip.Addr, error) {
	return nil, netip.Addr{}, errGone
}

func TestKeepGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if err := keep(t.Context(), &failing{air{start: time.Now()}}, Config{}, nil); !errors.Is(err, errGone) {
			t.Errorf("got %v", err)
		}
	})
}
