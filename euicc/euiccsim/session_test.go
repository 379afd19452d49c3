package euiccsim

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"math/big"
	"testing"

	"dynamod/euicc/bertlv"
	"dynamod/euicc/sgp26"
)

func TestAuthenticateServer(t *testing.T) {
	l := newLab(t, nil)
	d := l.download(testICCID)
	resp := d.authenticate()
	signed1, _ := resp.Find(0xA0, 0x30)
	sig, _ := resp.Find(0xA0, 0x5F37)
	if err := sgp26.VerifySignature(l.id.Cert, signed1.Raw, sig.Value); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(value(signed1, 0x80), d.tid) || string(value(signed1, 0x83)) != "smdpp.lab.test" || !bytes.Equal(value(signed1, 0x84), bytes.Repeat([]byte{7}, 16)) {
		t.Errorf("euiccSigned1 %x", signed1.Raw)
	}
	if m, ok := signed1.Find(0xA0, 0x80); !ok || string(m.Value) != "MATCHING-ID" {
		t.Error("ctxParams1 is not what the LPA gave")
	}
	if i, ok := signed1.Find(0xBF22); !ok || !bytes.Equal(i.Raw, l.call([]byte{0xBF, 0x22, 0}).Raw) {
		t.Error("euiccInfo2 is missing or differs")
	}
	ok, _ := resp.Find(0xA0)
	parts, err := children(ok)
	if err != nil || len(parts) != 4 || !bytes.Equal(parts[2].Raw, l.id.DER) || !bytes.Equal(parts[3].Raw, l.eum.DER) {
		t.Errorf("certificates: %v", err)
	}
}

// otherCurve makes a server certificate on P-384, signed by the CI.
func otherCurve(t *testing.T, l *lab) *sgp26.Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := *l.auth.Cert
	tmpl.SerialNumber = big.NewInt(7)
	tmpl.SignatureAlgorithm = x509.ECDSAWithSHA256
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, l.ci.Cert, &key.PublicKey, l.ci.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &sgp26.Authority{DER: der, Key: l.auth.Key}
}

func TestAuthenticateServerRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*testing.T, *download)
		want   int64
	}{
		{"invalidCertificate: another CI's", func(t *testing.T, d *download) {
			ci, _ := sgp26.NewCI(testNow)
			d.authCert, _ = sgp26.NewDPauth(ci, "2.999.10", testNow)
		}, 1},
		{"invalidCertificate: signature of the certificate", func(t *testing.T, d *download) {
			d.authCert = &sgp26.Authority{DER: flip(d.authCert.DER), Key: d.authCert.Key}
		}, 1},
		{"invalidSignature", func(t *testing.T, d *download) { d.signature1 = flip }, 2},
		{"invalidSignature: empty", func(t *testing.T, d *download) { d.signature1 = func([]byte) []byte { return nil } }, 2},
		{"unsupportedCurve", func(t *testing.T, d *download) { d.authCert = otherCurve(t, d.lab) }, 3},
		{"invalidOid: DPpb for DPauth", func(t *testing.T, d *download) { d.authCert = d.pb }, 5},
		{"euiccChallengeMismatch", func(t *testing.T, d *download) { d.challenge = flip }, 6},
		{"ciPKUnknown", func(t *testing.T, d *download) { d.pkid = make([]byte, 20) }, 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, nil)
			d := l.download(testICCID)
			tt.change(t, d)
			resp := d.authenticate()
			if c := code(t, resp, 0xA1, 0x02); c != tt.want {
				t.Errorf("code %d, want %d", c, tt.want)
			}
			if tid, _ := resp.Find(0xA1, 0x80); !bytes.Equal(tid.Value, d.tid) {
				t.Errorf("transaction ID %x", tid.Value)
			}
			if d := l.download(testICCID); d.authenticate().Raw == nil || d.sig1 == nil {
				t.Error("the next session fails")
			}
		})
	}
	t.Run("noSessionContext: challenge used twice", func(t *testing.T) {
		l := newLab(t, nil)
		d := l.download(testICCID)
		request := d.authenticateRequest()
		if _, ok := l.on(d.ch, request).Find(0xA0); !ok {
			t.Fatal("first time refused")
		}
		if c := code(t, l.on(d.ch, request), 0xA1, 0x02); c != 4 {
			t.Errorf("code %d, want 4", c)
		}
	})
	t.Run("noSessionContext: after a reset", func(t *testing.T) {
		l := newLab(t, nil)
		d := l.download(testICCID)
		request := d.authenticateRequest()
		l.card.Reset()
		if c := code(t, l.call(request), 0xA1, 0x02); c != 4 {
			t.Errorf("code %d, want 4", c)
		}
	})
}

// A card that verifies servers of two CIs and signs under one: a server of either
// is taken, as long as it asks for a signature under the card's own.
func TestServerOfAnotherCI(t *testing.T) {
	other, err := sgp26.NewCI(testNow)
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, func(c *Config) { c.CI = append(c.CI, other.Cert) })
	own := l.pb
	if l.auth, err = sgp26.NewDPauth(other, "2.999.10", testNow); err != nil {
		t.Fatal(err)
	}
	if l.pb, err = sgp26.NewDPpb(other, "2.999.10", testNow); err != nil {
		t.Fatal(err)
	}
	l.download(testICCID).run()
	if len(l.card.Installed()) != 1 {
		t.Error("nothing is installed")
	}
	d := l.download(otherICCID)
	d.pkid = other.PKID()
	if c := code(t, d.authenticate(), 0xA1, 0x02); c != authUnknownCI {
		t.Errorf("a signature under the other CI: code %d, want ciPKUnknown", c)
	}
	// DPpb has to be of DPauth's CI.
	d = l.download(otherICCID)
	d.pbCert = own
	d.authenticate()
	if c := code(t, d.prepare(), 0xA1, 0x02); c != authInvalidCertificate {
		t.Errorf("DPpb of the other CI: code %d, want invalidCertificate", c)
	}
}

// A card of v2.2 does not know what later devices tell of themselves; it says so
// in its RSP capability (deviceInfoExtensibilitySupport).
func TestDeviceInfoExtensibility(t *testing.T) {
	for version, extensible := range map[string]bool{"2.2": false, "2.5": true} {
		l := newLab(t, func(c *Config) { c.Version = version })
		if bits := namedBits(value(l.call([]byte{0xBF, 0x22, 0}), 0x88)); (bits&0x08 != 0) != extensible {
			t.Errorf("v%s: RSP capability %02X", version, bits)
		}
		d := l.download(testICCID)
		d.capabilities = []byte{0x85, 3, 15, 0, 0, 0x88, 3, 15, 0, 0}
		if _, ok := d.authenticate().Find(0xA0); ok != extensible {
			t.Errorf("v%s: NR in the device's capabilities is taken: %v", version, ok)
		}
		d = l.download(testICCID)
		d.capabilities = []byte{0x85, 3, 15, 0, 0, 0x87, 3, 1, 0, 0}
		if _, ok := d.authenticate().Find(0xA0); !ok {
			t.Errorf("v%s: LTE is not taken", version)
		}
	}
}

func TestPrepareDownload(t *testing.T) {
	l := newLab(t, nil)
	d := l.download(testICCID)
	d.hashCC = bytes.Repeat([]byte{0xCC}, 32)
	d.authenticate()
	resp := d.prepare()
	signed2, _ := resp.Find(0xA0, 0x30)
	if !bytes.Equal(value(signed2, 0x80), d.tid) || !bytes.Equal(value(signed2, 0x04), d.hashCC) || len(d.otpk) != 65 {
		t.Errorf("euiccSigned2 %x", signed2.Raw)
	}
}

func TestPrepareDownloadRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*testing.T, *download)
		want   int64
	}{
		{"invalidCertificate: another SM-DP+'s OID", func(t *testing.T, d *download) {
			d.pbCert, _ = sgp26.NewDPpb(d.ci, "2.999.11", testNow)
		}, 1},
		{"invalidCertificate: another CI's", func(t *testing.T, d *download) {
			ci, _ := sgp26.NewCI(testNow)
			d.pbCert, _ = sgp26.NewDPpb(ci, "2.999.10", testNow)
		}, 1},
		{"invalidCertificate: DPauth for DPpb", func(t *testing.T, d *download) { d.pbCert = d.auth }, 1},
		{"invalidSignature", func(t *testing.T, d *download) { d.signature2 = flip }, 2},
		{"invalidSignature: not over euiccSignature1", func(t *testing.T, d *download) { d.sig1 = flip(d.sig1) }, 2},
		{"unsupportedCurve", func(t *testing.T, d *download) { d.pbCert = otherCurve(t, d.lab) }, 3},
		{"noSessionContext", func(t *testing.T, d *download) { d.card.Reset(); d.ch = d.open() }, 4},
		{"invalidTransactionId", func(t *testing.T, d *download) { d.tid = []byte{0xEE} }, 5},
		{"undefinedError: hash of 5 bytes", func(t *testing.T, d *download) { d.hashCC = make([]byte, 5) }, 127},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, nil)
			d := l.download(testICCID)
			d.authenticate()
			tt.change(t, d)
			if c := code(t, d.prepare(), 0xA1, 0x02); c != tt.want {
				t.Errorf("code %d, want %d", c, tt.want)
			}
		})
	}
}

// TestOneTimeKeyReuse: smdpSigned2.bppEuiccOtpk names the key pair that a
// package is bound to already (SGP.22, 5.7.5).
func TestOneTimeKeyReuse(t *testing.T) {
	for _, tt := range []struct {
		name      string
		behaviour Behaviour
		reset     bool
		same      bool
	}{
		{"re-used", Behaviour{}, false, true},
		{"re-used after a reset", Behaviour{}, true, true},
		{"a card that makes new ones", Behaviour{NewKeyAlways: true}, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, nil)
			l.card.SetBehaviour(tt.behaviour)
			first := l.download(testICCID)
			first.authenticate()
			first.prepare()
			first.ch.Close()
			if tt.reset {
				l.card.Reset()
			}
			second := l.download(testICCID)
			second.reuse = first.otpk
			second.authenticate()
			second.prepare()
			if same := bytes.Equal(first.otpk, second.otpk); same != tt.same {
				t.Errorf("same key: %v, want %v", same, tt.same)
			}
			if pir := second.load(second.bind()); !bytes.Contains(pir.Raw, simaOK) {
				t.Errorf("installation fails: %x", pir.Raw)
			}
		})
	}
	t.Run("an unknown key is not re-used", func(t *testing.T) {
		l := newLab(t, nil)
		d := l.download(testICCID)
		d.reuse = bytes.Repeat([]byte{4}, 65)
		if pir := d.run(); !bytes.Contains(pir.Raw, simaOK) {
			t.Errorf("installation fails: %x", pir.Raw)
		}
	})
}

func TestCancelSession(t *testing.T) {
	l := newLab(t, nil)
	d := l.download(testICCID)
	d.authenticate()
	if c := code(t, l.on(d.ch, cancelRequest([]byte{9}, 1)), 0x81); c != 5 {
		t.Errorf("other transaction: %d, want 5", c)
	}
	resp := l.on(d.ch, cancelRequest(d.tid, 1))
	signed, _ := resp.Find(0xA0, 0x30)
	sig, _ := resp.Find(0xA0, 0x5F37)
	if err := sgp26.VerifySignature(l.id.Cert, signed.Raw, sig.Value); err != nil {
		t.Error(err)
	}
	// EuiccCancelSessionSigned: transactionId, OID 2.999.10 of the SM-DP+, reason postponed.
	if got, want := hex.EncodeToString(signed.Value), "80080102030405060708"+"810388370a"+"820101"; got != want {
		t.Errorf("euiccCancelSessionSigned %s, want %s", got, want)
	}
	if len(l.card.Pending()) != 0 {
		t.Error("a cancelled session left a notification")
	}
}

func TestStrandedSession(t *testing.T) {
	challenge := []byte{0xBF, 0x2E, 0x00}
	l := newLab(t, nil)
	l.card.SetBehaviour(Behaviour{KeepSession: true})
	d := l.download(testICCID)
	d.authenticate()
	if _, err := d.ch.StoreData(t.Context(), challenge); err == nil {
		t.Fatal("a card that keeps its session gave a new challenge")
	}
	l.on(d.ch, cancelRequest(d.tid, 5))
	if _, err := d.ch.StoreData(t.Context(), challenge); err != nil {
		t.Fatal(err)
	}
	l.card.SetBehaviour(Behaviour{})
	d = l.download(testICCID)
	d.authenticate()
	l.on(d.ch, challenge)
	if c := code(t, l.on(d.ch, cancelRequest(d.tid, 5)), 0x81); c != 5 {
		t.Errorf("a dropped session was cancelled: %d", c)
	}
}

func TestMalformedFunctions(t *testing.T) {
	l := newLab(t, nil)
	ch := l.open()
	for _, tt := range []struct{ name, request, sw string }{
		{"no tag", "00", "6A80"},
		{"unknown function", "bf7f00", "6A88"},
		{"cut off", "bf2d05", "6A80"},
		{"two functions", "bf2e00bf2e00", "6A80"},
		{"AuthenticateServer without a body", "bf3800", "6A80"},
		{"PrepareDownload without a body", "bf2100", "6A80"},
		{"CancelSession without a body", "bf4100", "6A80"},
		{"EnableProfile without the flag", "bf3104a0024f00", "6A80"},
		{"GetEID of another tag", "bf3e035c014f", "6A80"},
		{"segment without a session", "bf3600", "6985"},
		{"memory reset without options", "bf3400", "6A80"},
		{"remove without number", "bf3000", "6A80"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := hex.DecodeString(tt.request)
			if err != nil {
				t.Fatal(err)
			}
			_, err = ch.StoreData(t.Context(), b)
			se := asSE(err)
			if se == nil || se.SW.String() != tt.sw {
				t.Errorf("error %v, want %s", err, tt.sw)
			}
		})
	}
	if e := l.on(ch, []byte{0xBF, 0x20, 0x00}); e.Tag != bertlv.Tag(0xBF20) {
		t.Error("card is not usable afterwards")
	}
}
