package hook

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"dynamod/daemon/status"
)

func TestEvents(t *testing.T) {
	c, m, _ := serve(t, &fakeDaemon{})
	m.Update(func(*status.Snapshot) {}) // the first one tells the status, whatever it changes
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var kinds []string
	err := c.Events(ctx, func(kind string, data []byte) bool {
		kinds = append(kinds, kind)
		switch len(kinds) {
		case 1:
			m.Update(func(s *status.Snapshot) { s.Run = &status.Run{ID: "RUN1", State: "accepted"} })
		case 2:
			var run status.Run
			if err := json.Unmarshal(data, &run); err != nil || run.ID != "RUN1" {
				t.Errorf("%s: %v", data, err)
			}
			m.Log("x")
		case 3:
			return false
		}
		return true
	})
	if got := strings.Join(kinds, " "); err != nil || got != "status run log" {
		t.Errorf("events %q, %v", got, err)
	}
}

// A client that has just come asks for the past by the id of its first event, and
// the two fit together without a gap.
func TestEventsFrom(t *testing.T) {
	c, m, _ := serve(t, &fakeDaemon{})
	first := func() (id uint64) {
		if err := c.EventsFrom(t.Context(), 0, func(last uint64, kind string, _ []byte) bool {
			if id = last; kind != "status" {
				t.Errorf("the first event is %s", kind)
			}
			return false
		}); err != nil {
			t.Fatal(err)
		}
		return id
	}
	start := first()
	for _, text := range []string{"a", "b", "c"} {
		m.Log(text)
	}
	last := first()
	var got []string
	if err := c.EventsFrom(t.Context(), start+1, func(id uint64, _ string, data []byte) bool {
		if got = append(got, fmt.Sprint(id-start, string(data))); id == last {
			m.Log("d")
		}
		return id <= last
	}); err != nil {
		t.Fatal(err)
	}
	if want := `2"b" 3"c" 4"d"`; strings.Join(got, " ") != want || last != start+3 {
		t.Errorf("got %s from %d, want %s", got, last, want)
	}
}

// A client that comes back gets what it missed; one of before the daemon's start, or
// of too long ago, the whole status first.
func TestEventsAfterReconnect(t *testing.T) {
	c, m, _ := serve(t, &fakeDaemon{})
	m.Log("first")
	next := func(after string) (id, kind string) {
		t.Helper()
		resp, err := c.send(t.Context(), "GET", "/v1/events", http.Header{"Last-Event-Id": {after}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() && lines.Text() != "" {
			switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
			case "id":
				id = value
			case "event":
				kind = value
			}
		}
		return id, kind
	}
	sub := m.Subscribe(1)
	first := (<-sub.Events()).ID
	sub.Close()
	m.Log("second")
	if id, kind := next(fmt.Sprint(first)); kind != "log" || id != fmt.Sprint(first+1) {
		t.Errorf("after %d came %s %s", first, kind, id)
	}
	for _, stale := range []string{"7", fmt.Sprint(first + 1000)} {
		if _, kind := next(stale); kind != "status" {
			t.Errorf("after %s, of another process, came %s", stale, kind)
		}
	}
}
