package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/outbox"
	"dynamod/daemon/status"
	"dynamod/euicc"
	"dynamod/euicc/es9p"
	"dynamod/euicc/lpa"
)

// collect copies the card's notifications to the outbox.
func (g *Gateway) collect(ctx context.Context, c *lpa.Card) ([]euicc.PendingNotification, error) {
	g.uncollected.Store(true) // until it is done
	pending, err := c.RetrieveAll(ctx)
	if err != nil {
		return nil, err
	}
	var issuers [][]byte
	if len(pending) > 0 {
		if issuers, err = c.Issuers(ctx); err != nil {
			g.log.Warn("the card does not tell its issuers: its reports wait for it", "error", err)
		}
	}
	all := true
	for _, p := range pending {
		e := outbox.Entry{EID: c.EID().String(), Seq: p.Seq, Operation: p.Event.String(), Address: p.Address, Pending: p.Raw, Issuers: issuers}
		if !p.ICCID.IsZero() {
			e.ICCID = p.ICCID.String()
		}
		if err := g.outbox.Put(e); err != nil {
			g.log.Error("a notification is on the card only, until there is room for its copy", "seq", p.Seq, "error", err)
			all = false
		}
	}
	g.uncollected.Store(!all)
	g.showOutbox()
	return pending, nil
}

// copyAll copies the card's notifications before a change that takes them from it:
// without a copy on the medium of each nothing is changed.
func (g *Gateway) copyAll(ctx context.Context, c *lpa.Card) error {
	if _, err := g.collect(ctx, c); err != nil {
		return err
	}
	if g.uncollected.Load() {
		return &activation.Fault{
			Code: "reports-not-kept", Text: "the card has reports for operators that cannot be kept, and they would go with this", Retry: euicc.RetryLater,
			Advice: "`dynamod notifications deliver` brings them to their servers; or make room on the file system of [state] dir",
		}
	}
	return nil
}

// DeliverNotifications offers every notification to its receiver now. What was
// copied needs no card for that, so that one which does not answer holds it up no
// longer than it takes to find out.
func (g *Gateway) DeliverNotifications(ctx context.Context) error {
	release, err := g.acquireCard(ctx)
	if err != nil {
		return err
	}
	defer release()
	c, err := g.openCard(ctx, nil)
	if err == nil {
		defer g.closeCard(c)
		if _, err = g.collect(ctx, c); err == nil {
			return g.send(ctx, c, g.running)
		}
	}
	return cmp.Or(g.send(ctx, nil, g.running), err)
}

// deliverCopies is DeliverNotifications where no modem is there.
func (g *Gateway) deliverCopies(ctx context.Context) error {
	release, err := g.acquireCard(ctx) // whoever has it may be delivering
	if err != nil {
		return err
	}
	defer release()
	return g.send(ctx, nil, g.running)
}

// send delivers where there is a way to the receivers. Without one, or without a
// date to judge their certificates by, no try is counted: it says nothing about them.
// c is nil where the card is not at hand.
func (g *Gateway) send(ctx context.Context, c *lpa.Card, stop func() bool) error {
	_, err := g.ways(ctx)
	if err == nil && len(g.outbox.Due()) > 0 {
		err = g.setClock(ctx)
	}
	if err != nil {
		return errors.Join(err, g.clean(ctx, c))
	}
	return g.deliverUntil(ctx, c, stop)
}

// deliver offers the outbox to its receivers, and removes from the card what
// they took.
func (g *Gateway) deliver(ctx context.Context, c *lpa.Card) error { return g.deliverUntil(ctx, c, nil) }

// deliverUntil is deliver that ends between two receivers when stop, if not nil,
// says so: a server may take a minute, and a run waits for the card meanwhile.
func (g *Gateway) deliverUntil(ctx context.Context, c *lpa.Card, stop func() bool) error {
	to := servers{g: g, card: c}
	defer to.close()
	var failed error
	for {
		progress := false
		for _, e := range g.outbox.Due() {
			if stop != nil && stop() {
				return g.errRunning() // its turn comes again
			}
			client, err := to.client(ctx, e)
			if err == nil {
				err = offer(ctx, client, e)
			}
			if err != nil {
				failed = fmt.Errorf("%s (%d) to %s: %w", e.Operation, e.Seq, e.Address, err)
				if ctx.Err() != nil {
					return failed
				}
				if errors.Is(err, errNoIssuers) {
					continue // no try of the receiver's
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
		if !progress {
			break
		}
	}
	// A card that does not answer holds up no receiver.
	err := g.clean(ctx, c)
	g.showOutbox()
	if failed == nil {
		return err
	}
	return failed
}

// offer sends one entry to its receiver. A server that has nothing to say about a
// cancelled session but that it does not know it has been told.
func offer(ctx context.Context, client *es9p.Client, e outbox.Entry) error {
	if e.Cancel == "" {
		return lpa.Deliver(ctx, client, &euicc.PendingNotification{Notification: euicc.Notification{Seq: e.Seq, Address: e.Address}, Raw: e.Pending})
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
	e := outbox.Entry{EID: eid.String(), Operation: "cancel-session", Address: x.Server, Pending: x.Response, Issuers: x.Issuers, Cancel: string(x.TransactionID)}
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
// Those of another card wait until that one is back.
func (g *Gateway) clean(ctx context.Context, c *lpa.Card) error {
	if c == nil {
		return nil
	}
	entries := g.outbox.Entries()
	for _, e := range entries {
		if !e.Delivered || e.EID != c.EID().String() {
			continue
		}
		// A card counts its numbers up and never gives one out again while it
		// is on the list; one that is gone already is no error. What has the number
		// all the same, after a reset elsewhere, is another report.
		again := slices.ContainsFunc(entries, func(x outbox.Entry) bool {
			return x.EID == e.EID && x.Seq == e.Seq && x.Cancel == "" && !x.Delivered
		})
		if e.Cancel == "" && !again {
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

// keepOutbox collects and delivers what could not be at once, and cleans the
// card of what was delivered.
func (g *Gateway) keepOutbox(ctx context.Context) error {
	t := time.NewTicker(outboxTick)
	defer t.Stop()
	wasUp := false
	var risen time.Time
	// A card that cannot be opened is not asked every time: ticks to leave out
	// after a failure, and how many of them are left.
	var pause, left int
	var of *device
	rose := g.status.LinkUp()
	for {
		// A link that came up carries reports at once; one that comes and goes does
		// not bring them more often than the ticks do.
		soon := rose
		if !risen.IsZero() && time.Since(risen) < outboxTick {
			soon = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-soon:
			risen = time.Now()
		}
		rose = g.status.LinkUp()
		up := g.status.Snapshot().State == status.Up
		if up && !wasUp {
			g.outbox.Retry() // what failed may have failed for want of this link
		}
		wasUp = up
		if d := g.getDevice(); d != of {
			of, pause, left = d, 0, 0
		}
		g.showOutbox() // for what grows old
		if g.journal.Unwritable() != nil || len(g.status.Snapshot().Warnings) > 0 {
			g.warn() // a disk that got full, or is not any more, is told
		}
		if g.running() || !g.outboxWaits() {
			continue
		}
		if left > 0 && len(g.outbox.Due()) == 0 { // it is about the card alone
			left--
			continue
		}
		deliver := g.DeliverNotifications
		if g.getDevice() == nil {
			deliver = g.deliverCopies
		}
		if err := deliver(ctx); err == nil {
			pause = 0
		} else if ctx.Err() == nil {
			pause = min(2*pause+1, lastOutboxPause)
			g.log.Warn("notifications are delivered later", "error", err)
		}
		left = pause
	}
}

// outboxTick is how often the outbox is looked at.
const outboxTick = 30 * time.Second

// lastOutboxPause is how many ticks are left out at most while the card cannot be
// read: an hour's.
const lastOutboxPause = 120

// outboxWaits reports whether there is something to do with the card or a
// receiver.
func (g *Gateway) outboxWaits() bool {
	if g.getDevice() == nil {
		return slices.ContainsFunc(g.outbox.Due(), func(e outbox.Entry) bool { return len(e.Issuers) > 0 })
	}
	if g.uncollected.Load() || len(g.outbox.Due()) > 0 {
		return true
	}
	// Which card it is has to be found out again where the last try to use it failed.
	card := g.status.Snapshot().Card
	return card != nil && slices.ContainsFunc(g.outbox.Entries(), func(e outbox.Entry) bool {
		return e.Delivered && (e.EID == card.EID || card.EID == "")
	})
}

func (g *Gateway) showOutbox() {
	entries, alarm := g.outbox.Entries(), g.outbox.Alarm()
	g.status.Update(func(s *status.Snapshot) {
		if alarm != "" && s.Outbox.Alarm == "" {
			g.log.Error("outbox", "alarm", alarm)
		}
		s.Outbox = status.Outbox{Alarm: alarm}
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
