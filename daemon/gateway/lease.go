package gateway

import (
	"context"
	"net/netip"

	"dynamod/daemon/bearer"
	"dynamod/netlink/dhcp"
	"dynamod/netlink/ra"
)

// LeaseOf makes a lease of DHCP's the bearer's; keep renews it in time, as
// dhcp.Client.Keep does.
func LeaseOf(l dhcp.Lease, keep func(ctx context.Context, l dhcp.Lease, changed func(dhcp.Lease)) error) bearer.Lease {
	out := bearer.Lease{Addrs: []netip.Prefix{l.Addr}, Gateway: l.Gateway, DNS: l.DNS, MTU: l.MTU}
	if l.Valid > 0 {
		out.Keep = func(ctx context.Context, changed func(bearer.Lease)) error {
			return keep(ctx, l, func(next dhcp.Lease) { changed(LeaseOf(next, nil)) })
		}
	}
	return out
}

// SixOf makes what routers advertise the bearer's.
func SixOf(l ra.Link) bearer.Lease {
	return bearer.Lease{Addrs: l.Addrs, Gateway: l.Gateway, DNS: l.DNS, MTU: l.MTU}
}
