package lpa

import (
	"encoding/base64"
	"testing"
	"time"

	"dynamod/euicc"
	"dynamod/euicc/es9p"
	"dynamod/euicc/sgp26"
	"dynamod/euicc/smdpsim"
)

// brainpoolDPauth is CERT_S_SM_DPauth_ECDSA_BRP of SGP.26's test certificates,
// which crypto/x509 does not read (openssl x509 -text shows the values below).
const brainpoolDPauth = "MIICOTCCAeCgAwIBAgICAQAwCgYIKoZIzj0EAwIwRDEQMA4GA1UEAwwHVGVzdCBDSTERMA8GA1UECwwIVEVTVENFUlQxEDAOBgNVBAoMB1JTUFRFU1QxCzAJBgNVBAYTAklUMB4XDTIwMDQwMTA4MzEzMFoXDTMwMDMzMDA4MzEzMFowJTENMAsGA1UECgwEQUNNRTEUMBIGA1UEAwwLVEVTVCBTTS1EUCswWjAUBgcqhkjOPQIBBgkrJAMDAggBAQcDQgAEJV19rwDvhB12+npj1j6z/myfcEktOBkj+Pi9eyTzxa0Wjr47Cd2A8p5//SSk0b50f4Mj5HKSg5bd6eAVHOq6GKOB3zCB3DAfBgNVHSMEGDAWgBTAvHC6NpKdQ7Rn/1dXBTDlerj82DAdBgNVHQ4EFgQUeaS9TXj/RzS8YEXPkZYkSh+4S+swDgYDVR0RBAcwBYgDiDcKMA4GA1UdDwEB/wQEAwIHgDAXBgNVHSABAf8EDTALMAkGB2eBEgECAQQwYQYDVR0fBFowWDAqoCigJoYkaHR0cDovL2NpLnRlc3QuZXhhbXBsZS5jb20vQ1JMLUEuY3JsMCqgKKAmhiRodHRwOi8vY2kudGVzdC5leGFtcGxlLmNvbS9DUkwtQi5jcmwwCgYIKoZIzj0EAwIDRwAwRAIgAweL1FkEUYS8UME5cUH4uQOY5rgXN+xwNAPVyw3A38MCIBo45/yE09sRefuxcZkjHy1jXteoq0BJd0BXsKzfcmBj"

func TestParseCertificate(t *testing.T) {
	der, err := base64.StdEncoding.DecodeString(brainpoolDPauth)
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if c.oid != "2.999.10" || !c.has(roleDPAuth) || c.has(roleDPPB) || c.has(roleDSAuth) ||
		!c.notBefore.Equal(time.Date(2020, 4, 1, 8, 31, 30, 0, time.UTC)) || !c.notAfter.Equal(time.Date(2030, 3, 30, 8, 31, 30, 0, time.UTC)) {
		t.Errorf("got %+v", c)
	}
	// Issuers have certificates beyond 2050, in GeneralizedTime.
	ci, err := sgp26.NewCI(testNow)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = parseCertificate(ci.Cert.Raw); err != nil || !c.notAfter.Equal(ci.Cert.NotAfter) || !c.notBefore.Equal(ci.Cert.NotBefore) {
		t.Errorf("issuer: %v to %v, want %v; %v", c.notBefore, c.notAfter, ci.Cert.NotAfter, err)
	}
	for n := range der {
		if _, err := parseCertificate(der[:n]); err == nil {
			t.Fatalf("%d bytes of it are accepted", n)
		}
	}
}

func FuzzParseCertificate(f *testing.F) {
	der, err := base64.StdEncoding.DecodeString(brainpoolDPauth)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseCertificate(b)
		if err == nil && c.notAfter.IsZero() {
			t.Fatal("no end of validity")
		}
	})
}

// The card has no clock, so that it takes an expired certificate; we do not. The
// order is not spent.
func TestServerCertificateDates(t *testing.T) {
	for _, tt := range []struct {
		fault smdpsim.FaultKind
		stage euicc.Stage
	}{
		{smdpsim.FaultDPauthExpired, euicc.StageInitiateAuthentication},
		{smdpsim.FaultDPpbExpired, euicc.StageAuthenticateClient},
	} {
		l := newLab(t)
		code := l.order(smdpsim.Order{})
		if err := l.server.SetFault(smdpsim.Fault{Kind: tt.fault}); err != nil {
			t.Fatal(err)
		}
		_, err := l.open().Authenticate(t.Context(), code)
		if euicc.CodeOf(err) != "server-expired" || euicc.RetryOf(err) != euicc.RetryAsk {
			t.Errorf("%s: %v", tt.fault, err)
		}
		// The card has a session after AuthenticateServer alone; the order lives on.
		if st := l.status(); st.Canceled != (tt.stage == euicc.StageAuthenticateClient) || st.Canceled && st.CancelReason != int(euicc.CancelPostponed) {
			t.Errorf("%s: order %+v", tt.fault, st)
		}
	}
	// A clock that is behind is named, not the certificate alone.
	l := newLab(t)
	c := &Card{cfg: Config{HTTP: es9p.Config{Now: func() time.Time { return time.Unix(0, 0) }}}}
	x, err := parseCertificate(l.ci.Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.checkValidity(euicc.StageInitiateAuthentication, "CERT.DPauth", x); euicc.CodeOf(err) != "server-not-yet-valid" {
		t.Errorf("clock of 1970: %v", err)
	}
}
