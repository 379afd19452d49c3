package access

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Behind `ssh -L 8080:/run/dynamod/dynamod.sock` every page that is open in a
// browser can send requests to the socket.
func TestLocal(t *testing.T) {
	const post, get = http.MethodPost, http.MethodGet
	type header = map[string]string
	for _, tt := range []struct {
		name, method, host string
		header             header
		want               int
	}{
		{"our client", post, "dynamod", nil, 200},
		{"HTTP/1.0 without Host", post, "", nil, 200},
		{"curl, by localhost", post, "localhost", nil, 200},
		{"the forwarded page reads", get, "localhost:8080", header{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200},
		{"the forwarded page changes", post, "localhost:8080", header{"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:8080"}, 200},
		{"the forwarded page changes, in a browser without Sec-Fetch-Site", post, "localhost:8080", header{"Origin": "http://localhost:8080"}, 200},
		{"its address is typed", get, "localhost:8080", header{"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200},
		{"a link on another page", get, "localhost:8080", header{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200},
		{"by address", get, "127.0.0.1:8080", nil, 200},
		{"by IPv6 address", get, "[::1]:8080", nil, 200},
		{"by a name of [hook] hosts", get, "box.example:8080", nil, 200},

		{"DNS rebinding reads", get, "evil.example:8080", nil, 421},
		{"DNS rebinding changes", post, "evil.example:8080", header{"Origin": "http://evil.example:8080"}, 421},
		{"DNS rebinding by a name of the LAN", get, "printer:8080", nil, 421},
		{"DNS rebinding by a name that begins like ours", get, "localhost.evil.example:8080", nil, 421},
		{"another page changes", post, "localhost:8080", header{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403},
		{"another page changes, in a browser without Sec-Fetch-Site", post, "localhost:8080", header{"Origin": "https://evil.example"}, 403},
		{"a form of another page", post, "localhost:8080", header{"Origin": "null"}, 403},
		{"another port of this machine changes", post, "localhost:8080", header{"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"}, 403},
		{"another page has the browser read", get, "localhost:8080", header{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			through := false
			a := OpenAudit(t.TempDir())
			defer a.Close()
			h := Local(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { through = true }), []string{"box.example"},
				func(w http.ResponseWriter, f Refusal) { w.WriteHeader(f.Status) }, a, time.Now, slog.New(slog.DiscardHandler))
			r := httptest.NewRequest(tt.method, "/v1/status", nil)
			r = r.WithContext(context.WithValue(r.Context(), peerKey{}, "uid 1000"))
			r.Host = tt.host
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.want || through != (tt.want == 200) {
				t.Errorf("answered with %d, let through: %v; want %d", w.Code, through, tt.want)
			}
			entries, err := a.Entries()
			if err != nil || (len(entries) == 1) != (tt.want != 200) {
				t.Errorf("the audit log has %+v, %v", entries, err)
			}
			if len(entries) == 1 && (entries[0].Status != tt.want || entries[0].What != tt.method+" /v1/status" || entries[0].From != "uid 1000") {
				t.Errorf("the audit log has %+v", entries[0])
			}
		})
	}
}

// TestLocalFlood: a page that keeps on asking through somebody's browser neither pushes
// out what callers did nor grows what is kept of its like.
func TestLocalFlood(t *testing.T) {
	dir := t.TempDir()
	a := OpenAudit(dir)
	defer a.Close()
	if err := a.Write(Entry{Time: time.Now(), Caller: "uid 0", Way: "socket", What: "POST /v1/activations", Status: 202}); err != nil {
		t.Fatal(err)
	}
	h := Local(http.NotFoundHandler(), nil, func(w http.ResponseWriter, f Refusal) { w.WriteHeader(f.Status) }, a, time.Now, slog.New(slog.DiscardHandler))
	for range 5000 {
		r := httptest.NewRequest("POST", "/v1/"+strings.Repeat("x", 500), nil)
		r.Host = "evil.example"
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	entries, err := a.Entries()
	if err != nil || len(entries) != 21 || entries[0].Caller != "uid 0" {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "audit*")); len(left) != 1 {
		t.Errorf("%q", left)
	}
}
