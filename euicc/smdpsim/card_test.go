package smdpsim

import (
	"bytes"
	"cmp"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
	"time"

	"dynamod/euicc/bertlv"
	"dynamod/euicc/bsp"
	"dynamod/euicc/sgp26"
)

// The EID of SGP.26's test eUICC, and a second one.
const (
	testEID  = "89049032123451234512345678901235"
	otherEID = "89049032123451234512345678901336"
)

var testNow = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

// card is the eUICC's side of RSP, written for these tests from SGP.22 alone.
type card struct {
	t       *testing.T
	ci, eum *sgp26.Authority
	id      *sgp26.Authority
	eid     string
	otsk    *ecdh.PrivateKey
	reuse   bool // keep the one-time key when the server offers it
	seq     int64
	svn     []byte
	memory  int
	address string     // that the server must sign, and receives notifications
	role    sgp26.Role // that it must have; DPauth when 0

	challenge, transactionID, signature1 []byte
	signature2                           []byte
	oid                                  []byte
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func (c *card) sign(data ...[]byte) []byte {
	c.t.Helper()
	sig, err := c.id.Sign(bytes.Join(data, nil))
	if err != nil {
		c.t.Fatal(err)
	}
	return bertlv.Encode(tagSignature, sig)
}

func (c *card) info1() []byte {
	id := bertlv.Encode(0x04, c.ci.PKID())
	return bertlv.Encode(0xBF20, bertlv.Encode(0x82, c.svn), bertlv.Encode(0xA9, id), bertlv.Encode(0xAA, id))
}

func (c *card) info2() []byte {
	id := bertlv.Encode(0x04, c.ci.PKID())
	mem := bertlv.Encode(0x84, bertlv.Encode(0x81, []byte{0}), bertlv.AppendInt(nil, 0x82, int64(c.memory)), bertlv.Encode(0x83, []byte{0x7F}))
	return bertlv.Encode(0xBF22, bertlv.Encode(0x81, []byte{2, 1, 0}), bertlv.Encode(0x82, c.svn), mem, bertlv.Encode(0xA9, id), bertlv.Encode(0xAA, id))
}

func (c *card) checkServer(out map[string][]byte) error {
	cert, err := parseServerCertificate(out["serverCertificate"], c.ci, cmp.Or(c.role, sgp26.RoleDPAuth))
	if err != nil {
		return err
	}
	if !bytes.Equal(out["euiccCiPKIdToBeUsed"], bertlv.Encode(0x04, c.ci.PKID())) {
		return errors.New("CI to be used is another")
	}
	sig, err := bertlv.Expect(out["serverSignature1"], tagSignature)
	if err != nil {
		return err
	}
	if err := sgp26.VerifySignature(cert.Cert, out["serverSigned1"], sig.Value); err != nil {
		return fmt.Errorf("serverSignature1: %w", err)
	}
	signed, err := bertlv.Expect(out["serverSigned1"], 0x30)
	if err != nil {
		return err
	}
	if v, _ := signed.Find(0x81); !bytes.Equal(v.Value, c.challenge) {
		return errors.New("another eUICC challenge was signed")
	}
	if v, _ := signed.Find(0x83); string(v.Value) != cmp.Or(c.address, "smdpp.lab.test") {
		return errors.New("another address was signed")
	}
	id, _ := signed.Find(0x80)
	if got := string(out["transactionId"]); got != fmt.Sprintf("%X", id.Value) {
		return errors.New("transaction IDs differ")
	}
	c.transactionID = id.Value
	c.oid = bertlv.Encode(0x81, []byte{0x88, 0x37, 0x0A})
	return nil
}

func parseServerCertificate(der []byte, ci *sgp26.Authority, role sgp26.Role) (*sgp26.Authority, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if err := cert.CheckSignatureFrom(ci.Cert); err != nil {
		return nil, fmt.Errorf("%s certificate is not of this CI: %w", role, err)
	}
	if testNow.After(cert.NotAfter) {
		return nil, fmt.Errorf("%s certificate has expired", role)
	}
	if testNow.Before(cert.NotBefore) {
		return nil, fmt.Errorf("%s certificate is not valid yet", role)
	}
	if err := sgp26.CheckRole(cert, role); err != nil {
		return nil, err
	}
	return &sgp26.Authority{Cert: cert, DER: der}, nil
}

// authenticateServer is the card's answer to AuthenticateServer (BF38).
func (c *card) authenticateServer(serverSigned1 []byte, matchingID string) []byte {
	server, _ := bertlv.Expect(serverSigned1, 0x30)
	id, _ := server.Find(0x80)
	address, _ := server.Find(0x83)
	challenge, _ := server.Find(0x84)
	return c.authenticateResponse(id, address, challenge, ctxParams1(matchingID))
}

func ctxParams1(matchingID string) []byte {
	device := bertlv.Encode(0xA1, bertlv.Encode(0x80, []byte{0x35, 0x29, 0x06, 0x11}), bertlv.Encode(0xA1, bertlv.Encode(0x85, []byte{0x0E, 0, 0})))
	if matchingID == "" {
		return bertlv.Encode(0xA0, device)
	}
	return bertlv.Encode(0xA0, bertlv.Encode(0x80, []byte(matchingID)), device)
}

func (c *card) authenticateResponse(id, address, challenge bertlv.Element, ctx []byte) []byte {
	signed := bertlv.Encode(0x30, id.Raw, address.Raw, challenge.Raw, c.info2(), ctx)
	c.signature1 = c.sign(signed)
	return bertlv.Encode(0xBF38, bertlv.Encode(0xA0, signed, c.signature1, c.id.DER, c.eum.DER))
}

// prepareDownload does the LPA's hashing and the card's PrepareDownload.
func (c *card) prepareDownload(out map[string][]byte, confirmation string) ([]byte, error) {
	if confirmation == "" {
		return c.prepare(out, nil)
	}
	inner := sha256.Sum256([]byte(confirmation))
	hash := sha256.Sum256(append(inner[:], c.transactionID...))
	return c.prepare(out, hash[:])
}

// prepare checks smdpSigned2 and answers BF21.
func (c *card) prepare(out map[string][]byte, hashCC []byte) ([]byte, error) {
	c.t.Helper()
	cert, err := parseServerCertificate(out["smdpCertificate"], c.ci, sgp26.RoleDPPB)
	if err != nil {
		return nil, err
	}
	sig, err := bertlv.Expect(out["smdpSignature2"], tagSignature)
	if err != nil {
		return nil, err
	}
	if err := sgp26.VerifySignature(cert.Cert, append(bytes.Clone(out["smdpSigned2"]), c.signature1...), sig.Value); err != nil {
		return nil, fmt.Errorf("smdpSignature2: %w", err)
	}
	signed2, err := bertlv.Expect(out["smdpSigned2"], 0x30)
	if err != nil {
		return nil, err
	}
	if id, _ := signed2.Find(0x80); !bytes.Equal(id.Value, c.transactionID) {
		return nil, errors.New("smdpSigned2 is of another transaction")
	}
	offered, _ := signed2.Find(tagOtpk)
	if c.otsk == nil || !c.reuse || !bytes.Equal(offered.Value, c.otsk.PublicKey().Bytes()) {
		if c.otsk, err = ecdh.P256().GenerateKey(rand.Reader); err != nil {
			return nil, err
		}
	}
	parts := [][]byte{bertlv.Encode(0x80, c.transactionID), bertlv.Encode(tagOtpk, c.otsk.PublicKey().Bytes())}
	if hashCC != nil {
		parts = append(parts, bertlv.Encode(0x04, hashCC))
	}
	c.signature2 = out["smdpSignature2"]
	signed := bertlv.Encode(0x30, parts...)
	return bertlv.Encode(0xBF21, bertlv.Encode(0xA0, signed, c.sign(signed, c.signature2))), nil
}

// installed is what a card holds after a BPP.
type installed struct {
	upp, metadata []byte
	replaced      bool
	segments      []int // lengths of the 86 TLVs
}

// install opens a BPP as the card does.
func (c *card) install(bpp []byte, pb []byte) (*installed, error) {
	e, err := bertlv.Expect(bpp, 0xBF36)
	if err != nil {
		return nil, err
	}
	var parts []bertlv.Element
	for p, err := range e.Children() {
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	cert, err := parseServerCertificate(pb, c.ci, sgp26.RoleDPPB)
	if err != nil {
		return nil, err
	}
	init := parts[0]
	otpk, _ := init.Find(tagOtpk)
	sig, ok := init.Find(tagSignature)
	if !ok || init.Tag != 0xBF23 {
		return nil, errors.New("no InitialiseSecureChannel")
	}
	signed := init.Value[:len(init.Value)-len(sig.Raw)]
	if err := sgp26.VerifySignature(cert.Cert, append(bytes.Clone(signed), bertlv.Encode(tagOtpk, c.otsk.PublicKey().Bytes())...), sig.Value); err != nil {
		return nil, fmt.Errorf("InitialiseSecureChannel: %w", err)
	}
	if id, _ := init.Find(0x80); !bytes.Equal(id.Value, c.transactionID) {
		return nil, errors.New("InitialiseSecureChannel is of another transaction")
	}
	host, _ := init.Find(0xA6, 0x84)
	pub, err := ecdh.P256().NewPublicKey(otpk.Value)
	if err != nil {
		return nil, err
	}
	shared, err := c.otsk.ECDH(pub)
	if err != nil {
		return nil, err
	}
	eid, err := eidBytes(c.eid)
	if err != nil {
		return nil, err
	}
	keys, err := bsp.DeriveKeys(shared, 0x88, 16, host.Value, eid)
	if err != nil {
		return nil, err
	}
	channel := bsp.New(keys)
	got := &installed{}
	for _, p := range parts[1:] {
		for tlv, err := range p.Children() {
			if err != nil {
				return nil, err
			}
			switch {
			case p.Tag == 0xA1:
				plain, err := channel.OpenMAC(0x88, tlv.Raw)
				if err != nil {
					return nil, err
				}
				got.metadata = append(got.metadata, plain...)
			case p.Tag == 0xA3:
				plain, err := channel.Open(0x86, tlv.Raw)
				if err != nil {
					return nil, err
				}
				got.upp = append(got.upp, plain...)
				got.segments = append(got.segments, len(tlv.Raw))
			default:
				plain, err := channel.Open(0x87, tlv.Raw)
				if err != nil {
					return nil, err
				}
				if p.Tag == 0xA0 {
					if !bytes.Equal(plain, []byte{0xBF, 0x24, 0x00}) {
						return nil, errors.New("no ConfigureISDP")
					}
					continue
				}
				rsk, err := bertlv.Expect(plain, 0xBF26)
				if err != nil {
					return nil, err
				}
				var next bsp.Keys
				for tag, to := range map[bertlv.Tag][]byte{0x80: next.MCV[:], 0x81: next.Enc[:], 0x82: next.MAC[:]} {
					v, _ := rsk.Find(tag)
					copy(to, v.Value)
				}
				channel.Replace(next)
				got.replaced = true
			}
		}
	}
	return got, nil
}

func (c *card) metadataOf(op Operation, iccid string) []byte {
	c.seq++
	return bertlv.Encode(0xBF2F, bertlv.AppendInt(nil, 0x80, c.seq), bertlv.Encode(0x81, bits(byte(op))),
		bertlv.Encode(0x0C, []byte(cmp.Or(c.address, "smdpp.lab.test"))), bertlv.Encode(0x5A, packBCD(iccid, 10, true)))
}

// result is a signed ProfileInstallationResult; reason 0 is success.
func (c *card) result(iccid string, reason int64) []byte {
	final := bertlv.Encode(0xA2, bertlv.Encode(0xA0, bertlv.Encode(0x4F, []byte{0xA0, 0, 0, 5, 0x59}), bertlv.Encode(0x04, []byte{0x30, 0})))
	if reason != 0 {
		final = bertlv.Encode(0xA2, bertlv.Encode(0xA1, bertlv.AppendInt(nil, 0x80, 5), bertlv.AppendInt(nil, 0x81, reason)))
	}
	data := bertlv.Encode(0xBF27, bertlv.Encode(0x80, c.transactionID), c.metadataOf(OpInstall, iccid), bertlv.Encode(0x06, []byte{0x88, 0x37, 0x0A}), final)
	return bertlv.Encode(0xBF37, data, c.sign(data))
}

func (c *card) otherNotification(op Operation, iccid string) []byte {
	tbs := c.metadataOf(op, iccid)
	return bertlv.Encode(0x30, tbs, c.sign(tbs), c.id.DER, c.eum.DER)
}

func (c *card) cancel(reason int64) []byte {
	signed := bertlv.Encode(0x30, bertlv.Encode(0x80, c.transactionID), c.oid, bertlv.AppendInt(nil, 0x82, reason))
	return bertlv.Encode(0xBF41, bertlv.Encode(0xA0, signed, c.sign(signed)))
}
