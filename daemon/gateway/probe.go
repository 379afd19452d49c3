package gateway

import (
	"context"

	"dynamod/daemon/bearer"
	"dynamod/daemon/status"
	"dynamod/netlink/reach"
	"dynamod/netlink/uplink"
)

// probe asks the configured targets through the link and through nothing else.
func (g *Gateway) probe(ctx context.Context, spec uplink.Spec) bearer.Reach {
	d := spec.Dialer()
	d.Mark = g.mark()
	d.RecvBuffer = reach.RecvBuffer // a portal's long page stays with the portal
	out := ProbeWith(ctx, d, g.config().Reach.Targets, reach.Config{Timeout: g.config().Reach.Timeout, First: int(g.reachFirst.Load())})
	if out.Left {
		g.reachFirst.Add(1) // those that were not asked have their turn
	}
	return out
}

// ProbeWith asks targets through a dialer.
func ProbeWith(ctx context.Context, d reach.Dialer, targets []string, c reach.Config) bearer.Reach {
	c.Dialer, c.Targets = d, targets
	r, err := reach.Probe(ctx, c)
	if err != nil {
		return bearer.Reach{State: status.Down, Reason: err.Error()}
	}
	out := bearer.Reach{State: status.Down, Target: r.Target, Reason: r.Reason, RTT: r.RTT, Cause: string(r.Cause), Left: r.Left}
	for _, a := range r.Attempts {
		out.Targets = append(out.Targets, status.ReachTarget{Target: a.Target, Result: a.State.String(), Stage: string(a.Stage), Reason: a.Reason, TookMS: float64(a.Took.Microseconds()) / 1000})
	}
	switch r.State {
	case reach.OK:
		out.State = status.Up
	case reach.Limited:
		out.State = status.Limited
	}
	return out
}
