package es10

import (
	"bytes"
	"context"
	"fmt"

	"dynamod/euicc"
	"dynamod/euicc/bertlv"
)

// AuthenticateServer lets the card check the server and sign for itself (SGP.22
// 5.7.13, ES10b). The data objects of the server go to the card unchanged.
type AuthenticateServer struct {
	ServerSigned1     []byte // SEQUENCE, tag 30
	ServerSignature1  []byte // tag 5F37
	CIKeyID           []byte // euiccCiPKIdToBeUsed, tag 04
	ServerCertificate []byte // SEQUENCE, tag 30
	MatchingID        euicc.MatchingID
	Device            DeviceInfo
}

// AuthenticateServerResponse is the answer to AuthenticateServer.
type AuthenticateServerResponse struct {
	// Raw is the response as it came: ES9+.AuthenticateClient takes it
	// unchanged.
	Raw []byte
}

// Bytes returns the encoded request.
func (r AuthenticateServer) Bytes() []byte {
	var b bertlv.Builder
	b.Open(0xBF38).Raw(r.ServerSigned1).Raw(r.ServerSignature1).Raw(r.CIKeyID).Raw(r.ServerCertificate)
	// ctxParams1, whose only choice is ctxParamsForCommonAuthentication.
	b.Open(0xA0)
	if r.MatchingID != "" {
		b.String(0x80, r.MatchingID.Reveal())
	}
	r.Device.build(&b)
	return b.Close().Close().Bytes()
}

// Execute sends the request to the card. An error that the card answers is a
// *ResultError.
func (r AuthenticateServer) Execute(ctx context.Context, ch Channel) (*AuthenticateServerResponse, error) {
	return execute[AuthenticateServerResponse](ctx, ch, r.Bytes())
}

// UnmarshalBinary decodes a response.
func (r *AuthenticateServerResponse) UnmarshalBinary(b []byte) error {
	raw, err := signedResponse("authenticateServer", b, 0xBF38, map[int64]result{
		1: {name: "invalidCertificate"}, 2: {name: "invalidSignature"}, 3: {name: "unsupportedCurve"},
		4: {name: "noSessionContext"}, 5: {name: "invalidOid"}, 6: {name: "euiccChallengeMismatch"}, 7: {name: "ciPKUnknown"},
	})
	r.Raw = raw
	return err
}

// PrepareDownload lets the card check the order and make its one-time key
// (SGP.22 5.7.5, ES10b). Never repeat it.
type PrepareDownload struct {
	SMDPSigned2     []byte // SEQUENCE, tag 30
	SMDPSignature2  []byte // tag 5F37
	HashCC          []byte // see HashConfirmationCode; nil when none is required
	SMDPCertificate []byte // SEQUENCE, tag 30
}

// PrepareDownloadResponse is the answer to PrepareDownload.
type PrepareDownloadResponse struct {
	// Raw is the response as it came: ES9+.GetBoundProfilePackage takes it
	// unchanged.
	Raw []byte
}

// Bytes returns the encoded request.
func (r PrepareDownload) Bytes() []byte {
	var b bertlv.Builder
	b.Open(0xBF21).Raw(r.SMDPSigned2).Raw(r.SMDPSignature2)
	if r.HashCC != nil {
		b.Put(0x04, r.HashCC)
	}
	return b.Raw(r.SMDPCertificate).Close().Bytes()
}

// Execute sends the request to the card. An error that the card answers is a
// *ResultError.
func (r PrepareDownload) Execute(ctx context.Context, ch Channel) (*PrepareDownloadResponse, error) {
	return execute[PrepareDownloadResponse](ctx, ch, r.Bytes())
}

// UnmarshalBinary decodes a response.
func (r *PrepareDownloadResponse) UnmarshalBinary(b []byte) error {
	raw, err := signedResponse("prepareDownload", b, 0xBF21, map[int64]result{
		1: {name: "invalidCertificate"}, 2: {name: "invalidSignature"}, 3: {name: "unsupportedCurve"},
		4: {name: "noSessionContext"}, 5: {name: "invalidTransactionId"},
	})
	r.Raw = raw
	return err
}

// CancelSession ends the RSP session on the card (SGP.22 5.7.14, ES10b).
type CancelSession struct {
	TransactionID euicc.TransactionID
	Reason        euicc.CancelReason
}

// CancelSessionResponse is the answer to CancelSession.
type CancelSessionResponse struct {
	// Raw is the response as it came: ES9+.CancelSession takes it unchanged.
	Raw []byte
}

// Bytes returns the encoded request.
func (r CancelSession) Bytes() []byte {
	var b bertlv.Builder
	return b.Open(0xBF41).Put(0x80, r.TransactionID.Bytes()).Int(0x81, int64(r.Reason)).Close().Bytes()
}

// Execute sends the request to the card. That the card does not have the
// session is a *ResultError that is ErrNotFound.
func (r CancelSession) Execute(ctx context.Context, ch Channel) (*CancelSessionResponse, error) {
	return execute[CancelSessionResponse](ctx, ch, r.Bytes())
}

// UnmarshalBinary decodes a response.
func (r *CancelSessionResponse) UnmarshalBinary(b []byte) error {
	_, err := choice("cancelSession", b, 0xBF41, map[int64]result{5: {"invalidTransactionId", ErrNotFound}})
	if err != nil {
		return err
	}
	r.Raw = bytes.Clone(b)
	return nil
}

// signedResponse decodes a response that is signed data (A0) or a transaction ID
// with an error code (A1).
func signedResponse(function string, b []byte, tag bertlv.Tag, table map[int64]result) ([]byte, error) {
	e, err := expect(function, b, tag)
	if err != nil {
		return nil, err
	}
	if bad, ok := e.Find(0xA1); ok {
		n, err := code(function, bad, 0x02)
		if err != nil {
			return nil, err
		}
		return nil, resultError(function, n, table)
	}
	if _, ok := e.Find(0xA0); !ok {
		return nil, fmt.Errorf("%s: response is neither success nor error", function)
	}
	// A modem that loses bytes in the middle leaves lengths that do not add up;
	// better noticed here than by the server's signature check.
	if err := bertlv.Check(b); err != nil {
		return nil, fmt.Errorf("%s: response: %w", function, err)
	}
	return bytes.Clone(b), nil
}
