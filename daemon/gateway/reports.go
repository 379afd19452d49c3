package gateway

import (
	"context"
	"fmt"

	"dynamod/daemon/outbox"
	"dynamod/daemon/status"
	"dynamod/euicc"
	"dynamod/euicc/lpa"
)

// collect copies the card's notifications to the outbox.
func (g *Gateway) collect(ctx context.Context, c *lpa.Card) ([]euicc.PendingNotification, error) {
	pending, err := c.RetrieveAll(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range pending {
		e := outbox.Entry{EID: c.EID().String(), Seq: p.Seq, Operation: p.Event.String(), Address: p.Address, Pending: p.Raw}
		if !p.ICCID.IsZero() {
			e.ICCID = p.ICCID.String()
		}
		if err := g.outbox.Put(e); err != nil {
			g.log.Error("a notification is on the card only, until there is room for its copy", "seq", p.Seq, "error", err)
		}
	}
	g.showOutbox()
	return pending, nil
}

// deliver offers the outbox to its receivers, and removes from the card what
// they took.
func (g *Gateway) deliver(ctx context.Context, c *lpa.Card) error {
	var failed error
	for {
		due := g.outbox.Due()
		progress := false
		for _, e := range due {
			if err := offer(ctx, c, e); err != nil {
				failed = fmt.Errorf("%s (%d) to %s: %w", e.Operation, e.Seq, e.Address, err)
				if ctx.Err() != nil {
					return failed
				}
				if err := g.outbox.Failed(e, err); err != nil {
					g.log.Error("outbox", "error", err)
				}
				continue
			}
			progress = true
			g.log.Info("delivered", "seq", e.Seq, "operation", e.Operation, "receiver", e.Address)
			if err := g.outbox.Delivered(e); err != nil {
				g.log.Error("outbox", "error", err) // a full disk: after a crash it is delivered once more
			}
		}
		if err := g.clean(ctx, c); err != nil {
			return err
		}
		if !progress {
			g.showOutbox()
			return failed
		}
	}
}

// offer sends one entry to its receiver. A server that has nothing to say about a
// cancelled session but that it does not know it has been told.
func offer(ctx context.Context, c *lpa.Card, e outbox.Entry) error {
	if e.Cancel == "" {
		return c.Deliver(ctx, &euicc.PendingNotification{Notification: euicc.Notification{Seq: e.Seq, Address: e.Address}, Raw: e.Pending})
	}
	client, err := c.Client(ctx)
	if err != nil {
		return err
	}
	x := lpa.Cancellation{Server: e.Address, TransactionID: euicc.TransactionID(e.Cancel), Response: e.Pending}
	if err := lpa.DeliverCancellation(ctx, client, &x); !x.Delivered {
		return err
	}
	return nil
}

// keepCancelled keeps what a server has yet to learn about a session that the
// card has ended, until it knows.
func (g *Gateway) keepCancelled(eid euicc.EID, x lpa.Cancellation) {
	e := outbox.Entry{EID: eid.String(), Operation: "cancel-session", Address: x.Server, Pending: x.Response, Cancel: string(x.TransactionID)}
	keep := g.outbox.Put
	if x.Delivered {
		keep = g.outbox.Drop
	}
	if err := keep(e); err != nil {
		g.log.Error("the cancelled session is not on disk as it should be", "error", err)
	}
	g.showOutbox()
}

// toldLater is err unless the card has ended its session: then the outbox has
// what the server is still to learn.
func (g *Gateway) toldLater(x *lpa.Cancellation, err error) error {
	if err != nil && x != nil {
		g.log.Warn("the server learns later that its session is cancelled", "error", err)
		return nil
	}
	return err
}

// clean removes delivered notifications from the card and then from the outbox.
func (g *Gateway) clean(ctx context.Context, c *lpa.Card) error {
	for _, e := range g.outbox.Entries() {
		if !e.Delivered || e.EID != c.EID().String() {
			continue
		}
		// A card counts its numbers up and never gives one out again while it
		// is on the list; one that is gone already is no error.
		if e.Cancel == "" {
			if err := c.RemoveNotification(ctx, e.Seq); err != nil {
				return err
			}
		}
		if err := g.outbox.Drop(e); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gateway) showOutbox() {
	entries := g.outbox.Entries()
	g.status.Update(func(s *status.Snapshot) {
		s.Outbox = status.Outbox{}
		for _, e := range entries {
			if e.Delivered {
				continue
			}
			s.Outbox.Pending++
			if s.Outbox.Oldest == nil || e.Added.Before(*s.Outbox.Oldest) {
				s.Outbox.Oldest = &e.Added
			}
			if e.LastError != "" {
				s.Outbox.Error = e.LastError
			}
		}
	})
}
