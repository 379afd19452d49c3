package es9p

import (
	"context"

	"dynamod/euicc"
)

// InitiateAuthentication asks the server to authenticate itself (SGP.22 5.6.1).
type InitiateAuthentication struct {
	Challenge [16]byte // of the card
	Info1     []byte   // EUICCInfo1 as the card gave it
	Address   string   // the SM-DP+ address as the user gave it
}

// InitiateAuthenticationResponse is the answer to InitiateAuthentication. Its
// parts are data objects for ES10b.AuthenticateServer.
type InitiateAuthenticationResponse struct {
	TransactionID     euicc.TransactionID `json:"transactionId"`
	ServerSigned1     Base64              `json:"serverSigned1"`
	ServerSignature1  Base64              `json:"serverSignature1"`
	CIKeyID           Base64              `json:"euiccCiPKIdToBeUsed"`
	ServerCertificate Base64              `json:"serverCertificate"`
}

// Execute posts the request to server.
func (r InitiateAuthentication) Execute(ctx context.Context, c *Client, server string) (*InitiateAuthenticationResponse, error) {
	const function = "initiateAuthentication"
	req := struct {
		Challenge Base64 `json:"euiccChallenge"`
		Info1     Base64 `json:"euiccInfo1"`
		Address   string `json:"smdpAddress"`
	}{r.Challenge[:], r.Info1, r.Address}
	resp := new(InitiateAuthenticationResponse)
	if err := c.post(ctx, server, function, req, resp); err != nil {
		return nil, err
	}
	return resp, complete(function, resp.TransactionID, map[string]Base64{
		"serverSigned1": resp.ServerSigned1, "serverSignature1": resp.ServerSignature1,
		"euiccCiPKIdToBeUsed": resp.CIKeyID, "serverCertificate": resp.ServerCertificate,
	})
}

// AuthenticateClient brings the card's signature to the server and asks for the
// order (SGP.22 5.6.3).
type AuthenticateClient struct {
	TransactionID euicc.TransactionID
	Response      []byte // of ES10b.AuthenticateServer
}

// AuthenticateClientResponse is the answer to AuthenticateClient. Metadata is a
// StoreMetadataRequest, the rest is for ES10b.PrepareDownload.
type AuthenticateClientResponse struct {
	TransactionID   euicc.TransactionID `json:"transactionId"`
	Metadata        Base64              `json:"profileMetadata"`
	SMDPSigned2     Base64              `json:"smdpSigned2"`
	SMDPSignature2  Base64              `json:"smdpSignature2"`
	SMDPCertificate Base64              `json:"smdpCertificate"`
}

// Execute posts the request to server.
func (r AuthenticateClient) Execute(ctx context.Context, c *Client, server string) (*AuthenticateClientResponse, error) {
	resp := new(AuthenticateClientResponse)
	if err := c.authenticateClient(ctx, server, r.TransactionID, r.Response, resp); err != nil {
		return nil, err
	}
	return resp, complete(authenticateClient, resp.TransactionID, map[string]Base64{
		"profileMetadata": resp.Metadata, "smdpSigned2": resp.SMDPSigned2,
		"smdpSignature2": resp.SMDPSignature2, "smdpCertificate": resp.SMDPCertificate,
	})
}

const authenticateClient = "authenticateClient"

// authenticateClient posts what ES9+ and ES11 have in common of the function: all
// but the answer.
func (c *Client) authenticateClient(ctx context.Context, server string, id euicc.TransactionID, response Base64, resp any) error {
	req := struct {
		TransactionID euicc.TransactionID `json:"transactionId"`
		Response      Base64              `json:"authenticateServerResponse"`
	}{id, response}
	return c.post(ctx, server, authenticateClient, req, resp)
}

// HandleNotification delivers a report that the card has signed (SGP.22 5.6.4).
// The server answers with 204 and no body; any 2xx counts as delivered.
type HandleNotification struct {
	Pending []byte // the PendingNotification as the card gave it
}

// Execute posts the request to server.
func (r HandleNotification) Execute(ctx context.Context, c *Client, server string) error {
	req := struct {
		Pending Base64 `json:"pendingNotification"`
	}{r.Pending}
	return c.post(ctx, server, "handleNotification", req, nil)
}

// CancelSession tells the server that the card has ended the session (SGP.22
// 5.6.5).
type CancelSession struct {
	TransactionID euicc.TransactionID
	Response      []byte // of ES10b.CancelSession
}

// Execute posts the request to server.
func (r CancelSession) Execute(ctx context.Context, c *Client, server string) error {
	req := struct {
		TransactionID euicc.TransactionID `json:"transactionId"`
		Response      Base64              `json:"cancelSessionResponse"`
	}{r.TransactionID, r.Response}
	return c.post(ctx, server, "cancelSession", req, nil)
}
