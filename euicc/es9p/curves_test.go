package es9p

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// brainpoolCert is CERT_S_SM_DPauth_ECDSA_BRP of SGP.26's test certificates.
const brainpoolCert = "MIICOTCCAeCgAwIBAgICAQAwCgYIKoZIzj0EAwIwRDEQMA4GA1UEAwwHVGVzdCBDSTERMA8GA1UECwwIVEVTVENFUlQxEDAOBgNVBAoMB1JTUFRFU1QxCzAJBgNVBAYTAklUMB4XDTIwMDQwMTA4MzEzMFoXDTMwMDMzMDA4MzEzMFowJTENMAsGA1UECgwEQUNNRTEUMBIGA1UEAwwLVEVTVCBTTS1EUCswWjAUBgcqhkjOPQIBBgkrJAMDAggBAQcDQgAEJV19rwDvhB12+npj1j6z/myfcEktOBkj+Pi9eyTzxa0Wjr47Cd2A8p5//SSk0b50f4Mj5HKSg5bd6eAVHOq6GKOB3zCB3DAfBgNVHSMEGDAWgBTAvHC6NpKdQ7Rn/1dXBTDlerj82DAdBgNVHQ4EFgQUeaS9TXj/RzS8YEXPkZYkSh+4S+swDgYDVR0RBAcwBYgDiDcKMA4GA1UdDwEB/wQEAwIHgDAXBgNVHSABAf8EDTALMAkGB2eBEgECAQQwYQYDVR0fBFowWDAqoCigJoYkaHR0cDovL2NpLnRlc3QuZXhhbXBsZS5jb20vQ1JMLUEuY3JsMCqgKKAmhiRodHRwOi8vY2kudGVzdC5leGFtcGxlLmNvbS9DUkwtQi5jcmwwCgYIKoZIzj0EAwIDRwAwRAIgAweL1FkEUYS8UME5cUH4uQOY5rgXN+xwNAPVyw3A38MCIBo45/yE09sRefuxcZkjHy1jXteoq0BJd0BXsKzfcmBj"

// pointTo gives a client for a server at address.
func pointTo(t *testing.T, address string) *Client {
	t.Helper()
	c, err := NewClient(Config{Roots: newIssuer(t).pool(), Resolve: map[string]string{host: address}, Now: func() time.Time { return now }, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// A chain with a Brainpool certificate in it.
func TestBrainpoolCertificate(t *testing.T) {
	der, err := base64.StdEncoding.DecodeString(brainpoolCert)
	if err != nil {
		t.Fatal(err)
	}
	i := newIssuer(t)
	cert := i.issue(t, host, now.AddDate(0, 0, -1), now.AddDate(1, 0, 0))
	cert.Certificate = append(cert.Certificate, der)
	_, err = initiate(t.Context(), serve(t, i, cert, body(`{}`)))
	if e, ok := errors.AsType[*TLSError](err); !ok || e.Reason != TLSCurves {
		t.Errorf("got %v", err)
	}
}

// A server that refuses our curves, and what it says to Brainpool's.
func TestBrainpoolOffer(t *testing.T) {
	alert := []byte{21, 3, 3, 0, 2, 2, 40} // handshake_failure
	hello := []byte{22, 3, 3, 0, 4, 2, 0, 0, 0}
	for _, tt := range []struct {
		name   string
		answer []byte // to an offer of Brainpool curves
		want   TLSReason
	}{
		{"takes them", hello, TLSCurves},
		{"refuses them, too", alert, TLSHandshake},
		{"goes away", nil, TLSHandshake},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				b := make([]byte, 4096)
				n, err := c.Read(b)
				answer := alert
				if bytes.Contains(b[:n], []byte{0, 10, 0, 8, 0, 6, 0, 26, 0, 27, 0, 28}) {
					answer = tt.answer
				}
				if err == nil {
					_, _ = c.Write(answer)
				}
				c.Close()
			}
		}()
		_, err = initiate(t.Context(), pointTo(t, l.Addr().String()))
		if e, ok := errors.AsType[*TLSError](err); !ok || e.Reason != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// The offer is a ClientHello that other implementations take.
func TestBrainpoolHello(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		_, _ = ours.Write(brainpoolHello(host))
		_, _ = io.Copy(io.Discard, ours)
	}()
	var seen *tls.ClientHelloInfo
	err := tls.Server(theirs, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		seen = h
		return nil, errors.New("seen")
	}}).Handshake()
	if err == nil || seen == nil || seen.ServerName != host || len(seen.SupportedCurves) != 3 || seen.SupportedCurves[0] != 26 || len(seen.CipherSuites) != 4 || len(seen.SignatureSchemes) != 6 {
		t.Errorf("got %+v, %v", seen, err)
	}
}

// A server of somebody else's with nothing but a Brainpool key.
func TestBrainpoolOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl here: ", err)
	}
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	if out, err := exec.CommandContext(t.Context(), openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1",
		"-nodes", "-keyout", key, "-out", cert, "-subj", "/CN="+host, "-days", "2").CombinedOutput(); err != nil {
		t.Skipf("openssl makes no Brainpool key: %v: %s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), openssl, "s_server", "-accept", "127.0.0.1:0", "-key", key, "-cert", cert, "-www", "-named_curve", "brainpoolP256r1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	address := ""
	for lines := bufio.NewScanner(out); address == "" && lines.Scan(); {
		if s, ok := strings.CutPrefix(lines.Text(), "ACCEPT "); ok {
			address = s
		}
	}
	if address == "" {
		t.Skip("openssl s_server does not say where it listens")
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	_, err = initiate(t.Context(), pointTo(t, address))
	if e, ok := errors.AsType[*TLSError](err); !ok || e.Reason != TLSCurves {
		t.Errorf("got %v", err)
	}
}

// Nothing is asked twice of a server that fails in another way.
func TestNoSecondOffer(t *testing.T) {
	connections := make(chan struct{}, 8)
	s := &http.Server{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(countListener{l, connections}) }()
	t.Cleanup(func() { s.Close() })
	_, err = initiate(t.Context(), pointTo(t, l.Addr().String()))
	if e, ok := errors.AsType[*TLSError](err); !ok || e.Reason != TLSHandshake || len(connections) != 1 {
		t.Errorf("%d connections, %v", len(connections), err)
	}
}

type countListener struct {
	net.Listener
	accepted chan<- struct{}
}

func (l countListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted <- struct{}{}
	}
	return c, err
}
