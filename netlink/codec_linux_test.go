package netlink

import (
	"bytes"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func prefixOf(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// TestRoundTrip: what is asked for is what a listing of it would decode to.
func TestRoundTrip(t *testing.T) {
	for _, tt := range []struct {
		name string
		obj  Object
	}{
		{"IPv4 /32, ours", Addr{Index: 3, Prefix: prefixOf("10.64.3.7/32"), Protocol: Protocol}},
		{"IPv6 /64, nobody's", Addr{Index: 3, Prefix: prefixOf("2001:db8::7/64")}},
		{"on-link default", Route{Dst: prefixOf("0.0.0.0/0"), Index: 3, Scope: ScopeLink, Metric: 200, Table: TableMain, Protocol: Protocol}},
		{"gateway, onlink, table above 255", Route{
			Dst: prefixOf("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.0.0.1"), Src: netip.MustParseAddr("10.0.0.7"),
			Index: 3, Table: 1700, Protocol: Protocol, OnLink: true,
		}},
		{"IPv6 prefix", Route{Dst: prefixOf("2001:db8::/64"), Index: 3, Metric: 1024, Table: TableMain, Protocol: Protocol}},
		{"source rule", Rule{From: prefixOf("10.64.3.7/32"), Table: 1700, Priority: 20000, Protocol: Protocol}},
		{"interface rule", Rule{OIF: "wwan0", Table: 1700, Priority: 20000, Protocol: Protocol, IPv6: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, m, extra, err := encodeChange(Change{Add, tt.obj})
			if err != nil {
				t.Fatal(err)
			}
			b, err := m.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			b = append(b, extra...)
			var got Object
			switch tt.obj.(type) {
			case Addr:
				got, _ = decodeAddr(b)
			case Route:
				got, _ = decodeRoute(b)
			case Rule:
				got, _ = decodeRule(b)
			}
			if got != tt.obj {
				t.Errorf("got  %+v\nwant %+v", got, tt.obj)
			}
		})
	}
}

// FuzzDecode: whatever a kernel, or a bug of ours, sends: no panic, and what decodes is sane.
func FuzzDecode(f *testing.F) {
	for _, o := range []Object{
		Addr{Index: 3, Prefix: prefixOf("10.64.3.7/32"), Protocol: Protocol},
		Route{Dst: prefixOf("2001:db8::/64"), Index: 3, Metric: 1024, Table: 1700, Protocol: Protocol},
		Rule{From: prefixOf("10.64.3.7/32"), Table: 1700, Priority: 20000, Protocol: Protocol},
		UpDown{Index: 3, Up: true},
		MTU{Index: 3, MTU: 1430},
	} {
		op := Add
		if o.object() == "link" {
			op = Set
		}
		_, _, m, extra, err := encodeChange(Change{op, o})
		if err != nil {
			f.Fatal(err)
		}
		b, err := m.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(b, extra...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		decodeLink(b)
		if a, ok := decodeAddr(b); ok && !a.Prefix.IsValid() {
			t.Errorf("address %v", a.Prefix)
		}
		if r, ok := decodeRoute(b); ok && (!r.Dst.IsValid() || r.Dst != r.Dst.Masked()) {
			t.Errorf("route %+v", r)
		}
		r, ok := decodeRule(b)
		if !ok || r.Other || bytes.ContainsRune([]byte(r.OIF), 0) {
			return
		}
		_, _, m, _, err := encodeChange(Change{Add, r})
		if err != nil {
			t.Fatal(err)
		}
		again, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := decodeRule(again); !ok || got != r {
			t.Errorf("got  %+v\nwant %+v", got, r)
		}
	})
}

// TestForeignRule: a rule with an attribute of tomorrow's kernel is seen, as somebody else's.
func TestForeignRule(t *testing.T) {
	_, _, m, _, err := encodeChange(Change{Add, Rule{Table: 9, Priority: 5}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, 5, 0, 99, 0, 1, 0, 0, 0)
	if r, ok := decodeRule(b); !ok || !r.Other || r.Table != 9 {
		t.Errorf("got %+v, %v", r, ok)
	}
	if _, _, _, _, err := encodeChange(Change{Delete, Rule{Other: true}}); err == nil || err.Error() != unix.EINVAL.Error()+": the rule has parts that are not known here" {
		t.Errorf("got %v", err)
	}
}
