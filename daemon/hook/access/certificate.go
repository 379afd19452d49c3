package access

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"dynamod/daemon/config"
)

// certificateLife is that of a self-made certificate. Who uses it has pinned its
// fingerprint, and a router that nobody visits must not lock itself out.
const certificateLife = 20 * 365 * 24 * time.Hour

// LoadCertificate reads certificate and key, in PEM.
func LoadCertificate(certFile, keyFile string) (tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err == nil {
		err = config.Private(keyFile)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	return c, nil
}

// Renewed is for tls.Config's GetCertificate, without Certificates beside it: it
// gives c, which was read from the two files, until they change to another pair
// that fits, which changed is told. One that is half written is not taken.
func Renewed(c tls.Certificate, certFile, keyFile string, changed func(tls.Certificate, error)) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	var (
		mu    sync.Mutex
		files = [2]string{certFile, keyFile}
		read  [2]os.FileInfo
	)
	look := func() (now [2]os.FileInfo, same bool) {
		same = true
		for i, path := range files {
			now[i], _ = os.Stat(path) // nil where it is being exchanged
			same = same && now[i] != nil && read[i] != nil && os.SameFile(now[i], read[i]) && now[i].ModTime().Equal(read[i].ModTime()) && now[i].Size() == read[i].Size()
		}
		return now, same
	}
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		now, same := look()
		if same || now[0] == nil || now[1] == nil {
			return &c, nil
		}
		read = now
		next, err := LoadCertificate(certFile, keyFile)
		switch {
		case err != nil:
			changed(c, err)
		case !bytes.Equal(next.Certificate[0], c.Certificate[0]):
			c = next
			changed(c, nil)
		}
		return &c, nil
	}
}

// OwnCertificate returns the self-made certificate of dir, which it makes at the
// first time. now is a time from which it is valid: not after any that a wrong
// clock may show later. Of a build that does not know its own time, now is in or
// before 1970, and the certificate is valid from 2026, before which there was no dynamod.
func OwnCertificate(dir string, now time.Time, hosts []string, write func(path string, data []byte, mode fs.FileMode) error) (tls.Certificate, error) {
	path := filepath.Join(dir, "tls.pem")
	c, err := LoadCertificate(path, path)
	if err == nil {
		return c, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return tls.Certificate{}, fmt.Errorf("%w; remove %s to have a new one made", err, path)
	}
	text, err := makeCertificate(now, hosts)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = write(path, text, 0o600)
	}
	if err == nil {
		c, err = tls.X509KeyPair(text, text)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	return c, nil
}

func makeCertificate(now time.Time, hosts []string) ([]byte, error) {
	if now.Year() <= 1970 {
		now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(append([]byte{1}, random(15)...)),
		Subject:               pkix.Name{CommonName: "dynamod"},
		NotBefore:             now,
		NotAfter:              now.Add(certificateLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...), nil
}

// Fingerprint is the SHA-256 of the certificate as browsers, curl and openssl
// show it, in lower-case hex.
func Fingerprint(c tls.Certificate) string {
	sum := sha256.Sum256(c.Certificate[0])
	return hex.EncodeToString(sum[:])
}

// TLS is the server's configuration. clients, which may be nil, are the issuers
// of client certificates; now is a clock that is never before the build.
func TLS(c tls.Certificate, clients *x509.CertPool, now func() time.Time) *tls.Config {
	conf := &tls.Config{
		Certificates: []tls.Certificate{c},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"},
		Time:         now,
	}
	if clients != nil {
		conf.ClientAuth, conf.ClientCAs = tls.VerifyClientCertIfGiven, clients
	}
	return conf
}
