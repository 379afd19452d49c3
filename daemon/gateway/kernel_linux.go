package gateway

import (
	"context"
	"net/netip"

	"dynamod/daemon/bearer"
	"dynamod/netlink"
	"dynamod/netlink/dhcp"
	"dynamod/netlink/ra"
)

func dialKernel() (*netlink.Conn, error) { return netlink.Dial(netlink.Config{}) }

func (g *Gateway) acquireDHCP(ctx context.Context, ifname string) (bearer.Lease, error) {
	c := dhcp.New(dhcp.Config{Interface: ifname, Log: g.log})
	l, err := c.Acquire(ctx)
	if err != nil {
		return bearer.Lease{}, err
	}
	return LeaseOf(l, c.Keep), nil
}

// advertised takes what routers advertise, in the kernel's place.
func (g *Gateway) advertised(ctx context.Context, ifname string, identifier netip.Addr, changed func(bearer.Lease)) error {
	if err := ra.Ours(ifname); err != nil {
		g.log.Warn("the kernel may configure IPv6 beside dynamod", "error", err)
	}
	return ra.Keep(ctx, ra.Config{Interface: ifname, IID: identifier, Log: g.log}, func(l ra.Link) { changed(SixOf(l)) })
}
