package es9p

import (
	"context"

	"dynamod/euicc"
)

// ES11 is the interface between LPA and SM-DS (SGP.22 5.8). Its paths are those
// of ES9+ (6.5.2), and so is its InitiateAuthentication, in which the address is
// the SM-DS's own.

// AuthenticateClientES11 brings the card's signature to a discovery server and
// asks for the events that wait for this card (SGP.22 5.8.2).
type AuthenticateClientES11 struct {
	TransactionID euicc.TransactionID
	Response      []byte // of ES10b.AuthenticateServer
}

// AuthenticateClientES11Response is the answer to AuthenticateClientES11.
type AuthenticateClientES11Response struct {
	TransactionID euicc.TransactionID `json:"transactionId"`
	Events        []EventEntry        `json:"eventEntries"`
}

// EventEntry says that a server has something for the card (SGP.22
// EventEntries). Whoever has the ID can take the profile, so it is a matching ID
// like that of an activation code.
type EventEntry struct {
	EventID euicc.MatchingID `json:"eventId"`
	// Address is that of an SM-DP+, or of another SM-DS.
	Address string `json:"rspServerAddress"`
}

// Execute posts the request to a discovery server. Without events some servers
// answer with an empty list and others with the status code 8.9.5/3.9.
func (r AuthenticateClientES11) Execute(ctx context.Context, c *Client, server string) (*AuthenticateClientES11Response, error) {
	resp := new(AuthenticateClientES11Response)
	if err := c.authenticateClient(ctx, server, r.TransactionID, r.Response, resp); err != nil {
		return nil, err
	}
	return resp, complete(authenticateClient, resp.TransactionID, nil)
}
