package sgp26

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"dynamod/euicc/bertlv"
)

var (
	oidOrganization = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidSerialNumber = asn1.ObjectIdentifier{2, 5, 4, 5}
)

var (
	// ErrUnknownCI means that none of the given CIs signed the EUM's certificate.
	ErrUnknownCI = errors.New("not signed by a known CI")
	// ErrExpired means that the certificate's validity has not begun or is over.
	ErrExpired = errors.New("outside its validity")
	// ErrEID means that the certificate is for another EID.
	ErrEID = errors.New("certificate is for another EID")
)

// CertError says which certificate of a chain is at fault. Err may be, or wrap,
// ErrUnknownCI, ErrExpired or ErrEID.
type CertError struct {
	Role Role
	Err  error
}

func (e *CertError) Error() string { return fmt.Sprintf("%s certificate: %v", e.Role, e.Err) }

// Unwrap returns Err.
func (e *CertError) Unwrap() error { return e.Err }

// VerifyEUICC checks an eUICC's certificate chain as SGP.22 4.5.2.2 asks of an
// RSP server: signatures, validity at now, key usage, role, and the EUM's name
// constraints. The last are checked here because crypto/x509 refuses a critical
// constraint on a directoryName, and because SGP.22 reads the one on
// serialNumber as a prefix of the EID. An empty eid is not compared; the
// certificate then says which EID it is for. Every error is a *CertError.
func VerifyEUICC(ci []*x509.Certificate, eum, euicc *x509.Certificate, eid string, now time.Time) error {
	issuer := slices.IndexFunc(ci, func(c *x509.Certificate) bool {
		return bytes.Equal(c.SubjectKeyId, eum.AuthorityKeyId) && eum.CheckSignatureFrom(c) == nil
	})
	if issuer < 0 {
		return &CertError{RoleEUM, ErrUnknownCI}
	}
	if err := checkValidity(ci[issuer], now); err != nil {
		return &CertError{RoleCI, err}
	}
	if err := checkEUM(eum, now); err != nil {
		return &CertError{RoleEUM, err}
	}
	if err := checkEUICC(eum, euicc, now); err != nil {
		return &CertError{RoleEUICC, err}
	}
	if eid != "" && euicc.Subject.SerialNumber != eid {
		return &CertError{RoleEUICC, ErrEID}
	}
	return nil
}

func checkEUM(eum *x509.Certificate, now time.Time) error {
	if err := checkValidity(eum, now); err != nil {
		return err
	}
	if !eum.BasicConstraintsValid || !eum.IsCA || eum.KeyUsage&x509.KeyUsageCertSign == 0 {
		return errors.New("may not sign certificates")
	}
	if eum.MaxPathLen != 0 {
		return errors.New("path length constraint is not 0")
	}
	if err := CheckRole(eum, RoleEUM); err != nil {
		return err
	}
	return checkCritical(eum)
}

func checkEUICC(eum, euicc *x509.Certificate, now time.Time) error {
	if !bytes.Equal(euicc.AuthorityKeyId, eum.SubjectKeyId) {
		return errors.New("authority key identifier is not the EUM's")
	}
	if err := euicc.CheckSignatureFrom(eum); err != nil {
		return fmt.Errorf("not signed by the EUM: %v", err)
	}
	if err := checkValidity(euicc, now); err != nil {
		return err
	}
	if euicc.IsCA || euicc.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return errors.New("is not for signing data")
	}
	if err := CheckRole(euicc, RoleEUICC); err != nil {
		return err
	}
	if err := checkCritical(euicc); err != nil {
		return err
	}
	if s := euicc.Subject.SerialNumber; len(s) != 32 || !digits(s) {
		return errors.New("subject serialNumber is no EID of 32 digits")
	}
	return checkNameConstraints(eum, euicc.Subject)
}

func checkValidity(c *x509.Certificate, now time.Time) error {
	if now.Before(c.NotBefore) {
		return fmt.Errorf("%w: begins %s", ErrExpired, c.NotBefore.UTC().Format(time.RFC3339))
	}
	if now.After(c.NotAfter) {
		return fmt.Errorf("%w: ended %s", ErrExpired, c.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// CheckRole reports whether a certificate's policies name the role.
func CheckRole(c *x509.Certificate, role Role) error {
	if slices.ContainsFunc(c.PolicyIdentifiers, role.OID().Equal) {
		return nil
	}
	return fmt.Errorf("policies do not name id-rspRole %s", role.OID())
}

// checkCritical refuses critical extensions that nobody here reads.
func checkCritical(c *x509.Certificate) error {
	for _, id := range c.UnhandledCriticalExtensions {
		if !id.Equal(oidNameConstraints) {
			return fmt.Errorf("unknown critical extension %s", id)
		}
	}
	return nil
}

// checkNameConstraints holds subject against the EUM's permitted and excluded
// directoryName subtrees (SGP.22 4.5.2.1.0.3); the subject may hold further attributes, in any order.
func checkNameConstraints(eum *x509.Certificate, subject pkix.Name) error {
	i := slices.IndexFunc(eum.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidNameConstraints) })
	if i < 0 {
		return errors.New("EUM certificate has no name constraints")
	}
	constraints, err := bertlv.Expect(eum.Extensions[i].Value, 0x30)
	if err != nil {
		return fmt.Errorf("malformed name constraints: %w", err)
	}
	permitted := false
	for group, err := range constraints.Children() {
		if err != nil {
			return fmt.Errorf("malformed name constraints: %w", err)
		}
		for subtree, err := range group.Children() {
			if err != nil {
				return fmt.Errorf("malformed name constraints: %w", err)
			}
			match, err := subtreeMatches(subtree, subject)
			if err != nil {
				return fmt.Errorf("malformed name constraints: %w", err)
			}
			if match && group.Tag == 0xA1 {
				return errors.New("subject is excluded by the EUM's name constraints")
			}
			permitted = permitted || match && group.Tag == 0xA0
		}
	}
	if !permitted {
		return errors.New("subject is not permitted by the EUM's name constraints")
	}
	return nil
}

func subtreeMatches(subtree bertlv.Element, subject pkix.Name) (bool, error) {
	dir, ok := subtree.Find(0xA4)
	if !ok {
		return false, nil // another name form, which the subject does not have
	}
	var name pkix.RDNSequence
	rest, err := asn1.Unmarshal(dir.Value, &name)
	if err != nil {
		return false, err
	}
	if len(rest) > 0 {
		return false, bertlv.ErrTrailing
	}
	for _, rdn := range name {
		for _, want := range rdn {
			value, ok := want.Value.(string)
			if !ok {
				return false, fmt.Errorf("attribute %s is no string", want.Type)
			}
			found := slices.ContainsFunc(subject.Names, func(have pkix.AttributeTypeAndValue) bool {
				s, ok := have.Value.(string)
				if !ok || !have.Type.Equal(want.Type) {
					return false
				}
				if want.Type.Equal(oidSerialNumber) {
					return strings.HasPrefix(s, value)
				}
				return s == value
			})
			if !found {
				return false, nil
			}
		}
	}
	return len(name) > 0, nil
}

// VerifySignature checks a 64-byte signature (r and s, as Sign makes it) over
// data against a certificate's P-256 key.
func VerifySignature(cert *x509.Certificate, data, sig []byte) error {
	pub, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P256() {
		return errors.New("certificate's key is not on NIST P-256")
	}
	if len(sig) != 64 {
		return fmt.Errorf("signature has %d bytes, want 64", len(sig))
	}
	digest := sha256.Sum256(data)
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	if !ecdsa.Verify(pub, digest[:], r, s) {
		return errors.New("signature is wrong")
	}
	return nil
}
