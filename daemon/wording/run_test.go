package wording

import (
	"strings"
	"testing"

	"dynamod/daemon/activation"
	"dynamod/daemon/status"
)

// A link counts as a profile's own unless it is down, or known to be another one's.
func TestLinkOf(t *testing.T) {
	const iccid, other = "8900000000000000018", "8900000000000000026"
	for _, tt := range []struct {
		name  string
		state status.State
		sim   *status.SIM
		want  bool
	}{
		{"its own", status.Up, &status.SIM{ICCID: iccid}, true},
		{"to a portal alone", status.Limited, &status.SIM{ICCID: iccid}, true},
		{"another one's", status.Up, &status.SIM{ICCID: other}, false},
		{"a SIM that is not read yet", status.Up, &status.SIM{}, true},
		{"no SIM is told of", status.Up, nil, true},
		{"down", status.Down, &status.SIM{ICCID: iccid}, false},
	} {
		link := &status.Link{Interface: "wwan0"}
		if got := LinkOf(&status.Snapshot{State: tt.state, SIM: tt.sim, Link: link}, iccid); (got == link) != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestConsent(t *testing.T) {
	for _, tt := range []struct {
		name          string
		run           status.Run
		warning, asks string
	}{
		{"to be installed alone", status.Run{Waiting: activation.WaitConsent, InstallOnly: true, PolicyRules: "ppr1"}, "", "Install it, and leave it disabled?"},
		{"any profile", status.Run{Waiting: activation.WaitConsent, Previous: "8900000000000000018"}, "", "Install and enable it?"},
		{"PPR1", status.Run{Waiting: activation.WaitNoWayBack, Previous: "8900000000000000018"}, "cannot go back to profile 8900000000000000018.", "for good?"},
		{"PPR1, and the previous one is not known", status.Run{Waiting: activation.WaitNoWayBack}, "cannot go back.", "for good?"},
	} {
		warning, question := Consent(&tt.run)
		if !strings.HasSuffix(warning, tt.warning) || (warning == "") != (tt.warning == "") || !strings.HasSuffix(question, tt.asks) {
			t.Errorf("%s: %q, %q", tt.name, warning, question)
		}
	}
}

// Each state of a visit has words of its own.
func TestVisit(t *testing.T) {
	seen := map[string]bool{}
	for _, state := range []status.VisitState{status.VisitOpen, status.VisitWaiting, status.VisitBusy, status.VisitDone, status.VisitFailed, status.VisitNoChange, status.VisitTopUp} {
		text := Visit(&status.Visit{Operator: "contoso", Brand: "Contoso", Plan: "1 GB", State: state, Error: &status.Problem{Text: "why"}})
		if !strings.HasPrefix(text, "Contoso, 1 GB, ") || seen[text] {
			t.Errorf("%s: %s", state, text)
		}
		seen[text] = true
	}
}
