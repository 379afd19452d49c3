package hook

import (
	"context"
	"crypto/tls"
	"math"
	"net"
	"net/http"
	"strconv"
	"time"

	"dynamod/daemon/hook/access"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// ServeTLS answers requests over TCP until ctx ends, those that o's guard lets
// through. Route and Refuse of o are the server's own.
func (s *Server) ServeTLS(ctx context.Context, l net.Listener, conf *tls.Config, o access.Options) error {
	o.Route = func(r *http.Request) string {
		_, pattern := s.remote.Handler(r)
		return pattern
	}
	o.Refuse = refuse
	guard := access.New(s.Handler(l), o)
	return s.serve(ctx, tls.NewListener(access.Limit(l), conf), guard)
}

// refusedBody is how long the rest of a request may take that was turned down.
const refusedBody = 2 * time.Second

// refuse answers a request that the guard turned down.
func refuse(w http.ResponseWriter, f access.Refusal) {
	p := &status.Problem{Code: f.Code, Text: f.Text, Advice: f.Advice, Retry: string(euicc.RetryNever)}
	if f.Code == "stale-signature" {
		p.Retry = string(euicc.RetryNow) // signed anew
	}
	if f.Wait > 0 {
		p.Retry = string(euicc.RetryLater)
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.Wait.Seconds()))))
	}
	// The body was not read: what follows on this connection is not known, and net/http
	// waits for the rest of it before it closes.
	w.Header().Set("Connection", "close")
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(refusedBody))
	writeProblem(w, f.Status, p)
}
