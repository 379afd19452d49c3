package hook

import (
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/status"
)

// callbacks takes the receivers of example.com.
type callbacks struct{ kept []string }

func (c *callbacks) Check(url string) error {
	if !strings.HasPrefix(url, "https://example.com/") {
		return &activation.Fault{Code: "bad-callback", Text: "not example.com", Advice: "use it"}
	}
	return nil
}

func (c *callbacks) Keep(run, url string) error {
	c.kept = append(c.kept, run+" "+url)
	return errors.New("the disk is full") // which stops nothing
}

func TestCallback(t *testing.T) {
	for _, row := range []struct {
		name, url string
		keeper    bool
		code      string
	}{
		{"one", "https://example.com/hook", true, ""},
		{"one that may not be", "https://127.0.0.1/", true, "bad-callback"},
		{"where nobody is told", "https://example.com/hook", false, "bad-callback"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, keeper := &fakeDaemon{}, &callbacks{}
			s := New(d, status.New("test", time.Now), slog.New(slog.DiscardHandler))
			if row.keeper {
				s.Callbacks = keeper
			}
			w := httptest.NewRecorder()
			r := httptest.NewRequest("POST", "/v1/activations", strings.NewReader(`{"code": "LPA:1$smdp.example.com$X", "callback_url": "`+row.url+`"}`))
			r.Header.Set("Content-Type", "application/json")
			s.remote.ServeHTTP(w, r)
			if row.code == "" && (w.Code != 202 || len(keeper.kept) != 1 || keeper.kept[0] != "RUN1 "+row.url) {
				t.Errorf("%d %s, kept %q", w.Code, w.Body, keeper.kept)
			}
			if row.code != "" && (w.Code != 422 || !strings.Contains(w.Body.String(), row.code) || len(d.reqs)+len(keeper.kept) > 0) {
				t.Errorf("%d %s, submitted %v, kept %q", w.Code, w.Body, d.reqs, keeper.kept)
			}
		})
	}
}
