// Package dhcp is a DHCPv4 client (RFC 2131) for a modem that plays a network card: its own little server, or the
// network behind it, hands out the address. [Client.Acquire] gets a [Lease], [Client.Keep] renews it in time,
// [Client.Release] gives it back. Nothing is configured: what to do with a lease is the caller's business.
//
// Raw IP interfaces have no hardware address and no DHCP: use what the modem reports (+CGCONTRDP).
//
// The messages are the work of github.com/insomniacslk/dhcp; what a lease must look like and when it is renewed is here.
package dhcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Lease is what a server granted.
type Lease struct {
	Addr    netip.Prefix // our address with the length of its network; /32 if the server named no mask
	Gateway netip.Addr   // zero if the server named none
	DNS     []netip.Addr // at most 8
	MTU     int          // option 26; 0 if the server said nothing usable
	Server  netip.Addr

	// Obtained is when the lease began. Renew (T1), Rebind (T2) and Valid count from there. Valid is 0 if the lease
	// never ends; then there is nothing to keep.
	Obtained             time.Time
	Renew, Rebind, Valid time.Duration

	ack *dhcpv4.DHCPv4
}

// Equal reports whether a link that is configured for one lease needs no change for the other.
func (l Lease) Equal(o Lease) bool {
	return l.Addr == o.Addr && l.Gateway == o.Gateway && slices.Equal(l.DNS, o.DNS) && l.MTU == o.MTU
}

func (l Lease) String() string {
	s := l.Addr.String()
	if l.Gateway.IsValid() {
		s += " via " + l.Gateway.String()
	}
	if l.Valid == 0 {
		return s + " for ever"
	}
	return s + " for " + l.Valid.String()
}

var (
	// ErrNoAnswer: no server answered, though every request was repeated.
	ErrNoAnswer = errors.New("no dhcp server answered")
	// ErrRefused: the server said no (DHCPNAK). The lease must not be used any longer.
	ErrRefused = errors.New("dhcp server refused")
	// ErrExpired: the lease ended and no server had renewed it.
	ErrExpired = errors.New("dhcp lease expired")
	// ErrNotEthernet: the interface has no hardware address.
	ErrNotEthernet = errors.New("not an Ethernet interface, so there is no DHCP: use the address that the modem reports")
	// ErrBadLease: the server's answer is not one that a host could use.
	ErrBadLease = errors.New("unusable dhcp lease")
)

// Bounds of a lease.
const (
	maxServers = 8
	minMTU     = 576              // RFC 2132 5.1 allows 68, but RFC 791 makes every host take 576
	minValid   = 30 * time.Second // shorter ones would keep modem and battery busy
	forever    = 1<<32 - 1        // seconds: RFC 2131 3.3
)

// newLease reads a DHCPACK. Parts that are wrong but not needed are left out.
func newLease(ack *dhcpv4.DHCPv4, obtained time.Time) (Lease, error) {
	l := Lease{Obtained: obtained, ack: ack}
	bad := func(format string, args ...any) (Lease, error) {
		return Lease{}, fmt.Errorf("%w: %s", ErrBadLease, fmt.Sprintf(format, args...))
	}
	ip, ok := host(ack.YourIPAddr)
	if !ok {
		return bad("address %s", ack.YourIPAddr)
	}
	bits := 32
	if mask := ack.Options.Get(dhcpv4.OptionSubnetMask); mask != nil {
		ones, size := net.IPMask(mask).Size()
		if size != 32 || ones == 0 {
			return bad("subnet mask %x", mask)
		}
		bits = ones
	}
	l.Addr = netip.PrefixFrom(ip, bits)
	l.Gateway = gateway(ack)
	for _, a := range ack.DNS() {
		if a, ok := host(a); ok && len(l.DNS) < maxServers && !slices.Contains(l.DNS, a) {
			l.DNS = append(l.DNS, a)
		}
	}
	if b := ack.Options.Get(dhcpv4.OptionInterfaceMTU); len(b) == 2 {
		if mtu := int(binary.BigEndian.Uint16(b)); mtu >= minMTU {
			l.MTU = mtu
		}
	}
	l.Server, ok = host(ack.ServerIdentifier())
	if !ok {
		return bad("server identifier %s", ack.ServerIdentifier())
	}

	valid := ack.IPAddressLeaseTime(0)
	switch {
	case valid == forever*time.Second:
		return l, nil
	case valid < minValid:
		return bad("valid for %s, at least %s", valid, minValid)
	}
	l.Valid = valid
	// RFC 2131 4.4.5: 0.5 and 0.875 of the lease unless the server says otherwise, T1 before T2 before the end.
	l.Renew = ack.IPAddressRenewalTime(0)
	l.Rebind = ack.IPAddressRebindingTime(0)
	if l.Rebind <= 0 || l.Rebind >= valid {
		l.Rebind = valid / 8 * 7
	}
	if l.Renew <= 0 || l.Renew >= l.Rebind {
		l.Renew = min(valid/2, l.Rebind)
	}
	return l, nil
}

// gateway is the router of the default route. RFC 3442: a server that sends classless routes means those, and not the
// router option.
func gateway(ack *dhcpv4.DHCPv4) netip.Addr {
	if routes := ack.ClasslessStaticRoute(); len(routes) > 0 {
		for _, r := range routes {
			if r == nil || r.Dest == nil {
				continue
			}
			if ones, size := r.Dest.Mask.Size(); ones == 0 && size == 32 {
				if a, ok := host(r.Router); ok {
					return a
				}
			}
		}
		return netip.Addr{}
	}
	for _, ip := range ack.Router() {
		if a, ok := host(ip); ok {
			return a
		}
	}
	return netip.Addr{}
}

// host accepts an IPv4 address that one machine can have.
func host(ip net.IP) (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(ip.To4())
	return a, ok && (a.IsGlobalUnicast() || a.IsLinkLocalUnicast()) && a.As4()[0] < 240
}
