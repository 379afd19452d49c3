package directory

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"dynamod/configs/cosa"
	"dynamod/daemon/dynamo/call"
)

// A visit whose portal is open on another device than the router's own page, as by a
// QR, is answered by way of the service: the router names the hosts whose pages may
// answer, the portal's page leaves its callbacks here, and the router fetches them. The
// service cannot tell whether one is genuine; the router can.

// Limits of the visits that the service keeps.
const (
	visitTime     = 24 * time.Hour
	visitsOfOne   = 32 // router
	maxVisits     = 1 << 16
	maxCallbacks  = 8
	maxCallback   = 16 << 10
	maxVisitHosts = 16
)

// mailboxes are visits by transaction.
type mailboxes struct {
	mu   sync.Mutex
	open map[string]*mailbox
}

type mailbox struct {
	router string
	hosts  []string
	begun  time.Time
	list   []string
}

// expect makes a mailbox; the oldest of the router's goes for it where it has too many.
// False is that there is no room, or that it is another router's.
func (m *mailboxes) expect(id, router string, hosts []string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open == nil {
		m.open = map[string]*mailbox{}
	}
	n, oldest := 0, ""
	for key, b := range m.open {
		if now.Sub(b.begun) > visitTime {
			delete(m.open, key)
		} else if b.router == router {
			if n++; oldest == "" || b.begun.Before(m.open[oldest].begun) {
				oldest = key
			}
		}
	}
	if b := m.open[id]; b != nil {
		return b.router == router
	}
	if n >= visitsOfOne {
		delete(m.open, oldest)
	}
	if len(m.open) >= maxVisits {
		return false
	}
	m.open[id] = &mailbox{router: router, hosts: hosts, begun: now}
	return true
}

func (s *Service) expectVisit(w http.ResponseWriter, r *http.Request, router string) {
	var body struct {
		Hosts []string `json:"hosts"`
	}
	if !readBody(w, r, &body) {
		return
	}
	id := r.PathValue("transaction")
	if len(id) > maxTransaction || len(body.Hosts) == 0 || len(body.Hosts) > maxVisitHosts || slices.ContainsFunc(body.Hosts, func(h string) bool { return cosa.CheckHost(h) != "" }) {
		problem(w, http.StatusBadRequest, "bad-visit", "a visit has a transaction, and 1 to 16 hosts that may answer")
		return
	}
	if !s.visits.expect(id, router, body.Hosts, s.Now()) {
		problem(w, http.StatusServiceUnavailable, "too-many", "there is no room for this visit")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Service) visitCallbacks(w http.ResponseWriter, r *http.Request, router string) {
	after, ok := whole(w, r, "after")
	if !ok {
		return
	}
	s.visits.mu.Lock()
	defer s.visits.mu.Unlock()
	b := s.visits.open[r.PathValue("transaction")]
	if b == nil || b.router != router || s.Now().Sub(b.begun) > visitTime {
		problem(w, http.StatusNotFound, "unknown-visit", "this visit is not expected here")
		return
	}
	answer(w, http.StatusOK, map[string][]string{"callbacks": append([]string{}, b.list[min(after, len(b.list)):]...)})
}

// leaveCallback takes what a portal's page sends. Its browser says which page that is.
func (s *Service) leaveCallback(w http.ResponseWriter, r *http.Request) {
	// Any page may read the answer, or one that is refused could not tell that from a
	// service that cannot be reached.
	w.Header().Set("Access-Control-Allow-Origin", "*")
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCallback))
	origin := r.Header.Get("Origin")
	s.visits.mu.Lock()
	defer s.visits.mu.Unlock()
	b := s.visits.open[r.PathValue("transaction")]
	known := b != nil && s.Now().Sub(b.begun) <= visitTime && slices.ContainsFunc(b.hosts, func(h string) bool { return origin == "https://"+h })
	switch {
	case !known: // the same for a visit that is none and for a page that may not answer
		problem(w, http.StatusNotFound, "unknown-visit", "this visit is not expected here")
		return
	case err != nil || !json.Valid(text):
		problem(w, http.StatusBadRequest, "bad-body", "the body is not JSON of at most 16 KiB")
		return
	case len(b.list) >= maxCallbacks:
		problem(w, http.StatusTooManyRequests, call.CodeTooMany, "this visit has had too many calls")
		return
	}
	b.list = append(b.list, string(text))
	w.WriteHeader(http.StatusNoContent)
}

// ExpectVisit has the service take the callbacks of a visit, from pages of the hosts.
func (c *Client) ExpectVisit(ctx context.Context, transaction string, hosts []string) error {
	_, err := c.Do(ctx, call.Request{Op: "visit", Method: "PUT", URL: call.Join(c.base, "v1", "visits", transaction), Body: map[string][]string{"hosts": hosts}})
	return err
}

// VisitCallbacks returns the callbacks of a visit that came after the first so many. A
// *call.Error of call.CodeUnknown is that the service does not expect the visit.
func (c *Client) VisitCallbacks(ctx context.Context, transaction string, after int) ([]string, error) {
	var out struct{ Callbacks []string }
	err := c.Decode(ctx, call.Request{Op: "visit", Method: "GET", URL: call.Join(c.base, "v1", "visits", transaction, "callbacks"), Query: url.Values{"after": {strconv.Itoa(after)}}}, &out)
	return out.Callbacks, err
}
