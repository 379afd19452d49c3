package sgp26

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"time"

	"dynamod/euicc/bertlv"
)

// Role is a certificate's purpose, the last arc of id-rspRole (2.23.146.1.2.1)
// in its certificatePolicies (SGP.22 annex H).
type Role int

// The roles of SGP.22.
const (
	RoleCI     Role = 0
	RoleEUICC  Role = 1
	RoleEUM    Role = 2
	RoleDPTLS  Role = 3
	RoleDPAuth Role = 4
	RoleDPPB   Role = 5
	RoleDSTLS  Role = 6
	RoleDSAuth Role = 7
)

// OID returns the role's object identifier, 2.23.146.1.2.1.n.
func (r Role) OID() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 23, 146, 1, 2, 1, int(r)}
}

// String names the role as SGP.22 names the certificate.
func (r Role) String() string {
	names := [...]string{"CI", "eUICC", "EUM", "DP TLS", "DPauth", "DPpb", "DS TLS", "DSauth"}
	if r < 0 || int(r) >= len(names) {
		return fmt.Sprintf("role %d", int(r))
	}
	return names[r]
}

// DefaultIIN is the EID prefix that SGP.26 gives its test eUICCs.
const DefaultIIN = "89049032"

// How long the certificates live, counted from one day before they are made.
// SGP.26 gives its CI 35 years, the servers 10 years and the TLS certificates
// 398 days, the longest that TLS clients accept.
const (
	ciDays  = 35 * 365
	eumDays = 34 * 365
	dpDays  = 10 * 365
	tlsDays = 398
)

// euiccNotAfter is RFC 5280 4.1.2.5's date for a certificate that has no
// well-defined end: an eUICC cannot be given a new one.
var euiccNotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

var (
	oidSubjectAltName      = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidNameConstraints     = asn1.ObjectIdentifier{2, 5, 29, 30}
	oidCertificatePolicies = asn1.ObjectIdentifier{2, 5, 29, 32}
	oidExtKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 37}
)

var crlURLs = []string{"http://ci.lab.test/CRL-A.crl", "http://ci.lab.test/CRL-B.crl"}

// Authority is a certificate with its private key: a CI, an EUM, a card or one
// of a server's three identities.
type Authority struct {
	Cert *x509.Certificate
	DER  []byte // the certificate as it goes over the wire
	Key  *ecdsa.PrivateKey
}

// PKID returns the SubjectKeyIdentifier, which SGP.22 calls the CI Public Key
// Identifier when the certificate is a CI's.
func (a *Authority) PKID() []byte { return bytes.Clone(a.Cert.SubjectKeyId) }

// Sign signs data with ECDSA over SHA-256 and returns r and s as 64 bytes
// (BSI TR-03111 plain format, to which SGP.22 leads by way of
// GlobalPlatform Amendment E).
func (a *Authority) Sign(data []byte) ([]byte, error) {
	digest := sha256.Sum256(data)
	r, s, err := ecdsa.Sign(rand.Reader, a.Key, digest[:])
	if err != nil {
		return nil, fmt.Errorf("cannot sign: %w", err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return sig, nil
}

// NewCI makes a self-signed certificate issuer.
func NewCI(now time.Time) (*Authority, error) {
	t := template(now, ciDays, RoleCI, true)
	t.Subject = pkix.Name{Country: []string{"IT"}, Organization: []string{"RSPTEST"}, OrganizationalUnit: []string{"TESTCERT"}, CommonName: "Lab CI"}
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	if err := addAltNames(t, "2.999.1", nil); err != nil {
		return nil, err
	}
	return issue(nil, t)
}

// NewEUM makes an eUICC manufacturer's certificate. Its critical name
// constraints let it sign only for cards of its own organization whose EID
// begins with one of iins (digits; DefaultIIN when none is given).
func NewEUM(ci *Authority, now time.Time, iins ...string) (*Authority, error) {
	if len(iins) == 0 {
		iins = []string{DefaultIIN}
	}
	const organization = "RSP Test EUM"
	var subtrees [][]byte
	for _, iin := range iins {
		if !digits(iin) || len(iin) > 32 {
			return nil, fmt.Errorf("EID prefix %q is not 1 to 32 digits", iin)
		}
		name, err := asn1.Marshal(pkix.RDNSequence{
			{{Type: oidOrganization, Value: organization}},
			{{Type: oidSerialNumber, Value: iin}},
		})
		if err != nil {
			return nil, err
		}
		subtrees = append(subtrees, bertlv.Encode(0x30, bertlv.Encode(0xA4, name)))
	}
	t := template(now, eumDays, RoleEUM, true)
	t.Subject = pkix.Name{Country: []string{"ES"}, Organization: []string{organization}, CommonName: "EUM Lab"}
	t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero = true, true, true
	t.KeyUsage = x509.KeyUsageCertSign
	t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{
		Id: oidNameConstraints, Critical: true,
		Value: bertlv.Encode(0x30, bertlv.Encode(0xA0, subtrees...)),
	})
	if err := addAltNames(t, "2.999.5", nil); err != nil {
		return nil, err
	}
	return issue(ci, t)
}

// NewEUICC makes a card's certificate for an EID of 32 digits, which must
// begin as the EUM's name constraints say.
func NewEUICC(eum *Authority, eid string, now time.Time) (*Authority, error) {
	if len(eid) != 32 || !digits(eid) {
		return nil, fmt.Errorf("EID has %d characters, want 32 digits", len(eid))
	}
	t := template(now, 0, RoleEUICC, true)
	t.NotAfter = euiccNotAfter
	t.CRLDistributionPoints = nil // SGP.22 4.5.2.1.0.2 asks for none: the EUM is revoked, not the card
	t.Subject = pkix.Name{Country: eum.Cert.Subject.Country, Organization: eum.Cert.Subject.Organization, SerialNumber: eid, CommonName: "Lab eUICC"}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	a, err := issue(eum, t)
	if err != nil {
		return nil, err
	}
	if err := checkNameConstraints(eum.Cert, a.Cert.Subject); err != nil {
		return nil, err
	}
	return a, nil
}

// NewDPauth makes the certificate with which an SM-DP+ authenticates itself to
// the eUICC. The OID names the SM-DP+, for example "2.999.10".
func NewDPauth(ci *Authority, oid string, now time.Time) (*Authority, error) {
	return newSigner(ci, RoleDPAuth, "Lab SM-DP+", oid, now)
}

// NewDPpb makes the certificate with which an SM-DP+ signs what binds a profile
// package; its OID must be DPauth's.
func NewDPpb(ci *Authority, oid string, now time.Time) (*Authority, error) {
	return newSigner(ci, RoleDPPB, "Lab SM-DP+", oid, now)
}

// NewDSauth makes the certificate with which an SM-DS authenticates itself to
// the eUICC.
func NewDSauth(ci *Authority, oid string, now time.Time) (*Authority, error) {
	return newSigner(ci, RoleDSAuth, "Lab SM-DS", oid, now)
}

func newSigner(ci *Authority, role Role, name, oid string, now time.Time) (*Authority, error) {
	t := template(now, dpDays, role, true)
	t.Subject = pkix.Name{Organization: []string{"ACME"}, CommonName: name}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	if err := addAltNames(t, oid, nil); err != nil {
		return nil, err
	}
	return issue(ci, t)
}

// NewTLS makes an SM-DP+'s TLS server certificate for hosts, each a DNS name or
// an IP address; the first becomes the common name.
func NewTLS(ci *Authority, oid string, hosts []string, now time.Time) (*Authority, error) {
	return newTLS(ci, RoleDPTLS, oid, hosts, now)
}

// NewDSTLS is NewTLS for an SM-DS.
func NewDSTLS(ci *Authority, oid string, hosts []string, now time.Time) (*Authority, error) {
	return newTLS(ci, RoleDSTLS, oid, hosts, now)
}

func newTLS(ci *Authority, role Role, oid string, hosts []string, now time.Time) (*Authority, error) {
	if len(hosts) == 0 {
		return nil, errors.New("a TLS certificate needs at least one host")
	}
	t := template(now, tlsDays, role, false)
	t.Subject = pkix.Name{Organization: []string{"ACME"}, CommonName: hosts[0]}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{
		{1, 3, 6, 1, 5, 5, 7, 3, 1}, // id-kp-serverAuth
		{1, 3, 6, 1, 5, 5, 7, 3, 2}, // id-kp-clientAuth: SM-DP+ and SM-DS authenticate each other
	})
	if err != nil {
		return nil, err
	}
	t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: oidExtKeyUsage, Critical: true, Value: usage})
	if err := addAltNames(t, oid, hosts); err != nil {
		return nil, err
	}
	return issue(ci, t)
}

func template(now time.Time, days int, role Role, criticalPolicy bool) *x509.Certificate {
	policy, err := asn1.Marshal([]struct{ ID asn1.ObjectIdentifier }{{role.OID()}})
	if err != nil {
		panic(err) // a constant OID always encodes
	}
	start := now.UTC().Truncate(time.Second).AddDate(0, 0, -1)
	return &x509.Certificate{
		NotBefore:             start,
		NotAfter:              start.AddDate(0, 0, days),
		SignatureAlgorithm:    x509.ECDSAWithSHA256,
		CRLDistributionPoints: crlURLs,
		ExtraExtensions:       []pkix.Extension{{Id: oidCertificatePolicies, Critical: criticalPolicy, Value: policy}},
	}
}

// addAltNames writes hosts and the registeredID, which crypto/x509 cannot.
func addAltNames(t *x509.Certificate, oid string, hosts []string) error {
	id, err := x509.ParseOID(oid)
	if err != nil {
		return fmt.Errorf("%q is no object identifier", oid)
	}
	content, err := id.MarshalBinary()
	if err != nil {
		return err
	}
	var names []byte
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			if v4 := ip.To4(); v4 != nil {
				ip = v4
			}
			names = bertlv.Append(names, 0x87, ip)
			continue
		}
		if h == "" || strings.ContainsFunc(h, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return fmt.Errorf("%q is neither a DNS name nor an IP address", h)
		}
		names = bertlv.Append(names, 0x82, []byte(h))
	}
	names = bertlv.Append(names, 0x88, content)
	t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: oidSubjectAltName, Value: bertlv.Encode(0x30, names)})
	return nil
}

// issue makes a key and signs t for it; parent nil makes it self-signed.
func issue(parent *Authority, t *x509.Certificate) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	ski := sha1.Sum(point) // RFC 5280 4.2.1.2 method (1)
	t.SubjectKeyId = ski[:]
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 63)); err != nil {
		return nil, err
	}
	t.SerialNumber.Add(t.SerialNumber, big.NewInt(1))
	signer, signerCert := key, t
	if parent != nil {
		signer, signerCert = parent.Key, parent.Cert
		t.AuthorityKeyId = parent.Cert.SubjectKeyId
	}
	der, err := x509.CreateCertificate(rand.Reader, t, signerCert, &key.PublicKey, signer)
	if err != nil {
		return nil, fmt.Errorf("cannot make certificate %q: %w", t.Subject.CommonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{Cert: cert, DER: der, Key: key}, nil
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
