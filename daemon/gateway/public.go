package gateway

import (
	"net/netip"
	"slices"
	"syscall"

	"dynamod/euicc/es9p"
)

// inside are networks beside those that package netip knows where no server on the
// internet is.
var inside = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),     // "this network" (RFC 791, 3.2): Linux takes 0.0.0.0 for itself
	netip.MustParsePrefix("100.64.0.0/10"), // behind a provider's NAT (RFC 6598)
	netip.MustParsePrefix("fec0::/10"),     // site-local, before fc00::/7 (RFC 3879)
}

// nat64 is what a translator puts before an IPv4 address (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// sixToFour is before an IPv4 address to which the rest is sent in a tunnel (RFC 3056, 2).
var sixToFour = netip.MustParsePrefix("2002::/16")

// checkPublic is an *es9p.AddressError for an address of this machine, of a link or
// of a private network.
func checkPublic(a netip.Addr) error {
	to := a.Unmap().WithZone("")
	if nat64.Contains(to) {
		b := to.As16()
		to = netip.AddrFrom4([4]byte(b[12:]))
	} else if sixToFour.Contains(to) {
		b := to.As16()
		to = netip.AddrFrom4([4]byte(b[2:6]))
	}
	if !to.IsGlobalUnicast() || to.IsPrivate() || slices.ContainsFunc(inside, func(p netip.Prefix) bool { return p.Contains(to) }) {
		return &es9p.AddressError{Address: a}
	}
	return nil
}

type controlFunc = func(network, address string, c syscall.RawConn) error

// allowing is a net.Dialer's Control that asks allow, then next; either may be nil.
// It comes after the name was resolved, so that there is no other answer to be
// connected to than the one that was checked.
func allowing(allow func(netip.Addr) error, next controlFunc) controlFunc {
	if allow == nil {
		return next
	}
	return func(network, address string, c syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err == nil {
			err = allow(to.Addr())
		}
		if err != nil || next == nil {
			return err
		}
		return next(network, address, c)
	}
}
