package es9p

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const host = "smdp.example.com"

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// issuer is a CI of its own.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CI"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.AddDate(-50, 0, 0), NotAfter: now.AddDate(50, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{cert, key}
}

func (i *issuer) issue(t *testing.T, name string, from, to time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, i.cert, key.Public(), i.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (i *issuer) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(i.cert)
	return p
}

// serve starts a server with the certificate and returns a client for it.
func serve(t *testing.T, i *issuer, cert tls.Certificate, h http.Handler, change ...func(*Config)) *Client {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	cfg := Config{Roots: i.pool(), Resolve: map[string]string{"SMDP.example.com": s.Listener.Addr().String()}, Now: func() time.Time { return now }}
	for _, f := range change {
		f(&cfg)
	}
	c, err := NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func good(t *testing.T, h http.Handler, change ...func(*Config)) *Client {
	t.Helper()
	i := newIssuer(t)
	return serve(t, i, i.issue(t, host, now.AddDate(0, 0, -1), now.AddDate(1, 0, 0)), h, change...)
}

func body(s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, s)
	})
}

const success = `"header":{"functionExecutionStatus":{"status":"Executed-Success"}}`

func initiate(ctx context.Context, c *Client) (*InitiateAuthenticationResponse, error) {
	return InitiateAuthentication{Challenge: [16]byte{1, 2}, Info1: []byte{0xBF, 0x20, 0}, Address: host}.Execute(ctx, c, host)
}

// SGP.22 6.5.1.1 and 6.5.2: path, headers and field names.
func TestRequests(t *testing.T) {
	type seen struct {
		path, agent, protocol, contentType, host string
		body                                     map[string]string
	}
	var got seen
	c := good(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = seen{r.URL.Path, r.Header.Get("User-Agent"), r.Header.Get("X-Admin-Protocol"), r.Header.Get("Content-Type"), r.Host, nil}
		if err := json.NewDecoder(r.Body).Decode(&got.body); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, `{"transactionId":"0aB1","serverSigned1":"AQ==","serverSignature1":"AQ==","euiccCiPKIdToBeUsed":"AQ==","serverCertificate":"AQ==",
			"profileMetadata":"AQ==","smdpSigned2":"AQ==","smdpSignature2":"AQ==","smdpCertificate":"AQ==","boundProfilePackage":"AQ==",`+success+`}`)
	}))
	ctx := t.Context()
	tests := []struct {
		function string
		do       func() error
		fields   map[string]string
	}{
		{"initiateAuthentication", func() error { _, err := initiate(ctx, c); return err },
			map[string]string{"euiccChallenge": "AQIAAAAAAAAAAAAAAAAAAA==", "euiccInfo1": "vyAA", "smdpAddress": host}},
		{"authenticateClient", func() error { _, err := AuthenticateClient{"0aB1", []byte{1}}.Execute(ctx, c, host); return err },
			map[string]string{"transactionId": "0aB1", "authenticateServerResponse": "AQ=="}},
		{"getBoundProfilePackage", func() error { _, err := download(ctx, c); return err },
			map[string]string{"transactionId": "0aB1", "prepareDownloadResponse": "AQ=="}},
		{"handleNotification", func() error { return HandleNotification{[]byte{1}}.Execute(ctx, c, host) },
			map[string]string{"pendingNotification": "AQ=="}},
		{"cancelSession", func() error { return CancelSession{"0aB1", []byte{1}}.Execute(ctx, c, host) },
			map[string]string{"transactionId": "0aB1", "cancelSessionResponse": "AQ=="}},
	}
	for _, tt := range tests {
		if err := tt.do(); err != nil {
			t.Fatalf("%s: %v", tt.function, err)
		}
		if got.path != "/gsma/rsp2/es9plus/"+tt.function || got.agent != "gsma-rsp-lpad" || got.protocol != "gsma/rsp/v2.2.2" || got.contentType != "application/json" || got.host != host {
			t.Errorf("%s: %+v", tt.function, got)
		}
		if fmt.Sprint(got.body) != fmt.Sprint(tt.fields) {
			t.Errorf("%s: fields %v, want %v", tt.function, got.body, tt.fields)
		}
	}
	if s := c.Stats(); s.Requests != 5 || s.Handshakes != 1 || s.Sent == 0 || s.Received == 0 {
		t.Errorf("stats %+v, want 5 requests on 1 handshake", s)
	}
}

func TestAnswers(t *testing.T) {
	const fields = `"transactionId":"01","serverSigned1":"%s","serverSignature1":"AQ==","euiccCiPKIdToBeUsed":"AQ==","serverCertificate":"AQ=="`
	tests := []struct {
		name, body string
		want       string // of serverSigned1
		err        string
	}{
		{"header last", `{` + fmt.Sprintf(fields, "/+8=") + `,` + success + `}`, "\xff\xef", ""},
		{"header first", `{` + success + `,` + fmt.Sprintf(fields, "/+8=") + `}`, "\xff\xef", ""},
		{"byte order mark", "\xEF\xBB\xBF{" + success + `,` + fmt.Sprintf(fields, "/+8=") + `}`, "\xff\xef", ""},
		{"escaped slash", `{` + success + `,` + fmt.Sprintf(fields, `\/+8=`) + `}`, "\xff\xef", ""},
		{"slash as unicode escape", `{` + success + `,` + fmt.Sprintf(fields, `\u002F+8=`) + `}`, "\xff\xef", ""},
		{"line breaks in base64", `{` + success + `,` + fmt.Sprintf(fields, `/\r\n+ 8=`) + `}`, "\xff\xef", ""},
		{"no padding", `{` + success + `,` + fmt.Sprintf(fields, `/+8`) + `}`, "\xff\xef", ""},
		{"surplus padding (euicc-go bpp@2, bpp@4)", `{` + success + `,` + fmt.Sprintf(fields, `/+8===`) + `}`, "\xff\xef", ""},
		{"warning", `{"header":{"functionExecutionStatus":{"status":"Executed-WithWarning"}},` + fmt.Sprintf(fields, `/+8=`) + `}`, "\xff\xef", ""},
		{"data behind padding", `{` + success + `,` + fmt.Sprintf(fields, `/+8=AA`) + `}`, "", "padding before"},
		{"no base64", `{` + success + `,` + fmt.Sprintf(fields, `!!!!`) + `}`, "", "base64"},
		{"field missing", `{` + success + `,"transactionId":"01","serverSigned1":"AQ==","serverSignature1":"AQ==","serverCertificate":"AQ=="}`, "", "lacks euiccCiPKIdToBeUsed"},
		{"transaction ID is not hexadecimal", `{` + success + `,` + strings.Replace(fmt.Sprintf(fields, "AQ=="), `"01"`, `"xyz"`, 1) + `}`, "", "transaction ID"},
		{"no header", `{` + fmt.Sprintf(fields, `/+8=`) + `}`, "", "functionExecutionStatus"},
		{"cut off", `{` + success + `,` + fmt.Sprintf(fields, `/+8=`)[:60], "", "cut off"},
		{"HTML with 200", `<html>portal</html>`, "", "HTTP 200"},
		{"empty", ``, "", "HTTP 200"},
		{"refused", `{"header":{"functionExecutionStatus":{"status":"Failed","statusCodeData":{"subjectCode":"8.2.6","reasonCode":"3.10","message":"no TOKEN"}}}}`, "", "status code 8.2.6/3.10"},
		{"refused without code", `{"header":{"functionExecutionStatus":{"status":"Expired"}}}`, "", `"Expired" without`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := initiate(t.Context(), good(t, body(tt.body)))
			if tt.err == "" {
				if err != nil {
					t.Fatal(err)
				}
				if string(r.ServerSigned1) != tt.want {
					t.Errorf("got %X", r.ServerSigned1)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
			if err != nil && strings.Contains(err.Error(), "TOKEN") {
				t.Errorf("the server's text is in %v", err)
			}
		})
	}
}

func TestErrorTypes(t *testing.T) {
	page := func(status int, contentType, text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		})
	}
	t.Run("HTML 500", func(t *testing.T) {
		_, err := initiate(t.Context(), good(t, page(500, "text/html; charset=utf-8", "<h1>oops</h1>")))
		if e, ok := errors.AsType[*HTTPError](err); !ok || e.Status != 500 || e.ContentType != "text/html" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("status code with HTTP 400", func(t *testing.T) {
		_, err := initiate(t.Context(), good(t, page(400, "application/json", `{"header":{"functionExecutionStatus":{"status":"Failed","statusCodeData":{"subjectCode":"1.2.1","reasonCode":"2.1"}}}}`)))
		if e, ok := errors.AsType[*StatusError](err); !ok || e.Subject != "1.2.1" || e.Reason != "2.1" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("connection cut in the body", func(t *testing.T) {
		_, err := initiate(t.Context(), good(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"header":`)
		})))
		if e, ok := errors.AsType[*BodyError](err); !ok || !e.Truncated {
			t.Errorf("got %v", err)
		}
	})
	t.Run("too long", func(t *testing.T) {
		_, err := initiate(t.Context(), good(t, body(`{"x":"`+strings.Repeat("A", 5000)+`"}`), func(c *Config) { c.MaxBody = 4096 }))
		if e, ok := errors.AsType[*BodyError](err); !ok || e.Truncated || !strings.Contains(err.Error(), "4096") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("connection closed", func(t *testing.T) {
		_, err := initiate(t.Context(), good(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })))
		if _, ok := errors.AsType[*NetworkError](err); !ok {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nothing listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		l.Close()
		c := good(t, body(""), func(c *Config) { c.Resolve = map[string]string{host: address} })
		_, err = initiate(t.Context(), c)
		if e, ok := errors.AsType[*NetworkError](err); !ok || e.Server != host {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no 204 needed for a notification", func(t *testing.T) {
		for _, h := range []http.Handler{page(204, "text/plain", ""), page(200, "text/plain", "OK"), body(`{` + success + `}`)} {
			if err := (HandleNotification{[]byte{1}}).Execute(t.Context(), good(t, h), host); err != nil {
				t.Error(err)
			}
		}
		if err := (HandleNotification{[]byte{1}}).Execute(t.Context(), good(t, page(404, "text/html", "x")), host); err == nil {
			t.Error("404 counts as delivered")
		}
	})
}

func TestRedirects(t *testing.T) {
	elsewhere := func(status int, to string) *Client {
		return good(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/there") {
				body(`{"header":{"functionExecutionStatus":{"status":"Failed","statusCodeData":{"subjectCode":"1","reasonCode":"2"}}}}`).ServeHTTP(w, r)
				return
			}
			http.Redirect(w, r, to, status)
		}))
	}
	for _, tt := range []struct {
		status int
		to     string
		follow bool
	}{
		{307, "https://other.example.com/there", false},
		{307, "http://" + host + "/there", false},
		{302, "/there", false}, // would turn the POST into a GET
		{307, "/there", true},
		{308, "https://" + host + "/there", true},
	} {
		_, err := initiate(t.Context(), elsewhere(tt.status, tt.to))
		_, followed := errors.AsType[*StatusError](err)
		if followed != tt.follow || !tt.follow && !errors.Is(err, ErrRedirect) {
			t.Errorf("%d to %s: %v", tt.status, tt.to, err)
		}
	}
}

func TestTLS(t *testing.T) {
	i, other := newIssuer(t), newIssuer(t)
	from, to := now.AddDate(0, -1, 0), now.AddDate(0, 1, 0)
	tests := []struct {
		name   string
		cert   tls.Certificate
		now    time.Time
		reason TLSReason
		text   string
	}{
		{"expired", i.issue(t, host, from, to), now.AddDate(0, 2, 0), TLSExpired, "expired on 2026-12-23, and our clock says 2027-01-23"},
		{"not yet valid: a clock that starts in 1970", i.issue(t, host, from, to), time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), TLSNotYetValid, "valid from 2026-10-23, and our clock says 1980-01-01"},
		{"other issuer", other.issue(t, host, from, to), now, TLSUnknownCA, "not trusted"},
		{"other host", i.issue(t, "evil.example.com", from, to), now, TLSWrongHost, "not for smdp.example.com"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, i, tt.cert, body("{}"), func(c *Config) { c.Now = func() time.Time { return tt.now } })
			_, err := initiate(t.Context(), c)
			e, ok := errors.AsType[*TLSError](err)
			if !ok || e.Reason != tt.reason || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("no TLS at all", func(t *testing.T) {
		s := httptest.NewServer(body("{}"))
		t.Cleanup(s.Close)
		c := serve(t, i, tests[0].cert, body("{}"), func(c *Config) { c.Resolve = map[string]string{host: s.Listener.Addr().String()} })
		_, err := initiate(t.Context(), c)
		if e, ok := errors.AsType[*TLSError](err); !ok || e.Reason != TLSHandshake {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nothing in common", func(t *testing.T) {
		s := httptest.NewUnstartedServer(body("{}"))
		s.TLS = &tls.Config{Certificates: []tls.Certificate{tests[0].cert}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		t.Cleanup(s.Close)
		c := serve(t, i, tests[0].cert, body("{}"), func(c *Config) { c.Resolve = map[string]string{host: s.Listener.Addr().String()} })
		_, err := initiate(t.Context(), c)
		if e, ok := errors.AsType[*TLSError](err); !ok || e.Reason != TLSHandshake {
			t.Errorf("got %v", err)
		}
	})
	if _, err := NewClient(Config{}); err == nil {
		t.Error("a client without issuers to trust")
	}
}

func TestContext(t *testing.T) {
	block := make(chan struct{})
	c := good(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-block }))
	t.Cleanup(func() { close(block) }) // before the server's
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := initiate(ctx, c)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestRedirectTable(t *testing.T) {
	table := map[string]string{"a.example.com": "192.0.2.1", "b.example.com:8443": "192.0.2.2:9", "c.example.com": "2001:db8::1", "d.example.com": "[2001:db8::1]:9"}
	for in, want := range map[string]string{
		"a.example.com:443": "192.0.2.1:443", "A.example.com:8443": "192.0.2.1:8443", "b.example.com:443": "b.example.com:443",
		"b.example.com:8443": "192.0.2.2:9", "c.example.com:443": "[2001:db8::1]:443", "d.example.com:443": "[2001:db8::1]:9",
	} {
		if got := redirect(table, in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"header":{"functionExecutionStatus":{"status":"Executed-Success"}},"transactionId":"01","profileMetadata":"AQ=="}`), 200)
	f.Add([]byte(`{"header":{}}`), 400)
	f.Add([]byte(`<html>`), 200)
	f.Fuzz(func(t *testing.T, data []byte, status int) {
		answer := &http.Response{StatusCode: status, Header: http.Header{}}
		var r AuthenticateClientResponse
		if err := decode("f", answer, data, &r); err == nil {
			text, err := r.Metadata.MarshalText()
			if err != nil {
				t.Fatal(err)
			}
			var again Base64
			if err := again.UnmarshalText(text); err != nil || !bytes.Equal(again, r.Metadata) {
				t.Fatalf("base64 does not round-trip: %v", err)
			}
		}
	})
}
