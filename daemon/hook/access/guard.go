package access

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options are what a Guard is made of.
type Options struct {
	Keys  *File
	Audit *Audit
	Log   *slog.Logger
	// Hosts are the names, without port, by which this router may be called. An
	// address needs no name.
	Hosts []string
	Now   func() time.Time
	Sane  func() bool // whether Now can be believed
	// Route returns the pattern that a request is for, "" for none.
	Route func(*http.Request) string
	// Refuse answers a request that is turned down.
	Refuse func(http.ResponseWriter, Refusal)
}

// Refusal is why a request is turned down.
type Refusal struct {
	Status int // of HTTP
	Code   string
	Text   string
	Advice string
	Wait   time.Duration // until it may come again; 0 where that does not help
}

// Guard lets requests through to the API that someone may make.
type Guard struct {
	Options
	next      http.Handler
	nonces    *nonces
	callers   *limiter // what a caller may ask
	strangers *limiter // how often an address may fail to say who it is
	denials   *denials
}

// New returns a guard of next.
func New(next http.Handler, o Options) *Guard {
	return &Guard{
		Options: o, next: next,
		nonces:    newNonces(o.Now, o.Sane),
		callers:   newLimiter(rate{60, time.Second / 10}),
		strangers: newLimiter(rate{10, 5 * time.Second}),
		denials:   newDenials(o.Audit, o.Log),
	}
}

const noncePattern = "GET /v1/nonce"

// Needs is the scope that a route needs. One that is not named here needs the
// greatest.
func Needs(pattern string) Scope {
	switch pattern {
	case "GET /healthz", noncePattern, "GET /{$}", "GET /page/{file...}": // the page's files are the same for everybody
		return None
	case "POST /v1/activations", "POST /v1/activations/{id}/answer", "DELETE /v1/activations/{id}",
		"POST /v1/dynamo/visits", "POST /v1/dynamo/callbacks", "DELETE /v1/dynamo/visits/{transaction}",
		"POST /v1/profiles/{iccid}/enable", "POST /v1/notifications/deliver":
		return Activate
	case "GET /v1/modem/trace", "GET /v1/bundle":
		return Admin
	}
	if strings.HasPrefix(pattern, "GET /") {
		return Read
	}
	return Admin
}

// ServeHTTP answers one request.
func (g *Guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// What admit needs is not kept on the stack of an answer without an end.
	if admitted, e := g.admit(w, r); admitted != nil && e == nil {
		g.next.ServeHTTP(w, admitted)
	} else if admitted != nil {
		g.record(w, admitted, e)
	}
}

func (g *Guard) record(w http.ResponseWriter, r *http.Request, e *Entry) {
	if err := g.Audit.record(g.next, w, r, *e); err != nil {
		g.Log.Warn("audit log", "error", err)
	}
}

// admit returns the request if it may be made, and what is to be written down of
// it, nil for nothing. Else it has answered it.
func (g *Guard) admit(w http.ResponseWriter, r *http.Request) (*http.Request, *Entry) {
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		from = r.RemoteAddr
	}
	e := Entry{Time: g.Now().UTC(), From: from, What: r.Method + " " + r.URL.Path}
	if f := g.form(r); f != nil {
		g.deny(w, e, *f, nil)
		return nil, nil
	}
	pattern := g.Route(r)
	if r.Method == http.MethodGet && r.URL.Path == "/v1/nonce" {
		pattern = noncePattern // the guard's own
	}
	if pattern != "" {
		e.What = pattern
	}
	caller, sig, err := g.who(w, r)
	e.Caller, e.Way = caller.Name, string(caller.Kind)
	need := Needs(pattern)
	if err != nil && !(errors.Is(err, errStranger) && need == None && pattern != "") {
		g.unknown(w, r, e, err)
		return nil, nil
	}
	if pattern == "" && caller.Scope > None {
		need = Read // who is known is told that there is no such route, which changes nothing
	}
	if caller.Scope < need {
		g.deny(w, e, Refusal{http.StatusForbidden, "wrong-scope", "this needs the scope " + need.String() + ", the caller has " + caller.Scope.String(),
			"`dynamod token add` makes a token with another scope", 0}, nil)
		return nil, nil
	}
	name := caller.Name
	if name == "" {
		name = "from " + hostOf(r.RemoteAddr)
	}
	if wait, ok := g.callers.take(name); !ok {
		g.deny(w, e, Refusal{http.StatusTooManyRequests, "too-many-requests", "more than 10 requests a second", "wait as long as Retry-After says; /v1/events tells what changes", wait}, nil)
		return nil, nil
	}
	// Only now: what is remembered is bounded by the callers' rates.
	if sig != nil {
		if err := g.nonces.use(caller.Name, sig); err != nil {
			g.unknown(w, r, e, err)
			return nil, nil
		}
	}
	if caller.Name != "" {
		keep(r.Context())
		ctx := context.WithValue(r.Context(), callerKey{}, caller.Name)
		r = r.WithContext(context.WithValue(ctx, knownKey{}, func() bool { return g.knows(caller) }))
	}
	if pattern == noncePattern {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		io.WriteString(w, `{"nonce":"`+g.nonces.give()+`","expires_in":60}`+"\n")
		return nil, nil
	}
	// A bundle or a trace is worth as much as a change.
	if pattern == "" || (r.Method == http.MethodGet || r.Method == http.MethodHead) && need < Admin {
		return r, nil
	}
	return r, &e
}

type knownKey struct{}

type callerKey struct{}

// Caller is the name of who has sent a request that was let in, as the keys file has
// it; "" over the unix socket.
func Caller(ctx context.Context) string {
	name, _ := ctx.Value(callerKey{}).(string)
	return name
}

// StillKnown reports whether the caller of a request that was let in is still in
// the keys file as he was. It is for answers without an end; over the unix socket
// it is always true.
func StillKnown(ctx context.Context) bool {
	known, ok := ctx.Value(knownKey{}).(func() bool)
	return !ok || known()
}

func (g *Guard) knows(k Key) bool {
	keys, err := g.Keys.Keys()
	return err == nil && slices.Contains(keys, k)
}

// unknown turns down a request whose sender is not known.
func (g *Guard) unknown(w http.ResponseWriter, r *http.Request, e Entry, err error) {
	// Others behind the same address get in all the while.
	if wait, ok := g.strangers.take(hostOf(r.RemoteAddr)); !ok {
		g.denials.skip()
		g.Refuse(w, Refusal{http.StatusTooManyRequests, "too-many-failures", "this address failed too often to say who it is", "wait as long as Retry-After says, and look after the token", wait})
		return
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="dynamod"`)
	g.deny(w, e, refusalOf(err), err)
}

// form tells what is wrong with how a request is made, whoever sent it.
func (g *Guard) form(r *http.Request) *Refusal {
	if r.URL.Path != path.Clean(r.URL.Path) && r.URL.Path != "/" || strings.ContainsAny(r.URL.EscapedPath(), "%\\") {
		return &Refusal{http.StatusBadRequest, "bad-path", "the path is not in its plain form", "docs/hook.md lists the routes", 0}
	}
	return foreign(r, g.Hosts)
}

var (
	errStranger = errors.New("nobody is named")
	errKeys     = errors.New("the callers cannot be read")
	errBody     = errors.New("the body is too long or broke off")
)

func refusalOf(err error) Refusal {
	advice := "send Authorization: Bearer TOKEN; `dynamod token add` makes one"
	switch {
	case errors.Is(err, errKeys):
		return Refusal{http.StatusInternalServerError, "keys-unreadable", "the callers cannot be read", "the router's log says why", 0}
	case errors.Is(err, errBody):
		return Refusal{http.StatusRequestEntityTooLarge, "bad-body", err.Error(), "a body has at most 64 KiB", 0}
	case errors.Is(err, errReplay), errors.Is(err, errWindow), errors.Is(err, errStarted), errors.Is(err, errClock):
		return Refusal{http.StatusUnauthorized, "stale-signature", err.Error(), "sign each request anew, with a nonce of GET /v1/nonce where a clock is not set or the router has just started", 0}
	case errors.Is(err, errNonceFull):
		return Refusal{http.StatusServiceUnavailable, "too-many-requests", err.Error(), "wait as long as Retry-After says", late}
	case errors.Is(err, errSignature):
		return Refusal{http.StatusUnauthorized, "bad-signature", err.Error(), "docs/hook.md shows how a request is signed", 0}
	}
	// Who guesses learns nothing about what was wrong.
	return Refusal{http.StatusUnauthorized, "not-known", "the caller is not known", advice, 0}
}

// who finds out who sent a request. One that names somebody who is not known is
// an error even where nobody need be named. The nonce of a signature is still to
// be used.
func (g *Guard) who(w http.ResponseWriter, r *http.Request) (Key, *signature, error) {
	input, auth := r.Header.Values("Signature-Input"), r.Header.Values("Authorization")
	certified := r.TLS != nil && len(r.TLS.VerifiedChains) > 0
	if len(input) == 0 && len(auth) == 0 && !certified {
		return Key{}, nil, errStranger
	}
	keys, err := g.Keys.Keys()
	if err != nil {
		return Key{}, nil, fmt.Errorf("%w: %w", errKeys, err)
	}
	var (
		k   *Key
		sig *signature
	)
	switch {
	case len(input) > 0:
		if k, sig, err = signer(w, r, keys, input); err != nil {
			return Key{}, nil, err
		}
	case len(auth) > 0:
		scheme, token, _ := strings.Cut(auth[0], " ")
		if len(auth) > 1 || !strings.EqualFold(scheme, "Bearer") || len(token) > 256 {
			return Key{}, nil, errors.New("not one bearer token")
		}
		k = keys.ofToken(strings.TrimSpace(token))
	default:
		name := r.TLS.PeerCertificates[0].Subject.CommonName
		k = keys.ofKind(Certificate, func(k Key) bool { return k.Value == name })
	}
	if k == nil {
		return Key{}, nil, errors.New("not a caller of the keys file")
	}
	return *k, sig, nil
}

// signer finds who signed a request. It reads the body for its digest, and puts
// it back; of nobody who does not have the key.
func signer(w http.ResponseWriter, r *http.Request, keys Keys, input []string) (*Key, *signature, error) {
	value := r.Header.Values("Signature")
	if len(input) > 1 || len(value) != 1 {
		return nil, nil, errSignature
	}
	s, err := parseSignature(input[0], value[0])
	if err != nil {
		return nil, nil, err
	}
	k := keys.ofKind(Signature, func(k Key) bool { return k.Name == s.keyID })
	key := random(keyBytes) // of a name that is not there: nothing fits, and nothing tells the two apart
	if k != nil {
		if key, err = base64.StdEncoding.DecodeString(k.Value); err != nil {
			return nil, nil, err
		}
	}
	if err := s.verify(r, key); err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, nil, errBody
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if err := s.covers(r, len(body) > 0); err != nil {
		return nil, nil, err
	}
	if len(body) > 0 {
		if err := checkDigest(r, body); err != nil {
			return nil, nil, err
		}
	}
	return k, s, nil
}

// maxBody bounds what is read to check a signature; it is the API's own limit.
const maxBody = 64 << 10

// deny turns a request down, and writes it down.
func (g *Guard) deny(w http.ResponseWriter, e Entry, f Refusal, reason error) {
	g.denials.note(e, f, reason)
	g.Refuse(w, f)
}

// denials writes down what was turned down, as long as there is not too much: a
// flood shall neither wear the flash nor push out what came before. A known caller is
// counted apart, so that strangers do not hide what he does.
type denials struct {
	audit *Audit
	log   *slog.Logger
	rate  *limiter

	mu      sync.Mutex
	skipped int // that were not written down
}

func newDenials(a *Audit, log *slog.Logger) *denials {
	return &denials{audit: a, log: log, rate: newLimiter(rate{20, 30 * time.Second})}
}

// skip counts one that is not to be written down by itself.
func (d *denials) skip() {
	d.mu.Lock()
	d.skipped++
	d.mu.Unlock()
}

func (d *denials) note(e Entry, f Refusal, reason error) {
	e.Status, e.Code = f.Status, f.Code
	d.mu.Lock()
	_, ok := d.rate.take(e.Caller)
	if ok {
		e.Denied, d.skipped = d.skipped, 0
	} else {
		d.skipped++
	}
	d.mu.Unlock()
	if !ok {
		return
	}
	level := slog.LevelInfo
	if errors.Is(reason, errKeys) {
		level = slog.LevelError
	}
	d.log.Log(context.Background(), level, "request turned down", "from", e.From, "what", e.What, "code", e.Code, "reason", reason)
	if err := d.audit.Write(e); err != nil {
		d.log.Warn("audit log", "error", err)
	}
}

// statusWriter remembers the status that a handler answers with.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
