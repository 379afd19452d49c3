package lpa

import (
	"context"
	"errors"

	"dynamod/euicc"
	"dynamod/euicc/apdu"
	"dynamod/euicc/es10"
	"dynamod/euicc/es9p"
)

// Notifications lists the reports that wait on the card.
func (c *Card) Notifications(ctx context.Context) ([]euicc.Notification, error) {
	r, err := es10.ListNotification{}.Execute(ctx, c.ch)
	if err != nil {
		return nil, diagnose(ctx, euicc.StageNotifications, err)
	}
	return r.Notifications, nil
}

// Retrieve reads one report with the card's signature. That the card has none
// of this number is es10.ErrNotFound.
func (c *Card) Retrieve(ctx context.Context, seq int64) (*euicc.PendingNotification, error) {
	r, err := es10.RetrieveNotificationsList{Seq: &seq}.Execute(ctx, c.ch)
	// Cards have been seen that answer undefinedError to every search by number.
	if re, ok := errors.AsType[*es10.ResultError](err); ok && re.Code == 127 {
		r, err = es10.RetrieveNotificationsList{}.Execute(ctx, c.ch)
	}
	if err != nil {
		return nil, diagnose(ctx, euicc.StageNotifications, err)
	}
	for i := range r.Notifications {
		if r.Notifications[i].Seq == seq {
			return &r.Notifications[i], nil
		}
	}
	return nil, diagnose(ctx, euicc.StageNotifications, es10.NotFound("retrieveNotificationsList"))
}

// RetrieveAll reads all reports with the card's signature: in one answer, or where
// that is more than card, modem or we can take, one after the other.
func (c *Card) RetrieveAll(ctx context.Context) ([]euicc.PendingNotification, error) {
	r, err := es10.RetrieveNotificationsList{}.Execute(ctx, c.ch)
	if errors.Is(err, es10.ErrNotFound) {
		return nil, nil
	}
	if err != nil && tooMuch(err) && ctx.Err() == nil {
		return c.retrieveEach(ctx)
	}
	if err != nil {
		return nil, diagnose(ctx, euicc.StageNotifications, err)
	}
	return r.Notifications, nil
}

// retrieveEach is RetrieveAll by number.
func (c *Card) retrieveEach(ctx context.Context) (all []euicc.PendingNotification, err error) {
	list, err := c.Notifications(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range list {
		p, err := c.Retrieve(ctx, n.Seq)
		if errors.Is(err, es10.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, *p)
	}
	return all, nil
}

// tooMuch reports whether a long answer may have failed for its length. Transports
// say so by their methods TooLong() bool and Refused() bool.
func tooMuch(err error) bool {
	var (
		sw      *apdu.StatusError
		long    interface{ TooLong() bool }
		refused interface{ Refused() bool }
	)
	return errors.Is(err, apdu.ErrTooLong) || errors.As(err, &sw) ||
		errors.As(err, &long) && long.TooLong() || errors.As(err, &refused) && refused.Refused()
}

// RemoveNotification removes a delivered report from the card. It may be
// repeated; that the card has none of this number is no error.
func (c *Card) RemoveNotification(ctx context.Context, seq int64) error {
	_, err := es10.RemoveNotificationFromList{Seq: seq}.Execute(ctx, c.ch)
	if err == nil || errors.Is(err, es10.ErrNotFound) {
		return nil
	}
	return diagnose(ctx, euicc.StageNotifications, err)
}

// FindResult looks for the installation result of a session among the reports on
// the card. It returns nil when there is none: the session came to no result.
// This settles what became of a download whose last answer was lost.
func (c *Card) FindResult(ctx context.Context, id euicc.TransactionID) (*euicc.InstallResult, error) {
	pending, err := c.RetrieveAll(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range pending {
		if p.Install != nil && p.Install.TransactionID.Equal(id) {
			return p.Install, nil
		}
	}
	return nil, nil
}

// Deliver sends a signed report to its receiver. When it returns nil the
// receiver has it and it can be removed from the card.
func (c *Card) Deliver(ctx context.Context, p *euicc.PendingNotification) error {
	client, err := c.Client(ctx)
	if err != nil {
		return err
	}
	return Deliver(ctx, client, p)
}

// Deliver is Card.Deliver for who has no card at hand, with the client that
// Card.Client or NewClient gave.
func Deliver(ctx context.Context, client *es9p.Client, p *euicc.PendingNotification) error {
	address, err := euicc.ParseAddress(p.Address)
	if err != nil {
		return &euicc.Error{Stage: euicc.StageHandleNotification, Code: "notification-address", Retry: euicc.RetryNever,
			Text: "the card names no usable receiver for this notification", Advice: "it can only be removed from the card", Err: err}
	}
	if err := (es9p.HandleNotification{Pending: p.Raw}).Execute(ctx, client, address); err != nil {
		return diagnose(ctx, euicc.StageHandleNotification, err)
	}
	return nil
}
