package nft

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	good := Wall{Table: "dynamod-lte2", Interface: "wwan0"}
	a := netip.MustParseAddr("192.0.2.1")
	for _, tt := range []struct {
		name  string
		wall  Wall
		hosts []Host
		ok    bool
	}{
		{"good", good, []Host{{a, 0}, {netip.MustParseAddr("2001:db8::1"), time.Second}}, true},
		{"no table", Wall{"", "wwan0"}, nil, false},
		{"a table with a space", Wall{"a b", "wwan0"}, nil, false},
		{"a long table", Wall{strings.Repeat("a", 65), "wwan0"}, nil, false},
		{"no interface", Wall{"t", ""}, nil, false},
		{"a long interface", Wall{"t", "wwan0123456789ab"}, nil, false},
		{"an interface with a NUL", Wall{"t", "wwan0\x00"}, nil, false},
		{"no address", good, []Host{{netip.Addr{}, 0}}, false},
		{"a mapped address", good, []Host{{netip.MustParseAddr("::ffff:192.0.2.1"), 0}}, false},
		{"a zone", good, []Host{{netip.MustParseAddr("fe80::1%wwan0"), 0}}, false},
		{"a time before now", good, []Host{{a, -1}}, false},
		{"too many", good, slices.Repeat([]Host{{a, 0}}, MaxHosts+1), false},
	} {
		if err := tt.wall.Check(tt.hosts); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
