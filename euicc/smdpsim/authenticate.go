package smdpsim

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"

	"dynamod/euicc/bertlv"
	"dynamod/euicc/sgp26"
)

// authenticateClient is ES9+.AuthenticateClient (SGP.22 5.6.3).
func (s *Server) authenticateClient(req *request) (response, error) {
	raw, err := decode64("authenticateServerResponse", req.AuthenticateServerResponse)
	if err != nil {
		return nil, err
	}
	answer, err := parseAuthenticateServerResponse(raw)
	if err != nil {
		return nil, err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	ss, err := s.findSession(req.TransactionID)
	if err != nil {
		return nil, err
	}
	if ss.authenticated {
		return nil, fail(codeTransactionUnknown, "the session has been authenticated already")
	}
	if answer.refused {
		delete(s.sessions, ss.name)
		return nil, fail(codeSignature, fmt.Sprintf("the eUICC did not accept this server: error %d", answer.errorCode))
	}
	eid, err := s.verifyCard(ss, answer)
	if err != nil {
		return nil, err
	}
	o, err := s.findOrder(answer.matchingID, eid)
	if err == nil && s.cfg.CheckMemory && answer.freeMemory >= 0 && answer.freeMemory < int64(len(o.UPP)) {
		err = fail(codeMemory, fmt.Sprintf("the profile has %d bytes, the eUICC %d free", len(o.UPP), answer.freeMemory))
	}
	if err != nil {
		delete(s.sessions, ss.name) // the procedure stops here; a retry is a new session
		return nil, err
	}
	o.tac, o.device = hex.EncodeToString(answer.tac), answer.device
	if ss.pb, err = s.pbIdentity(); err != nil {
		return nil, err
	}
	ss.authenticated, ss.euicc, ss.order, ss.eid = true, answer.euicc, o, eid
	ss.metadata = o.Metadata.encode(ss.address)

	var b bertlv.Builder
	b.Open(tagSequence).Put(0x80, ss.id)
	required := byte(0x00)
	if o.ConfirmationCode != "" {
		required = 0xFF
	}
	b.Put(0x01, []byte{required})
	if o.bound != nil && o.Rebind != RebindNew {
		ss.offeredOtpk = o.bound.euiccOtpk
		b.Put(tagOtpk, ss.offeredOtpk)
	}
	signed := b.Close().Bytes()
	sig, err := ss.pb.Sign(bytes.Join([][]byte{signed, answer.signature.Raw}, nil))
	if err != nil {
		return nil, err
	}
	sig = spoil(sig, s.faulty(FaultSMDPSignature2))
	ss.signature2 = bertlv.Encode(tagSignature, sig)
	s.log.Info("authenticated", "eid", short(eid), "iccid", short(o.Metadata.ICCID), "attempt", o.attempts)
	return response{
		"transactionId":   ss.name,
		"profileMetadata": binary(ss.metadata),
		"smdpSigned2":     binary(signed),
		"smdpSignature2":  binary(ss.signature2),
		"smdpCertificate": binary(ss.pb.DER),
	}, nil
}

// verifyCard checks the eUICC's certificate chain, its signature and what it
// signed, and returns its EID.
func (s *endpoint) verifyCard(ss *session, a *authenticateServerResponse) (eid string, err error) {
	if err := sgp26.VerifyEUICC(s.roots, a.eum, a.euicc, "", s.now()); err != nil {
		return "", chainError(err)
	}
	if err := sgp26.VerifySignature(a.euicc, a.signed.Raw, a.signature.Value); err != nil {
		return "", fail(codeSignature, "euiccSigned1: "+err.Error())
	}
	if !bytes.Equal(a.transactionID, ss.id) {
		return "", fail(codeTransactionUnknown, "the eUICC signed another transaction ID")
	}
	if !bytes.Equal(a.challenge, ss.challenge) {
		return "", fail(codeSignature, "the eUICC signed another server challenge")
	}
	if a.address != ss.address {
		return "", fail(codeSignature, "the eUICC signed another server address")
	}
	return a.euicc.Subject.SerialNumber, nil
}

// chainError gives a certificate error its status code.
func chainError(err error) error {
	var ce *sgp26.CertError
	if !errors.As(err, &ce) {
		return fail(codeEUICCInvalid, err.Error())
	}
	expired := errors.Is(err, sgp26.ErrExpired)
	c := codeEUICCInvalid
	switch {
	case errors.Is(err, sgp26.ErrUnknownCI):
		c = codeCIUnknown
	case ce.Role == sgp26.RoleEUICC && expired:
		c = codeEUICCExpired
	case ce.Role != sgp26.RoleEUICC && expired:
		c = codeEUMExpired
	case ce.Role != sgp26.RoleEUICC:
		c = codeEUMInvalid
	}
	return fail(c, err.Error())
}

// authenticateServerResponse is AuthenticateServerResponse (BF38), decoded.
type authenticateServerResponse struct {
	refused   bool
	errorCode int64

	signed, signature bertlv.Element // euiccSigned1 and euiccSignature1
	transactionID     []byte
	address           string
	challenge         []byte
	matchingID        string
	device            []byte // deviceInfo, tag A1
	tac               []byte // of it
	freeMemory        int64  // of extCardResource, -1 when not told
	euicc, eum        *x509.Certificate
}

func parseAuthenticateServerResponse(raw []byte) (*authenticateServerResponse, error) {
	e, err := bertlv.Expect(raw, 0xBF38)
	if err != nil {
		return nil, fmt.Errorf("authenticateServerResponse: %w", err)
	}
	a := &authenticateServerResponse{freeMemory: -1}
	if bad, ok := e.Find(0xA1); ok {
		a.refused = true
		a.errorCode = findInt(bad, 0x02)
		return a, nil
	}
	parts, err := signedParts(e, 4)
	if err != nil {
		return nil, fmt.Errorf("authenticateServerResponse: %w", err)
	}
	a.signed, a.signature = parts[0], parts[1]
	if a.euicc, err = x509.ParseCertificate(parts[2].Raw); err != nil {
		return nil, fail(codeEUICCInvalid, "the eUICC certificate cannot be read")
	}
	if a.eum, err = x509.ParseCertificate(parts[3].Raw); err != nil {
		return nil, fail(codeEUMInvalid, "the EUM certificate cannot be read")
	}
	return a, a.parseSigned1()
}

func (a *authenticateServerResponse) parseSigned1() error {
	for tag, to := range map[bertlv.Tag]*[]byte{0x80: &a.transactionID, 0x84: &a.challenge} {
		v, ok := a.signed.Find(tag)
		if !ok {
			return fmt.Errorf("euiccSigned1 has no element %s", tag)
		}
		*to = v.Value
	}
	if v, ok := a.signed.Find(0x83); ok {
		a.address = string(v.Value)
	}
	info2, ok := a.signed.Find(0xBF22)
	if !ok {
		return errors.New("euiccSigned1 has no euiccInfo2")
	}
	if err := bertlv.Check(info2.Value); err != nil {
		return fmt.Errorf("euiccInfo2: %w", err)
	}
	if res, ok := info2.Find(0x84); ok { // ETSI TS 102 226: 82 is the free non-volatile memory
		for r, err := range res.Children() {
			if err != nil {
				break
			}
			if r.Tag == 0x82 && len(r.Value) > 0 && len(r.Value) < 8 {
				if n, err := bertlv.Int(append([]byte{0}, r.Value...)); err == nil {
					a.freeMemory = n
				}
			}
		}
	}
	ctx, ok := a.signed.Find(0xA0)
	if !ok {
		return errors.New("euiccSigned1 has no ctxParamsForCommonAuthentication")
	}
	if id, ok := ctx.Find(0x80); ok {
		a.matchingID = string(id.Value)
	}
	device, ok := ctx.Find(0xA1)
	if !ok {
		return errors.New("ctxParams1 has no deviceInfo")
	}
	tac, ok := device.Find(0x80)
	if !ok || len(tac.Value) != 4 && len(tac.Value) != 8 {
		return errors.New("deviceInfo has no TAC of 4 or 8 bytes")
	}
	a.device, a.tac = device.Raw, tac.Value
	if _, ok := device.Find(0xA1); !ok {
		return errors.New("deviceInfo has no deviceCapabilities")
	}
	if imei, ok := device.Find(0x82); ok && len(imei.Value) != 8 {
		return errors.New("deviceInfo has an IMEI that is not of 8 bytes")
	}
	return nil
}

// list returns the first n objects in e.
func list(e bertlv.Element, n int) ([]bertlv.Element, error) {
	var out []bertlv.Element
	for c, err := range e.Children() {
		if err != nil {
			return nil, err
		}
		if out = append(out, c); len(out) == n {
			return out, nil
		}
	}
	return nil, fmt.Errorf("%d of %d elements are there", len(out), n)
}

// findInt returns an INTEGER in e, or -1.
func findInt(e bertlv.Element, tag bertlv.Tag) int64 {
	if v, ok := e.Find(tag); ok {
		if n, err := bertlv.Int(v.Value); err == nil {
			return n
		}
	}
	return -1
}

// eidBytes codes an EID of 32 digits as the card does, in 16 bytes.
func eidBytes(eid string) ([]byte, error) { return hex.DecodeString(eid) }
