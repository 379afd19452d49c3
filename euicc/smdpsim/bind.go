package smdpsim

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"

	"dynamod/euicc/bertlv"
	"dynamod/euicc/bsp"
	"dynamod/euicc/sgp26"
)

// hostID goes into the key derivation (SGP.22 5.5.1, ControlRefTemplate); any
// value of 1 to 16 bytes will do.
const hostID = "dynamod-smdpsim"

// binding is a profile package bound to a one-time key of a card, without the
// part that names the transaction.
type binding struct {
	euiccOtpk []byte
	smdpOtpk  []byte
	metadata  []byte
	parts     []byte // A0, A1, A2 and A3 of the BPP
}

// getBoundProfilePackage is ES9+.GetBoundProfilePackage (SGP.22 5.6.2).
func (s *Server) getBoundProfilePackage(req *request) (response, error) {
	raw, err := decode64("prepareDownloadResponse", req.PrepareDownloadResponse)
	if err != nil {
		return nil, err
	}
	answer, err := parsePrepareDownloadResponse(raw)
	if err != nil {
		return nil, err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	ss, err := s.findSession(req.TransactionID)
	if err != nil {
		return nil, err
	}
	if !ss.authenticated {
		return nil, fail(codeTransactionUnknown, "the session has not been authenticated")
	}
	if answer.refused {
		delete(s.sessions, ss.name)
		return nil, fail(codeSignature, fmt.Sprintf("the eUICC did not accept PrepareDownload: error %d", answer.errorCode))
	}
	signed := bytes.Join([][]byte{answer.signed.Raw, ss.signature2}, nil)
	if err := sgp26.VerifySignature(ss.euicc, signed, answer.signature.Value); err != nil {
		return nil, fail(codeSignature, "euiccSigned2: "+err.Error())
	}
	if !bytes.Equal(answer.transactionID, ss.id) {
		return nil, fail(codeTransactionUnknown, "the eUICC signed another transaction ID")
	}
	o := ss.order
	switch { // another session may have changed the order meanwhile
	case o.State != StateReleased && o.State != StateDownloaded:
		return nil, fail(codeMatchingID, "the order is "+string(o.State))
	case o.eid != "" && o.eid != ss.eid:
		return nil, fail(codeEID, "the order belongs to another eUICC")
	}
	if err := o.confirm(ss.id, answer.hashCC); err != nil {
		delete(s.sessions, ss.name)
		if o.confirmations >= o.Confirmations {
			s.end(o, StateError)
		}
		return nil, err
	}
	b, err := s.bind(ss, answer.otpk)
	if err != nil {
		return nil, err
	}
	bpp, err := s.boundProfilePackage(ss, b)
	if err != nil {
		return nil, err
	}
	o.State, o.eid = StateDownloaded, ss.eid
	o.downloads++
	o.remember(ss.name, ss.euicc)
	s.log.Info("bound", "eid", short(ss.eid), "iccid", short(o.Metadata.ICCID), "bytes", len(bpp))
	return response{"transactionId": ss.name, "boundProfilePackage": binary(bpp)}, nil
}

// confirm checks the hashed confirmation code: SHA-256 over the SHA-256 of the
// code and the transaction ID (SGP.22 4.7).
func (o *order) confirm(transactionID, hash []byte) error {
	if o.ConfirmationCode == "" {
		return nil
	}
	if hash == nil {
		return fail(codeConfirmationMissing, "the confirmation code is missing")
	}
	inner := sha256.Sum256([]byte(o.ConfirmationCode))
	want := sha256.Sum256(append(inner[:], transactionID...))
	if subtle.ConstantTimeCompare(want[:], hash) == 1 {
		return nil
	}
	if o.confirmations++; o.confirmations >= o.Confirmations {
		return fail(codeConfirmationRetries, "too many wrong confirmation codes")
	}
	return fail(codeConfirmationRefused, "the confirmation code is wrong")
}

// bind returns the profile package protected for the card's one-time key: the
// earlier binding when the card used that key again, else a new one.
func (s *Server) bind(ss *session, euiccOtpk []byte) (*binding, error) {
	o := ss.order
	if b := o.bound; b != nil {
		same := bytes.Equal(b.euiccOtpk, euiccOtpk)
		switch {
		case o.Rebind == RebindFinal:
			return nil, fail(codeAlreadyBound, "the profile has been bound once and for all")
		case o.Rebind == RebindSameKey && !same:
			return nil, fail(codeAlreadyBound, "the profile is bound to another key of this eUICC")
		case o.Rebind != RebindNew && same && bytes.Equal(b.metadata, ss.metadata):
			return b, nil
		}
	}
	pub, err := ecdh.P256().NewPublicKey(euiccOtpk)
	if err != nil {
		return nil, fail(codeElementBad, "euiccOtpk is no point of NIST P-256")
	}
	priv, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	shared, err := priv.ECDH(pub)
	if err != nil {
		return nil, fail(codeElementBad, "no key agreement with euiccOtpk")
	}
	eid, err := eidBytes(ss.eid)
	if err != nil {
		return nil, err
	}
	keys, err := bsp.DeriveKeys(shared, bsp.KeyTypeAES, bsp.KeyLen, []byte(hostID), eid)
	if err != nil {
		return nil, err
	}
	b := &binding{euiccOtpk: bytes.Clone(euiccOtpk), smdpOtpk: priv.PublicKey().Bytes(), metadata: ss.metadata}
	if s.faulty(FaultMetadataMismatch) {
		other := o.Metadata
		other.Name = "Another profile"
		wrong := *b
		wrong.parts = o.protect(keys, other.encode(ss.address))
		return &wrong, nil
	}
	b.parts = o.protect(keys, ss.metadata)
	o.bound = b
	return b, nil
}

// protect returns the BPP's sequences: ConfigureISDP, StoreMetadata,
// ReplaceSessionKeys unless the order does without, and the profile elements
// (SGP.22 2.5.4).
func (o *order) protect(keys bsp.Keys, metadata []byte) []byte {
	channel := bsp.New(keys)
	out := bertlv.Encode(0xA0, channel.SealAll(0x87, bertlv.Encode(0xBF24)))
	out = bertlv.Append(out, 0xA1, channel.SealAllMAC(0x88, metadata))
	if !o.SessionKeys {
		var own bsp.Keys
		for _, k := range []*[bsp.KeyLen]byte{&own.MCV, &own.Enc, &own.MAC} {
			rand.Read(k[:])
		}
		var b bertlv.Builder
		b.Open(0xBF26).Put(0x80, own.MCV[:]).Put(0x81, own.Enc[:]).Put(0x82, own.MAC[:]).Close()
		out = bertlv.Append(out, 0xA2, channel.SealAll(0x87, b.Bytes()))
		channel.Replace(own)
	}
	return bertlv.Append(out, 0xA3, channel.SealAll(0x86, o.UPP))
}

// boundProfilePackage puts InitialiseSecureChannel, which names the transaction
// and is signed, in front of a binding (SGP.22 5.5.1).
func (s *Server) boundProfilePackage(ss *session, b *binding) ([]byte, error) {
	var head bertlv.Builder
	head.Int(0x82, 1) // remoteOpId installBoundProfilePackage
	head.Put(0x80, spoil(ss.id, s.faulty(FaultBPPTransaction)))
	head.Open(0xA6).
		Put(0x80, []byte{bsp.KeyTypeAES}).Put(0x81, []byte{bsp.KeyLen}).String(0x84, hostID).
		Close()
	head.Put(tagOtpk, b.smdpOtpk)
	sig, err := ss.pb.Sign(bytes.Join([][]byte{head.Bytes(), bertlv.Encode(tagOtpk, b.euiccOtpk)}, nil))
	if err != nil {
		return nil, err
	}
	head.Put(tagSignature, spoil(sig, s.faulty(FaultBPPSignature)))
	parts, err := s.misarrange(b.parts)
	if err != nil {
		return nil, err
	}
	bpp := bertlv.Encode(0xBF36, bertlv.Encode(0xBF23, head.Bytes()), parts)
	return spoil(bpp, s.faulty(FaultBPPMAC)), nil
}

// misarrange spoils the structure of a package where a fault says so.
func (s *Server) misarrange(parts []byte) ([]byte, error) {
	isdp, rest, err := bertlv.Next(parts)
	if err != nil {
		return nil, err
	}
	metadata, rest, err := bertlv.Next(rest)
	if err != nil {
		return nil, err
	}
	switch {
	case s.faulty(FaultBPPMissingPart):
		return bytes.Join([][]byte{isdp.Raw, rest}, nil), nil
	case s.faulty(FaultBPPEmptyPart):
		return bytes.Join([][]byte{isdp.Raw, bertlv.Encode(0xA1), rest}, nil), nil
	case s.faulty(FaultBPPSwappedParts):
		return bytes.Join([][]byte{metadata.Raw, isdp.Raw, rest}, nil), nil
	case s.faulty(FaultBPPSurplusPart):
		return bytes.Join([][]byte{parts, bertlv.Encode(0xA4, []byte{0x80, 0x00})}, nil), nil
	}
	return parts, nil
}

// prepareDownloadResponse is PrepareDownloadResponse (BF21), decoded.
type prepareDownloadResponse struct {
	refused   bool
	errorCode int64

	signed, signature bertlv.Element // euiccSigned2 and euiccSignature2
	transactionID     []byte
	otpk              []byte // an uncompressed point
	hashCC            []byte // nil when absent
}

// signedParts returns the n parts of a card's positive answer (tag A0): what it
// has signed, the signature, and what else the function adds.
func signedParts(e bertlv.Element, n int) ([]bertlv.Element, error) {
	ok, found := e.Find(0xA0)
	if !found {
		return nil, errors.New("neither result nor error")
	}
	parts, err := list(ok, n)
	if err != nil {
		return nil, err
	}
	if parts[0].Tag != tagSequence || parts[1].Tag != tagSignature {
		return nil, errors.New("the signed data or its signature is missing")
	}
	return parts, nil
}

func parsePrepareDownloadResponse(raw []byte) (*prepareDownloadResponse, error) {
	e, err := bertlv.Expect(raw, 0xBF21)
	if err != nil {
		return nil, fmt.Errorf("prepareDownloadResponse: %w", err)
	}
	a := new(prepareDownloadResponse)
	if bad, ok := e.Find(0xA1); ok {
		a.refused = true
		a.errorCode = findInt(bad, 0x02)
		return a, nil
	}
	parts, err := signedParts(e, 2)
	if err != nil {
		return nil, fmt.Errorf("prepareDownloadResponse: %w", err)
	}
	a.signed, a.signature = parts[0], parts[1]
	for tag, to := range map[bertlv.Tag]*[]byte{0x80: &a.transactionID, tagOtpk: &a.otpk} {
		v, ok := a.signed.Find(tag)
		if !ok {
			return nil, fmt.Errorf("euiccSigned2 has no element %s", tag)
		}
		*to = v.Value
	}
	if h, ok := a.signed.Find(tagOctets); ok {
		a.hashCC = h.Value
	}
	return a, nil
}
