//go:build linux && !nodemo

package page_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dynamod/daemon/demo"
	"dynamod/daemon/hook"
	"dynamod/daemon/hook/access"
	"dynamod/daemon/status"
	"dynamod/euicc/smdpsim"
)

// freePort is an address that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// door adds callers to a box that listens on TCP, and returns where it does.
func (b *box) door(scopes ...access.Scope) (origin string, tokens []string) {
	b.t.Helper()
	var keys access.Keys
	for _, s := range scopes {
		token, k := access.NewToken(s.String(), s)
		tokens, keys = append(tokens, token), append(keys, k)
	}
	dir := filepath.Join(b.dir, "state", "hook")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "keys"), []byte(keys.String()), 0o600); err != nil {
		b.t.Fatal(err)
	}
	c := hook.Dial(filepath.Join(b.dir, "run", "dynamod.sock"))
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(20 * time.Millisecond) {
		var now status.Snapshot
		if err := c.Do(b.t.Context(), "GET", "/v1/status", nil, nil, &now); err == nil && now.Door != nil && now.Door.Fingerprint != "" {
			return "https://" + now.Door.Listen, tokens
		}
	}
	b.t.Fatal("nothing listens on TCP")
	return "", nil
}

// Over TCP the page asks for a token, and no secret is left where it was given.
func TestToken(t *testing.T) {
	c := chromium(t)
	b := newBox(t, demo.Options{}, fmt.Sprintf("listen = %q\n", freePort(t)))
	origin, tokens := b.door(access.Read, access.Activate)
	reader, starter := tokens[0], tokens[1]
	code := b.order(smdpsim.Order{ConfirmationCode: "471147114711"})
	id := strings.Split(code, "$")[2]

	c.open(origin)
	c.seen("login")
	c.wait(`document.activeElement.id === "token"`)
	if got := c.eval(`document.getElementById("inside").checkVisibility()`); got != false {
		t.Error("the inside is shown to a stranger")
	}
	c.insert("dynamod_wrong")
	c.press("Enter")
	c.wait(`document.getElementById("login-error").textContent.includes("does not know this token")`)

	c.insert(reader)
	c.press("Enter")
	c.seen("activate")
	c.fill("code", code)
	c.submit("activate-form")
	c.wait(`document.getElementById("activate-problem").textContent.includes("scope activate")`)
	c.click("leave")
	c.seen("login")

	c.insert(starter)
	c.press("Enter")
	c.seen("activate")
	c.fill("code", code)
	c.eval(`document.querySelector("#activate-form details").open = true`)
	c.fill("first-confirmation", "471147114711")
	c.submit("activate-form")
	c.click("accept")
	c.seen("result")
	if got := c.text(); !strings.Contains(got, "Up on the new profile") {
		t.Fatal(got)
	}
	secrets := []string{reader, starter, id, "471147114711"}
	left := c.eval(`JSON.stringify([document.documentElement.outerHTML, [...document.querySelectorAll("input")].map((e) => e.value), localStorage, sessionStorage,
		history.state, location.href, performance.getEntries().map((e) => e.name)])`).(string)
	var jar struct{ Cookies []any }
	c.do("Network.getCookies", nil, &jar)
	c.mu.Lock()
	urls := strings.Join(c.requests, "\n")
	c.mu.Unlock()
	for _, secret := range secrets {
		if strings.Contains(left, secret) || strings.Contains(urls, secret) {
			t.Errorf("%.12s... is left in the document, in a storage or in an address", secret)
		}
	}
	if len(jar.Cookies) > 0 {
		t.Errorf("cookies: %v", jar.Cookies)
	}
	// On the router the sealed request has gone with the run's end.
	b.searched(secrets)
	c.clean(origin, "401", "403")
}

// searched looks for secrets in all files that the daemon keeps.
func (b *box) searched(secrets []string) {
	b.t.Helper()
	files := 0
	for _, dir := range []string{"state", "run"} {
		err := filepath.WalkDir(filepath.Join(b.dir, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			for _, secret := range secrets {
				if strings.Contains(string(text), secret) {
					b.t.Errorf("%s holds %.12s...", path, secret)
				}
			}
			return nil
		})
		if err != nil {
			b.t.Error(err)
		}
	}
	if files < 3 {
		b.t.Errorf("only %d files were searched", files)
	}
}

// A browser that has the socket forwarded lets pages of others do nothing there.
func TestPagesOfOthers(t *testing.T) {
	c := chromium(t, "--host-resolver-rules=MAP evil.example 127.0.0.1")
	b := newBox(t, demo.Options{Earlier: profile(t, "8900101000000000801")}, "")
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<p id=main>another page")
	}))
	defer other.Close()
	port := strings.TrimPrefix(b.origin, "http://localhost")

	t.Run("another origin", func(t *testing.T) {
		c.t = t
		c.open(other.URL)
		for _, request := range []string{
			`"/v1/profiles/8900101000000000801/disable?force=true", {method: "POST", mode: "no-cors"}`,
			`"/v1/activations", {method: "POST", mode: "no-cors", body: "{}"}`,
			`"/v1/modem/at", {method: "POST", body: "{}", headers: {"Content-Type": "application/json"}}`,
			`"/v1/profiles/8900101000000000801?confirm=8900101000000000801&force=true", {method: "DELETE"}`,
			`"/v1/bundle", {mode: "no-cors"}`,
			`"/v1/status"`,
		} {
			got := c.eval(fmt.Sprintf(`fetch(%q + %s).then((r) => r.text(), () => "")`, b.origin, request))
			if got != "" {
				t.Errorf("%s is answered with %v", request, got)
			}
		}
	})
	t.Run("a name that points here", func(t *testing.T) {
		c.t = t
		c.do("Page.navigate", map[string]any{"url": "http://evil.example" + port + "/v1/status"}, nil)
		c.wait(`document.body?.innerText.includes("unknown-host")`)
		if got := c.text(); strings.Contains(got, "modem") {
			t.Errorf("it reads: %s", got)
		}
	})
	c.t = t
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range c.statuses {
		if strings.Contains(line, port+"/v1/") && !strings.HasPrefix(line, "403 ") && !strings.HasPrefix(line, "421 ") {
			t.Errorf("let through: %s", line)
		}
	}
	if !slices.ContainsFunc(c.statuses, func(line string) bool { return strings.HasPrefix(line, "403 ") }) {
		t.Errorf("nothing was refused: %s", c.statuses)
	}
	text, err := os.ReadFile(filepath.Join(b.dir, "state", "hook", "audit"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var e access.Entry
		if json.Unmarshal([]byte(line), &e) == nil && e.Status < 400 {
			t.Errorf("was done: %s", line)
		}
	}
	for _, p := range b.Card.Installed() {
		if !p.Enabled {
			t.Error("the profile was disabled")
		}
	}
}
