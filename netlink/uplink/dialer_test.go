package uplink

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
)

// Of a name's addresses only those are connected to that Allow says.
func TestDialerAllow(t *testing.T) {
	outside, inside := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("127.0.0.1")
	no := errors.New("inside")
	d := Dialer{Allow: func(a netip.Addr) error {
		if a.IsLoopback() {
			return no
		}
		return nil
	}}
	for _, tt := range []struct {
		name        string
		addrs, left []netip.Addr
		err         error
	}{
		{"outside", []netip.Addr{outside}, []netip.Addr{outside}, nil},
		{"inside", []netip.Addr{inside}, nil, no},
		{"both", []netip.Addr{inside, outside, netip.IPv6Loopback()}, []netip.Addr{outside}, nil},
		{"inside in both families", []netip.Addr{inside, netip.IPv6Loopback()}, nil, no},
	} {
		if left, err := d.allowed(tt.addrs); !errors.Is(err, tt.err) || !slices.Equal(left, tt.left) {
			t.Errorf("%s: %v, %v", tt.name, left, err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := d.DialContext(t.Context(), "tcp", l.Addr().String()); !errors.Is(err, no) {
		t.Errorf("connected, or %v", err)
	}
	c, err := Dialer{}.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
