package gateway

import (
	"os"
	"testing"

	"dynamod/configs/cosa"
)

// TestNoDirectoryNoPolls: a visit to a portal wakes nobody up where there is no service
// that could have its answer.
func TestNoDirectoryNoPolls(t *testing.T) {
	g := newGateway(t)
	if err := os.MkdirAll(g.dynamoDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	op := &cosa.OperatorProfile{ID: "x", Name: "X", Portal: cosa.Portal{URL: "https://portal.example/"}}
	if _, _, _, err := g.visits.Begin(op, "89049032000000000000000000000017"); err != nil {
		t.Fatal(err)
	}
	if len(g.visits.Visits()) != 1 {
		t.Fatal("no visit")
	}
	if next := g.poll(t.Context(), map[string]int{}); next != 0 {
		t.Errorf("the next poll is in %s", next)
	}
}
