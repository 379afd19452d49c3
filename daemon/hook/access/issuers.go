package access

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync"
)

// maxIssuers bounds the issuers of client certificates: a file with more is the
// system's list of everybody's.
const maxIssuers = 16

var systemIssuers = sync.OnceValue(func() *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return x509.NewCertPool()
	}
	return pool
})

// LoadIssuers reads the issuers of client certificates, in PEM. A client is known by
// the common name that they give, so one who gives certificates to anybody, or is
// certified by such a one, is refused.
func LoadIssuers(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool, n := x509.NewCertPool(), 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if n++; n > maxIssuers || public(c, systemIssuers()) {
			return nil, fmt.Errorf("%s has issuers that give certificates to anybody, and with them the names of your callers: name your own issuer alone", path)
		}
		pool.AddCert(c)
	}
	if n == 0 {
		return nil, errors.New(path + " holds no PEM certificate")
	}
	return pool, nil
}

// public reports whether the world trusts an issuer. Its dates do not matter.
func public(c *x509.Certificate, roots *x509.CertPool) bool {
	_, err := c.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: c.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}
