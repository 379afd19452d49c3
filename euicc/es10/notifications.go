package es10

import (
	"context"
	"fmt"

	"dynamod/euicc"
	"dynamod/euicc/bertlv"
)

// ListNotification lists the reports that wait on the card (SGP.22 5.7.9,
// ES10b).
type ListNotification struct {
	Events euicc.Event // only those of these operations; 0 for all
}

// ListNotificationResponse is the answer to ListNotification.
type ListNotificationResponse struct {
	Notifications []euicc.Notification
}

// Bytes returns the encoded request.
func (r ListNotification) Bytes() []byte {
	var b bertlv.Builder
	b.Open(0xBF28)
	if r.Events != 0 {
		b.Put(0x81, r.Events.Bits())
	}
	return b.Close().Bytes()
}

// Execute sends the request to the card.
func (r ListNotification) Execute(ctx context.Context, ch Channel) (*ListNotificationResponse, error) {
	return execute[ListNotificationResponse](ctx, ch, r.Bytes())
}

// UnmarshalBinary decodes a response.
func (r *ListNotificationResponse) UnmarshalBinary(b []byte) error {
	const function = "listNotification"
	list, err := choice(function, b, 0xBF28, nil)
	if err != nil {
		return err
	}
	for c, err := range list.Children() {
		if err != nil {
			return fmt.Errorf("%s: %w", function, err)
		}
		n, err := euicc.ParseNotification(c.Raw)
		if err != nil {
			return fmt.Errorf("%s: %w", function, err)
		}
		r.Notifications = append(r.Notifications, n)
	}
	return nil
}

// RetrieveNotificationsList reads reports with the card's signature (SGP.22
// 5.7.10, ES10b).
type RetrieveNotificationsList struct {
	Seq    *int64      // only the one of this number, which may be 0
	Events euicc.Event // only those of these operations, when Seq is nil; 0 for all
}

// RetrieveNotificationsListResponse is the answer to RetrieveNotificationsList.
type RetrieveNotificationsListResponse struct {
	Notifications []euicc.PendingNotification
}

// Bytes returns the encoded request.
func (r RetrieveNotificationsList) Bytes() []byte {
	var b bertlv.Builder
	b.Open(0xBF2B)
	switch {
	case r.Seq != nil:
		b.Open(0xA0).Int(0x80, *r.Seq).Close()
	case r.Events != 0:
		b.Open(0xA0).Put(0x81, r.Events.Bits()).Close()
	}
	return b.Close().Bytes()
}

// Execute sends the request to the card. That there is nothing to read is an
// empty list or, depending on the card, an error that is ErrNotFound.
func (r RetrieveNotificationsList) Execute(ctx context.Context, ch Channel) (*RetrieveNotificationsListResponse, error) {
	return execute[RetrieveNotificationsListResponse](ctx, ch, r.Bytes())
}

// UnmarshalBinary decodes a response.
func (r *RetrieveNotificationsListResponse) UnmarshalBinary(b []byte) error {
	const function = "retrieveNotificationsList"
	list, err := choice(function, b, 0xBF2B, map[int64]result{1: {"noResultAvailable", ErrNotFound}})
	if err != nil {
		return err
	}
	for c, err := range list.Children() {
		if err != nil {
			return fmt.Errorf("%s: %w", function, err)
		}
		n, err := euicc.ParsePendingNotification(c.Raw)
		if err != nil {
			return fmt.Errorf("%s: %w", function, err)
		}
		r.Notifications = append(r.Notifications, n)
	}
	return nil
}

// RemoveNotificationFromList removes a delivered report from the card (SGP.22
// 5.7.11, ES10b). It may be repeated: the second time it is ErrNotFound.
type RemoveNotificationFromList struct {
	Seq int64
}

// RemoveNotificationFromListResponse is the answer to
// RemoveNotificationFromList.
type RemoveNotificationFromListResponse struct{}

// Bytes returns the encoded request.
func (r RemoveNotificationFromList) Bytes() []byte {
	var b bertlv.Builder
	return b.Open(0xBF30).Int(0x80, r.Seq).Close().Bytes()
}

// Execute sends the request to the card. The error can be a *ResultError that
// is ErrNotFound.
func (r RemoveNotificationFromList) Execute(ctx context.Context, ch Channel) (*RemoveNotificationFromListResponse, error) {
	return execute[RemoveNotificationFromListResponse](ctx, ch, r.Bytes())
}

// UnmarshalBinary decodes a response.
func (r *RemoveNotificationFromListResponse) UnmarshalBinary(b []byte) error {
	return switchResponse("removeNotificationFromList", 0xBF30, b, map[int64]result{1: {"nothingToDelete", ErrNotFound}})
}

// choice decodes a response that is a list (A0) or an error (81).
func choice(function string, b []byte, tag bertlv.Tag, table map[int64]result) (bertlv.Element, error) {
	e, err := expect(function, b, tag)
	if err != nil {
		return bertlv.Element{}, err
	}
	if list, ok := e.Find(0xA0); ok {
		return list, nil
	}
	n, err := code(function, e, 0x81)
	if err != nil {
		return bertlv.Element{}, err
	}
	return bertlv.Element{}, resultError(function, n, table)
}
