package hook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/hook/conform"
	"dynamod/daemon/status"
	"dynamod/daemon/task"
	"dynamod/euicc"
)

const testEID = "89049032123451234512345678901235"

// What comes to nothing however often it is sent has no Retry-After.
func TestRetryAfter(t *testing.T) {
	for _, row := range []struct {
		err  error
		code int
		want string
	}{{activation.ErrBusy, http.StatusConflict, "30"}, {activation.ErrKeyReused, http.StatusUnprocessableEntity, ""}} {
		w := httptest.NewRecorder()
		(&Server{}).fail(w, &activation.Fault{Code: "x", Text: "x", Err: row.err})
		if got := w.Header().Get("Retry-After"); w.Code != row.code || got != row.want {
			t.Errorf("%v: %d, Retry-After %q, want %d and %q", row.err, w.Code, got, row.code, row.want)
		}
	}
}

// What the daemon turns down without having asked the card is the client's mistake,
// 422; what the card, the modem or a server says is 502.
func TestStatusOfErrors(t *testing.T) {
	for _, row := range []struct {
		err  error
		want int
	}{
		{&euicc.Error{Stage: euicc.StageNickname, Code: "nickname-too-long", Text: "x"}, http.StatusUnprocessableEntity},
		{&euicc.Error{Stage: euicc.StageSetDefaultSMDP, Code: "bad-address", Text: "x"}, http.StatusUnprocessableEntity},
		{&euicc.Error{Stage: euicc.StageSetDefaultSMDP, Code: "not-kept", Text: "x"}, http.StatusBadGateway},
		{&activation.Fault{Code: "bad-deadline", Text: "x"}, http.StatusUnprocessableEntity},
		{&activation.Fault{Code: "last-profile", Text: "x"}, http.StatusConflict},
	} {
		w := httptest.NewRecorder()
		(&Server{}).fail(w, row.err)
		if w.Code != row.want {
			t.Errorf("%#v: %d, want %d", row.err, w.Code, row.want)
		}
	}
}

// checked holds what c sends and gets against the description of the API.
func checked(t *testing.T, next http.RoundTripper) http.RoundTripper {
	t.Helper()
	return conform.Transport{Next: next, Doc: describedAPI(t), Report: func(err error) { t.Error(err) }}
}

// serve runs a server on a unix socket, as on a router.
func serve(t *testing.T, d Daemon) (*Client, *status.Model, string) {
	t.Helper()
	m := status.New("test", time.Now)
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(path, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- New(d, m, slog.New(slog.DiscardHandler)).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	c := Dial(path)
	c.http.Transport = checked(t, c.http.Transport)
	return c, m, path
}

// A browser to which the socket is forwarded sends requests for any page: see
// access.Local.
func TestSocketAndBrowsers(t *testing.T) {
	d := &fakeDaemon{}
	_, _, path := serve(t, d)
	c := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	for _, row := range []struct {
		method, url, origin string
		status              int
	}{
		{"GET", "http://localhost:8080/", "", 200},
		{"GET", "http://localhost:8080/page/page.js", "", 200},
		{"GET", "http://localhost:8080/v1/status", "", 200},
		{"PUT", "http://localhost:8080/v1/profiles/8900000000000000018/nickname", "http://localhost:8080", 415}, // let in
		{"PUT", "http://localhost:8080/v1/profiles/8900000000000000018/nickname", "http://localhost:3000", 403},
		{"DELETE", "http://localhost:8080/v1/profiles/8900000000000000018?confirm=8900000000000000018", "https://evil.example", 403},
		{"GET", "http://evil.example:8080/v1/status", "", 421},
		{"GET", "http://evil.example:8080/", "", 421},
	} {
		r, err := http.NewRequestWithContext(t.Context(), row.method, row.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if row.origin != "" {
			r.Header.Set("Origin", row.origin)
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != row.status {
			t.Errorf("%s %s of origin %q: got %d, want %d", row.method, row.url, row.origin, resp.StatusCode, row.status)
		}
	}
	if len(d.deleted) > 0 {
		t.Errorf("deleted: %v", d.deleted)
	}
}

func TestRequests(t *testing.T) {
	const iccid = "8900000000000000018"
	for _, tt := range []struct {
		name, method, path string
		body               any
		err                error  // the daemon's
		code               string // of the problem; "" means success
	}{
		{"activate", "POST", "/v1/activations", ActivationRequest{Code: "LPA:1$smdp.example.com$SECRET", Consent: true}, nil, ""},
		{"activate by address", "POST", "/v1/activations", ActivationRequest{SMDP: "smdp.example.com", MatchingID: "SECRET"}, nil, ""},
		{"activate by address alone", "POST", "/v1/activations", ActivationRequest{SMDP: "smdp.example.com"}, nil, ""},
		{"discover", "POST", "/v1/activations", ActivationRequest{Discover: true}, nil, ""},
		{"discover elsewhere", "POST", "/v1/activations", ActivationRequest{Discover: true, SMDS: "smds.example.com"}, nil, ""},
		{"default SM-DP+", "POST", "/v1/activations", ActivationRequest{DefaultSMDP: true}, nil, ""},
		{"code and discovery", "POST", "/v1/activations", ActivationRequest{Code: "LPA:1$a.example$SECRET", Discover: true}, nil, "bad-way"},
		{"address and discovery", "POST", "/v1/activations", ActivationRequest{SMDP: "a.example", Discover: true}, nil, "bad-way"},
		{"two without code", "POST", "/v1/activations", ActivationRequest{DefaultSMDP: true, Discover: true}, nil, "bad-way"},
		{"matching ID and discovery", "POST", "/v1/activations", ActivationRequest{MatchingID: "SECRET", Discover: true}, nil, "bad-activation-code"},
		{"SM-DS alone", "POST", "/v1/activations", ActivationRequest{Code: "LPA:1$a.example$SECRET", SMDS: "a.example"}, nil, "bad-way"},
		{"SM-DS that is no name", "POST", "/v1/activations", ActivationRequest{Discover: true, SMDS: "SECRET x"}, nil, "bad-address"},
		{"surplus fields", "POST", "/v1/activations", ActivationRequest{Code: "LPA:1$a.example$SECRET$$1$x"}, nil, "bad-activation-code"},
		{"surplus fields left out", "POST", "/v1/activations", ActivationRequest{Code: "LPA:1$a.example$SECRET$$1$x", IgnoreSurplus: true}, nil, ""},
		{"card", "GET", "/v1/card", nil, nil, ""},
		{"default address", "PUT", "/v1/card/default-smdp", map[string]string{"address": ""}, nil, ""},
		{"no default address", "PUT", "/v1/card/default-smdp", map[string]string{}, nil, "bad-address"},
		{"reset asks twice", "POST", "/v1/card/reset", ResetRequest{What: []string{"operational"}}, nil, "confirm-reset"},
		{"reset", "POST", "/v1/card/reset", ResetRequest{What: []string{"operational"}, Confirm: testEID, Force: true}, nil, ""},
		{"usb mode", "GET", "/v1/modem/usb-mode", nil, nil, ""},
		{"usb mode asks twice", "POST", "/v1/modem/usb-mode", USBModeRequest{Mode: "ecm"}, nil, "confirm-usb-mode"},
		{"usb mode, set", "POST", "/v1/modem/usb-mode", USBModeRequest{Mode: "ecm", Confirm: true}, nil, ""},
		{"usb mode, both", "POST", "/v1/modem/usb-mode", USBModeRequest{Mode: "ecm", Undo: true, Confirm: true}, nil, "bad-mode"},
		{"usb mode, none", "POST", "/v1/modem/usb-mode", USBModeRequest{Confirm: true}, nil, "bad-mode"},
		{"profile", "GET", "/v1/profiles/" + iccid, nil, nil, ""},
		{"modem", "GET", "/v1/modem", nil, nil, ""},
		{"ports", "GET", "/v1/modem/ports", nil, nil, ""},
		{"AT", "POST", "/v1/modem/at", ATRequest{Commands: []string{"AT+CPIN=SECRET"}}, nil, ""},
		{"AT in another form", "POST", "/v1/modem/at", map[string]string{"command": "AT+CPIN=SECRET"}, nil, "bad-body"},
		{"APDU", "POST", "/v1/modem/apdu", APDURequest{Commands: []string{"80CA006600"}}, nil, ""},
		{"modem reset asks", "POST", "/v1/modem/reset", ModemResetRequest{Kind: ResetSIM}, nil, "confirm-reset"},
		{"modem reset", "POST", "/v1/modem/reset", ModemResetRequest{Kind: ResetSIM, Confirm: true}, nil, ""},
		{"AT while busy", "POST", "/v1/modem/at", ATRequest{}, &activation.Fault{Code: "busy", Text: "the modem is in use", Err: activation.ErrBusy}, "busy"},
		{"bad code", "POST", "/v1/activations", ActivationRequest{Code: "LPB:SECRET"}, nil, "bad-activation-code"},
		{"both forms", "POST", "/v1/activations", ActivationRequest{Code: "LPA:1$a.example$SECRET", SMDP: "a.example"}, nil, "bad-activation-code"},
		{"nothing", "POST", "/v1/activations", ActivationRequest{}, nil, "no-code"},
		{"no default SM-DP+", "POST", "/v1/activations", map[string]bool{"default_smdp": false}, nil, "no-code"},
		{"a code for a field's name", "POST", "/v1/activations", map[string]int{"LPA:1$a.example$SECRET": 1}, nil, "bad-body"},
		{"matching ID with a field", "POST", "/v1/activations", ActivationRequest{SMDP: "a.example", MatchingID: "SECRET$1.2.3"}, nil, "bad-activation-code"},
		{"APN that cannot be one", "POST", "/v1/activations", ActivationRequest{Code: "LPA:1$a.example$SECRET", APN: &activation.APN{APN: "a b"}}, nil, "bad-apn"},
		{"unknown field", "POST", "/v1/activations", map[string]string{"cod": "SECRET"}, nil, "bad-body"},
		{"wrong type", "POST", "/v1/activations", map[string]int{"code": 1}, nil, "bad-body"},
		{"too large", "POST", "/v1/activations", ActivationRequest{Code: strings.Repeat("SECRET", maxBody)}, nil, "bad-body"},
		{"short deadline", "POST", "/v1/activations", ActivationRequest{Code: "LPA:1$a.example$SECRET", DeadlineSeconds: 1}, nil, "bad-deadline"},
		{"apn", "GET", "/v1/apn", nil, nil, ""},
		{"run", "GET", "/v1/activations/RUN1", nil, nil, ""},
		{"no run", "GET", "/v1/activations/RUN2", nil, nil, "no-such-activation"},
		{"cancel too late", "DELETE", "/v1/activations/RUN1", nil, activation.ErrTooLate, "too-late"},
		{"answer nobody asked for", "POST", "/v1/activations/RUN1/answer", AnswerRequest{ConfirmationCode: "SECRET"}, activation.ErrNotWaiting, "not-waiting"},
		{"profiles", "GET", "/v1/profiles", nil, nil, ""},
		{"card error", "GET", "/v1/profiles", nil, &euicc.Error{Stage: "open", Code: "sw-6A82", Text: "no ISD-R", Advice: "not an eUICC"}, "sw-6A82"},
		{"enable", "POST", "/v1/profiles/" + iccid + "/enable", nil, nil, ""},
		{"bad iccid", "POST", "/v1/profiles/12x/enable", nil, nil, "bad-iccid"},
		{"nickname", "PUT", "/v1/profiles/" + iccid + "/nickname", map[string]string{"nickname": "spare"}, nil, ""},
		{"no nickname any more", "PUT", "/v1/profiles/" + iccid + "/nickname", map[string]string{"nickname": ""}, nil, ""},
		{"nickname left out", "PUT", "/v1/profiles/" + iccid + "/nickname", map[string]string{}, nil, "bad-nickname"},
		{"nickname that is null", "PUT", "/v1/profiles/" + iccid + "/nickname", json.RawMessage("null"), nil, "bad-nickname"},
		{"delete asks twice", "DELETE", "/v1/profiles/" + iccid, nil, nil, "confirm-delete"},
		{"delete", "DELETE", "/v1/profiles/" + iccid + "?confirm=" + iccid, nil, nil, ""},
		{"not ready", "GET", "/readyz", nil, nil, "link-down"},
		{"no such route", "GET", "/v1/nothing", nil, nil, "no-route"},
		{"no such method", "PATCH", "/v1/status", nil, nil, "no-route"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &fakeDaemon{err: tt.err}
			c, _, _ := serve(t, d)
			err := c.Do(t.Context(), tt.method, tt.path, nil, tt.body, nil)
			var p *status.Problem
			switch errors.As(err, &p); {
			case err == nil && tt.code == "":
			case p == nil || p.Code != tt.code:
				t.Errorf("error %v (%+v), want code %q", err, p, tt.code)
			case p.Text == "" || p.Advice == "" || p.Retry == "":
				t.Errorf("the problem leaves something out: %+v", p)
			case strings.Contains(p.Text+p.Advice, "SECRET"):
				t.Errorf("the problem shows the code: %+v", p)
			}
		})
	}
}

func TestSubmitCarriesTheKey(t *testing.T) {
	d := &fakeDaemon{}
	c, _, _ := serve(t, d)
	var rec activation.Record
	err := c.Do(t.Context(), "POST", "/v1/activations", http.Header{"Idempotency-Key": {"k1"}}, ActivationRequest{Code: "1$smdp.example.com$M", DeadlineSeconds: 60, Enable: new(bool)}, &rec)
	if err != nil || rec.ID != "RUN1" || d.reqs[0].Key != "k1" || d.reqs[0].Deadline != time.Minute || !d.reqs[0].InstallOnly {
		t.Errorf("%+v %+v %v", rec, d.reqs, err)
	}
}

// A raw hand on modem and card is offered on the unix socket alone; the rest is
// the same everywhere.
func TestLocalRoutes(t *testing.T) {
	s := New(&fakeDaemon{}, status.New("test", time.Now), slog.New(slog.DiscardHandler))
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	socket, err := Listen(filepath.Join(t.TempDir(), "s"), "")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	_, inProcess := InProcess()
	for _, tt := range []struct {
		name  string
		l     net.Listener
		local bool
	}{{"tcp", tcp, false}, {"unix socket", socket, true}, {"in process", inProcess, true}} {
		for path, want := range map[string]bool{"/v1/modem/at": tt.local, "/v1/modem/apdu": tt.local, "/v1/modem/reset": true} {
			w := httptest.NewRecorder()
			r := httptest.NewRequest("POST", path, strings.NewReader(`{"commands": ["AT"]}`))
			r.Header.Set("Content-Type", "application/json")
			s.Handler(tt.l).ServeHTTP(w, r)
			if got := w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed; got != want {
				t.Errorf("%s on %s: %d, offered %v, want %v", path, tt.name, w.Code, got, want)
			}
		}
	}
}

func TestClientTrace(t *testing.T) {
	c, _, _ := serve(t, &fakeDaemon{})
	var got []TraceLine
	err := c.Trace(t.Context(), func(l TraceLine) bool { got = append(got, l); return len(got) < 2 })
	if err != nil || len(got) != 2 || got[0].Line != "AT" || got[1].Seq != 5 {
		t.Errorf("%+v %v", got, err)
	}
}

func TestSocket(t *testing.T) {
	_, _, path := serve(t, &fakeDaemon{})
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o660 {
		t.Errorf("%v %v", fi, err)
	}
	if err := Dial(path+"-none").Do(t.Context(), "GET", "/v1/status", nil, nil, nil); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("no socket: %v", err)
	}
	if _, err := Listen(filepath.Join(t.TempDir(), "s"), "no-such-group"); err == nil {
		t.Error("a group that does not exist")
	}
}

type refused struct{}

func (refused) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)}
}

// TestSocketOfOthers: a user who may not use the socket is told who may.
func TestSocketOfOthers(t *testing.T) {
	c := &Client{&http.Client{Transport: refused{}}}
	err := c.Do(t.Context(), "GET", "/v1/status", nil, nil, nil)
	if f, ok := errors.AsType[*activation.Fault](err); !ok || f.Code != "not-allowed" || strings.Contains(err.Error(), "http:") {
		t.Errorf("%v", err)
	}
}

// TestListenTakesNothing: a file that is not a socket stays, and a socket that
// a daemon answers on stays its own.
func TestListenTakesNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "notes")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file, ""); err == nil {
		t.Error("listens where a file is")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "mine" {
		t.Errorf("the file holds %q, %v", b, err)
	}

	path := filepath.Join(dir, "s")
	l, err := Listen(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, ""); err == nil {
		t.Error("listens where another daemon does")
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as after a kill
	l.Close()
	if l, err = Listen(path, ""); err != nil {
		t.Errorf("a socket that nobody answers on: %v", err)
	} else {
		l.Close()
	}
}

func TestInProcess(t *testing.T) {
	c, l := InProcess()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- New(&fakeDaemon{}, status.New("test", time.Now), slog.New(slog.DiscardHandler)).Serve(ctx, l)
	}()
	var snap status.Snapshot
	if err := c.Do(t.Context(), "GET", "/v1/status", nil, nil, &snap); err != nil || snap.Version != "test" {
		t.Errorf("%+v %v", snap, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := c.Do(t.Context(), "GET", "/v1/status", nil, nil, nil); err == nil {
		t.Error("answered after its end")
	}
}

// A body is one JSON value and nothing behind it.
func TestOneValue(t *testing.T) {
	s := New(&fakeDaemon{}, status.New("test", time.Now), slog.New(slog.DiscardHandler))
	for body, want := range map[string]int{
		`{"discover": true}`: 202, "{\"discover\": true}\n ": 202,
		`{"discover": true} ]`: 400, `{"discover": true} }`: 400, `{"discover": true} {}`: 400, `{"discover": true},`: 400, `{"discover": true} x`: 400, ``: 400,
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/v1/activations", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		if s.remote.ServeHTTP(w, r); w.Code != want {
			t.Errorf("%s: %d, want %d: %s", body, w.Code, want, w.Body)
		}
	}
}

// Who asks a route by a method that it does not have is told those that it has.
func TestAllow(t *testing.T) {
	s := New(&fakeDaemon{}, status.New("test", time.Now), slog.New(slog.DiscardHandler))
	for path, want := range map[string]string{"/v1/status": "GET, HEAD", "/v1/activations": "GET, HEAD, POST"} {
		w := httptest.NewRecorder()
		route(s.remote, w, httptest.NewRequest("PATCH", path, nil))
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != want {
			t.Errorf("%s: %d, Allow %q", path, w.Code, w.Header().Get("Allow"))
		}
	}
}

type slowDaemon struct{ *fakeDaemon }

func (slowDaemon) ResetModem(ctx context.Context, kind string) (ModemReset, error) {
	select {
	case <-ctx.Done():
		return ModemReset{}, ctx.Err()
	case <-time.After(10 * time.Minute):
		return ModemReset{Kind: kind}, nil
	}
}

// The minute for reading a request does not end an answer that takes longer, nor a
// stream: net/http takes it back when the request was read to its end.
func TestLongAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l := InProcess()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		m := status.New("test", time.Now)
		go func() { done <- New(slowDaemon{&fakeDaemon{}}, m, slog.New(slog.DiscardHandler)).Serve(ctx, l) }()
		var got ModemReset
		if err := c.Do(ctx, "POST", "/v1/modem/reset", nil, ModemResetRequest{Kind: ResetSIM, Confirm: true}, &got); err != nil || got.Kind != ResetSIM {
			t.Errorf("%+v, %v", got, err)
		}
		go func() {
			time.Sleep(10 * time.Minute)
			m.Log("late")
		}()
		if err := c.Events(ctx, func(kind string, _ []byte) bool { return kind != "log" }); err != nil {
			t.Errorf("events: %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestContentType(t *testing.T) {
	c, _, _ := serve(t, &fakeDaemon{})
	resp, err := c.http.Post("http://dynamod/v1/activations", "text/plain", strings.NewReader("SECRET"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusUnsupportedMediaType || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %s", resp.Status, b)
	}
}

// A panic while a request is answered is that request's error, and is told.
func TestPanicOfARequest(t *testing.T) {
	var told []task.Panic
	s := New(&fakeDaemon{}, status.New("test", time.Now), slog.New(slog.DiscardHandler))
	s.Panicked = func(p task.Panic) { told = append(told, p) }
	s.daemon = nil // what is asked of it is a panic
	client, l := InProcess()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l) }()
	defer func() { cancel(); <-done }()
	err := client.Do(ctx, http.MethodGet, "/v1/diag", nil, nil, nil)
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Status != http.StatusInternalServerError || e.Code != "internal" || !strings.Contains(e.Error(), "runtime error") {
		t.Errorf("it says %v", err)
	}
	if err := client.Do(ctx, http.MethodGet, "/v1/status", nil, nil, nil); err != nil {
		t.Errorf("the next request: %v", err)
	}
	if len(told) != 1 || told[0].Task != "hook" || len(told[0].Stack) == 0 || !strings.Contains(told[0].Stack[0], "hook.(*Server).diag") {
		t.Errorf("told %+v", told)
	}
}
