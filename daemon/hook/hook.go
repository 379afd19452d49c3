// Package hook is the daemon's HTTP API, /v1, on a unix socket. The command
// line, the terminal interface and remote systems all come in here, so they
// all see the same truth and submit the same request.
//
// Errors are application/problem+json (RFC 9457) with the stable machine code,
// the advice and the retry class of the failure as extension members.
package hook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/diag"
	"dynamod/daemon/hook/access"
	"dynamod/daemon/hook/page"
	"dynamod/daemon/status"
	"dynamod/daemon/task"
	"dynamod/euicc"
)

// Limits of a request.
const (
	maxBody   = 64 << 10
	maxHeader = 16 << 10
)

// Daemon is what the hook opens a door to.
type Daemon interface {
	Submit(activation.Request) (activation.Record, error)
	Runs() []activation.Record
	Get(id string) (activation.Record, error)
	Answer(id string, a activation.Answer) error
	Cancel(id string) error

	Card(ctx context.Context) (Card, error)
	SetDefaultSMDP(ctx context.Context, address string) error
	ResetCard(ctx context.Context, eid euicc.EID, what []string, force bool) error
	Profiles(ctx context.Context) ([]status.Profile, error)
	Profile(ctx context.Context, iccid string) (Profile, error)
	EnableProfile(ctx context.Context, iccid string, o EnableOptions) error
	DisableProfile(ctx context.Context, iccid string, force bool) error
	DeleteProfile(ctx context.Context, iccid string, force bool) error
	NicknameProfile(ctx context.Context, iccid, name string) error
	Notifications(ctx context.Context) ([]Notification, error)
	DeliverNotifications(ctx context.Context) error
	Diagnose(ctx context.Context) (diag.Diagnosis, error)
	Bundle(ctx context.Context, w io.Writer) error
	USBMode(ctx context.Context) (USBMode, error)
	SetUSBMode(ctx context.Context, r USBModeRequest) (USBMode, error)
	ExplainAPN(ctx context.Context) (APN, error)
	Balance(ctx context.Context) (status.Balance, error)
	Operators(ctx context.Context, msisdn string) (Operators, error)
	BeginVisit(ctx context.Context, r VisitRequest) (PortalVisit, error)
	TakeCallback(ctx context.Context, r CallbackRequest) (CallbackAnswer, error)
	CancelVisit(transaction string) (there bool, err error)
	Log() ([]LogRecord, error)
	Bench
}

// Notification is one report that waits on the card or in the outbox.
type Notification struct {
	Seq       int64     `json:"seq"`
	Operation string    `json:"operation"`
	ICCID     string    `json:"iccid,omitempty"`
	Address   string    `json:"address"`
	OnCard    bool      `json:"on_card"`
	Stored    bool      `json:"stored"` // a copy is in the outbox
	Delivered bool      `json:"delivered,omitempty"`
	Tries     int       `json:"tries,omitempty"`
	Next      time.Time `json:"next,omitzero"`
	Error     string    `json:"error,omitempty"`
}

// LogRecord is one record of the journal.
type LogRecord struct {
	Seq  uint64          `json:"seq"`
	Time time.Time       `json:"time"`
	Kind string          `json:"kind"`
	Data json.RawMessage `json:"data,omitempty"`
}

// Server serves the API.
type Server struct {
	daemon Daemon
	model  *status.Model
	log    *slog.Logger
	local  *http.ServeMux // on a unix socket
	remote *http.ServeMux // on everything else

	// Panicked is told of a panic while a request was answered; nil is fine.
	// It is set before Serve.
	Panicked func(task.Panic)
	// Audit is where changes are written down, with the time by Now; nil is
	// fine. Both are set before Serve.
	Audit *access.Audit
	Now   func() time.Time
	// Hosts are further names by which a browser may call the unix socket. It is
	// set before Serve.
	Hosts []string
	// Callbacks tell the ends of runs to whom their requests named; nil takes no
	// such request. It is set before Serve.
	Callbacks Callbacks
}

// Callbacks tell receivers on the web how runs have ended.
type Callbacks interface {
	Check(url string) error // what is wrong with a receiver
	Keep(run, url string) error
}

// New returns a server for d.
func New(d Daemon, m *status.Model, log *slog.Logger) *Server {
	s := &Server{daemon: d, model: m, log: log, local: http.NewServeMux(), remote: http.NewServeMux()}
	for pattern, h := range s.routes() {
		s.local.HandleFunc(pattern, h)
		s.remote.HandleFunc(pattern, h)
	}
	for pattern, h := range s.localRoutes() {
		s.local.HandleFunc(pattern, h)
	}
	for _, pattern := range page.Routes() {
		s.local.HandleFunc(pattern, page.Handler)
		s.remote.HandleFunc(pattern, page.Handler)
	}
	return s
}

// localRoutes give a raw hand on the modem or the card. They are not there on
// any listener but a unix socket.
func (s *Server) localRoutes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"POST /v1/modem/at":   s.at,
		"POST /v1/modem/apdu": s.apdu,
	}
}

func (s *Server) routes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"POST /v1/activations":             s.submit,
		"GET /v1/activations":              s.activations,
		"GET /v1/activations/{id}":         s.activation,
		"DELETE /v1/activations/{id}":      s.cancel,
		"POST /v1/activations/{id}/answer": s.answer,
		"GET /v1/modem/usb-mode":           s.usbMode,
		"POST /v1/modem/usb-mode":          s.setUSBMode,
		"GET /v1/status":                   s.status,
		"GET /v1/events":                   s.events,
		"GET /v1/card":                     s.card,
		"PUT /v1/card/default-smdp":        s.defaultSMDP,
		"POST /v1/card/reset":              s.resetCard,
		"GET /v1/profiles":                 s.profiles,
		"GET /v1/profiles/{iccid}":         s.profile,
		"POST /v1/profiles/{iccid}/enable": s.changeProfile(func(r *http.Request, iccid string, _ bool) error {
			q := r.URL.Query()
			return s.daemon.EnableProfile(r.Context(), iccid, EnableOptions{NoWayBack: q.Get("no_way_back") == "true", AcceptLimited: q.Get("accept_limited") == "true"})
		}),
		"POST /v1/profiles/{iccid}/disable": s.changeProfile(func(r *http.Request, iccid string, force bool) error {
			return s.daemon.DisableProfile(r.Context(), iccid, force)
		}),
		"DELETE /v1/profiles/{iccid}":            s.deleteProfile,
		"PUT /v1/profiles/{iccid}/nickname":      s.nickname,
		"GET /v1/notifications":                  s.notifications,
		"POST /v1/notifications/deliver":         s.deliver,
		"GET /v1/diag":                           s.diag,
		"GET /v1/bundle":                         s.bundle,
		"GET /v1/apn":                            s.apn,
		"GET /v1/balance":                        s.balance,
		"GET /v1/dynamo/operators":               s.operators,
		"POST /v1/dynamo/visits":                 s.beginVisit,
		"POST /v1/dynamo/callbacks":              s.takeCallback,
		"DELETE /v1/dynamo/visits/{transaction}": s.cancelVisit,
		"GET /v1/log":                            s.journal,
		"GET /v1/modem":                          s.modem,
		"GET /v1/modem/ports":                    s.modemPorts,
		"POST /v1/modem/reset":                   s.resetModem,
		"GET /v1/modem/trace":                    s.trace,
		"GET /v1/openapi.json":                   s.openAPI,
		"GET /metrics":                           s.metrics,
		"GET /healthz":                           func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") },
		"GET /readyz":                            s.ready,
	}
}

// Handler answers the requests that come in on l. A panic is its request's alone.
func (s *Server) Handler(l net.Listener) http.Handler {
	mux := s.remote
	if l.Addr().Network() == "unix" {
		mux = s.local
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := task.Contain("hook", func() { route(mux, w, r) })
		if p == nil {
			return
		}
		if s.Panicked != nil {
			s.Panicked(*p)
		}
		text := "a mistake in the program"
		if mux == s.local { // the value may hold anything
			text += ": " + p.Value
		}
		writeProblem(w, http.StatusInternalServerError, &status.Problem{Code: "internal", Text: text, Advice: "`dynamod log` has where", Retry: string(euicc.RetryNever)})
	})
}

func route(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	h, pattern := mux.Handler(r)
	if pattern == "" {
		code := http.StatusNotFound
		probe := httpStatus{ResponseWriter: discard{http.Header{}}}
		h.ServeHTTP(&probe, r)
		if probe.code == http.StatusMethodNotAllowed {
			code = probe.code
			w.Header().Set("Allow", probe.Header().Get("Allow"))
		}
		writeProblem(w, code, &status.Problem{Code: "no-route", Text: fmt.Sprintf("%s %s is not part of this API", r.Method, r.URL.Path), Advice: "docs/hook.md lists the routes"})
		return
	}
	mux.ServeHTTP(w, r)
}

// Listen opens the unix socket, readable and writable by its group.
func Listen(path, group string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("hook: %w", err)
	}
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("hook: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("hook: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, fmt.Errorf("hook: %w", err)
	}
	if group != "" {
		if err := chgrp(path, group); err != nil {
			l.Close()
			return nil, fmt.Errorf("hook: group %q of the socket: %w", group, err)
		}
	}
	return l, nil
}

// removeStale removes the socket that a killed daemon has left. The caller's
// lock is about the state directory: another daemon, with a state of its own,
// may answer here, and a path that was mistyped may be anybody's file.
func removeStale(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s is there already and no socket; name another path in [hook] socket", path)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return fmt.Errorf("another daemon answers on %s; name another path in [hook] socket, or run this one with `dynamod run --instance`", path)
	}
	return os.Remove(path)
}

func chgrp(path, group string) error {
	gid, err := strconv.Atoi(group)
	if err != nil {
		g, err := user.LookupGroup(group)
		if err != nil {
			return err
		}
		if gid, err = strconv.Atoi(g.Gid); err != nil {
			return err
		}
	}
	return os.Chown(path, -1, gid)
}

// Serve answers requests on l until ctx ends. Event streams end with it.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	h := s.Handler(l)
	if s.Audit != nil {
		h = access.Record(h, s.Audit, s.Now, s.log)
	}
	return s.serve(ctx, access.LimitLocal(l), access.Local(h, s.Hosts, refuse, s.Audit, s.Now, s.log))
}

func (s *Server) serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler:           h,
		ConnContext:       access.WithPeer,
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		grace, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer done()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	}()
	err := srv.Serve(l)
	if errors.Is(err, http.ErrServerClosed) && ctx.Err() != nil {
		<-stopped
		return nil
	}
	return fmt.Errorf("hook: %w", err)
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// httpStatus remembers the status code that a handler answers with.
type httpStatus struct {
	http.ResponseWriter
	code int
}

func (w *httpStatus) WriteHeader(code int) { w.code = code }
