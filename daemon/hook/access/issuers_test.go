package access

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLoadIssuers(t *testing.T) {
	text := func(ders ...[]byte) string {
		var b bytes.Buffer
		for _, der := range ders {
			pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der})
		}
		return b.String()
	}
	own, other := newIssuer(t), newIssuer(t)
	for _, row := range []struct{ name, text, says string }{
		{"one", text(own.cert.Raw), ""},
		{"two", text(own.cert.Raw, other.cert.Raw), ""},
		{"none", "", "no PEM certificate"},
		{"a key alone", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no PEM certificate"},
		{"damaged", text([]byte("x")), "malformed"},
		{"a list of everybody's", strings.Repeat(text(own.cert.Raw), maxIssuers+1), "to anybody"},
	} {
		path := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(path, []byte(row.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadIssuers(path); (err == nil) != (row.says == "") || err != nil && !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// An issuer that the world trusts, and one below it, give a caller's name to anybody.
func TestPublicIssuers(t *testing.T) {
	world, own := newIssuer(t), newIssuer(t)
	roots := x509.NewCertPool()
	roots.AddCert(world.cert)
	below := world.make(t, "below", time.Now(), time.Hour)
	leaf, err := x509.ParseCertificate(below.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if !public(world.cert, roots) || !public(leaf, roots) || public(own.cert, roots) {
		t.Errorf("root %v, below it %v, our own %v", public(world.cert, roots), public(leaf, roots), public(own.cert, roots))
	}
	// Each of the system's own is refused, also alone.
	text, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		t.Skipf("the system has no issuers: %v", err)
	}
	n := 0
	for block, rest := pem.Decode(text); block != nil && n < 5; block, rest = pem.Decode(rest) {
		path := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadIssuers(path); err == nil {
			t.Error("an issuer of the system's was taken")
		}
		n++
	}
}

// A key that others may read is none.
func TestModeOfKeys(t *testing.T) {
	dir := t.TempDir()
	if _, err := OwnCertificate(dir, time.Now(), nil, os.WriteFile); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "tls.pem")
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: os.Geteuid() == 0, 0o604: false, 0o620: false, 0o666: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, given := LoadCertificate(path, path)
		_, own := OwnCertificate(dir, time.Now(), nil, os.WriteFile)
		_, keys := (&File{path: path}).Keys()
		if (given == nil) != ok || (own == nil) != ok || !ok && (!strings.Contains(given.Error(), "chmod 600") || !strings.Contains(keys.Error(), "chmod 600")) {
			t.Errorf("mode %o: %v; %v; %v", mode, given, own, keys)
		}
	}
}
