package hook

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/hook/access"
	"dynamod/daemon/status"
)

// door is the API over TCP with a caller of each kind.
type door struct {
	addr    string
	cert    tls.Certificate
	daemon  *fakeDaemon
	tokens  map[access.Scope]string
	signer  access.Key
	dir     string
	clients *tls.Config
}

func openDoor(t *testing.T) *door {
	t.Helper()
	d := &door{daemon: &fakeDaemon{}, tokens: map[access.Scope]string{}, dir: t.TempDir()}
	keys := filepath.Join(d.dir, "keys")
	write := os.WriteFile
	for _, scope := range []access.Scope{access.Read, access.Activate, access.Admin} {
		token, k := access.NewToken(scope.String(), scope)
		d.tokens[scope] = token
		if err := access.Add(keys, k, write); err != nil {
			t.Fatal(err)
		}
	}
	d.signer = access.NewSignatureKey("fleet", access.Activate)
	if err := access.Add(keys, d.signer, write); err != nil {
		t.Fatal(err)
	}
	var err error
	if d.cert, err = access.OwnCertificate(d.dir, time.Now().Add(-time.Hour), []string{"127.0.0.1"}, write); err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(d.cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	d.clients = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"}
	d.clients.RootCAs.AddCert(leaf)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.addr = l.Addr().String()
	audit := access.OpenAudit(d.dir)
	s := New(d.daemon, status.New("test", time.Now), slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- s.ServeTLS(ctx, l, access.TLS(d.cert, nil, time.Now), access.Options{
			Keys: access.OpenFile(keys), Audit: audit, Log: slog.New(slog.DiscardHandler), Now: time.Now, Sane: func() bool { return true },
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		audit.Close()
	})
	return d
}

func (d *door) do(t *testing.T, method, path, body string, scope access.Scope) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://"+d.addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+d.tokens[scope])
	r.Header.Set("Content-Type", "application/json")
	c := &http.Client{Transport: checked(t, &http.Transport{TLSClientConfig: d.clients, DisableKeepAlives: true})}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// A key is its caller's, by the name in the keys file; over the unix socket it is this
// box's own.
func TestKeyIsTheCallers(t *testing.T) {
	d := openDoor(t)
	const body = `{"code": "1$smdp.example.com$M"}`
	for _, scope := range []access.Scope{access.Activate, access.Admin} {
		if code, text := d.do(t, "POST", "/v1/activations", body, scope); code != http.StatusAccepted {
			t.Fatalf("%d %s", code, text)
		}
	}
	local, _, _ := serve(t, d.daemon)
	if err := local.Do(t.Context(), "POST", "/v1/activations", nil, ActivationRequest{Code: "1$smdp.example.com$M"}, nil); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{access.Activate.String(), access.Admin.String(), ""} {
		if got := d.daemon.reqs[i].Caller; got != want {
			t.Errorf("request %d is of %q, want %q", i, got, want)
		}
	}
	d.daemon.err = &activation.Fault{Code: "key-reused", Text: "reused", Err: activation.ErrKeyReused}
	if code, text := d.do(t, "POST", "/v1/activations", body, access.Activate); code != http.StatusUnprocessableEntity || !strings.Contains(text, "key-reused") {
		t.Errorf("%d %s", code, text)
	}
}

// Every route has a scope of its own on this list, so that a new one is thought
// about.
func TestScopesOfRoutes(t *testing.T) {
	want := map[access.Scope][]string{
		access.None: {"GET /healthz"},
		access.Read: {"GET /readyz", "GET /v1/activations", "GET /v1/activations/{id}", "GET /v1/apn", "GET /v1/balance", "GET /v1/dynamo/operators", "GET /v1/card", "GET /v1/diag", "GET /v1/events", "GET /v1/log",
			"GET /v1/modem", "GET /v1/modem/ports", "GET /v1/modem/usb-mode", "GET /v1/notifications", "GET /v1/profiles", "GET /v1/openapi.json", "GET /v1/profiles/{iccid}", "GET /v1/status", "GET /metrics"},
		access.Activate: {"POST /v1/activations", "DELETE /v1/activations/{id}", "POST /v1/activations/{id}/answer", "POST /v1/profiles/{iccid}/enable", "POST /v1/notifications/deliver",
			"POST /v1/dynamo/visits", "POST /v1/dynamo/callbacks", "DELETE /v1/dynamo/visits/{transaction}"},
		access.Admin: {"PUT /v1/card/default-smdp", "POST /v1/card/reset", "POST /v1/profiles/{iccid}/disable", "DELETE /v1/profiles/{iccid}", "PUT /v1/profiles/{iccid}/nickname",
			"POST /v1/modem/reset", "POST /v1/modem/usb-mode", "GET /v1/modem/trace", "GET /v1/bundle"},
	}
	scope := map[string]access.Scope{}
	for s, patterns := range want {
		for _, p := range patterns {
			scope[p] = s
		}
	}
	for pattern := range New(&fakeDaemon{}, status.New("test", time.Now), slog.New(slog.DiscardHandler)).routes() {
		s, listed := scope[pattern]
		if !listed || access.Needs(pattern) != s {
			t.Errorf("%s needs %s, is it meant to? (listed: %v)", pattern, access.Needs(pattern), listed)
		}
	}
}

func TestDoor(t *testing.T) {
	d := openDoor(t)
	for _, row := range []struct {
		name, method, path, body string
		scope                    access.Scope
		status                   int
		holds                    string
	}{
		{"status", "GET", "/v1/status", "", access.Read, 200, `"version":"test"`},
		{"activation", "POST", "/v1/activations", `{"code": "LPA:1$smdp.example.com$X"}`, access.Activate, 202, `"id"`},
		{"activation by a reader", "POST", "/v1/activations", `{"code": "LPA:1$smdp.example.com$X"}`, access.Read, 403, `"code":"wrong-scope"`},
		{"no token", "GET", "/v1/status", "", access.None, 401, `"code":"not-known"`},
		{"AT is not offered", "POST", "/v1/modem/at", `{"commands": ["AT"]}`, access.Admin, 404, `"code":"no-route"`},
		{"nor are APDUs", "POST", "/v1/modem/apdu", `{"commands": ["80CA"]}`, access.Admin, 404, `"code":"no-route"`},
		{"no directory", "GET", "/v1", "", access.Admin, 404, `"code":"no-route"`},
		{"a reader's unknown route", "POST", "/v1/nothing", "", access.Read, 404, `"code":"no-route"`},
		{"a reader's unknown method", "PATCH", "/v1/status", "", access.Read, 405, `"code":"no-route"`},
		{"no debug", "GET", "/debug/pprof", "", access.Admin, 404, `"code":"no-route"`},
		{"invalid UTF-8", "POST", "/v1/activations", "{\"code\": \"LPA:1$\xff\xfe$X\"}", access.Activate, 422, `"code":"bad-activation-code"`},
		{"64 KiB and one", "POST", "/v1/activations", `{"code": "` + strings.Repeat("x", 64<<10) + `"}`, access.Activate, 413, `"code":"bad-body"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			code, text := d.do(t, row.method, row.path, row.body, row.scope)
			if code != row.status || !strings.Contains(text, row.holds) {
				t.Errorf("got %d %s, want %d with %s", code, text, row.status, row.holds)
			}
		})
	}
}

// The page's files are for everybody, as often as a browser asks for them; what it
// shows is not.
func TestPageOverTCP(t *testing.T) {
	d := openDoor(t)
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: d.clients, DisableKeepAlives: true}}
	for _, row := range []struct {
		path   string
		times  int
		status int
	}{
		{"/", 20, 200}, {"/page/page.js", 20, 200}, {"/page/none.js", 1, 404},
		{"/favicon.ico", 1, 401}, {"/v1/status", 1, 401}, // nobody is told what there is
	} {
		for range row.times {
			resp, err := c.Get("https://" + d.addr + row.path)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != row.status {
				t.Errorf("GET %s: got %d, want %d", row.path, resp.StatusCode, row.status)
			}
		}
	}
}

// A signer without a clock asks for a nonce first.
func TestNonceOverTCP(t *testing.T) {
	d := openDoor(t)
	c := &http.Client{Transport: checked(t, &http.Transport{TLSClientConfig: d.clients, DisableKeepAlives: true})}
	resp, err := c.Get("https://" + d.addr + "/v1/nonce")
	if err != nil {
		t.Fatal(err)
	}
	var given struct{ Nonce string }
	err = json.NewDecoder(resp.Body).Decode(&given)
	resp.Body.Close()
	if err != nil || given.Nonce == "" {
		t.Fatalf("%d %v", resp.StatusCode, err)
	}
	for i, want := range []int{200, 401} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+d.addr+"/v1/status", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := access.Sign(r, nil, d.signer, given.Nonce, time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want || want == 401 && !strings.Contains(string(text), `"retry":"now"`) { // signed anew
			t.Errorf("time %d: got %d, want %d: %s", i+1, resp.StatusCode, want, text)
		}
	}
}

// The hook's documentation shows how a request is signed with openssl and curl;
// neither knows our code.
func TestSignedByOpenSSL(t *testing.T) {
	for _, tool := range []string{"openssl", "curl", "sh"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s here: nothing signs but our own code", tool)
		}
	}
	d := openDoor(t)
	doc, err := os.ReadFile("../../docs/hook.md")
	if err != nil {
		t.Fatal(err)
	}
	_, script, ok := strings.Cut(string(doc), "```sh signed\n")
	script, _, ok2 := strings.Cut(script, "```")
	if !ok || !ok2 {
		t.Fatal("docs/hook.md has no example of a signed request")
	}
	key := filepath.Join(d.dir, "fleet.key")
	if err := os.WriteFile(key, []byte(d.signer.Value+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(d.dir, "tls.pem")
	script = strings.NewReplacer("router=192.168.8.1:8443", "router="+d.addr, "key=fleet.key", "key="+key, "--cacert tls.pem", "--cacert "+ca).Replace(script)
	for i := range 2 { // each has a nonce of its own
		out, err := exec.CommandContext(t.Context(), "sh", "-euc", script).CombinedOutput()
		if err != nil || !strings.Contains(string(out), `"id":`) {
			t.Errorf("run %d: %v\n%s", i, err, out)
		}
	}
}

// A stream ends soon after its caller was removed.
func TestEventsOfRemovedCaller(t *testing.T) {
	for _, stream := range []string{"/v1/events", "/v1/modem/trace"} {
		t.Run(stream, func(t *testing.T) { testStreamOfRemovedCaller(t, stream) })
	}
}

func testStreamOfRemovedCaller(t *testing.T, stream string) {
	path := filepath.Join(t.TempDir(), "keys")
	token, k := access.NewToken("noc", access.Admin)
	if err := access.Add(path, k, os.WriteFile); err != nil {
		t.Fatal(err)
	}
	audit := access.OpenAudit(t.TempDir())
	defer audit.Close()
	synctest.Test(t, func(t *testing.T) {
		s := New(&fakeDaemon{}, status.New("test", time.Now), slog.New(slog.DiscardHandler))
		guard := access.New(s.remote, access.Options{
			Keys: access.OpenFile(path), Audit: audit, Log: slog.New(slog.DiscardHandler), Now: time.Now, Sane: func() bool { return true }, Refuse: refuse,
			Route: func(r *http.Request) string { _, pattern := s.remote.Handler(r); return pattern },
		})
		r := httptest.NewRequest("GET", "https://127.0.0.1"+stream, nil).WithContext(t.Context())
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		ended := false
		go func() {
			guard.ServeHTTP(w, r)
			ended = true
		}()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if ended {
			t.Fatalf("the stream of a caller ended: %d %s", w.Code, w.Body)
		}
		if err := access.Remove(path, "noc", os.WriteFile); err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if !ended {
			t.Error("the stream goes on")
		}
	})
}

// A panic's value may hold anything: over TCP it is not told.
func TestPanicOverTCP(t *testing.T) {
	d := openDoor(t)
	d.daemon.err = panicking{}
	code, text := d.do(t, "GET", "/v1/profiles", "", access.Read)
	if code != 500 || !strings.Contains(text, `"code":"internal"`) || strings.Contains(text, "SECRET") {
		t.Errorf("%d %s", code, text)
	}
}

type panicking struct{}

func (panicking) Error() string { panic("SECRET") }

// A stranger who announces a body and sends none does not keep his connection,
// long before the server's limit of a minute.
func TestRefusedBodyIsNotAwaited(t *testing.T) {
	d := openDoor(t)
	c, err := tls.Dial("tcp", d.addr, d.clients)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, "POST /v1/activations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n")
	if text, err := io.ReadAll(c); !strings.HasPrefix(string(text), "HTTP/1.1 401 ") || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%.200s, %v", text, err)
	}
}

// What a stranger can do to a router that is open to the network: nothing comes
// through, others are still served, and memory stays where it is.
func TestDoorUnderAttack(t *testing.T) {
	d := openDoor(t)
	dial := func() *tls.Conn {
		t.Helper()
		c, err := tls.Dial("tcp", d.addr, d.clients)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	answer := func(c net.Conn) string {
		c.SetReadDeadline(time.Now().Add(time.Minute))
		line, _ := bufio.NewReader(c).ReadString('\n')
		return strings.TrimSpace(line)
	}
	served := func(after string) {
		t.Helper()
		if code, text := d.do(t, "GET", "/v1/status", "", access.Read); code != 200 {
			t.Errorf("after %s: %d %s", after, code, text)
		}
	}

	c := dial()
	go func() {
		fmt.Fprint(c, "GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\n")
		for range 100 {
			if _, err := fmt.Fprintf(c, "X-Bomb: %s\r\n", strings.Repeat("x", 4000)); err != nil {
				return
			}
		}
	}()
	if got := answer(c); !strings.Contains(got, "431") && got != "" {
		t.Errorf("400 kB of header: %s", got)
	}
	served("a header bomb")

	c = dial()
	go func() {
		fmt.Fprintf(c, "POST /v1/activations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 10000000\r\n\r\n")
		for range 10000 {
			if _, err := c.Write(make([]byte, 1000)); err != nil {
				return
			}
		}
	}()
	if got := answer(c); !strings.Contains(got, "401") {
		t.Errorf("10 MB of a stranger's: %s", got)
	}
	served("a long body")

	for name, request := range map[string]string{
		"two lengths":       "POST /v1/activations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"a header's NUL":    "GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\x00b\r\n\r\n",
		"no host":           "GET /v1/status HTTP/1.1\r\n\r\n",
		"two hosts":         "GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
		"a host in the URL": "GET http://evil.example/v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
		"a proxy's wish":    "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
		"HTTP/1.0":          "GET /v1/status HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n",
		"no host, HTTP/1.0": "GET /v1/status HTTP/1.0\r\n\r\n",
		"a body on demand":  "POST /v1/activations HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 10000\r\n\r\n",
		"a key by name":     "GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\nSignature-Input: sig=();keyid=\"fleet\"\r\nSignature: sig=:AAAA:\r\n\r\n",
		"not HTTP":          "\x16\x03\x01\x00\x00 AT+CPIN?\r\n\r\n",
	} {
		c := dial()
		io.WriteString(c, request)
		if got := answer(c); got != "" && !strings.Contains(got, " 4") {
			t.Errorf("%s: %s", name, got)
		}
	}
	served("odd requests")

	// Who holds connections without saying anything holds no more than his share.
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var closed atomic.Int32
	ended := make(chan struct{})
	const many = 1000
	for range many {
		c, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		go func() {
			if _, err := c.Read(make([]byte, 1)); err != nil && closed.Add(1) == many-32 {
				close(ended)
			}
		}()
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Errorf("%d of %d silent connections were closed", closed.Load(), many)
	}
	other, err := tls.DialWithDialer(&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}, "tcp", d.addr, d.clients)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	fmt.Fprintf(other, "GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n\r\n", d.tokens[access.Read])
	if got := answer(other); !strings.Contains(got, " 200 ") {
		t.Errorf("another address, beside a crowd of silent connections: %q", got)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if len(d.daemon.reqs) > 0 {
		t.Errorf("something came through: %v", d.daemon.reqs)
	}
}
