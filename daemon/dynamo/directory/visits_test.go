package directory

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"dynamod/daemon/dynamo/call"
)

// TestVisits has visits that are expected, and who gets what was left for them.
func TestVisits(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := &Service{Router: func(token string) string { return token }, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }}
	h := s.Handler()
	n := 0
	client := func(router string) *Client {
		return NewClient("https://directory.example", router, "", wire{h: h}, func() string { n++; return fmt.Sprint("call-", n) }, s.Now)
	}
	leave := func(id, text string) int {
		r := httptest.NewRequest("POST", "https://directory.example/v1/visits/"+id+"/callbacks", strings.NewReader(text))
		r.Header.Set("Origin", "https://portal.example")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	one, other := client("one"), client("other")
	for _, hosts := range [][]string{nil, {"portal.example:443"}, {"1.2.3.4"}, {"https://portal.example"}, make([]string, maxVisitHosts+1)} {
		if err := one.ExpectVisit(t.Context(), "visit", hosts); err == nil {
			t.Errorf("%q may answer", hosts)
		}
	}
	if err := one.ExpectVisit(t.Context(), "visit", []string{"portal.example"}); err != nil {
		t.Fatal(err)
	}
	if err := other.ExpectVisit(t.Context(), "visit", []string{"evil.example"}); err == nil {
		t.Error("another router takes the visit over")
	}
	if leave("visit", `{"a": 1}`) != 204 || leave("visit", `{"a": 2}`) != 204 {
		t.Error("it is not taken")
	}
	unknown := func(c *Client, id string) {
		t.Helper()
		_, err := c.VisitCallbacks(t.Context(), id, 0)
		if e, ok := errors.AsType[*call.Error](err); !ok || e.Code != call.CodeUnknown {
			t.Errorf("%v", err)
		}
	}
	unknown(other, "visit")
	for after, want := range []string{`[{"a": 1} {"a": 2}]`, `[{"a": 2}]`, `[]`, `[]`} {
		if list, err := one.VisitCallbacks(t.Context(), "visit", after); err != nil || fmt.Sprint(list) != want {
			t.Errorf("after %d: %v %v", after, list, err)
		}
	}
	for i := range 3 * visitsOfOne {
		now = now.Add(time.Second)
		if err := other.ExpectVisit(t.Context(), fmt.Sprint("v", i), []string{"portal.example"}); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.visits.open) != visitsOfOne+1 || leave("v0", "{}") != 404 || leave("visit", "{}") != 204 {
		t.Errorf("%d visits are kept", len(s.visits.open))
	}
	now = now.Add(visitTime + time.Minute)
	if leave("visit", "{}") != 404 {
		t.Error("after a day")
	}
	unknown(one, "visit")
}
