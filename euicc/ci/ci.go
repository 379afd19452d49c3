package ci

//go:generate go run dynamod/euicc/ci/gen -dir .

import (
	"bytes"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"dynamod/euicc/bertlv"
)

// Set is one of the two worlds of issuers.
type Set string

// The sets. A card of one does not work with servers of the other.
const (
	Live Set = "live"
	Test Set = "test"
)

// ParseSet accepts "live", "test", and "" for live.
func ParseSet(s string) (Set, error) {
	switch Set(s) {
	case Live, "":
		return Live, nil
	case Test:
		return Test, nil
	}
	return "", fmt.Errorf("unknown set of certificate issuers %q, it is live or test", s)
}

// other returns the set that s is not.
func (s Set) other() Set {
	if s == Test {
		return Live
	}
	return Test
}

// Root is an issuer's self-signed certificate.
type Root struct {
	Name  string
	KeyID []byte // subject key identifier, which cards call CI PKId
	// Cert is nil when crypto/x509 cannot read the certificate: some issuers
	// use Brainpool curves, which Go does not have.
	Cert *x509.Certificate
}

//go:embed live.pem
var livePEM []byte

//go:embed test.pem
var testPEM []byte

var (
	live = sync.OnceValue(func() []Root { return mustParse(livePEM) })
	test = sync.OnceValue(func() []Root { return mustParse(testPEM) })
)

func mustParse(text []byte) []Root {
	roots, err := Parse(text)
	if err != nil {
		panic("ci: embedded list: " + err.Error()) // the list is generated and tested
	}
	return roots
}

// Roots returns the issuers of a set.
func Roots(s Set) []Root {
	if s == Test {
		return slices.Clone(test())
	}
	return slices.Clone(live())
}

// Parse reads certificates in PEM, for example an operator's own issuer. Text
// around them is skipped; a text without any is an error.
func Parse(text []byte) ([]Root, error) {
	var roots []Root
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		r, err := parseRoot(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(roots)+1, err)
		}
		roots = append(roots, r)
	}
	if len(roots) == 0 {
		return nil, errors.New("there is no PEM certificate in it")
	}
	return roots, nil
}

func parseRoot(der []byte) (Root, error) {
	cert, err := x509.ParseCertificate(der)
	if err == nil {
		return Root{Name: cert.Subject.String(), KeyID: cert.SubjectKeyId, Cert: cert}, nil
	}
	id := subjectKeyID(der)
	if id == nil {
		return Root{}, err
	}
	return Root{Name: fmt.Sprintf("issuer with unsupported key (%v)", err), KeyID: id}, nil
}

// subjectKeyID finds the extension in a certificate that crypto/x509 does not
// read: TBSCertificate, [3] extensions, the one with OID 2.5.29.14.
func subjectKeyID(der []byte) []byte {
	cert, err := bertlv.Parse(der)
	if err != nil {
		return nil
	}
	extensions, ok := cert.Find(0x30, 0xA3, 0x30)
	if !ok {
		return nil
	}
	for e, err := range extensions.Children() {
		if err != nil {
			return nil
		}
		oid, ok := e.Find(0x06)
		if !ok || !bytes.Equal(oid.Value, []byte{0x55, 0x1D, 0x0E}) {
			continue
		}
		if v, ok := e.Find(0x04); ok {
			if id, err := bertlv.Expect(v.Value, 0x04); err == nil {
				return id.Value
			}
		}
	}
	return nil
}

// NoRootError means that no issuer that the card lists is in the chosen set and
// usable.
type NoRootError struct {
	Set         Set
	Card        [][]byte // what the card lists
	InOther     bool     // the card's issuer is in the other set
	Unsupported bool     // it is in the set, with a key that Go does not support
}

func (e *NoRootError) Error() string {
	ids := make([]string, len(e.Card))
	for i, id := range e.Card {
		ids[i] = Short(id)
	}
	s := fmt.Sprintf("card lists no %s certificate issuer that is known (card: %s)", e.Set, strings.Join(ids, ", "))
	switch {
	case e.InOther:
		s += fmt.Sprintf("; it is a card for %s servers", e.Set.other())
	case e.Unsupported:
		s += "; its issuer uses an elliptic curve that is not supported"
	}
	return s
}

// Short returns the first four octets of a key identifier, for people.
func Short(id []byte) string { return fmt.Sprintf("%X", id[:min(4, len(id))]) }

// Name returns what the owner of a key identifier is called in either set, "" if
// it is in none.
func Name(id []byte) string {
	for _, s := range []Set{Live, Test} {
		for _, r := range Roots(s) {
			if bytes.Equal(r.KeyID, id) {
				return r.Name
			}
		}
	}
	return ""
}

// Select returns the issuers of the set that the card lists by key identifier,
// in the card's order, followed by extra, which the operator of the box trusts
// in addition. The error is a *NoRootError when there is none at all.
func Select(s Set, card [][]byte, extra ...Root) ([]Root, error) {
	var chosen []Root
	e := &NoRootError{Set: s, Card: card}
	for _, id := range card {
		for _, r := range Roots(s) {
			switch {
			case !bytes.Equal(r.KeyID, id):
			case r.Cert == nil:
				e.Unsupported = true
			default:
				chosen = append(chosen, r)
			}
		}
		e.InOther = e.InOther || slices.ContainsFunc(Roots(s.other()), func(r Root) bool { return bytes.Equal(r.KeyID, id) })
	}
	for _, r := range extra {
		if r.Cert != nil {
			chosen = append(chosen, r)
		}
	}
	if len(chosen) == 0 {
		return nil, e
	}
	return chosen, nil
}

// Pool makes the pool for crypto/tls.
func Pool(roots []Root) *x509.CertPool {
	p := x509.NewCertPool()
	for _, r := range roots {
		if r.Cert != nil {
			p.AddCert(r.Cert)
		}
	}
	return p
}

// Offered reports whether the card lists the issuer that a server chose
// (euiccCiPKIdToBeUsed, SGP.22 5.6.1).
func Offered(card [][]byte, chosen []byte) bool {
	return slices.ContainsFunc(card, func(id []byte) bool { return bytes.Equal(id, chosen) })
}
