package smdpsim

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"

	"dynamod/euicc/bertlv"
)

// Tags that several functions share.
const (
	tagSignature = 0x5F37
	tagOtpk      = 0x5F49
	tagOctets    = 0x04
	tagSequence  = 0x30
)

// initiateAuthentication is ES9+.InitiateAuthentication (SGP.22 5.6.1) and the
// function of that name of ES11 (5.8.1).
func (s *endpoint) initiateAuthentication(req *request) (response, error) {
	challenge, err := decode64("euiccChallenge", req.EuiccChallenge)
	if err != nil {
		return nil, err
	}
	if len(challenge) != 16 {
		return nil, fail(codeElementBad, "euiccChallenge has not 16 bytes")
	}
	raw, err := decode64("euiccInfo1", req.EuiccInfo1)
	if err != nil {
		return nil, err
	}
	info, err := parseInfo1(raw)
	if err != nil {
		return nil, err
	}
	if req.SmdpAddress == "" {
		return nil, fail(codeElementAbsent, "smdpAddress is missing")
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	address := s.address(req.SmdpAddress)
	if address == "" {
		return nil, fail(s.role.address, "this "+s.role.name+" has another address")
	}
	if info.svn[0] != 2 {
		return nil, fail(s.role.svn, fmt.Sprintf("SVN %d.%d.%d is not served", info.svn[0], info.svn[1], info.svn[2]))
	}
	if own := s.ci.Cert.SubjectKeyId; !slices.ContainsFunc(info.verification, func(id []byte) bool { return bytes.Equal(id, own) }) {
		return nil, fail(s.role.noServerChain, "the eUICC cannot verify this server's CI")
	}
	pkid := s.signingCI(info.signing)
	if pkid == nil {
		return nil, fail(s.role.noSigningCI, "none of the eUICC's CIs is known")
	}
	auth, err := s.authIdentity()
	if err != nil {
		return nil, err
	}
	ss := s.newSession(address)
	signedAddress, signedChallenge := address, challenge
	if s.faulty(FaultServerAddress) {
		signedAddress = "other." + address
	}
	signedChallenge = spoil(signedChallenge, s.faulty(FaultEUICCChallenge))
	var b bertlv.Builder
	signed := b.Open(tagSequence).
		Put(0x80, spoil(ss.id, s.faulty(FaultTransactionID))).Put(0x81, signedChallenge).String(0x83, signedAddress).Put(0x84, ss.challenge).
		Close().Bytes()
	sig, err := auth.Sign(signed)
	if err != nil {
		return nil, err
	}
	sig = spoil(sig, s.faulty(FaultServerSignature))
	return response{
		"transactionId":       ss.name,
		"serverSigned1":       binary(signed),
		"serverSignature1":    binary(bertlv.Encode(tagSignature, sig)),
		"euiccCiPKIdToBeUsed": binary(bertlv.Encode(tagOctets, pkid)),
		"serverCertificate":   binary(auth.DER),
	}, nil
}

// signingCI picks the first CI in the eUICC's order of preference that the
// server knows as a root of cards.
func (s *endpoint) signingCI(offered [][]byte) []byte {
	for _, id := range offered {
		if slices.ContainsFunc(s.roots, func(c *x509.Certificate) bool { return bytes.Equal(c.SubjectKeyId, id) }) {
			return id
		}
	}
	return nil
}

// info1 is EUICCInfo1 as far as a server needs it.
type info1 struct {
	svn                   []byte
	verification, signing [][]byte // CI PKIds, the eUICC's preference first
}

func parseInfo1(raw []byte) (*info1, error) {
	e, err := bertlv.Expect(raw, 0xBF20)
	if err != nil {
		return nil, fmt.Errorf("euiccInfo1: %w", err)
	}
	svn, ok := e.Find(0x82)
	if !ok || len(svn.Value) != 3 {
		return nil, errors.New("euiccInfo1 has no SVN of 3 bytes")
	}
	info := &info1{svn: svn.Value}
	for tag, list := range map[bertlv.Tag]*[][]byte{0xA9: &info.verification, 0xAA: &info.signing} {
		ids, _ := e.Find(tag)
		for id, err := range ids.Children() {
			if err != nil {
				return nil, fmt.Errorf("euiccInfo1: %w", err)
			}
			*list = append(*list, id.Value)
		}
	}
	return info, nil
}

// registeredID returns the OID in a certificate's SubjectAltName.
func registeredID(c *x509.Certificate) (string, error) {
	for _, ext := range c.Extensions {
		if !ext.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			continue
		}
		names, err := bertlv.Expect(ext.Value, tagSequence)
		if err != nil {
			return "", err
		}
		if id, ok := names.Find(0x88); ok {
			return oidString(id.Value)
		}
	}
	return "", errors.New("no registeredID in the subject alternative names")
}

func oidString(content []byte) (string, error) {
	var id asn1.ObjectIdentifier
	if rest, err := asn1.Unmarshal(bertlv.Encode(0x06, content), &id); err != nil || len(rest) > 0 {
		return "", errors.New("malformed object identifier")
	}
	return id.String(), nil
}
