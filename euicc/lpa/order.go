package lpa

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"dynamod/euicc"
	"dynamod/euicc/bertlv"
	"dynamod/euicc/ci"
	"dynamod/euicc/es10"
	"dynamod/euicc/es9p"
)

// Order is a profile that the server has offered to this card in an RSP session
// that card and server have open. It ends with Download or Cancel; one of the
// two has to be called. For a crash in between note Server and TransactionID.
type Order struct {
	Server        string
	TransactionID euicc.TransactionID
	Metadata      euicc.Metadata
	// ConfirmationRequired is the server's word; the activation code's flag is
	// only a hint.
	ConfirmationRequired bool
	// CIKeyID is the issuer that the server chose from those of the card.
	CIKeyID []byte
	// OID is the server's object identifier from its certificate, empty when it
	// has none.
	OID string

	card      *Card
	client    *es9p.Client
	matching  euicc.MatchingID
	signed2   *es9p.AuthenticateClientResponse
	ended     bool
	cancelled *Cancellation
	smds      bool // the server is to be an SM-DS
}

// String names the order without its matching ID, which fmt would else dig out
// of the unexported fields.
func (o *Order) String() string {
	return fmt.Sprintf("order of profile %s at %s", o.Metadata.ICCID.Short(), o.Server)
}

// GoString is String.
func (o *Order) GoString() string { return o.String() }

// Authenticate lets card and server authenticate each other and fetches the
// order behind an activation code (SGP.22 3.0.1, 3.1.2). Each call costs the
// order one of the tries that the server grants.
//
// When it fails after the card has opened its session, the session is cancelled
// again; the profile stays available to the same code wherever the server allows
// it.
func (c *Card) Authenticate(ctx context.Context, code euicc.ActivationCode) (*Order, error) {
	o := &Order{Server: code.Address, card: c, matching: code.MatchingID}
	signed, err := o.authenticateServer(ctx, code)
	if err != nil {
		return nil, err
	}
	if o.signed2, err = (es9p.AuthenticateClient{TransactionID: o.TransactionID, Response: signed.Raw}).Execute(ctx, o.client, o.Server); err != nil {
		e := diagnose(ctx, euicc.StageAuthenticateClient, err, code.MatchingID.Reveal())
		o.abort(ctx, euicc.CancelPostponed, !refused(err))
		return nil, e
	}
	if e := o.checkOrder(); e != nil {
		reason := euicc.CancelUndefined
		if euicc.RetryOf(e) == euicc.RetryAsk {
			reason = euicc.CancelPostponed // our clock may be wrong: the order outlives its correction
		}
		o.abort(ctx, reason, true)
		return nil, e
	}
	return o, nil
}

// authenticateServer runs the common mutual authentication (SGP.22 3.0.1), with an
// SM-DP+ or an SM-DS, up to what the card signs for AuthenticateClient. When it
// fails no session is left open on the card.
func (o *Order) authenticateServer(ctx context.Context, code euicc.ActivationCode) (*es10.AuthenticateServerResponse, error) {
	c, stage, told := o.card, euicc.StageInitiateAuthentication, o.Server
	if o.smds {
		stage, told = euicc.StageDiscover, ""
	}
	var err error
	if o.client, err = c.Client(ctx); err != nil {
		return nil, err
	}
	info1, err := c.readInfo1(ctx)
	if err != nil {
		return nil, err
	}
	challenge, err := c.challenge(ctx, o.client, o.Server)
	if err != nil {
		return nil, diagnose(ctx, euicc.StageGetEUICCChallenge, err)
	}
	init, err := es9p.InitiateAuthentication{Challenge: challenge.Challenge, Info1: info1.Raw, Address: o.Server}.Execute(ctx, o.client, o.Server)
	if err != nil {
		return nil, diagnose(ctx, stage, err, o.matching.Reveal())
	}
	o.TransactionID = init.TransactionID
	if err := o.checkServer(init, challenge.Challenge[:], info1, code); err != nil {
		return nil, err
	}
	if err := c.begin(told, o.TransactionID); err != nil {
		return nil, err
	}
	signed, err := es10.AuthenticateServer{
		ServerSigned1: init.ServerSigned1, ServerSignature1: init.ServerSignature1, CIKeyID: init.CIKeyID,
		ServerCertificate: init.ServerCertificate, MatchingID: o.matching, Device: c.device,
	}.Execute(ctx, c.ch)
	if err != nil {
		e := diagnose(ctx, euicc.StageAuthenticateServer, err)
		if !answered(err) {
			// The card may have opened its session.
			o.abort(ctx, euicc.CancelPostponed, !o.smds)
		}
		return nil, e
	}
	return signed, nil
}

// begin tells the caller of a session that the card is about to open; the server
// is "" for an SM-DS.
func (c *Card) begin(server string, id euicc.TransactionID) error {
	if c.cfg.Begin == nil {
		return nil
	}
	if err := c.cfg.Begin(server, id); err != nil {
		return &euicc.Error{
			Stage: euicc.StageAuthenticateServer, Code: "begin", Retry: euicc.RetryLater,
			Text: "the session cannot be noted", Advice: "look for room and errors where the state is kept", Err: err,
		}
	}
	return nil
}

// challenge lets the card make its challenge, and before that tell its block size
// if that is not known, while the connection to the server is opened, which takes
// a slow line longer. That the connection fails is noticed by the first request.
func (c *Card) challenge(ctx context.Context, client *es9p.Client, server string) (*es10.GetEUICCChallengeResponse, error) {
	ahead, stop := context.WithCancel(ctx)
	defer stop()
	var connecting sync.WaitGroup
	connecting.Go(func() { client.Connect(ahead, server) })
	var r *es10.GetEUICCChallengeResponse
	err := error(nil)
	if !c.sized {
		_, err = c.Profiles(ctx)
	}
	if err == nil {
		r, err = es10.GetEUICCChallenge{}.Execute(ctx, c.ch)
	}
	if err != nil {
		stop()
	}
	connecting.Wait()
	if err != nil {
		client.Close() // nobody takes the connection
	}
	return r, err
}

// checkServer verifies what SGP.22 3.0.1 asks of the LPA before the card sees
// the server's data.
func (o *Order) checkServer(r *es9p.InitiateAuthenticationResponse, challenge []byte, info1 *es10.EUICCInfo1, code euicc.ActivationCode) error {
	fail := func(code, text, advice string, err error) error {
		return &euicc.Error{Stage: euicc.StageInitiateAuthentication, Code: code, Retry: euicc.RetryNever, Text: text, Advice: advice, Err: err}
	}
	malformed := func(err error) error {
		return fail("server-malformed", "the server's answer cannot be decoded", "report this with the name of the server", err)
	}
	signed, err := bertlv.Expect(r.ServerSigned1, 0x30)
	if err != nil {
		return malformed(fmt.Errorf("serverSigned1: %w", err))
	}
	if _, err := bertlv.Expect(r.ServerSignature1, 0x5F37); err != nil {
		return malformed(fmt.Errorf("serverSignature1: %w", err))
	}
	if _, err := bertlv.Expect(r.ServerCertificate, 0x30); err != nil {
		return malformed(fmt.Errorf("serverCertificate: %w", err))
	}
	key, err := bertlv.Expect(r.CIKeyID, 0x04)
	if err != nil {
		return malformed(fmt.Errorf("euiccCiPKIdToBeUsed: %w", err))
	}
	id, _ := signed.Find(0x80)
	theirs, _ := signed.Find(0x81)
	address, _ := signed.Find(0x83)
	switch {
	case !bytes.Equal(id.Value, o.TransactionID.Bytes()):
		return fail("server-transaction", "the server signed another transaction ID than it sent", "report this with the name of the server", nil)
	case !bytes.Equal(theirs.Value, challenge):
		return fail("server-challenge", "the server signed another challenge than the card's", "somebody may be in between; report this with the name of the server", nil)
	case !sameAddress(string(address.Value), code.Address):
		return fail("server-address", "the server signed another address than the activation code's", "compare the SM-DP+ address of the activation code with the operator's", nil)
	case !ci.Offered(info1.SigningCIs, key.Value):
		return fail("server-ci", "the server chose a certificate issuer that the card does not have", "a test card needs a test server and a live card a live one", nil)
	}
	o.CIKeyID = key.Value
	cert, err := parseCertificate(r.ServerCertificate)
	if err != nil {
		return malformed(fmt.Errorf("serverCertificate: %w", err))
	}
	o.OID = cert.oid
	switch isDS := cert.has(roleDSAuth) && !cert.has(roleDPAuth); {
	case isDS && !o.smds:
		return fail(codeIsSMDS, "the server is a discovery server (SM-DS) and no SM-DP+", "use its address for discovery, or the activation code that came with the order", nil)
	case o.smds && !isDS && len(cert.roles) > 0:
		return fail(codeNoSMDS, "the server is no discovery server (SM-DS)", "an SM-DP+ is asked with an activation code, or by its address", nil)
	}
	if code.OID != "" && code.OID != o.OID {
		return fail("server-oid", "the server's certificate has another object identifier than the activation code", "the code is for another server, or somebody poses as it", nil)
	}
	return o.card.checkValidity(euicc.StageInitiateAuthentication, "CERT.DPauth", cert)
}

// sameAddress compares a server's address with ours, of which labs may have
// added a port that the server does not know of.
func sameAddress(theirs, ours string) bool {
	host, _, _ := strings.Cut(ours, ":")
	theirs = strings.TrimSuffix(strings.TrimSpace(theirs), ".")
	return strings.EqualFold(theirs, ours) || strings.EqualFold(theirs, host)
}

// checkOrder decodes the server's offer.
func (o *Order) checkOrder() error {
	fail := func(code, text string, err error) error {
		return &euicc.Error{Stage: euicc.StageAuthenticateClient, Code: code, Retry: euicc.RetryNever, Text: text, Advice: "report this with the name of the server", Err: err}
	}
	signed, err := bertlv.Expect(o.signed2.SMDPSigned2, 0x30)
	if err != nil {
		return fail("server-malformed", "the server's offer cannot be decoded", fmt.Errorf("smdpSigned2: %w", err))
	}
	id, _ := signed.Find(0x80)
	cc, ok := signed.Find(0x01)
	if !bytes.Equal(id.Value, o.TransactionID.Bytes()) || !o.signed2.TransactionID.Equal(o.TransactionID) {
		return fail("server-transaction", "the server's offer is for another transaction ID", nil)
	}
	if !ok || len(cc.Value) != 1 {
		return fail("server-malformed", "the server's offer cannot be decoded", errors.New("smdpSigned2 has no ccRequiredFlag"))
	}
	o.ConfirmationRequired = cc.Value[0] != 0
	if o.Metadata, err = euicc.ParseMetadata(o.signed2.Metadata); err != nil {
		return fail("server-malformed", "the server's offer cannot be decoded", err)
	}
	cert, err := parseCertificate(o.signed2.SMDPCertificate)
	if err != nil {
		return fail("server-malformed", "the server's offer cannot be decoded", fmt.Errorf("smdpCertificate: %w", err))
	}
	return o.card.checkValidity(euicc.StageAuthenticateClient, "CERT.DPpb", cert)
}
