package gateway

import (
	"context"
	"os"
	"os/signal"
	"syscall"

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

// reload reads operators.d again at SIGHUP.
func (g *Gateway) reload(ctx context.Context) error {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	defer signal.Stop(c)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c:
			g.log.Info("reading operators.d again")
			if err := g.loadOperators(); err != nil {
				g.log.Error("operators", "error", err)
			}
			g.bearer.Kick()
		}
	}
}
