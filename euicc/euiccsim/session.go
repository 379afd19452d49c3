package euiccsim

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"

	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
	"dynamod/euicc/sgp26"
)

// session is the context of one RSP session (SGP.22, 3.1.2 and 5.7.13).
type session struct {
	challenge []byte // until AuthenticateServer has used it
	channel   int    // logical channel of AuthenticateServer

	transactionID []byte // nil before AuthenticateServer
	address       string // of the server
	ci            *x509.Certificate
	oid           []byte // of the SM-DP+, from CERT.DPauth
	signature1    []byte

	dppb *x509.Certificate // nil before PrepareDownload
	otpk *ecdh.PrivateKey

	load *loader // nil before the first segment
}

// oneTimeKey is the last one-time key pair, which the same SM-DP+ may use again
// for a package that it has bound to it (bppEuiccOtpk, SGP.22, 5.7.5).
type oneTimeKey struct {
	key *ecdh.PrivateKey
	oid []byte
}

// abandonLoad drops a half loaded profile. The session stays, to be cancelled.
func (s *session) abandonLoad() { s.load = nil }

// Error codes of AuthenticateServer (AuthenticateErrorCode) and PrepareDownload
// (DownloadErrorCode), which are the same up to 4.
const (
	authInvalidCertificate = 1
	authInvalidSignature   = 2
	authUnsupportedCurve   = 3
	authNoSession          = 4
	authInvalidOID         = 5
	authChallengeMismatch  = 6
	authUnknownCI          = 7

	downloadInvalidTransaction = 5
)

// codeError is an error with one of the codes above.
type codeError struct {
	code int64
	msg  string
}

func (e *codeError) Error() string { return e.msg }

// getChallenge is ES10b.GetEUICCChallenge (SGP.22, 5.7.7). It begins a session.
func (c *Card) getChallenge(number int) ([]byte, apdu.Status) {
	if s := c.session; s != nil && s.transactionID != nil && c.behaviour.KeepSession {
		return nil, swConditions
	}
	challenge := make([]byte, 16)
	rand.Read(challenge)
	c.session = &session{challenge: challenge, channel: number}
	return new(bertlv.Builder).Open(tagGetChallenge).Put(0x80, challenge).Close().Bytes(), swOK
}

// sign signs data as the eUICC.
func (c *Card) sign(data []byte) ([]byte, error) {
	sig, err := c.cfg.EUICC.Sign(data)
	if err == nil && c.behaviour.WrongSignature {
		sig[len(sig)-1] ^= 1
	}
	return sig, err
}

// authenticateServer is ES10b.AuthenticateServer (SGP.22, 5.7.13).
func (c *Card) authenticateServer(ch *channel, number int, e bertlv.Element) ([]byte, apdu.Status) {
	signed1, ok := e.Find(0x30)
	tid := value(signed1, 0x80)
	if !ok || len(tid) == 0 || len(tid) > 16 {
		return nil, swWrongData
	}
	resp, err := c.authenticate(number, e, signed1, tid)
	if err != nil {
		c.session = nil
		code := int64(undefinedError)
		var ce *codeError
		if errors.As(err, &ce) {
			code = ce.code
		}
		c.log.Info("server refused", "code", code, "error", err)
		var b bertlv.Builder
		b.Open(tagAuthenticateServer).Open(0xA1).Put(0x80, tid).Int(0x02, code)
		return b.Close().Close().Bytes(), swOK
	}
	ch.loadDone = false
	c.stats.Sessions++
	return resp, swOK
}

func (c *Card) authenticate(number int, e, signed1 bertlv.Element, tid []byte) ([]byte, error) {
	s := c.session
	if s == nil || s.challenge == nil {
		return nil, &codeError{authNoSession, "no challenge is outstanding"}
	}
	parts, err := children(e)
	if err != nil || len(parts) != 5 || parts[1].Tag != tagSignature || parts[2].Tag != 0x04 || parts[3].Tag != 0x30 || parts[4].Tag != 0xA0 {
		return nil, errors.New("malformed AuthenticateServerRequest")
	}
	signature, pkid, certDER, context := parts[1], parts[2], parts[3], parts[4]
	challenge, address, serverChallenge := value(signed1, 0x81), value(signed1, 0x83), value(signed1, 0x84)
	if len(challenge) != 16 || address == nil || len(address) > 255 || len(serverChallenge) != 16 {
		return nil, errors.New("malformed serverSigned1")
	}
	if err := c.checkDevice(context); err != nil {
		return nil, err
	}

	// The server names the CI under which the card is to sign; its own may be
	// another of those that the card verifies with.
	if len(pkid.Value) == 0 || !bytes.Equal(pkid.Value, c.cfg.EUM.AuthorityKeyId) {
		return nil, &codeError{authUnknownCI, "CI public key is unknown"}
	}
	cert, ci, err := c.parseServer(certDER.Raw, nil, sgp26.RoleDPAuth, sgp26.RoleDSAuth)
	if err != nil {
		return nil, err
	}
	if err := c.verify(cert, signed1.Raw, signature.Value); err != nil {
		return nil, &codeError{authInvalidSignature, "serverSignature1: " + err.Error()}
	}
	if !bytes.Equal(challenge, s.challenge) {
		return nil, &codeError{authChallengeMismatch, "eUICC challenge differs"}
	}

	var b bertlv.Builder
	b.Open(0x30).Put(0x80, tid).Put(0x83, address).Put(0x84, serverChallenge)
	b.Raw(c.info2()).Raw(context.Raw)
	euiccSigned1 := b.Close().Bytes()
	sig, err := c.sign(euiccSigned1)
	if err != nil {
		return nil, err
	}
	*s = session{
		channel:       number,
		transactionID: bytes.Clone(tid),
		address:       string(address),
		ci:            ci,
		oid:           registeredID(cert),
		signature1:    sig,
	}
	b = bertlv.Builder{}
	b.Open(tagAuthenticateServer).Open(0xA0).Raw(euiccSigned1).Put(tagSignature, sig)
	b.Raw(c.cfg.EUICC.Cert.Raw).Raw(c.cfg.EUM.Raw)
	return b.Close().Close().Bytes(), nil
}

// checkDevice reads deviceInfo (SGP.22, 4.2). A card without
// deviceInfoExtensibilitySupport knows the capabilities up to rspCrl, tag 87.
func (c *Card) checkDevice(context bertlv.Element) error {
	device, ok := context.Find(0xA1)
	capabilities, has := device.Find(0xA1)
	if !ok || !has || len(value(device, 0x80)) == 0 {
		return errors.New("malformed deviceInfo")
	}
	for e, err := range capabilities.Children() {
		if err != nil {
			return fmt.Errorf("malformed deviceCapabilities: %w", err)
		}
		if c.cfg.Version == "2.2" && e.Tag > 0x87 {
			return fmt.Errorf("device capability %s is unknown", e.Tag)
		}
	}
	return nil
}

// prepareDownload is ES10b.PrepareDownload (SGP.22, 5.7.5).
func (c *Card) prepareDownload(number int, e bertlv.Element) ([]byte, apdu.Status) {
	signed2, ok := e.Find(0x30)
	tid := value(signed2, 0x80)
	if !ok || len(tid) == 0 || len(tid) > 16 {
		return nil, swWrongData
	}
	if s := c.session; s != nil && s.transactionID != nil && s.channel != number {
		return nil, swConditions // the session belongs to another channel
	}
	resp, err := c.prepare(e, signed2, tid)
	if err != nil {
		code := int64(undefinedError)
		var ce *codeError
		if errors.As(err, &ce) {
			code = ce.code
		}
		c.log.Info("download refused", "code", code, "error", err)
		var b bertlv.Builder
		b.Open(tagPrepareDownload).Open(0xA1).Put(0x80, tid).Int(0x02, code)
		return b.Close().Close().Bytes(), swOK
	}
	return resp, swOK
}

func (c *Card) prepare(e, signed2 bertlv.Element, tid []byte) ([]byte, error) {
	s := c.session
	if s == nil || s.transactionID == nil {
		return nil, &codeError{authNoSession, "no authenticated session"}
	}
	if !bytes.Equal(tid, s.transactionID) {
		return nil, &codeError{downloadInvalidTransaction, "transaction ID of another session"}
	}
	parts, err := children(e)
	if err != nil || len(parts) < 3 || len(parts) > 4 || parts[1].Tag != tagSignature || parts[len(parts)-1].Tag != 0x30 {
		return nil, errors.New("malformed PrepareDownloadRequest")
	}
	signature, certDER := parts[1], parts[len(parts)-1]
	var hashCC []byte
	if len(parts) == 4 {
		if hashCC = parts[2].Value; parts[2].Tag != 0x04 || len(hashCC) != 32 {
			return nil, errors.New("malformed hashCc")
		}
	}
	cert, _, err := c.parseServer(certDER.Raw, s.ci, sgp26.RoleDPPB)
	if err != nil {
		var ce *codeError
		if errors.As(err, &ce) && ce.code == authInvalidOID {
			err = &codeError{authInvalidCertificate, ce.msg} // code 5 has another meaning here
		}
		return nil, err
	}
	if oid := registeredID(cert); oid == nil || !bytes.Equal(oid, s.oid) {
		return nil, &codeError{authInvalidCertificate, "DPpb certificate names another SM-DP+ than DPauth"}
	}
	toVerify := append(bytes.Clone(signed2.Raw), bertlv.Encode(tagSignature, s.signature1)...)
	if err := c.verify(cert, toVerify, signature.Value); err != nil {
		return nil, &codeError{authInvalidSignature, "smdpSignature2: " + err.Error()}
	}

	key, err := c.oneTimeKeyFor(s, value(signed2, tagOTPK))
	if err != nil {
		return nil, err
	}
	var b bertlv.Builder
	b.Open(0x30).Put(0x80, tid).Put(tagOTPK, key.PublicKey().Bytes())
	if hashCC != nil {
		b.Put(0x04, hashCC)
	}
	euiccSigned2 := b.Close().Bytes()
	sig, err := c.sign(append(bytes.Clone(euiccSigned2), signature.Raw...))
	if err != nil {
		return nil, err
	}
	s.dppb, s.otpk, s.load = cert, key, nil
	c.oneTime = &oneTimeKey{key, s.oid}
	b = bertlv.Builder{}
	b.Open(tagPrepareDownload).Open(0xA0).Raw(euiccSigned2).Put(tagSignature, sig)
	return b.Close().Close().Bytes(), nil
}

// oneTimeKeyFor returns the key pair whose public key the server asks to re-use,
// if it is still here and was made for the same server, else a new one.
func (c *Card) oneTimeKeyFor(s *session, reuse []byte) (*ecdh.PrivateKey, error) {
	if k := c.oneTime; k != nil && reuse != nil && !c.behaviour.NewKeyAlways &&
		bytes.Equal(k.oid, s.oid) && bytes.Equal(k.key.PublicKey().Bytes(), reuse) {
		return k.key, nil
	}
	return ecdh.P256().GenerateKey(rand.Reader)
}

// Cancel session results (SGP.22, 5.7.14).
const cancelInvalidTransaction = 5

// cancelSession is ES10b.CancelSession (SGP.22, 5.7.14).
func (c *Card) cancelSession(e bertlv.Element) ([]byte, apdu.Status) {
	tid, reason := value(e, 0x80), value(e, 0x81)
	if len(tid) == 0 || len(tid) > 16 || len(reason) != 1 {
		return nil, swWrongData
	}
	s := c.session
	var b bertlv.Builder
	if s == nil || !bytes.Equal(tid, s.transactionID) {
		b.Open(tagCancelSession).Int(0x81, cancelInvalidTransaction)
		return b.Close().Bytes(), swOK
	}
	b.Open(0x30).Put(0x80, tid).Put(0x81, s.oid).Put(0x82, reason)
	signed := b.Close().Bytes()
	sig, err := c.sign(signed)
	if err != nil {
		return new(bertlv.Builder).Open(tagCancelSession).Int(0x81, undefinedError).Close().Bytes(), swOK
	}
	c.session = nil
	b = bertlv.Builder{}
	b.Open(tagCancelSession).Open(0xA0).Raw(signed).Put(tagSignature, sig)
	return b.Close().Close().Bytes(), swOK
}

// root returns the CI with the given public key identifier.
func (c *Card) root(pkid []byte) *x509.Certificate {
	for _, ci := range c.cfg.CI {
		if len(pkid) > 0 && bytes.Equal(ci.SubjectKeyId, pkid) {
			return ci
		}
	}
	return nil
}

func (c *Card) verify(cert *x509.Certificate, data, signature []byte) error {
	err := sgp26.VerifySignature(cert, data, signature)
	if err != nil {
		c.stats.FailedSignatures++
	}
	return err
}

// parseServer verifies a server's certificate as a card without a clock can
// (SGP.22, 4.5.2.2): signature, key usage, curve, extensions and one of the given
// roles. Its CI is the one that it names, which has to be ci if that is not nil.
func (c *Card) parseServer(der []byte, ci *x509.Certificate, roles ...sgp26.Role) (*x509.Certificate, *x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		if strings.Contains(err.Error(), "elliptic curve") {
			return nil, nil, &codeError{authUnsupportedCurve, err.Error()}
		}
		return nil, nil, &codeError{authInvalidCertificate, err.Error()}
	}
	own := c.root(cert.AuthorityKeyId)
	if own == nil || ci != nil && own != ci {
		return nil, nil, &codeError{authInvalidCertificate, "server certificate names another CI"}
	}
	return cert, own, checkServer(cert, own, roles)
}

func checkServer(cert, ci *x509.Certificate, roles []sgp26.Role) error {
	pub, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P256() {
		return &codeError{authUnsupportedCurve, "server key is not on NIST P-256"}
	}
	if err := cert.CheckSignatureFrom(ci); err != nil {
		return &codeError{authInvalidCertificate, err.Error()}
	}
	if cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 || cert.IsCA || len(cert.UnhandledCriticalExtensions) > 0 {
		return &codeError{authInvalidCertificate, "key usage or extensions of the server certificate"}
	}
	for _, role := range roles {
		if sgp26.CheckRole(cert, role) == nil {
			return nil
		}
	}
	return &codeError{authInvalidOID, "server certificate has another role"}
}

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// registeredID returns the content octets of the OID in the certificate's
// subjectAltName; nil when there is none (SGP.22, 4.5.2.1).
func registeredID(cert *x509.Certificate) []byte {
	for _, ext := range cert.Extensions {
		if !ext.Id.Equal(oidSubjectAltName) {
			continue
		}
		names, err := bertlv.Expect(ext.Value, 0x30)
		if err != nil {
			return nil
		}
		return value(names, 0x88)
	}
	return nil
}

// children returns e's data objects, at most 64.
func children(e bertlv.Element) ([]bertlv.Element, error) {
	var out []bertlv.Element
	for c, err := range e.Children() {
		if err != nil {
			return nil, err
		}
		if out = append(out, c); len(out) > 64 {
			return nil, errors.New("too many data objects")
		}
	}
	return out, nil
}
