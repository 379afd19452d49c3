package gateway

import (
	"context"

	"dynamod/daemon/bearer"
	"dynamod/netlink"
	"dynamod/netlink/dhcp"
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
