package access

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAudit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hook")
	a := OpenAudit(dir)
	for i := range 2000 {
		if err := a.Write(Entry{Caller: "noc", What: "POST /v1/activations", Object: "evil\n\x1b[2J", Status: i}); err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	entries, err := a.Entries()
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, name := range []string{"audit", "audit.1"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > auditSize || len(entries) < 200 || entries[len(entries)-1].Status != 1999 {
		t.Errorf("%d bytes, %d entries", size, len(entries))
	}
	for i, e := range entries {
		if e.Status != entries[0].Status+i {
			t.Fatalf("entry %d is %d", i, e.Status)
		}
	}
	// A power cut tears the last line.
	f, err := os.OpenFile(filepath.Join(dir, "audit"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"what":"torn`)
	f.Close()
	b := OpenAudit(dir)
	defer b.Close()
	if err := b.Write(Entry{Caller: "noc", What: "after", Status: 1}); err != nil {
		t.Fatal(err)
	}
	if after, _ := b.Entries(); len(after) < 2 || after[len(after)-1].What != "after" || after[len(after)-2].Status != 1999 {
		t.Errorf("after a torn line: %+v", after[max(0, len(after)-2):])
	}
}

// A path is the caller's own text, of up to 16 KiB and six times that as JSON:
// an entry never fills a file, however often there is one.
func TestAuditOfLongPath(t *testing.T) {
	a := OpenAudit(filepath.Join(t.TempDir(), "hook"))
	defer a.Close()
	long := strings.Repeat("&", 16<<10)
	for range 100 {
		if err := a.Write(Entry{Caller: "noc", What: "DELETE /" + long, Object: long, Status: 404}); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := a.Entries()
	if err != nil || len(entries) < 20 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	for _, e := range entries {
		if len(e.What) > maxText || len(e.Object) > maxText {
			t.Fatalf("%d and %d bytes", len(e.What), len(e.Object))
		}
	}
}

// However long strangers go on, what callers did stays.
func TestAuditOfStrangers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hook")
	a := OpenAudit(dir)
	defer a.Close()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 3000 {
		if i%1000 == 0 {
			if err := a.Write(Entry{Time: at, Caller: "noc", Way: "token", What: "DELETE /v1/profiles/{iccid}", Status: 204}); err != nil {
				t.Fatal(err)
			}
		}
		at = at.Add(30 * time.Second)
		if err := a.Write(Entry{Time: at, From: "192.0.2.1", What: "GET /v1/status", Status: 401, Code: "not-known"}); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := a.Entries()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(entries, func(a, b Entry) int { return a.Time.Compare(b.Time) }) {
		t.Error("not in order")
	}
	done := 0
	for _, e := range entries {
		if e.Caller != "" {
			done++
		}
	}
	if done != 3 || len(entries) < 50 {
		t.Errorf("%d of 3 changes are left, with %d entries", done, len(entries))
	}
	var size int64
	for _, name := range []string{"strangers", "strangers.1"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > strangersSize {
		t.Errorf("%d bytes", size)
	}
}

// The log has which run a request began, and what was forced.
func TestRecordOfRunsAndForce(t *testing.T) {
	a := OpenAudit(t.TempDir())
	defer a.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/activations", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/v1/activations/RUN1")
		w.WriteHeader(http.StatusAccepted)
	})
	mux.HandleFunc("DELETE /v1/profiles/{iccid}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	h := Record(mux, a, time.Now, slog.New(slog.DiscardHandler))
	for _, row := range []struct{ method, url, what, object string }{
		{"POST", "/v1/activations", "POST /v1/activations", "RUN1"},
		{"DELETE", "/v1/profiles/89?confirm=89&force=true", "DELETE /v1/profiles/{iccid} force", "89"},
		{"DELETE", "/v1/profiles/89?force=false&x=force", "DELETE /v1/profiles/{iccid}", "89"},
	} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(row.method, row.url, nil))
		all, err := a.Entries()
		if err != nil {
			t.Fatal(err)
		}
		if e := all[len(all)-1]; e.What != row.what || e.Object != row.object {
			t.Errorf("%s: %+v", row.url, e)
		}
	}
}
