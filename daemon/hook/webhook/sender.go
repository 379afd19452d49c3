package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/status"
	"dynamod/daemon/task"
)

// Limits of one try.
const (
	tryTime   = 20 * time.Second
	atOnce    = 4 // receivers that are tried at the same time, each with one message
	maxAnswer = 4 << 10
	maxURL    = 512
	clockWait = time.Minute // until the clock is looked at again
	wayWait   = time.Minute // until a way to the internet is
)

// Settings are of the configuration, and may change from one message to the next.
type Settings struct {
	URL         string         // where each run is told; "" for nowhere
	Secret      []byte         // nil: nothing can be signed, and nothing is sent
	Issuers     *x509.CertPool // of receivers' certificates, nil for the system's
	AllowHTTP   bool           // http:// beside https://
	AllowInside bool           // addresses that Public has an error for
}

// Options are what a Sender is made of.
type Options struct {
	Settings func() (Settings, error)
	Runs     func() []activation.Record
	Status   *status.Model
	// Dial connects, and refuses addresses that a receiver may not have.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Public has an error for an address of this machine or of a private network.
	Public  func(netip.Addr) error
	Now     func() time.Time
	Sane    func() bool // whether Now can be believed
	Log     *slog.Logger
	Version string
}

// Sender sends what waits in a Box.
type Sender struct {
	Options
	box   *Box
	wake  chan struct{}
	ended chan string     // hosts that were tried
	busy  map[string]bool // hosts that are being tried; Run's
}

// New returns a sender of what is in box.
func New(box *Box, o Options) *Sender {
	return &Sender{o, box, make(chan struct{}, 1), make(chan string, atOnce), map[string]bool{}}
}

// Check is what is wrong with the receiver that a request names, nil for nothing.
func (s *Sender) Check(text string) error {
	set, err := s.Settings()
	if err == nil && set.Secret == nil {
		err = errors.New("[webhook] secret_file is not set: there is nothing to sign with")
	}
	if err == nil {
		_, err = s.parse(text, set)
	}
	if err == nil {
		return nil
	}
	return &activation.Fault{
		Code: "bad-callback", Text: "the callback URL cannot be used: " + err.Error(),
		Advice: `an https URL of a host on the internet, such as "https://example.com/hook"; [webhook] may allow more`,
	}
}

// parse reads a receiver's URL. Errors do not show it: its path may be a secret.
func (s *Sender) parse(text string, set Settings) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case len(text) > maxURL:
		return nil, fmt.Errorf("it has more than %d bytes", maxURL)
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("it is no URL with a host")
	case u.Scheme != "https" && (u.Scheme != "http" || !set.AllowHTTP):
		return nil, errors.New("it is not https")
	case u.Port() != "" && !isPort(u.Port()):
		return nil, errors.New("its port is not from 1 to 65535")
	case u.User != nil:
		return nil, errors.New("it has a user name or password")
	case u.Fragment != "":
		return nil, errors.New("it has a fragment")
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !set.AllowInside {
		if err := s.Public(a); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// Keep notes where a run's end is to be told.
func (s *Sender) Keep(run, url string) error {
	err := s.box.Keep(run, url)
	select {
	case s.wake <- struct{}{}: // it may have ended already
	default:
	}
	return err
}

// Run makes and sends messages until ctx ends.
func (s *Sender) Run(ctx context.Context) error {
	sub := s.Status.Subscribe(0)
	defer sub.Close()
	defer func() {
		for ; len(s.busy) > 0; delete(s.busy, <-s.ended) {
		}
	}()
	last := ""
	for {
		wait, err := s.pass(ctx)
		if err != nil && err.Error() != last {
			s.Log.Warn("webhooks", "error", err)
			last = err.Error()
		}
		if err == nil {
			last = ""
		}
		s.tell()
		var later <-chan time.Time
		if wait > 0 {
			later = time.After(wait)
		}
		for again := false; !again; {
			select {
			case <-ctx.Done():
				return nil
			case e := <-sub.Events():
				again = e.Type == "run"
			case <-s.wake:
				again = true
			case host := <-s.ended:
				delete(s.busy, host)
				again = true
			case <-later:
				again = true
			}
		}
	}
}

// tell shows what waits.
func (s *Sender) tell() {
	n, last := s.box.Waiting()
	s.Status.Update(func(snap *status.Snapshot) {
		snap.Webhooks = nil
		if n > 0 {
			snap.Webhooks = &status.Webhooks{Pending: n, Error: last}
		}
	})
}

// pass makes the messages that are due and begins to send them. It returns how long
// there is nothing to do, 0 for until something happens.
func (s *Sender) pass(ctx context.Context) (time.Duration, error) {
	set, err := s.Settings()
	if err != nil {
		return clockWait, err
	}
	to := set.URL
	if set.Secret == nil {
		to = ""
	}
	if err := s.box.Scan(s.Runs, to, s.body); err != nil {
		s.Log.Warn("webhooks", "error", err) // they are in memory
	}
	for ctx.Err() == nil && len(s.busy) < atOnce {
		m, wait, due := s.box.Due(s.busy)
		if !due {
			return wait, nil
		}
		if !s.Sane() || set.Secret == nil {
			return clockWait, nil // no certificate could be checked, nor a time be believed
		}
		host := hostOf(m.URL)
		s.busy[host] = true
		go func() {
			if p := task.Contain("webhooks", func() { s.send(ctx, m, set) }); p != nil {
				s.Log.Error("webhooks", "panic", p.Value, "stack", p.Stack)
				s.box.PutOff(m, slices.Max(Backoff))
			}
			s.ended <- host
		}()
	}
	return 0, nil
}

// body is what is told of a run.
func (s *Sender) body(r activation.Record) ([]byte, error) {
	e := Event{Type: "activation.ended", Timestamp: *r.Ended, Data: EventData{Run: r}}
	if card := s.Status.Snapshot().Card; card != nil {
		e.Data.EID = card.EID
	}
	return json.Marshal(e)
}

// Event is the body of a message.
type Event struct {
	Type      string    `json:"type"` // activation.ended
	Timestamp time.Time `json:"timestamp"`
	Data      EventData `json:"data"`
}

// EventData is what an Event tells.
type EventData struct {
	EID string            `json:"eid,omitempty"` // of the card
	Run activation.Record `json:"run"`
}

func (s *Sender) send(ctx context.Context, m Message, set Settings) {
	gone, err := s.try(ctx, m, set)
	if ctx.Err() != nil {
		return // the next start tries again
	}
	to := hostOf(m.URL)
	if f, ok := errors.AsType[*activation.Fault](err); ok && f.Code == "no-way" {
		s.box.PutOff(m, wayWait) // the router has no link at all: its receiver is not to blame
		return
	}
	switch {
	case err == nil:
		s.Log.Info("webhook delivered", "run", m.Run, "to", to)
		err = s.box.Done(m)
	case gone:
		s.Log.Warn("a webhook is given up", "run", m.Run, "to", to, "error", err)
		err = s.box.Done(m)
	default:
		s.Log.Info("webhook not delivered", "run", m.Run, "to", to, "tries", m.Tries+1, "error", err)
		cause := err
		if gone, err = s.box.Failed(m, cause); gone {
			s.Log.Warn("a webhook is given up", "run", m.Run, "to", to, "error", cause)
		}
	}
	if err != nil {
		s.Log.Warn("webhooks", "error", err)
	}
}

// try sends a message once. gone says that the receiver wants no more of it.
func (s *Sender) try(ctx context.Context, m Message, set Settings) (gone bool, err error) {
	u, err := s.parse(m.URL, set)
	if err != nil {
		return false, err
	}
	ctx, done := context.WithTimeout(ctx, tryTime)
	defer done()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(m.Body))
	if err != nil {
		return false, errors.New("it is no URL with a host")
	}
	at := s.Now().Unix()
	r.Header = http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {"dynamod/" + s.Version},
		"Webhook-Id": {m.ID}, "Webhook-Timestamp": {strconv.FormatInt(at, 10)}, "Webhook-Signature": {Sign(set.Secret, m.ID, at, m.Body)},
	}
	// The transport would let a connection that nobody waits for come up.
	dial := func(_ context.Context, network, address string) (net.Conn, error) {
		return s.Dial(ctx, network, address)
	}
	client := http.Client{
		Transport: &http.Transport{
			DialContext: dial, DisableKeepAlives: true, MaxResponseHeaderBytes: 16 << 10,
			TLSClientConfig: &tls.Config{RootCAs: set.Issuers, Time: s.Now, MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL
		}
		return false, err
	}
	defer resp.Body.Close()
	io.CopyN(io.Discard, resp.Body, maxAnswer)
	switch {
	case resp.StatusCode/100 == 2:
		return false, nil
	case resp.StatusCode/100 == 3:
		err = fmt.Errorf("it answers %d; redirects are not followed", resp.StatusCode)
	default:
		err = fmt.Errorf("it answers %d", resp.StatusCode)
	}
	return resp.StatusCode == http.StatusGone, err
}

// Sign is the signature of a message, "v1," and the HMAC-SHA256 in base64.
func Sign(secret []byte, id string, at int64, body []byte) string {
	h := hmac.New(sha256.New, secret)
	fmt.Fprintf(h, "%s.%d.%s", id, at, body)
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// ParseSecret reads a secret: base64 of 24 to 64 bytes, "whsec_" before it or not.
func ParseSecret(text string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	if err != nil || len(b) < 24 || len(b) > 64 {
		return nil, errors.New("the secret is not base64 of 24 to 64 bytes: openssl rand -base64 32 makes one")
	}
	return b, nil
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Host
}
