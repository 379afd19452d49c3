package sgp26

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

// The EID of SGP.26's test eUICC.
const testEID = "89049032123451234512345678901235"

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestCertificateProfiles(t *testing.T) {
	a := must[*Authority](t)
	ci := a(NewCI(now))
	eum := a(NewEUM(ci, now))
	for _, tt := range []struct {
		name     string
		a        *Authority
		issuer   *Authority
		role     Role
		usage    x509.KeyUsage
		critical []string // extension OIDs in order of the certificate
		altNames string   // hex of the SubjectAltName value
	}{
		{"CERT.CI.ECDSA", ci, ci, RoleCI, x509.KeyUsageCertSign | x509.KeyUsageCRLSign, []string{"2.5.29.15", "2.5.29.19", "2.5.29.32"}, "3005880388" + "3701"},
		{"CERT.EUM.ECDSA", eum, ci, RoleEUM, x509.KeyUsageCertSign, []string{"2.5.29.15", "2.5.29.19", "2.5.29.32", "2.5.29.30"}, "30058803883705"},
		{"CERT.EUICC.ECDSA", a(NewEUICC(eum, testEID, now)), eum, RoleEUICC, x509.KeyUsageDigitalSignature, []string{"2.5.29.15", "2.5.29.32"}, ""},
		{"CERT.DPauth.ECDSA", a(NewDPauth(ci, "2.999.10", now)), ci, RoleDPAuth, x509.KeyUsageDigitalSignature, []string{"2.5.29.15", "2.5.29.32"}, "3005880388370a"},
		{"CERT.DPpb.ECDSA", a(NewDPpb(ci, "2.999.10", now)), ci, RoleDPPB, x509.KeyUsageDigitalSignature, []string{"2.5.29.15", "2.5.29.32"}, "3005880388370a"},
		{"CERT.DP.TLS", a(NewTLS(ci, "2.999.10", []string{"a.test", "127.0.0.1"}, now)), ci, RoleDPTLS, x509.KeyUsageDigitalSignature, []string{"2.5.29.15", "2.5.29.37"}, "30138206612e7465737487047f000001880388370a"},
		{"CERT.DSauth.ECDSA", a(NewDSauth(ci, "2.999.15", now)), ci, RoleDSAuth, x509.KeyUsageDigitalSignature, []string{"2.5.29.15", "2.5.29.32"}, "3005880388370f"},
		{"CERT.DS.TLS", a(NewDSTLS(ci, "2.999.15", []string{"a.test"}, now)), ci, RoleDSTLS, x509.KeyUsageDigitalSignature, []string{"2.5.29.15", "2.5.29.37"}, "300d8206612e74657374880388370f"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.a.Cert
			if err := c.CheckSignatureFrom(tt.issuer.Cert); err != nil {
				t.Error(err)
			}
			if err := CheckRole(c, tt.role); err != nil {
				t.Error(err)
			}
			if c.KeyUsage != tt.usage {
				t.Errorf("key usage %b, want %b", c.KeyUsage, tt.usage)
			}
			if len(c.SubjectKeyId) != 20 {
				t.Errorf("SKI has %d bytes, want 20", len(c.SubjectKeyId))
			}
			if tt.a != tt.issuer && string(c.AuthorityKeyId) != string(tt.issuer.PKID()) {
				t.Error("AKI is not the issuer's SKI")
			}
			var critical []string
			alt := ""
			for _, e := range c.Extensions {
				if e.Critical {
					critical = append(critical, e.Id.String())
				}
				if e.Id.Equal(oidSubjectAltName) {
					alt = hex.EncodeToString(e.Value)
				}
			}
			if strings.Join(critical, " ") != strings.Join(tt.critical, " ") {
				t.Errorf("critical extensions %v, want %v", critical, tt.critical)
			}
			if alt != tt.altNames {
				t.Errorf("SubjectAltName %s, want %s", alt, tt.altNames)
			}
			if !c.NotBefore.Before(now) || !c.NotAfter.After(now) {
				t.Error("not valid now")
			}
		})
	}
}

func TestVerifyEUICC(t *testing.T) {
	a := must[*Authority](t)
	ci, other := a(NewCI(now)), a(NewCI(now))
	eum := a(NewEUM(ci, now))
	card := a(NewEUICC(eum, testEID, now))
	two := a(NewEUM(ci, now, "12345678", "8904"))
	dp := a(NewDPauth(ci, "2.999.10", now))
	forged := a(NewEUM(other, now))
	forgedCard := a(NewEUICC(forged, testEID, now))
	// A card's certificate from an EUM that may not issue it.
	narrow := a(NewEUM(ci, now, "1111"))
	outside := template(now, 100, RoleEUICC, true)
	outside.Subject = card.Cert.Subject
	outside.KeyUsage = x509.KeyUsageDigitalSignature
	foreign := a(issue(narrow, outside))
	const good = Role(-1)
	cis := []*x509.Certificate{other.Cert, ci.Cert}
	for _, tt := range []struct {
		name      string
		ci        []*x509.Certificate
		eum, card *Authority
		eid       string
		at        time.Time
		role      Role
		want      error  // or
		text      string // part of the error
	}{
		{"good", cis, eum, card, testEID, now, good, nil, ""},
		{"EID not known before", cis, eum, card, "", now, good, nil, ""},
		{"one of several EID prefixes", cis, two, a(NewEUICC(two, testEID, now)), testEID, now, good, nil, ""},
		{"no CI", nil, eum, card, testEID, now, RoleEUM, ErrUnknownCI, ""},
		{"another CI", cis[:1], eum, card, testEID, now, RoleEUM, ErrUnknownCI, ""},
		{"EUM expired", cis, eum, card, testEID, eum.Cert.NotAfter.Add(time.Second), RoleEUM, ErrExpired, ""},
		{"not yet valid", cis, eum, card, testEID, now.AddDate(-1, 0, 0), RoleCI, ErrExpired, ""},
		{"another EID", cis, eum, card, testEID[:31] + "0", now, RoleEUICC, ErrEID, ""},
		{"card of another EUM", cis, eum, forgedCard, testEID, now, RoleEUICC, nil, "authority key"},
		{"EID outside the name constraints", cis, narrow, foreign, testEID, now, RoleEUICC, nil, "not permitted"},
		{"a server's certificate as EUM", cis, dp, card, testEID, now, RoleEUM, nil, "may not sign"},
		{"the EUM's certificate as card", cis, eum, eum, testEID, now, RoleEUICC, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := VerifyEUICC(tt.ci, tt.eum.Cert, tt.card.Cert, tt.eid, tt.at)
			if tt.role == good {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var ce *CertError
			if !errors.As(err, &ce) || ce.Role != tt.role {
				t.Fatalf("got %v, want an error about the %s certificate", err, tt.role)
			}
			if tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %v %s", err, tt.want, tt.text)
			}
		})
	}
	if _, err := NewEUICC(narrow, testEID, now); err == nil {
		t.Error("an EUM signed for an EID outside its constraints")
	}
}

// The TLS certificate must satisfy crypto/tls as it stands, by name and by
// address: an LPA verifies it with nothing special.
func TestTLSHandshake(t *testing.T) {
	a := must[*Authority](t)
	ci := a(NewCI(now))
	srv := a(NewTLS(ci, "2.999.10", []string{"smdpp.lab.test", "::1"}, now))
	roots := x509.NewCertPool()
	roots.AddCert(ci.Cert)
	for host, good := range map[string]bool{"smdpp.lab.test": true, "::1": true, "other.lab.test": false} {
		c, s := net.Pipe()
		done := make(chan error, 1)
		go func() {
			conn := tls.Server(s, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{srv.DER}, PrivateKey: srv.Key}}})
			done <- conn.Handshake()
			s.Close()
		}()
		err := tls.Client(c, &tls.Config{RootCAs: roots, ServerName: host, Time: func() time.Time { return now }}).Handshake()
		c.Close()
		<-done
		if (err == nil) != good {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestSign(t *testing.T) {
	ci := must[*Authority](t)(NewCI(now))
	sig := must[[]byte](t)(ci.Sign([]byte("data")))
	if err := VerifySignature(ci.Cert, []byte("data"), sig); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string][]byte{"other byte": append(sig[:63:63], sig[63]^1), "short": sig[:63], "zero": make([]byte, 64), "none": nil} {
		if VerifySignature(ci.Cert, []byte("data"), bad) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestPEM(t *testing.T) {
	a := must[*Authority](t)
	dir := t.TempDir()
	ci := a(NewCI(now))
	if err := ci.Export(dir, "ci"); err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(dir, "ci.pem"), filepath.Join(dir, "ci.key.pem")
	back := a(LoadCI(cert, key))
	if !back.Key.Equal(ci.Key) || string(back.DER) != string(ci.DER) {
		t.Error("another identity came back")
	}
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file mode %v, %v", info.Mode(), err)
	}
	// A certificate in DER, and a key behind the parameters block that openssl ecparam writes.
	der := filepath.Join(dir, "ci.der")
	data := must[[]byte](t)(os.ReadFile(key))
	params := "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
	for name, content := range map[string][]byte{der: ci.DER, key: append([]byte(params), data...)} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a(LoadCI(der, key))

	dp := a(NewDPauth(ci, "2.999.10", now))
	if err := dp.Export(dir, "dp"); err != nil {
		t.Fatal(err)
	}
	dpCert := filepath.Join(dir, "dp.pem")
	for name, tt := range map[string]struct{ cert, key, want string }{
		"key of another":   {dpCert, key, "is not the key"},
		"no CI":            {dpCert, filepath.Join(dir, "dp.key.pem"), "is no CI"},
		"no key in file":   {cert, cert, "no PEM private key"},
		"no certificate":   {key, key, "no certificate"},
		"file not there":   {filepath.Join(dir, "x"), key, "no such file"},
		"endless key file": {cert, "/dev/zero", "larger than"},
	} {
		if _, err := LoadCI(tt.cert, tt.key); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

func TestRefusedInput(t *testing.T) {
	a := must[*Authority](t)
	ci := a(NewCI(now))
	eum := a(NewEUM(ci, now))
	for name, f := range map[string]func() (*Authority, error){
		"EID of 31 digits":       func() (*Authority, error) { return NewEUICC(eum, testEID[1:], now) },
		"EID with a letter":      func() (*Authority, error) { return NewEUICC(eum, "A"+testEID[1:], now) },
		"EID prefix with letter": func() (*Authority, error) { return NewEUM(ci, now, "89x") },
		"OID":                    func() (*Authority, error) { return NewDPauth(ci, "2,999", now) },
		"no host":                func() (*Authority, error) { return NewTLS(ci, "2.999.10", nil, now) },
		"host with a blank":      func() (*Authority, error) { return NewTLS(ci, "2.999.10", []string{"a b"}, now) },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzNameConstraints gives the hand-written reader of the EUM's constraints
// arbitrary extension values.
func FuzzNameConstraints(f *testing.F) {
	ci, err := NewCI(now)
	if err != nil {
		f.Fatal(err)
	}
	eum, err := NewEUM(ci, now)
	if err != nil {
		f.Fatal(err)
	}
	card, err := NewEUICC(eum, testEID, now)
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range eum.Cert.Extensions {
		if e.Id.Equal(oidNameConstraints) {
			f.Add(e.Value)
		}
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		c := *eum.Cert
		c.Extensions = append(c.Extensions[:0:0], c.Extensions...)
		for i := range c.Extensions {
			if c.Extensions[i].Id.Equal(oidNameConstraints) {
				c.Extensions[i].Value = value
			}
		}
		first := checkNameConstraints(&c, card.Cert.Subject)
		if again := checkNameConstraints(&c, card.Cert.Subject); (first == nil) != (again == nil) {
			t.Error("two answers for one certificate")
		}
	})
}

// FuzzVerify reads arbitrary certificates in a card's chain: no panic, every
// error says whose certificate is at fault, and only the real chain is good.
func FuzzVerify(f *testing.F) {
	must := func(a *Authority, err error) *Authority {
		if err != nil {
			f.Fatal(err)
		}
		return a
	}
	ci := must(NewCI(now))
	eum := must(NewEUM(ci, now))
	card := must(NewEUICC(eum, testEID, now))
	f.Add(eum.DER, card.DER)
	f.Add(ci.DER, ci.DER)
	f.Add(must(NewDPauth(ci, "2.999.10", now)).DER, must(NewDSTLS(ci, "2.999.15", []string{"a.test"}, now)).DER)
	f.Fuzz(func(t *testing.T, eumDER, euiccDER []byte) {
		e, err1 := x509.ParseCertificate(eumDER)
		c, err2 := x509.ParseCertificate(euiccDER)
		if err1 != nil || err2 != nil {
			return
		}
		err := VerifyEUICC([]*x509.Certificate{ci.Cert}, e, c, "", now)
		var ce *CertError
		if err != nil && !errors.As(err, &ce) {
			t.Errorf("an error of another type: %v", err)
		}
		if err == nil && (!e.Equal(eum.Cert) || !c.Equal(card.Cert)) {
			t.Error("another chain is good")
		}
	})
}

// FuzzKey reads private keys: what is accepted is a key on NIST P-256 that signs.
func FuzzKey(f *testing.F) {
	ci, err := NewCI(now)
	if err != nil {
		f.Fatal(err)
	}
	dir := f.TempDir()
	if err := ci.Export(dir, "ci"); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "ci.key.pem"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + string(b)))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := parseKey(b)
		if err != nil {
			return
		}
		if _, err := (&Authority{Key: key}).Sign([]byte("x")); err != nil {
			t.Errorf("it does not sign: %v", err)
		}
	})
}
