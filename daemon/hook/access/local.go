package access

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

type (
	peerKey   struct{}
	forcedKey struct{}
)

// WithPeer is for http.Server's ConnContext: it keeps who is at the other end of
// a unix socket for Record, and a connection of Limit's and its like for Guard and Local.
func WithPeer(ctx context.Context, c net.Conn) context.Context {
	ctx = withLimited(ctx, c)
	if limited, ok := c.(*limitedConn); ok {
		return context.WithValue(ctx, peerKey{}, limited.host)
	}
	return context.WithValue(ctx, peerKey{}, peerOf(c))
}

// Record writes down what is changed over the unix socket, where the file system
// says who may.
func Record(next http.Handler, a *Audit, now func() time.Time, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		caller, _ := r.Context().Value(peerKey{}).(string)
		if err := a.record(next, w, r, Entry{Time: now().UTC(), Caller: caller, Way: "socket"}); err != nil {
			log.Warn("audit log", "error", err)
		}
	})
}

// record lets next answer r and writes down what came of it.
func (a *Audit) record(next http.Handler, w http.ResponseWriter, r *http.Request, e Entry) error {
	seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	var forced []string
	r = r.WithContext(context.WithValue(r.Context(), forcedKey{}, &forced))
	next.ServeHTTP(seen, r)
	e.Status = seen.status
	if e.What == "" {
		e.What = r.Pattern // set by the mux; "" where there is no such route
	}
	for _, name := range []string{"id", "iccid"} {
		if v := r.PathValue(name); v != "" {
			e.Object = v
		}
	}
	if run, ok := strings.CutPrefix(w.Header().Get("Location"), "/v1/activations/"); ok && seen.status == http.StatusAccepted {
		e.Object = run // that began
	}
	if e.What == "" {
		return nil
	}
	for _, name := range []string{"force", "no_way_back", "accept_limited"} {
		if r.URL.Query().Get(name) == "true" {
			forced = append(forced, name)
		}
	}
	e.What = strings.Join(append([]string{e.What}, forced...), " ")
	return a.Write(e)
}

// Forced has the audit log name what a request's body insists on, such as force.
func Forced(ctx context.Context, name string, is bool) {
	if forced, ok := ctx.Value(forcedKey{}).(*[]string); ok && is {
		*forced = append(*forced, name)
	}
}
