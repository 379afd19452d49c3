package access

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// room is a guarded API with one caller of each kind.
type room struct {
	t       *testing.T
	url     string
	guard   *Guard
	audit   *Audit
	log     *bytes.Buffer
	asked   []string // what came through
	body    string   // of the last
	reader  string   // tokens
	starter string
	admin   string
	signer  Key
	ca      *issuer
}

func newRoom(t *testing.T) *room {
	t.Helper()
	m := &room{t: t, ca: newIssuer(t), log: &bytes.Buffer{}}
	dir := t.TempDir()
	var keys Keys
	for _, c := range []struct {
		token *string
		scope Scope
	}{{&m.reader, Read}, {&m.starter, Activate}, {&m.admin, Admin}} {
		token, k := NewToken(c.scope.String(), c.scope)
		*c.token, keys = token, append(keys, k)
	}
	m.signer = NewSignatureKey("fleet", Activate)
	keys = append(keys, m.signer, Key{"site", Admin, Certificate, "Site 7"})
	path := filepath.Join(dir, "keys")
	if err := os.WriteFile(path, []byte(keys.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for _, pattern := range []string{"GET /healthz", "GET /v1/status", "GET /v1/bundle", "POST /v1/activations", "DELETE /v1/profiles/{iccid}"} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			m.asked, m.body = append(m.asked, r.Pattern), string(b)
			if r.Method != "GET" {
				w.WriteHeader(http.StatusAccepted)
			}
		})
	}
	m.audit = OpenAudit(dir)
	t.Cleanup(func() { m.audit.Close() })
	m.guard = New(mux, Options{
		Keys: OpenFile(path), Audit: m.audit, Log: slog.New(slog.NewJSONHandler(m.log, nil)), Hosts: []string{"router7"},
		Now: time.Now, Sane: func() bool { return true },
		Route: func(r *http.Request) string { _, pattern := mux.Handler(r); return pattern },
		Refuse: func(w http.ResponseWriter, f Refusal) {
			w.Header().Set("Code", f.Code)
			w.WriteHeader(f.Status)
		},
	})
	m.guard.nonces.start = time.Now().Add(-time.Hour) // it did not start just now
	pool := x509.NewCertPool()
	pool.AddCert(m.ca.cert)
	srv := httptest.NewUnstartedServer(m.guard)
	srv.TLS = TLS(m.ca.make(t, "127.0.0.1", time.Now(), time.Hour), pool, time.Now)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	m.url = srv.URL
	return m
}

func (m *room) request(method, path, body string) *http.Request {
	m.t.Helper()
	r, err := http.NewRequest(method, m.url+path, strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	return r
}

// do returns the status and, of a refusal, its code.
func (m *room) do(r *http.Request, certs ...tls.Certificate) (int, string) {
	m.t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(m.ca.cert)
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certs, ServerName: "127.0.0.1"}, DisableKeepAlives: true}}
	resp, err := c.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Code")
}

type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
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

func (i *issuer) make(t *testing.T, name string, from time.Time, life time.Duration) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: from.Add(-time.Minute), NotAfter: from.Add(life), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	if ip := net.ParseIP(name); ip != nil {
		tmpl.IPAddresses = []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, i.cert, key.Public(), i.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestGuard is the table of who gets in and who does not.
func TestGuard(t *testing.T) {
	const order = `{"code": "LPA:1$smdp.example.com$SECRET"}`
	bearer := func(token string) func(*room, *http.Request) {
		return func(_ *room, r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	signed := func(change func(m *room, r *http.Request), at time.Duration) func(*room, *http.Request) {
		return func(m *room, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			if err := Sign(r, body, m.signer, "n1", time.Now().Add(at)); err != nil {
				m.t.Fatal(err)
			}
			if change != nil {
				change(m, r)
			}
		}
	}
	type row struct {
		name, method, path string
		prepare            func(*room, *http.Request)
		status             int
		code               string
	}
	rows := []row{
		{"health needs nobody", "GET", "/healthz", nil, 200, ""},
		{"a nonce needs nobody", "GET", "/v1/nonce", nil, 200, ""},
		{"no token", "GET", "/v1/status", nil, 401, "not-known"},
		{"no token, to change", "POST", "/v1/activations", nil, 401, "not-known"},
		{"no token, no such route", "GET", "/v1/secret", nil, 401, "not-known"},
		{"wrong token", "GET", "/v1/status", bearer("dynamod_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), 401, "not-known"},
		{"wrong token where none is needed", "GET", "/healthz", bearer("x"), 401, "not-known"},
		{"the hash for the token", "GET", "/v1/status", func(m *room, r *http.Request) { bearer(hashed(m.reader))(m, r) }, 401, "not-known"},
		{"two tokens", "GET", "/v1/status", func(m *room, r *http.Request) {
			r.Header.Add("Authorization", "Bearer x")
			r.Header.Add("Authorization", "Bearer "+m.reader)
		}, 401, "not-known"},
		{"basic", "GET", "/v1/status", func(m *room, r *http.Request) { r.SetBasicAuth("admin", m.admin) }, 401, "not-known"},
		{"reader reads", "GET", "/v1/status", func(m *room, r *http.Request) { bearer(m.reader)(m, r) }, 200, ""},
		{"reader begins", "POST", "/v1/activations", func(m *room, r *http.Request) { bearer(m.reader)(m, r) }, 403, "wrong-scope"},
		{"starter begins", "POST", "/v1/activations", func(m *room, r *http.Request) { bearer(m.starter)(m, r) }, 202, ""},
		{"starter deletes", "DELETE", "/v1/profiles/8949", func(m *room, r *http.Request) { bearer(m.starter)(m, r) }, 403, "wrong-scope"},
		{"admin deletes", "DELETE", "/v1/profiles/8949", func(m *room, r *http.Request) { bearer(m.admin)(m, r) }, 202, ""},
		{"the token in the query", "GET", "/v1/status?access_token=x", nil, 401, "not-known"},

		{"signed", "POST", "/v1/activations", signed(nil, 0), 202, ""},
		{"signed, with a query", "POST", "/v1/activations?x=1", signed(nil, 0), 202, ""},
		{"signed late", "POST", "/v1/activations", signed(nil, -6*time.Minute), 401, "stale-signature"},
		{"signed early", "POST", "/v1/activations", signed(nil, 2*time.Minute), 401, "stale-signature"},
		{"signed for another method", "DELETE", "/v1/profiles/8949", signed(func(_ *room, r *http.Request) { r.Method = "POST"; r.URL.Path = "/v1/activations" }, 0), 401, "bad-signature"},
		{"signed, another body", "POST", "/v1/activations", signed(func(_ *room, r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(`{"code": "mine"}`)), 16
		}, 0), 401, "bad-signature"},
		{"signed, another query", "POST", "/v1/activations?a=1", signed(func(_ *room, r *http.Request) { r.URL.RawQuery = "a=2" }, 0), 401, "bad-signature"},
		{"signed, a query added", "POST", "/v1/activations", signed(func(_ *room, r *http.Request) { r.URL.RawQuery = "force=true" }, 0), 401, "bad-signature"},
		{"signed, a key added", "POST", "/v1/activations", signed(func(_ *room, r *http.Request) { r.Header.Set("Idempotency-Key", "x") }, 0), 401, "bad-signature"},
		{"signed for another router", "POST", "/v1/activations", signed(func(_ *room, r *http.Request) { r.Host = "router7" }, 0), 401, "bad-signature"},
		{"signed by nobody", "POST", "/v1/activations", func(m *room, r *http.Request) {
			k := NewSignatureKey("nobody", Admin)
			Sign(r, nil, k, "n", time.Now())
		}, 401, "bad-signature"},
		{"signed with a guess", "GET", "/v1/status", func(m *room, r *http.Request) {
			k := NewSignatureKey(m.signer.Name, Admin)
			Sign(r, nil, k, "n", time.Now())
		}, 401, "bad-signature"},
		{"signed twice", "GET", "/v1/status", func(m *room, r *http.Request) {
			Sign(r, nil, m.signer, "n", time.Now())
			r.Header.Add("Signature-Input", r.Header.Get("Signature-Input"))
		}, 401, "bad-signature"},

		{"a page of another origin", "POST", "/v1/activations", func(m *room, r *http.Request) {
			bearer(m.admin)(m, r)
			r.Header.Set("Origin", "https://evil.example")
		}, 403, "cross-origin"},
		{"a page of another site", "POST", "/v1/activations", func(m *room, r *http.Request) {
			bearer(m.admin)(m, r)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}, 403, "cross-origin"},
		{"a name that was made to point here", "GET", "/v1/status", func(m *room, r *http.Request) {
			bearer(m.admin)(m, r)
			r.Host = "evil.example"
		}, 421, "unknown-host"},
		{"no name at all", "GET", "/v1/status", func(m *room, r *http.Request) { bearer(m.admin)(m, r); r.Host = "." }, 421, "unknown-host"},
		{"our name", "GET", "/v1/status", func(m *room, r *http.Request) { bearer(m.reader)(m, r); r.Host = "Router7:8443" }, 200, ""},
		{"IPv6", "GET", "/v1/status", func(m *room, r *http.Request) { bearer(m.reader)(m, r); r.Host = "[2001:db8::1]:8443" }, 200, ""},

		{"dots in the path", "GET", "/v1/../v1/status", func(m *room, r *http.Request) { bearer(m.admin)(m, r) }, 400, "bad-path"},
		{"two slashes", "GET", "//v1/status", func(m *room, r *http.Request) { bearer(m.admin)(m, r) }, 400, "bad-path"},
		{"an escaped slash", "GET", "/v1%2fstatus", func(m *room, r *http.Request) { bearer(m.admin)(m, r) }, 400, "bad-path"},
		{"a NUL", "DELETE", "/v1/profiles/89%00", func(m *room, r *http.Request) { bearer(m.admin)(m, r) }, 400, "bad-path"},
		{"a line end", "DELETE", "/v1/profiles/89%0d%0aX", func(m *room, r *http.Request) { bearer(m.admin)(m, r) }, 400, "bad-path"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			m := newRoom(t)
			body := ""
			if row.method == "POST" {
				body = order
			}
			r := m.request(row.method, row.path, body)
			if row.prepare != nil {
				row.prepare(m, r)
			}
			status, code := m.do(r)
			if status != row.status || code != row.code {
				t.Errorf("got %d %s, want %d %s", status, code, row.status, row.code)
			}
			if through := len(m.asked) > 0; through != (row.status < 300 && row.path != "/v1/nonce") {
				t.Errorf("came through: %q", m.asked)
			}
			if row.status == 202 && row.method == "POST" && m.body != order {
				t.Errorf("the body became %q", m.body)
			}
			entries, err := m.audit.Entries()
			if err != nil {
				t.Fatal(err)
			}
			if want := row.status != 200; want != (len(entries) == 1) {
				t.Errorf("the audit log has %+v", entries)
			}
			text, _ := json.Marshal(entries)
			for _, where := range []string{string(text), m.log.String()} {
				for _, secret := range []string{"SECRET", m.reader, m.starter, m.admin, m.signer.Value} {
					if strings.Contains(where, secret) {
						t.Errorf("a secret was written down: %s", where)
					}
				}
			}
		})
	}
}

func TestGuardReplay(t *testing.T) {
	m := newRoom(t)
	make := func(nonce string) *http.Request {
		r := m.request("POST", "/v1/activations", "{}")
		if err := Sign(r, []byte("{}"), m.signer, nonce, time.Now()); err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := make("n")
	again := first.Clone(t.Context())
	again.Body = io.NopCloser(strings.NewReader("{}"))
	if status, _ := m.do(first); status != 202 {
		t.Fatal(status)
	}
	if status, code := m.do(again); status != 401 || code != "stale-signature" || len(m.asked) != 1 {
		t.Errorf("replayed: %d %s", status, code)
	}
	// A request whose signature does not fit does not use up the nonce of the one that does.
	forged := make("m")
	forged.Body, forged.ContentLength = io.NopCloser(strings.NewReader("[]")), 2
	if status, _ := m.do(forged); status != 401 {
		t.Error(status)
	}
	if status, code := m.do(make("m")); status != 202 {
		t.Errorf("after a forgery: %d %s", status, code)
	}
}

func TestGuardClientCertificates(t *testing.T) {
	m := newRoom(t)
	strange := newIssuer(t)
	for _, row := range []struct {
		name   string
		cert   tls.Certificate
		status int
	}{
		{"known", m.ca.make(t, "Site 7", time.Now(), time.Hour), 202},
		{"of another name", m.ca.make(t, "Site 8", time.Now(), time.Hour), 401},
		{"expired", m.ca.make(t, "Site 7", time.Now().Add(-2*time.Hour), time.Hour), 0},
		{"not valid yet", m.ca.make(t, "Site 7", time.Now().Add(2*time.Hour), time.Hour), 0},
		{"of another issuer", strange.make(t, "Site 7", time.Now(), time.Hour), 0},
	} {
		status, code := m.do(m.request("DELETE", "/v1/profiles/8949", ""), row.cert)
		// A client sends no certificate whose issuer the server does not name, and is a stranger then.
		if status != row.status && !(row.status == 0 && status == 401) {
			t.Errorf("%s: %d %s, want %d", row.name, status, code, row.status)
		}
	}
	if len(m.asked) != 1 {
		t.Errorf("came through: %q", m.asked)
	}
}

// Somebody without the key makes us read no body, whatever name he gives.
func TestGuardReadsNoStrangersBody(t *testing.T) {
	m := newRoom(t)
	for _, name := range []string{m.signer.Name, "nobody"} {
		body := &countingBody{}
		r := httptest.NewRequest("POST", "https://127.0.0.1/v1/activations", body)
		if err := Sign(r, []byte("{}"), NewSignatureKey(name, Admin), "n", time.Now()); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		m.guard.ServeHTTP(w, r)
		if w.Code != 401 || w.Header().Get("Code") != "bad-signature" || body.reads > 0 {
			t.Errorf("%s: %d %s, body read %d times", name, w.Code, w.Header().Get("Code"), body.reads)
		}
	}
}

type countingBody struct{ reads int }

func (b *countingBody) Read(p []byte) (int, error) { b.reads++; return len(p), nil }

// One caller who signs faster than he may leaves room for the nonces of others.
func TestGuardRatesBeforeNonces(t *testing.T) {
	m := newRoom(t)
	m.guard.callers.rate.every = time.Hour // no refill while this machine is slow
	for i := range 2 * m.guard.callers.burst {
		r := httptest.NewRequest("GET", "https://127.0.0.1/v1/status", nil)
		if err := Sign(r, nil, m.signer, fmt.Sprint(i), time.Now()); err != nil {
			t.Fatal(err)
		}
		m.guard.ServeHTTP(httptest.NewRecorder(), r)
	}
	if n := len(m.guard.nonces.seen); n != m.guard.callers.burst {
		t.Errorf("%d nonces are remembered", n)
	}
}

// Strangers cannot keep what a caller is refused out of the log, nor fill the
// daemon's own.
func TestGuardFlood(t *testing.T) {
	m := newRoom(t)
	for i := range 300 {
		r := httptest.NewRequest("GET", "https://127.0.0.1/v1/status", nil)
		r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1", i%256)
		m.guard.ServeHTTP(httptest.NewRecorder(), r)
	}
	r := httptest.NewRequest("POST", "https://127.0.0.1/v1/activations", nil)
	r.Header.Set("Authorization", "Bearer "+m.reader)
	m.guard.ServeHTTP(httptest.NewRecorder(), r)
	entries, err := m.audit.Entries()
	if err != nil || len(entries) == 0 || len(entries) > 30 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	if last := entries[len(entries)-1]; last.Caller != "read" || last.Code != "wrong-scope" || last.Denied < 200 {
		t.Errorf("the last is %+v", last)
	}
	if n := strings.Count(m.log.String(), "\n"); n > 30 {
		t.Errorf("%d lines of log", n)
	}
}

// The log has the address itself, the limits are for its network.
func TestGuardAddresses(t *testing.T) {
	m := newRoom(t)
	for i := range 20 {
		r := httptest.NewRequest("GET", "https://127.0.0.1/v1/status", nil)
		r.RemoteAddr = fmt.Sprintf("[2001:db8::%x]:1", i+1)
		w := httptest.NewRecorder()
		m.guard.ServeHTTP(w, r)
		if want := i >= m.guard.strangers.burst; (w.Code == 429) != want {
			t.Errorf("address %d: %d", i+1, w.Code)
		}
	}
	entries, err := m.audit.Entries()
	if err != nil || len(entries) < 2 || entries[1].From != "2001:db8::2" {
		t.Errorf("%+v, %v", entries, err)
	}
}

// Who guesses is slowed down, who knows is not.
func TestGuardRates(t *testing.T) {
	m := newRoom(t)
	codes := map[string]int{}
	for i := range 40 {
		r := m.request("GET", "/v1/status", "")
		r.Header.Set("Authorization", fmt.Sprint("Bearer guess", i))
		_, code := m.do(r)
		codes[code]++
	}
	if codes["not-known"] > 12 || codes["too-many-failures"] < 28 {
		t.Errorf("guesses: %v", codes)
	}
	r := m.request("GET", "/v1/status", "")
	r.Header.Set("Authorization", "Bearer "+m.reader)
	if status, code := m.do(r); status != 200 {
		t.Errorf("a caller behind the same address: %d %s", status, code)
	}
	if entries, _ := m.audit.Entries(); len(entries) > 12 {
		t.Errorf("the audit log has %d entries of guesses", len(entries))
	}
	w := httptest.NewRecorder()
	m.guard.callers.rate.every = time.Hour // no refill while this machine is slow
	m.guard.callers.free = map[string]time.Duration{}
	for range m.guard.callers.burst + 1 {
		r := httptest.NewRequest("GET", "https://127.0.0.1/v1/status", nil)
		r.Header.Set("Authorization", "Bearer "+m.reader)
		w = httptest.NewRecorder()
		m.guard.ServeHTTP(w, r)
	}
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Code") != "too-many-requests" {
		t.Errorf("after its burst: %d", w.Code)
	}
}

// What only an admin may read is written down as a change is.
func TestGuardWritesDownReads(t *testing.T) {
	m := newRoom(t)
	for _, path := range []string{"/v1/status", "/v1/bundle"} {
		r := m.request("GET", path, "")
		r.Header.Set("Authorization", "Bearer "+m.admin)
		if status, code := m.do(r); status != 200 {
			t.Fatalf("%s: %d %s", path, status, code)
		}
	}
	entries, err := m.audit.Entries()
	if err != nil || len(entries) != 1 || entries[0].What != "GET /v1/bundle" || entries[0].Caller != "admin" || entries[0].Status != 200 {
		t.Errorf("the audit log has %+v, %v", entries, err)
	}
}

func TestGuardKeysUnreadable(t *testing.T) {
	m := newRoom(t)
	m.guard.Keys = OpenFile(t.TempDir())
	r := m.request("GET", "/v1/status", "")
	r.Header.Set("Authorization", "Bearer "+m.admin)
	if status, code := m.do(r); status != 500 || code != "keys-unreadable" || len(m.asked) > 0 {
		t.Errorf("%d %s", status, code)
	}
}
