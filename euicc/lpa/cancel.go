package lpa

import (
	"context"

	"dynamod/euicc"
	"dynamod/euicc/es10"
	"dynamod/euicc/es9p"
)

// Cancellation is a session that the card has ended. The server is to learn of
// it once, at the latest when the network is back: see Config.Cancelled. It holds
// no secret.
type Cancellation struct {
	Server        string
	TransactionID euicc.TransactionID
	Reason        euicc.CancelReason
	Response      []byte   // signed by the card
	Issuers       [][]byte // of the card, for NewClient; nil where it did not tell them
	Delivered     bool     // the server knows, or knew before us
}

// Cancel ends the session on the card and at the server (SGP.22 3.0.2). After a
// Download it does nothing.
func (o *Order) Cancel(ctx context.Context, reason euicc.CancelReason) error {
	if o.ended {
		return nil
	}
	o.ended = true
	c, err := o.card.CancelSession(ctx, o.Server, o.TransactionID, reason)
	o.cancelled = c
	return err
}

// Cancellation returns how the session was cancelled, nil if it was not. When it
// is not delivered, DeliverCancellation is due.
func (o *Order) Cancellation() *Cancellation { return o.cancelled }

// CancelSession ends a session by its transaction ID, also one of an earlier
// process: short of a reset of the card the only way out of a session that was
// left open (SGP.22 5.7.14, 5.6.5). That the card does not know the session is
// es10.ErrNotFound. The server is "" where nobody has to be told, as Config.Begin
// had it. When only the server could not be told, the Cancellation is
// returned with the error, and Config.Cancelled has it. Never call it after an
// installation result.
func (c *Card) CancelSession(ctx context.Context, server string, id euicc.TransactionID, reason euicc.CancelReason) (*Cancellation, error) {
	x, err := c.cancelOnCard(ctx, server, id, reason, server != "")
	if err != nil {
		return nil, err
	}
	return x, c.DeliverCancellation(ctx, x)
}

// DeliverCancellation tells the server of a session that the card has ended.
func (c *Card) DeliverCancellation(ctx context.Context, x *Cancellation) error {
	if x.Delivered {
		return nil
	}
	client, err := c.Client(ctx)
	if err == nil {
		err = DeliverCancellation(ctx, client, x)
	}
	if x.Delivered {
		c.noteCancelled(x)
	}
	return err
}

// DeliverCancellation is Card.DeliverCancellation for who has no card at hand,
// with the client that Card.Client or NewClient gave. A server that answers with a status
// code, mostly that it does not know the session any more, is told nothing new by
// another try: that is an error, and delivered.
func DeliverCancellation(ctx context.Context, client *es9p.Client, x *Cancellation) error {
	if x.Delivered {
		return nil
	}
	err := es9p.CancelSession{TransactionID: x.TransactionID, Response: x.Response}.Execute(ctx, client, x.Server)
	x.Delivered = err == nil || refused(err)
	if err != nil {
		return diagnose(ctx, euicc.StageCancelSession, err)
	}
	return nil
}

// noteCancelled hands a cancellation to who keeps it.
func (c *Card) noteCancelled(x *Cancellation) {
	if c.cfg.Cancelled != nil {
		c.cfg.Cancelled(*x)
	}
}

// cancelOnCard ends the session on the card. Unless tell is set the server has
// ended it before us and has nothing to learn. Reasons 4, 5 and 127 came with
// SGP.22 v2.1; an older card gets the one that keeps the order alive.
func (c *Card) cancelOnCard(ctx context.Context, server string, id euicc.TransactionID, reason euicc.CancelReason, tell bool) (*Cancellation, error) {
	var issuers [][]byte
	if tell { // before the session ends, so that nothing comes between that and its note
		var err error
		if issuers, err = c.Issuers(ctx); err != nil {
			c.log.Debug("the card does not tell its issuers", "err", err)
		}
	}
	if reason > euicc.CancelPPRNotAllowed && c.info1 != nil && c.info1.SVN.Before(es10.Version{2, 1}) {
		reason = euicc.CancelPostponed
	}
	r, err := es10.CancelSession{TransactionID: id, Reason: reason}.Execute(ctx, c.ch)
	if err != nil {
		return nil, diagnose(ctx, euicc.StageCancelSession, err)
	}
	x := &Cancellation{Server: server, TransactionID: id, Reason: reason, Response: r.Raw, Issuers: issuers, Delivered: !tell}
	if tell {
		c.noteCancelled(x)
	}
	return x, nil
}

// abort cancels the session after a failure, as well as it can: the failure is
// what the caller gets to see. It works on a context of its own, because the
// caller's may be why it failed. A server that has itself ended the session, or
// that takes no cancellation, is not told.
func (o *Order) abort(ctx context.Context, reason euicc.CancelReason, tell bool) {
	o.ended = true
	ctx = context.WithoutCancel(ctx)
	card, cancel := context.WithTimeout(ctx, cleanupCard)
	defer cancel()
	x, err := o.card.cancelOnCard(card, o.Server, o.TransactionID, reason, tell)
	if err != nil {
		o.card.log.Warn("cannot cancel the session on the card", "err", err)
		return
	}
	o.cancelled = x
	if !tell {
		return
	}
	server, cancel2 := context.WithTimeout(ctx, cleanupServer)
	defer cancel2()
	if err := o.card.DeliverCancellation(server, x); err != nil {
		o.card.log.Warn("cannot tell the server that the session is cancelled", "err", err)
	}
}
