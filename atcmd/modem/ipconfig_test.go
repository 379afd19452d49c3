package modem

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestParseCGCONTRDP(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		want       string // cid apn addresses gateways dns mtu
	}{
		{"since 9.4.0", `+CGCONTRDP: 1,5,"internet","10.64.0.2.255.255.255.252","10.64.0.1","10.64.0.1","9.9.9.9"`,
			"1 internet [10.64.0.2/30] [10.64.0.1] [10.64.0.1 9.9.9.9] 0"},
		{"before 9.4.0", `+CGCONTRDP: 1,5,"internet","10.64.0.2","255.255.255.252","10.64.0.1","10.64.0.1","9.9.9.9"`,
			"1 internet [10.64.0.2/30] [10.64.0.1] [10.64.0.1 9.9.9.9] 0"},
		{"with MTU", `+CGCONTRDP: 1,5,"internet","10.64.0.2.255.255.255.255","10.64.0.1","10.64.0.1","9.9.9.9","","",0,0,1430`,
			"1 internet [10.64.0.2/32] [10.64.0.1] [10.64.0.1 9.9.9.9] 1430"},
		{"operator identifier, no mask, no gateway", `+CGCONTRDP: 1,5,internet.mnc001.mcc001.gprs,10.1.2.3,,,8.8.8.8`,
			"1 internet [10.1.2.3/32] [] [8.8.8.8] 0"},
		{"no mask, gateway next", `+CGCONTRDP: 1,5,"a","10.1.2.3","10.1.2.1","8.8.8.8","8.8.4.4"`,
			"1 a [10.1.2.3/32] [10.1.2.1] [8.8.8.8 8.8.4.4] 0"},
		{"mask of zeros", `+CGCONTRDP: 1,5,"a","10.1.2.3.0.0.0.0","0.0.0.0","8.8.8.8"`,
			"1 a [10.1.2.3/32] [] [8.8.8.8] 0"},
		{"mask with holes", `+CGCONTRDP: 1,5,"a","10.1.2.3.255.0.255.0","10.1.2.1"`,
			"1 a [10.1.2.3/32] [10.1.2.1] [] 0"},
		{"IPv6 in decimals", `+CGCONTRDP: 1,5,"a","32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1.255.255.255.255.255.255.255.255.0.0.0.0.0.0.0.0","254.128.0.0.0.0.0.0.0.0.0.0.0.0.0.1","32.1.72.96.72.96.0.0.0.0.0.0.0.0.136.136"`,
			"1 a [2001:db8::1/64] [fe80::1] [2001:4860:4860::8888] 0"},
		{"IPv6 in colons, mask behind a blank", `+CGCONTRDP: 1,5,"a","2001:db8::1 ffff:ffff:ffff:ffff::","fe80::1","2001:4860:4860::8888"`,
			"1 a [2001:db8::1/64] [fe80::1] [2001:4860:4860::8888] 0"},
		{"IPv6 in colons, length", `+CGCONTRDP: 1,5,"a","2001:db8::1/56"`, "1 a [2001:db8::1/56] [] [] 0"},
		{"IPv6, before 9.4.0", `+CGCONTRDP: 1,5,"a","32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1","255.255.255.255.255.255.255.255.0.0.0.0.0.0.0.0","254.128.0.0.0.0.0.0.0.0.0.0.0.0.0.1"`,
			"1 a [2001:db8::1/64] [fe80::1] [] 0"},
		{"IPv6 interface identifier alone", `+CGCONTRDP: 1,5,"a","254.128.0.0.0.0.0.0.0.0.0.0.0.0.0.2"`, "1 a [] [] [] 0"},
		{"context that is down", `+CGCONTRDP: 1,5,"a","0.0.0.0","","",""`, "1 a [] [] [] 0"},
		{"no address", `+CGCONTRDP: 2,6,"ims"`, "2 ims [] [] [] 0"},
		{"octet too large", `+CGCONTRDP: 1,5,"a","10.1.2.300"`, "1 a [] [] [] 0"},
		{"absurd MTU", `+CGCONTRDP: 1,5,"a","10.64.0.2.255.255.255.255","","","","","",0,0,12`, "1 a [10.64.0.2/32] [] [] 0"},
	} {
		c, ok := ParseCGCONTRDP(tt.line)
		if got := strings.TrimSpace(fmt.Sprintln(c.CID, c.APN, c.Addrs, c.Gateway, c.DNS, c.MTU)); !ok || got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
	for _, line := range []string{"", "+CGCONTRDP: ", "+CGCONTRDP: x,5,a", "+CGCONTRDP: 1,5", "+CGPADDR: 1,5,a", "+CGCONTRDP: 1" + strings.Repeat(",1", 70)} {
		if c, ok := ParseCGCONTRDP(line); ok {
			t.Errorf("%q gives %v", line, c)
		}
	}
}

func TestDynamicParametersOfBothVersions(t *testing.T) {
	s := newScript(t, "+CGCONTRDP=1", `+CGCONTRDP: 1,5,"a","10.64.0.2.255.255.255.255","10.64.0.1","9.9.9.9"|+CGCONTRDP: 2,6,"ims","10.9.9.9"|+CGCONTRDP: 1,5,"a","2001:db8::1/64","fe80::1","2001:4860:4860::8888"`)
	c, err := s.modem("generic").DynamicParameters(t.Context(), 1)
	if got := fmt.Sprint(c.Addrs, c.Gateway, c.DNS); err != nil || got != "[10.64.0.2/32 2001:db8::1/64] [10.64.0.1 fe80::1] [9.9.9.9 2001:4860:4860::8888]" {
		t.Errorf("%s %v", got, err)
	}
}

func TestParseCGPADDR(t *testing.T) {
	for _, tt := range []struct {
		name, line, want string
	}{
		{"quoted", `+CGPADDR: 1,"10.1.2.3"`, "[10.1.2.3]"},
		{"bare", `+CGPADDR: 1,10.1.2.3`, "[10.1.2.3]"},
		{"both versions", `+CGPADDR: 1,"10.1.2.3","2001:db8::1"`, "[10.1.2.3 2001:db8::1]"},
		{"IPv6 in decimals", `+CGPADDR: 1,"32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1"`, "[2001:db8::1]"},
		{"both in one pair of quotes", `+CGPADDR: 1,"10.1.2.3,2001:db8::1"`, "[10.1.2.3 2001:db8::1]"},
		{"down, Huawei", `+CGPADDR: 1,"0.0.0.0"`, "[]"},
		{"down", `+CGPADDR: 1`, "[]"},
		{"IPv4 in IPv6", `+CGPADDR: 1,"::ffff:10.1.2.3"`, "[]"},
		{"zone", `+CGPADDR: 1,"fe80::1%eth0"`, "[]"},
	} {
		cid, addrs, ok := ParseCGPADDR(tt.line)
		if got := fmt.Sprint(addrs); !ok || cid != 1 || got != tt.want {
			t.Errorf("%s: %d %s %v", tt.name, cid, got, ok)
		}
	}
}

func TestNetworkIdentifier(t *testing.T) {
	for in, want := range map[string]string{
		"internet":                      "internet",
		"internet.mnc001.mcc001.gprs":   "internet",
		"a.b.MNC001.MCC001.GPRS":        "a.b",
		"internet.mnc01.mcc001.gprs":    "internet.mnc01.mcc001.gprs",
		".mnc001.mcc001.gprs":           ".mnc001.mcc001.gprs",
		"x.gprs":                        "x.gprs",
		"bad\x00":                       "",
		strings.Repeat("a", 101):        "",
		"internet.mnc0011mcc001.gprs":   "internet.mnc0011mcc001.gprs",
		"internet.mnc001.mcc001.gprs.x": "internet.mnc001.mcc001.gprs.x",
	} {
		if got := networkIdentifier(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzCGCONTRDP(f *testing.F) {
	f.Add(`+CGCONTRDP: 1,5,"internet","10.64.0.2.255.255.255.252","10.64.0.1","10.64.0.1","9.9.9.9"`)
	f.Add(`+CGCONTRDP: 1,5,"a","2001:db8::1/56"`)
	f.Fuzz(func(t *testing.T, line string) {
		c, ok := ParseCGCONTRDP(line)
		if !ok {
			return
		}
		for _, p := range c.Addrs {
			if !p.IsValid() || p.Bits() == 0 || !usable(p.Addr()) {
				t.Fatalf("%q gives address %v", line, p)
			}
		}
		if len(c.Gateway) > 1 || len(c.DNS) > 2 || c.MTU != 0 && c.MTU < 576 {
			t.Fatalf("%q gives %+v", line, c)
		}
		if len(c.Addrs) == 1 && c.Addrs[0].Addr().Is4() {
			a, m := c.Addrs[0].Addr(), netip.AddrFrom4([4]byte(mask4(c.Addrs[0].Bits())))
			again, ok := ParseCGCONTRDP(fmt.Sprintf(`+CGCONTRDP: %d,5,"a","%s.%s"`, c.CID, a, m))
			if !ok || !slices.Equal(again.Addrs, c.Addrs) {
				t.Fatalf("%v came back as %v", c.Addrs, again.Addrs)
			}
		}
	})
}

func mask4(bits int) []byte {
	v := ^uint32(0) << (32 - bits)
	return []byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
}

func FuzzCGPADDR(f *testing.F) {
	f.Add(`+CGPADDR: 1,"10.1.2.3","32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1"`)
	f.Fuzz(func(t *testing.T, line string) {
		_, addrs, _ := ParseCGPADDR(line)
		for _, a := range addrs {
			if !usable(a) || a.Zone() != "" {
				t.Fatalf("%q gives %v", line, a)
			}
		}
	})
}
