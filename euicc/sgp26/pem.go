package sgp26

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxFile bounds a certificate or key file; real ones have about 1 kB.
const maxFile = 64 << 10

// Load reads a certificate (PEM or DER) and its private key (PEM, SEC 1 or
// PKCS #8; an EC PARAMETERS block before it is skipped) and checks that they
// belong together.
func Load(certFile, keyFile string) (*Authority, error) {
	cert, err := LoadCertificate(certFile)
	if err != nil {
		return nil, err
	}
	data, err := readFile(keyFile)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(data)
	if err != nil {
		return nil, fmt.Errorf("cannot use key file %s: %w", keyFile, err)
	}
	pub, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok || !pub.Equal(&key.PublicKey) {
		return nil, fmt.Errorf("key file %s is not the key of certificate %s", keyFile, certFile)
	}
	return &Authority{Cert: cert, DER: cert.Raw, Key: key}, nil
}

// LoadCI is Load for a certificate issuer: it must be allowed to sign.
func LoadCI(certFile, keyFile string) (*Authority, error) {
	a, err := Load(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	if !a.Cert.IsCA || a.Cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, fmt.Errorf("certificate %s may not sign others: it is no CI", certFile)
	}
	if len(a.Cert.SubjectKeyId) == 0 {
		return nil, fmt.Errorf("certificate %s has no subject key identifier", certFile)
	}
	return a, nil
}

// LoadCertificate reads one certificate, PEM or DER.
func LoadCertificate(file string) (*x509.Certificate, error) {
	data, err := readFile(file)
	if err != nil {
		return nil, err
	}
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			data = block.Bytes
			break
		}
	}
	cert, err := x509.ParseCertificate(data)
	if err != nil {
		return nil, fmt.Errorf("no certificate in %s: %w", file, err)
	}
	return cert, nil
}

// Export writes dir/name.pem and dir/name.key.pem, the latter readable by its
// owner only. Load reads them back.
func (a *Authority) Export(dir, name string) error {
	key, err := x509.MarshalECPrivateKey(a.Key)
	if err != nil {
		return err
	}
	if err := a.ExportCertificate(filepath.Join(dir, name+".pem")); err != nil {
		return err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key})
	return os.WriteFile(filepath.Join(dir, name+".key.pem"), block, 0o600)
}

// ExportCertificate writes the certificate alone to file, as PEM.
func (a *Authority) ExportCertificate(file string) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.DER}), 0o644)
}

func parseKey(data []byte) (*ecdsa.PrivateKey, error) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return nil, errors.New("no PEM private key in it")
		}
		var key any
		var err error
		switch block.Type {
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		ec, ok := key.(*ecdsa.PrivateKey)
		if !ok || ec.Curve != elliptic.P256() {
			return nil, errors.New("the key is not on NIST P-256")
		}
		return ec, nil
	}
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, maxFile)
	}
	return data, nil
}
