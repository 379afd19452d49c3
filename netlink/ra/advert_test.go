package ra

import (
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

var router = netip.MustParseAddr("fe80::1")

// full has everything that Advert can tell.
func full() Advert {
	return Advert{
		Router: router, Lifetime: 65535 * time.Second, MTU: 1430,
		Prefixes: []Prefix{
			{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Auto: true, Valid: Infinite, Preferred: Infinite},
			{Prefix: netip.MustParsePrefix("2001:db8:2::/64"), Auto: true, OnLink: true, Valid: time.Hour, Preferred: time.Minute},
		},
		DNS: []Server{{netip.MustParseAddr("2001:db8::53"), time.Hour}, {netip.MustParseAddr("2001:db8::54"), time.Hour}},
	}
}

func TestParse(t *testing.T) {
	// 29.061 11.2.1.3.4: one prefix, L clear, A set, lifetimes without an end.
	mobile := []byte{
		134, 0, 0, 0, 64, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0,
		1, 1, 2, 0, 0, 0, 0, 1, // source link-layer address, which is left out
		5, 1, 0, 0, 0, 0, 0x05, 0x96,
		3, 4, 64, 0x40, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0,
		0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	}
	want := Advert{
		Router: router, Lifetime: 65535 * time.Second, MTU: 1430,
		Prefixes: []Prefix{{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Auto: true, Valid: Infinite, Preferred: Infinite}},
	}
	change := func(f func(b []byte) []byte) []byte { return f(append([]byte(nil), mobile...)) }
	for _, tt := range []struct {
		name string
		b    []byte
		from string
		err  string
	}{
		{"TS 29.061: as a PGW sends it", mobile, "fe80::1", ""},
		{"with a zone", mobile, "fe80::1%usb0", ""},
		{"RFC 4861 6.1.2: not from a link-local address", mobile, "2001:db8::1", "from 2001:db8::1, which is not link-local"},
		{"RFC 4861 6.1.2: shorter than 16 bytes", mobile[:12], "fe80::1", "12 bytes"},
		{"RFC 4861 6.1.2: an option of length 0", change(func(b []byte) []byte { b[17] = 0; return b }), "fe80::1", "an option of 0 bytes where 48 are left"},
		{"an option longer than the packet", change(func(b []byte) []byte { return b[:len(b)-8] }), "fe80::1", "an option of 32 bytes where 24 are left"},
		{"a code", change(func(b []byte) []byte { b[1] = 1; return b }), "fe80::1", "type 134 code 1"},
		{"a solicitation", change(func(b []byte) []byte { b[0] = 133; return b }), "fe80::1", "type 133 code 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := Parse(tt.b, netip.MustParseAddr(tt.from))
			if tt.err != "" {
				if !errors.Is(err, ErrMalformed) || err.Error() != "malformed router advertisement: "+tt.err {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(a, want) {
				t.Errorf("got %+v, %v", a, err)
			}
		})
	}
	if got, err := Parse(full().Bytes(), router); err != nil || !reflect.DeepEqual(got, full()) {
		t.Errorf("round trip: %+v, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(full().Bytes())
	f.Add([]byte{134, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 3, 0, 0, 0, 0, 0, 0, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Parse(b, router)
		if err != nil {
			return
		}
		if len(a.Prefixes) > maxPrefixes || len(a.DNS) > maxServers || a.MTU != 0 && a.MTU < minMTU {
			t.Errorf("%+v", a)
		}
		again, err := Parse(a.Bytes(), router)
		if err != nil || !reflect.DeepEqual(again, a) {
			t.Errorf("%+v became %+v, %v", a, again, err)
		}
		h := &host{}
		h.hear(a, time.Unix(1e9, 0))
		if l := h.link(time.Unix(1e9, 0)); (len(l.Addrs) > 0) != l.Gateway.IsValid() {
			t.Errorf("link %+v", l)
		}
	})
}
