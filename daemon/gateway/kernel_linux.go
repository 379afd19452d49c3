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

func acquireDHCP(ctx context.Context, ifname string) (bearer.Lease, error) {
	l, err := dhcp.Acquire(ctx, ifname)
	if err != nil {
		return bearer.Lease{}, err
	}
	out := bearer.Lease{Gateway: l.Gateway, DNS: l.DNS, MTU: l.MTU}
	out.Addrs = append(out.Addrs, l.Addr)
	if l.Valid > 0 {
		out.Renew = l.Obtained.Add(l.Renew)
	}
	return out, nil
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
