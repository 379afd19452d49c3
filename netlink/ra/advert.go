// Package ra reads router advertisements (RFC 4861) on a modem's interface and tells what address, router and name
// servers a host makes of them (RFC 4862, RFC 8106). [Keep] solicits and listens for as long as the link is there; nothing
// is configured: what to do with it is the caller's business. The kernel could do the same by itself, but not into a
// routing table of ours, nor with name servers, nor so that what is left of an earlier process is known again.
package ra

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Advert is a router advertisement (RFC 4861, 4.2).
type Advert struct {
	Router   netip.Addr    // link-local; the packet's source, not in its bytes
	Lifetime time.Duration // as a default router, to the second; 0: it is none
	MTU      int           // 0: not told
	Prefixes []Prefix
	DNS      []Server
}

// Prefix is a prefix information option (RFC 4861, 4.6.2). Lifetimes are to the second; forever is Infinite.
type Prefix struct {
	Prefix           netip.Prefix // masked
	OnLink           bool         // L: other hosts of the prefix are on the link
	Auto             bool         // A: a host makes itself an address
	Valid, Preferred time.Duration
}

// Server is a recursive name server (RFC 8106, 5.1).
type Server struct {
	Addr     netip.Addr
	Lifetime time.Duration
}

// Infinite is the lifetime without an end: all ones, in seconds.
const Infinite = (1<<32 - 1) * time.Second

// ErrMalformed means that a packet is not a router advertisement that a host may use (RFC 4861, 6.1.2).
var ErrMalformed = errors.New("malformed router advertisement")

const (
	typeSolicit  = 133
	typeAdvert   = 134
	optPrefix    = 3
	optMTU       = 5
	optRDNSS     = 25
	minMTU       = 1280 // RFC 8200, 5
	maxMTU       = 65535
	maxPrefixes  = 8
	maxServers   = 8
	advertLength = 16
)

// Parse reads the ICMPv6 message of an advertisement; whoever received it has checked checksum and hop limit. What is
// in it too often, and options that a host does not know, are left out.
func Parse(b []byte, router netip.Addr) (Advert, error) {
	bad := func(format string, args ...any) (Advert, error) {
		return Advert{}, fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	router = router.WithZone("")
	switch {
	case !router.Is6() || !router.IsLinkLocalUnicast():
		return bad("from %s, which is not link-local", router)
	case len(b) < advertLength:
		return bad("%d bytes", len(b))
	case b[0] != typeAdvert || b[1] != 0:
		return bad("type %d code %d", b[0], b[1])
	}
	a := Advert{Router: router, Lifetime: time.Duration(binary.BigEndian.Uint16(b[6:])) * time.Second}
	for rest := b[advertLength:]; len(rest) > 0; {
		n := 0
		if len(rest) >= 2 {
			n = 8 * int(rest[1])
		}
		if n == 0 || n > len(rest) {
			return bad("an option of %d bytes where %d are left", n, len(rest))
		}
		a.option(rest[:n])
		rest = rest[n:]
	}
	return a, nil
}

func (a *Advert) option(o []byte) {
	switch {
	case o[0] == optPrefix && len(o) == 32:
		ip := netip.AddrFrom16([16]byte(o[16:32]))
		p := Prefix{OnLink: o[3]&0x80 != 0, Auto: o[3]&0x40 != 0, Valid: seconds(o[4:]), Preferred: seconds(o[8:])}
		if o[2] > 128 || ip.Is4In6() || len(a.Prefixes) == maxPrefixes {
			return
		}
		p.Prefix = netip.PrefixFrom(ip, int(o[2])).Masked()
		a.Prefixes = append(a.Prefixes, p)
	case o[0] == optMTU && len(o) == 8:
		if mtu := binary.BigEndian.Uint32(o[4:]); mtu >= minMTU && mtu <= maxMTU {
			a.MTU = int(mtu)
		}
	case o[0] == optRDNSS && len(o) >= 24:
		for at := 8; at+16 <= len(o) && len(a.DNS) < maxServers; at += 16 {
			ip := netip.AddrFrom16([16]byte(o[at : at+16]))
			if ip.IsUnspecified() || ip.IsMulticast() || ip.IsLoopback() || ip.Is4In6() || ip.IsLinkLocalUnicast() {
				continue // a link-local one needs a zone, which a resolv.conf of ours does not tell
			}
			if !slices.ContainsFunc(a.DNS, func(s Server) bool { return s.Addr == ip }) {
				a.DNS = append(a.DNS, Server{ip, seconds(o[4:])})
			}
		}
	}
}

func seconds(b []byte) time.Duration { return time.Duration(binary.BigEndian.Uint32(b)) * time.Second }

// Bytes is the ICMPv6 message of an advertisement, its checksum 0: the kernel fills it in.
func (a Advert) Bytes() []byte {
	b := make([]byte, advertLength)
	b[0], b[4] = typeAdvert, 64
	binary.BigEndian.PutUint16(b[6:], uint16(a.Lifetime/time.Second))
	put := func(b []byte, d time.Duration) []byte { return binary.BigEndian.AppendUint32(b, uint32(d/time.Second)) }
	if a.MTU != 0 {
		b = binary.BigEndian.AppendUint32(append(b, optMTU, 1, 0, 0), uint32(a.MTU))
	}
	for _, p := range a.Prefixes {
		var flags byte
		if p.OnLink {
			flags |= 0x80
		}
		if p.Auto {
			flags |= 0x40
		}
		b = put(put(append(b, optPrefix, 4, byte(p.Prefix.Bits()), flags), p.Valid), p.Preferred)
		ip := p.Prefix.Addr().As16()
		b = append(append(b, 0, 0, 0, 0), ip[:]...)
	}
	for _, s := range a.DNS {
		ip := s.Addr.As16()
		b = append(put(append(b, optRDNSS, 3, 0, 0), s.Lifetime), ip[:]...)
	}
	return b
}
