package access

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOwnCertificate(t *testing.T) {
	dir := t.TempDir()
	built := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	write := func(path string, data []byte, mode fs.FileMode) error { return os.WriteFile(path, data, mode) }
	first, err := OwnCertificate(filepath.Join(dir, "hook"), built, []string{"router7", "192.0.2.1"}, write)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OwnCertificate(filepath.Join(dir, "hook"), built, nil, write)
	if err != nil || Fingerprint(again) != Fingerprint(first) || len(Fingerprint(first)) != 64 {
		t.Errorf("%v: another certificate at the second start", err)
	}
	leaf, err := x509.ParseCertificate(first.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if leaf.VerifyHostname("router7") != nil || leaf.VerifyHostname("192.0.2.1") != nil || !leaf.NotBefore.Equal(built) || leaf.IsCA {
		t.Errorf("%+v", leaf)
	}
	if err := os.WriteFile(filepath.Join(dir, "hook", "tls.pem"), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OwnCertificate(filepath.Join(dir, "hook"), built, nil, write); err == nil || !strings.Contains(err.Error(), "remove") {
		t.Errorf("damaged: %v", err)
	}
	if conf := TLS(first, nil, time.Now); conf.MinVersion != tls.VersionTLS12 || conf.ClientAuth != tls.NoClientCert {
		t.Errorf("%+v", conf)
	}
}

// A certificate that was renewed is taken without a restart, one that is half
// written is not.
func TestRenewedCertificate(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	at := time.Unix(1e9, 0)
	made := func() (certPEM, keyPEM []byte) {
		text, err := makeCertificate(time.Now(), []string{"router7"})
		if err != nil {
			t.Fatal(err)
		}
		i := bytes.Index(text, []byte("-----BEGIN PRIVATE KEY"))
		return text[:i], text[i:]
	}
	put := func(path string, text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Second)
		os.Chtimes(path, at, at)
	}
	certPEM, keyPEM := made()
	put(cert, certPEM)
	put(key, keyPEM)
	first, err := LoadCertificate(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	get := Renewed(first, cert, key, func(c tls.Certificate, err error) {
		told = append(told, fmt.Sprint(Fingerprint(c) == Fingerprint(first), err != nil))
	})
	// The server without SNI, as by address, is asked too.
	conf := &tls.Config{GetCertificate: get}
	l, err := tls.Listen("tcp", "127.0.0.1:0", conf)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.(*tls.Conn).Handshake()
			c.Close()
		}
	}()
	print := func() string {
		t.Helper()
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return Fingerprint(tls.Certificate{Certificate: [][]byte{c.ConnectionState().PeerCertificates[0].Raw}})
	}
	for range 2 {
		if print() != Fingerprint(first) || len(told) > 0 {
			t.Errorf("another one from the start; told %q", told)
		}
	}
	certPEM, keyPEM = made()
	put(cert, certPEM)
	for range 2 {
		if print() != Fingerprint(first) || strings.Join(told, ", ") != "true true" {
			t.Errorf("half written: told %q", told)
		}
	}
	put(key, keyPEM)
	for range 2 {
		if print() == Fingerprint(first) || strings.Join(told, ", ") != "true true, false false" {
			t.Errorf("renewed: told %q", told)
		}
	}
	renewed := print()
	os.Remove(key)
	if print() != renewed {
		t.Error("without its key there is another one")
	}
}

// A build that does not know its time makes no certificate that has run out already.
func TestCertificateWithoutFloor(t *testing.T) {
	for _, now := range []time.Time{{}, time.Unix(0, 0)} {
		c, err := OwnCertificate(t.TempDir(), now, nil, os.WriteFile)
		if err != nil {
			t.Fatal(err)
		}
		if c.Leaf.NotBefore.Year() != 2026 || c.Leaf.NotAfter.Year() < 2045 {
			t.Errorf("floor %v: valid from %v to %v", now, c.Leaf.NotBefore, c.Leaf.NotAfter)
		}
	}
}
