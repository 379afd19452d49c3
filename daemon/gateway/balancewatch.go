package gateway

import (
	"context"
	"time"

	"dynamod/daemon/status"
)

// What happens to a line's balance is seen from outside: the line is there, it comes
// into the walled garden or out of it, or it was topped up in a portal. Each is a reason
// to ask, once, as soon as the pause after the last question is over. Nobody waits for
// the answer.

// occasion is what a balance is asked for once.
type occasion struct {
	iccid string
	state status.State // up or limited
	topUp string       // the visit in which the line was topped up last
}

func occasionOf(s status.Snapshot) (o occasion, ok bool) {
	if s.SIM == nil || s.SIM.ICCID == "" || s.State == status.Down {
		return o, false
	}
	o = occasion{iccid: s.SIM.ICCID, state: s.State}
	if s.Visit != nil && s.Visit.State == status.VisitTopUp {
		o.topUp = s.Visit.Transaction
	}
	return o, true
}

// balanceSleep is for nothing to do: what could give reason to ask is an event.
const balanceSleep = time.Hour

// keepBalance asks for the balance at each occasion, until ctx ends.
func (g *Gateway) keepBalance(ctx context.Context) error {
	events := g.status.Subscribe(0)
	defer events.Close()
	var seen occasion
	due := false // seen has no answer yet
	wait := balanceSleep
	for {
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-events.Events():
		case <-t.C:
		}
		t.Stop()
		snap := g.status.Snapshot()
		if now, ok := occasionOf(snap); ok && now != seen {
			seen, due = now, true
		}
		wait = balanceSleep
		if !due || snap.State == status.Down || g.running() || !g.knowsBalance(seen.iccid) {
			continue
		}
		if wait = g.balances.Last(seen.iccid).Next; wait > 0 {
			continue
		}
		r := g.balances.Get(ctx, seen.iccid, g.location(snap))
		if !r.At.IsZero() {
			g.showBalance(balanceOf(seen.iccid, r))
		}
		due = r.Err != nil
		wait = max(r.Next, time.Second)
	}
}
