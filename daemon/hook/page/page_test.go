package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dynamod/daemon/activation"
	"dynamod/daemon/hook/access"
	"dynamod/euicc"
)

// budget is what the page may cost the line, all its files together, compressed.
const budget = 60_000

// sources are the page's files by name, licence and provenance left out.
func sources(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS("files"), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || types[filepath.Ext(name)] == "" {
			return err
		}
		text, err := os.ReadFile(filepath.Join("files", name))
		files[name] = string(text)
		return err
	})
	if err != nil || len(files) < 5 {
		t.Fatalf("files: %d, %v", len(files), err)
	}
	return files
}

func serve(t *testing.T, method, path string, header ...string) *http.Response {
	t.Helper()
	mux := http.NewServeMux()
	for _, pattern := range Routes() {
		mux.HandleFunc(pattern, Handler)
	}
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if b, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	return string(b)
}

func urlOf(name string) string {
	if name == "index.html" {
		return "/"
	}
	return "/page/" + name
}

var update = flag.Bool("update", false, "write packed anew")

// pack writes the files that are embedded.
func pack(t *testing.T) {
	if err := os.RemoveAll("packed"); err != nil {
		t.Fatal(err)
	}
	for name, text := range sources(t) {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(z, text)
		z.Close()
		path := filepath.Join("packed", name+".gz")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// What is served is what is in files, in either coding, and within the budget.
func TestPacked(t *testing.T) {
	if *update {
		pack(t)
		return // this binary has the old ones
	}
	total, seen := 0, 0
	for name, text := range sources(t) {
		r := serve(t, "GET", urlOf(name), "Accept-Encoding", "br, gzip;q=0.8")
		if r.StatusCode != http.StatusOK || r.Header.Get("Content-Encoding") != "gzip" {
			t.Fatalf("%s: %s %s", name, r.Status, r.Header)
		}
		total += int(r.ContentLength)
		if body(t, r) != text {
			t.Errorf("%s is served as it was: go generate ./daemon/hook/page", name)
		}
		if r := serve(t, "GET", urlOf(name)); r.Header.Get("Content-Encoding") != "" || body(t, r) != text {
			t.Errorf("%s is not served uncompressed", name)
		}
	}
	fs.WalkDir(packed, ".", func(_ string, d fs.DirEntry, _ error) error {
		if !d.IsDir() {
			seen++
		}
		return nil
	})
	if files := len(sources(t)); seen != files {
		t.Errorf("%d files are packed of %d: go generate ./daemon/hook/page", seen, files)
	}
	t.Logf("%d files, %d bytes compressed", seen, total)
	if total > budget {
		t.Errorf("the page has %d bytes compressed, more than %d", total, budget)
	}
}

func TestHandler(t *testing.T) {
	for name := range sources(t) {
		r := serve(t, "GET", urlOf(name), "Accept-Encoding", "gzip")
		csp := r.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") || strings.Contains(csp, "data:") {
			t.Errorf("%s: Content-Security-Policy: %s", name, csp)
		}
		if r.Header.Get("X-Content-Type-Options") != "nosniff" || r.Header.Get("Content-Type") == "" {
			t.Errorf("%s: %s", name, r.Header)
		}
		tag := r.Header.Get("ETag")
		for _, known := range []string{tag, `"x", ` + tag, "*"} {
			if r := serve(t, "GET", urlOf(name), "If-None-Match", known); r.StatusCode != http.StatusNotModified || body(t, r) != "" {
				t.Errorf("%s with If-None-Match %s: %s", name, known, r.Status)
			}
		}
		if r := serve(t, "GET", urlOf(name), "If-None-Match", `W/"x"`); r.StatusCode != http.StatusOK {
			t.Errorf("%s with another tag: %s", name, r.Status)
		}
		if r := serve(t, "HEAD", urlOf(name)); r.StatusCode != http.StatusOK || body(t, r) != "" {
			t.Errorf("HEAD of %s: %s", name, r.Status)
		}
	}
	for _, path := range []string{"/page/", "/page/none.js", "/page/qr", "/page/qr/LICENSE", "/page/qr/PROVENANCE.md", "/page/page.js.gz", "/page/..%2fpage.go", "/page/%00"} {
		if r := serve(t, "GET", path); r.StatusCode == http.StatusOK {
			t.Errorf("GET %s: %s", path, r.Status)
		}
	}
	for _, accept := range []string{"", "identity", "gzip;q=0", "gzip; q=0.0", "*;q=0", "br"} {
		if r := serve(t, "GET", "/", "Accept-Encoding", accept); r.Header.Get("Content-Encoding") != "" {
			t.Errorf("Accept-Encoding %q is answered compressed", accept)
		}
	}
	for _, pattern := range Routes() {
		if need := access.Needs(pattern); need != access.None {
			t.Errorf("%s needs the scope %s", pattern, need)
		}
	}
}

// A picture of what may not be in the page's own files.
var forbidden = []struct{ files, what, pattern string }{
	{"*.html", "an inline script", `(?i)<script(?:[^>]*)>[^<]`},
	{"*.html", "an inline style", `(?i)<style|\sstyle=`},
	{"*.html", "an inline handler", `(?i)\son[a-z]+=`},
	{"*", "an address elsewhere", `(?i)["'(](?:https?:)?//`},
	{"*.js", "text that becomes markup or code", `innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function`},
	{"*.js", "storage", `localStorage|sessionStorage|indexedDB|document\.cookie`},
	{"*.js", "a log", `console\.`},
	{"*.css", "an import", `@import|url\(`},
}

func TestNothingInlineNothingElsewhere(t *testing.T) {
	for name, text := range sources(t) {
		if strings.HasPrefix(name, "qr/") {
			continue // somebody else's; its checksum is tested, and the browser's policy holds for it too
		}
		for _, f := range forbidden {
			if ok, _ := filepath.Match(f.files, name); !ok {
				continue
			}
			text := strings.ReplaceAll(text, "http://www.w3.org/2000/svg", "") // a name, not an address
			if found := regexp.MustCompile(f.pattern).FindString(text); found != "" {
				t.Errorf("%s has %s: %s", name, f.what, found)
			}
		}
	}
}

func TestLibraryIsUnchanged(t *testing.T) {
	for name, want := range map[string]string{
		"decode.js": "f7eb7ae61651ed165e21ddef5499684c80da2954012f99db94ae461c4125108c",
		"index.js":  "7015fbf2f162e8763099979a37e57f612687b23dd5f8085548ac78e6d03a2ee2",
	} {
		text, err := os.ReadFile(filepath.Join("files", "qr", name))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s is not that of qr 0.5.5", name)
		}
	}
}

// Every text that is used is there, and every one that is there is used; those
// whose key has a part of the router's are there for each of its values.
func TestTexts(t *testing.T) {
	files := sources(t)
	have := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^  "([^"]+)": "(.*)",$`).FindAllStringSubmatch(files["texts.js"], -1) {
		if have[m[1]] || m[2] == "" {
			t.Errorf("texts.js has %s twice, or empty", m[1])
		}
		have[m[1]] = true
	}
	if lines := strings.Count(files["texts.js"], "\": "); len(have) != lines || lines == 0 {
		t.Errorf("texts.js: %d texts on %d lines", len(have), lines)
	}
	used := map[string]string{}
	prefixes := map[string]string{}
	for name, text := range files {
		if strings.HasPrefix(name, "qr/") || name == "texts.js" {
			continue
		}
		for _, m := range regexp.MustCompile(`data-(?:text|label)="([^"]+)"`).FindAllStringSubmatch(text, -1) {
			used[m[1]] = name
		}
		for _, m := range regexp.MustCompile(`text\(([^()]*?"[a-z_]+\.[a-z_.-]*"[^(),{}]*)`).FindAllStringSubmatch(text, -1) {
			for _, k := range regexp.MustCompile(`"([a-z_]+\.[a-z_.-]*)"( \+)?`).FindAllStringSubmatch(m[1], -1) {
				if k[2] != "" {
					prefixes[k[1]] = name
				} else {
					used[k[1]] = name
				}
			}
		}
	}
	for key, name := range used {
		if !have[key] {
			t.Errorf("%s uses the text %s, which is not there", name, key)
		}
	}
	for prefix, name := range prefixes {
		values, ok := routers[prefix]
		if !ok {
			t.Errorf("%s uses texts %s..., whose values this test does not know", name, prefix)
		}
		for _, value := range values {
			if used[prefix+value] = name; !have[prefix+value] {
				t.Errorf("%s uses texts %s..., and there is none for %s", name, prefix, value)
			}
		}
	}
	for key := range have {
		if used[key] == "" {
			t.Errorf("the text %s is not used", key)
		}
	}
	for _, key := range []string{"skip", "offer.accept", "qr.none", "outcome.failed"} { // one of each way to use it
		if used[key] == "" {
			t.Errorf("the test does not see that %s is used", key)
		}
	}
}

// routers are the values of the router's that complete a key.
var routers = map[string][]string{
	"link.": {"up", "limited", "down"},
	"state.": {
		string(activation.Accepted), string(activation.Authenticated), string(activation.Agreed), string(activation.Waiting), string(activation.Downloading),
		string(activation.Installed), string(activation.Reporting), string(activation.Enabling), string(activation.Attaching), string(activation.Configuring),
		string(activation.Probing), string(activation.Committed), string(activation.Undoing), string(activation.Notifying), string(activation.Done), string(activation.Failed),
	},
	"step.":    {"check", "agree", "download", "switch", "connect", "test"},
	"visit.":   {"open", "waiting", "busy", "done", "failed", "nothing", "topped-up"},
	"outcome.": {"committed", "rolled-back", "installed", "failed"},
	"rules.":   {"ppr1", "ppr2"},
	"class.":   {"test", "provisioning"},
	"retry.":   {string(euicc.RetryNow), string(euicc.RetryLater), string(euicc.RetryAsk), string(euicc.RetryNewCode), string(euicc.RetryNever)},
}
