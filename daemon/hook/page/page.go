// Package page is the small web page of the API: status, profiles, and an
// activation from the code to the result. Its files are the same for everybody
// and hold no secret; what it shows and does it asks of the routes below /v1, as
// any other client.
//
// The files are written by hand in files and compressed into packed by `go
// generate`.
package page

import (
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"

	"dynamod/daemon/hook/gzipped"
)

//go:generate go test -run ^TestPacked$ . -args -update

//go:embed packed
var packed embed.FS

// Routes are the patterns of the page's routes, all answered by Handler.
func Routes() []string { return []string{"GET /{$}", "GET /page/{file...}"} }

// types has the media types by the file's ending.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// policy allows what the page has and nothing else: its own files and requests to
// where it came from. Nothing in it is inline, and no text becomes markup.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Handler answers the page's routes. A file that is not there is an empty 404.
func Handler(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	if r.URL.Path == "/" {
		name = "index.html"
	}
	body, err := packed.ReadFile("packed/" + name + ".gz")
	if err != nil || len(body) < trailer {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Type", types[path.Ext(name)])
	h.Set("Content-Security-Policy", policy)
	h.Set("Permissions-Policy", "camera=(self)")
	h.Set("Referrer-Policy", "same-origin")
	// Who opens the page has no hand on it; a portal that the page opens may answer.
	h.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Accept-Encoding")
	// A new version of the program has a new page: what is kept is asked for again,
	// which costs a line.
	h.Set("Cache-Control", "no-cache")
	// The last bytes of a gzip file are the CRC-32 and the length of what is in it
	// (RFC 1952, 2.3.1). It is the same file in either coding: weak.
	tag := `W/"` + hex.EncodeToString(body[len(body)-trailer:]) + `"`
	h.Set("ETag", tag)
	if known(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if gzipped.Write(w, r, body) != nil {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// trailer is the length of a gzip file's end.
const trailer = 8

// known reports whether one of the entity tags in If-None-Match is tag (RFC 9110,
// 13.1.2).
func known(list, tag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one == tag || one == "*" {
			return true
		}
	}
	return false
}
