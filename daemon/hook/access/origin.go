package access

import (
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// localNames are the names of a unix socket: that of our own client, and that by
// which a browser calls it when `ssh -L` forwards it.
var localNames = []string{"dynamod", "localhost"}

// Local lets through what comes over a unix socket, whose file says who may use
// it, but not what a browser there sends for somebody else's page: behind `ssh -L`
// every page that is open in it can reach the socket. hosts are names besides
// localhost; an address needs none. What is turned down is written down among
// strangers', with the user at the other end: it is his browser, and somebody else's page. A nil a
// writes nothing.
func Local(next http.Handler, hosts []string, refuse func(http.ResponseWriter, Refusal), a *Audit, now func() time.Time, log *slog.Logger) http.Handler {
	names := slices.Concat(localNames, hosts)
	d := newDenials(a, log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// HTTP/1.0 has no Host, and no browser.
		if f := foreign(r, names); f != nil && r.Host != "" {
			if a != nil {
				from, _ := r.Context().Value(peerKey{}).(string)
				d.note(Entry{Time: now().UTC(), From: from, What: r.Method + " " + r.URL.Path}, *f, nil)
			}
			refuse(w, *f)
			return
		}
		keep(r.Context())
		next.ServeHTTP(w, r)
	})
}

// crossOrigin goes by Sec-Fetch-Site and Origin. It has no state.
var crossOrigin = http.NewCrossOriginProtection()

// foreign tells whether a browser sends the request for somebody else's page.
func foreign(r *http.Request, names []string) *Refusal {
	// A page of somebody else's whose name was made to point here (DNS
	// rebinding) calls us by that name.
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if net.ParseIP(host) == nil && !slices.Contains(names, host) {
		return &Refusal{http.StatusMisdirectedRequest, "unknown-host", "this router is not known by that name", "add the name to [hook] hosts, or use its address, or localhost", 0}
	}
	// A page may make a browser send a GET, whose answer it cannot read: nothing is
	// changed by it, but modem and card are kept busy. A link to us is good.
	site := r.Header.Get("Sec-Fetch-Site")
	got := (site == "cross-site" || site == "same-site") && r.Header.Get("Sec-Fetch-Mode") != "navigate"
	if got || crossOrigin.Check(r) != nil {
		return &Refusal{http.StatusForbidden, "cross-origin", "the request comes from a page of another origin", "programs send no Origin header", 0}
	}
	return nil
}
