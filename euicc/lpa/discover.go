package lpa

import (
	"context"
	"errors"

	"dynamod/euicc"
	"dynamod/euicc/es9p"
)

// Event is a profile that a discovery server knows to wait for this card.
type Event struct {
	Address string           // of an SM-DP+, or of a further SM-DS
	ID      euicc.MatchingID // stands for the activation code's matching ID
}

// Code returns the activation code that downloads the event's profile.
func (e Event) Code() euicc.ActivationCode {
	return euicc.ActivationCode{Address: e.Address, MatchingID: e.ID}
}

// Discover asks a discovery server, SM-DS, which profiles wait for this card
// (SGP.22 3.6.2, event retrieval). The address is usually the card's own
// (Info.RootSMDS). No events are an empty list.
func (c *Card) Discover(ctx context.Context, smds string) ([]Event, error) {
	return c.discover(ctx, smds, "")
}

// maxHops bounds how often one SM-DS may send to the next.
const maxHops = 3

// AuthenticateEvent is Authenticate for an event. An event may name a further
// SM-DS in place of an SM-DP+, which shows in the certificate of the server; that
// one is then asked for the event.
func (c *Card) AuthenticateEvent(ctx context.Context, e Event) (*Order, error) {
	for hop := 0; ; hop++ {
		o, err := c.Authenticate(ctx, e.Code())
		if euicc.CodeOf(err) != codeIsSMDS || hop == maxHops {
			return o, err
		}
		further, err := c.discover(ctx, e.Address, e.ID)
		if err != nil {
			return nil, err
		}
		if len(further) == 0 {
			return nil, noEvent()
		}
		e = further[0]
	}
}

func noEvent() error {
	e := &euicc.Error{Stage: euicc.StageDiscover, Code: "no-event"}
	euicc.DiagnoseStatus("8.9.5", "3.9").Apply(e)
	return e
}

// codeIsSMDS and codeNoSMDS are servers of the other kind.
const (
	codeIsSMDS = "server-is-smds"
	codeNoSMDS = "server-is-no-smds"
)

// discover runs the common mutual authentication with an SM-DS and asks for its
// events: all that wait for the card, or with an ID that one's.
func (c *Card) discover(ctx context.Context, smds string, id euicc.MatchingID) ([]Event, error) {
	address, err := euicc.ParseAddress(smds)
	if err != nil {
		return nil, &euicc.Error{Stage: euicc.StageDiscover, Code: "bad-address", Retry: euicc.RetryAsk,
			Text: "the address of the discovery server cannot be one", Advice: "use an activation code, or name another SM-DS", Err: err}
	}
	session := &Order{Server: address, card: c, matching: id, smds: true}
	signed, err := session.authenticateServer(ctx, euicc.ActivationCode{Address: address, MatchingID: id})
	if err != nil {
		return nil, err
	}
	answer, err := es9p.AuthenticateClientES11{TransactionID: session.TransactionID, Response: signed.Raw}.Execute(ctx, session.client, address)
	// ES11 knows no CancelSession, so that nobody is told. Most cards drop a session
	// at the next challenge; those that keep it would refuse that one.
	session.abort(ctx, euicc.CancelPostponed, false)
	if status, ok := errors.AsType[*es9p.StatusError](err); ok && status.Subject == "8.9.5" && status.Reason == "3.9" && id == "" {
		return nil, nil
	}
	if err != nil {
		return nil, diagnose(ctx, euicc.StageDiscover, err, id.Reveal())
	}
	events := []Event{}
	for _, e := range answer.Events {
		server, err := euicc.ParseAddress(e.Address)
		if err != nil {
			c.log.Warn("discovery server names an address that cannot be one", "err", err)
			continue
		}
		events = append(events, Event{Address: server, ID: e.EventID})
	}
	return events, nil
}
