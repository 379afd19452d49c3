package modem

import (
	"context"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"dynamod/atcmd"
)

// IPConfig is what the network gave a context.
type IPConfig struct {
	CID     int
	APN     string         // without the operator identifier that the network appends
	Addrs   []netip.Prefix // IPv4 as /32 when the modem tells no usable mask, IPv6 as /64
	Gateway []netip.Addr   // at most one a family; often none
	DNS     []netip.Addr
	MTU     int // 0 when not told
	// Identifier is a link-local IPv6 address whose low 64 bits the network gave:
	// half of an address, the other half comes by router advertisement (TS 23.401,
	// 5.3.1.2.2). The zero value where there is none.
	Identifier netip.Addr
}

// merge adds what another line says of the same context.
func (c *IPConfig) merge(o IPConfig) {
	if c.APN == "" {
		c.APN = o.APN
	}
	for _, a := range o.Addrs {
		if !slices.Contains(c.Addrs, a) {
			c.Addrs = append(c.Addrs, a)
		}
	}
	for _, a := range o.Gateway {
		if !slices.ContainsFunc(c.Gateway, func(g netip.Addr) bool { return g.Is4() == a.Is4() }) {
			c.Gateway = append(c.Gateway, a)
		}
	}
	for _, a := range o.DNS {
		if !slices.Contains(c.DNS, a) {
			c.DNS = append(c.DNS, a)
		}
	}
	if o.MTU != 0 {
		c.MTU = o.MTU
	}
	if o.Identifier.IsValid() {
		c.Identifier = o.Identifier
	}
}

// DynamicParameters reads +CGCONTRDP (27.007, 10.1.23) of an active context. A
// context of both IP versions has a line for each, merged here.
func (m *Modem) DynamicParameters(ctx context.Context, cid int) (IPConfig, error) {
	reply, err := m.s.Do(ctx, atcmd.Command{Text: "+CGCONTRDP=" + strconv.Itoa(cid), Tags: []string{"+CGCONTRDP"}})
	if err != nil {
		return IPConfig{}, err
	}
	merged := IPConfig{CID: cid}
	for _, line := range reply.Lines {
		if c, ok := ParseCGCONTRDP(line); ok && c.CID == cid {
			merged.merge(c)
		}
	}
	return merged, nil
}

// ParseCGCONTRDP reads one line of +CGCONTRDP in either form: since Release 9
// (9.4.0) address and mask are one parameter, before they were two. The number
// of dots tells them apart. Addresses that are all zeros mean "none".
func ParseCGCONTRDP(line string) (IPConfig, bool) {
	f, ok := atcmd.Fields(line, "+CGCONTRDP")
	if !ok || len(f) < 3 || len(f) > 64 {
		return IPConfig{}, false
	}
	cid, ok := number(f[0], 255)
	if !ok {
		return IPConfig{}, false
	}
	c := IPConfig{CID: cid, APN: networkIdentifier(f[2])}
	addr, mask, split := addressAndMask(at(f, 3))
	next, old := 4, false
	if addr.IsValid() && !split {
		// Either the old form, with the mask next, or a modem that leaves the
		// mask out, with the gateway next.
		if at(f, 4) == "" {
			next, old = 5, true
		} else if n, ok := maskLength(parseAddr(at(f, 4)), addr); ok {
			mask, next, old = n, 5, true
		}
	}
	if usable(addr) {
		c.Addrs = []netip.Prefix{netip.PrefixFrom(addr, hostBits(addr, mask))}
	} else if addr.Is6() && addr.IsLinkLocalUnicast() {
		c.Identifier = addr
	}
	if gw := parseAddr(at(f, next)); usable(gw) || gw.Is6() && gw.IsLinkLocalUnicast() {
		c.Gateway = []netip.Addr{gw}
	}
	for _, s := range []string{at(f, next+1), at(f, next+2)} {
		if dns := parseAddr(s); usable(dns) {
			c.DNS = append(c.DNS, dns)
		}
	}
	if !old {
		// P-CSCF twice, IM_CN_Signalling_Flag, LIPA_indication, IPv4_MTU.
		if mtu, ok := number(at(f, 11), 65535); ok && mtu >= 576 {
			c.MTU = mtu
		}
	}
	return c, true
}

// Addresses reads +CGPADDR (27.007, 10.1.14): the addresses of a context, none
// when it is down.
func (m *Modem) Addresses(ctx context.Context, cid int) ([]netip.Addr, error) {
	reply, err := m.s.Do(ctx, atcmd.Command{Text: "+CGPADDR=" + strconv.Itoa(cid), Tags: []string{"+CGPADDR"}})
	if err != nil {
		return nil, err
	}
	for _, line := range reply.Lines {
		if n, addrs, ok := ParseCGPADDR(line); ok && n == cid {
			return addrs, nil
		}
	}
	return nil, nil
}

// ParseCGPADDR reads one line of +CGPADDR.
func ParseCGPADDR(line string) (cid int, addrs []netip.Addr, ok bool) {
	f, ok := atcmd.Fields(line, "+CGPADDR")
	if !ok || len(f) > 8 {
		return 0, nil, false
	}
	if cid, ok = number(at(f, 0), 255); !ok {
		return 0, nil, false
	}
	for _, field := range f[1:] {
		// Both addresses in one pair of quotes have been seen.
		for part := range strings.SplitSeq(field, ",") {
			if a := parseAddr(part); usable(a) && !slices.Contains(addrs, a) {
				addrs = append(addrs, a)
			}
		}
	}
	return cid, addrs, true
}

// networkIdentifier cuts the operator identifier off an APN: the network
// reports "internet" as "internet.mnc001.mcc001.gprs" (TS 23.003, 9.1).
func networkIdentifier(apn string) string {
	if len(apn) > 100 || printable(apn) != apn {
		return ""
	}
	lower := strings.ToLower(apn)
	if rest, ok := strings.CutSuffix(lower, ".gprs"); ok {
		if i := strings.LastIndex(rest, ".mnc"); i > 0 && len(rest)-i == len(".mnc001.mcc001") && rest[i+7:i+11] == ".mcc" {
			return apn[:i]
		}
	}
	return apn
}

// addressAndMask parses `a.b.c.d.m.m.m.m`, its IPv6 form with 32 parts, and
// what +CGPIAF makes of them (27.007, 10.1.29): an IPv6 address in colons,
// followed by a mask after a blank or by a length after a slash. split reports
// whether there was a mask; mask is -1 without.
func addressAndMask(s string) (addr netip.Addr, mask int, split bool) {
	s = strings.TrimSpace(s)
	if strings.Contains(s, ":") {
		a, m, blank := strings.Cut(s, " ")
		a, length, slash := strings.Cut(a, "/")
		addr = parseAddr(a)
		if slash {
			if n, ok := number(length, 128); ok {
				return addr, n, true
			}
		}
		if blank {
			if n, ok := maskLength(parseAddr(m), addr); ok {
				return addr, n, true
			}
		}
		return addr, -1, slash || blank
	}
	switch parts := strings.Split(s, "."); len(parts) {
	case 8, 32:
		half := len(parts) / 2
		addr = parseAddr(strings.Join(parts[:half], "."))
		if n, ok := maskLength(parseAddr(strings.Join(parts[half:], ".")), addr); ok {
			return addr, n, true
		}
		return addr, -1, true
	default:
		return parseAddr(s), -1, false
	}
}

// maskLength returns the length of a contiguous mask of addr's family. All
// zeros is none.
func maskLength(mask, addr netip.Addr) (int, bool) {
	if !mask.IsValid() || mask.BitLen() != addr.BitLen() || mask.IsUnspecified() {
		return 0, false
	}
	n := 0
	for i, b := range mask.AsSlice() {
		ones := bits.LeadingZeros8(^b)
		if b<<ones != 0 || ones > 0 && n < 8*i {
			return 0, false
		}
		n += ones
	}
	return n, true
}

// hostBits chooses a prefix length where the mask is missing or useless: the
// host alone for IPv4; the 64 bits that every IPv6 context gets (TS 23.401,
// 5.3.1.2.2).
func hostBits(addr netip.Addr, mask int) int {
	switch {
	case addr.Is6():
		if mask > 0 && mask < 128 {
			return mask
		}
		return 64
	case mask > 0:
		return mask
	}
	return 32
}

// parseAddr reads an address in the forms of 27.007: dotted IPv4, IPv6 in
// colons, IPv6 as 16 decimal parts. It returns the zero Addr for others.
func parseAddr(s string) netip.Addr {
	s = strings.TrimSpace(s)
	if len(s) > 64 {
		return netip.Addr{}
	}
	parts := strings.Split(s, ".")
	switch {
	case strings.Contains(s, ":"):
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" || a.Is4In6() {
			return netip.Addr{}
		}
		return a
	case len(parts) == 4, len(parts) == 16:
		var b [16]byte
		for i, p := range parts {
			n, ok := number(p, 255)
			if !ok || len(p) > 3 {
				return netip.Addr{}
			}
			b[i] = byte(n)
		}
		if len(parts) == 4 {
			return netip.AddrFrom4([4]byte(b[:4]))
		}
		if a := netip.AddrFrom16(b); !a.Is4In6() {
			return a
		}
	}
	return netip.Addr{}
}

// usable reports whether a host can use the address on a link or as a server.
// A link-local IPv6 address is the interface identifier before the router
// advertisement came.
func usable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() &&
		!(a.Is6() && a.IsLinkLocalUnicast()) && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// leaseOf makes a configuration of addresses alone.
func leaseOf(cid int, addrs []netip.Addr) IPConfig {
	c := IPConfig{CID: cid}
	for _, a := range addrs {
		c.Addrs = append(c.Addrs, netip.PrefixFrom(a, hostBits(a, -1)))
	}
	return c
}

func (c IPConfig) String() string { return fmt.Sprintf("context %d: %v", c.CID, c.Addrs) }
