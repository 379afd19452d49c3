package main

import (
	"strings"
	"testing"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/status"
)

func answerYes(yes *bool) activation.Answer { return activation.Answer{Consent: yes} }

// TestNarratorRedraws holds the bar to one line that leaves nothing of a longer
// one before it, and to no bar where there is no terminal.
func TestNarratorRedraws(t *testing.T) {
	for _, width := range []int{80, 0} {
		var progress, result strings.Builder
		clock := time.Unix(0, 0)
		n := &narrator{progress: &progress, result: &result, width: func() int { return width }, now: func() time.Time { clock = clock.Add(time.Second); return clock }, start: clock}
		run := status.Run{ID: "RUN1", State: string(activation.Downloading), ICCID: newICCID, Started: clock}
		for _, done := range []int{0, 999_000, 1_000_000} {
			run.Progress = &status.Progress{Done: done, Total: 1_000_000}
			n.change(&run)
		}
		run.Progress, run.State = nil, string(activation.Installed)
		n.change(&run)
		n.change(&run) // told once
		text := progress.String()
		if lines := strings.Count(text, "\n"); width > 0 && lines != 3 || width == 0 && lines != 2 {
			t.Errorf("width %d: %d lines:\n%q", width, lines, text)
		}
		if bars := strings.Count(text, "\r"); width > 0 && bars != 3 || width == 0 && bars != 0 {
			t.Errorf("width %d: %d bars:\n%q", width, bars, text)
		}
		before := 0
		for bar := range strings.SplitSeq(text, "\r") {
			bar, _, _ = strings.Cut(bar, "\n")
			if !strings.HasPrefix(bar, "[") {
				continue
			}
			if len(bar) < before {
				t.Errorf("%q leaves the end of a bar of %d columns", bar, before)
			}
			before = len(strings.TrimRight(bar, " "))
		}
	}
}

func TestOutcomeCodes(t *testing.T) {
	for _, tt := range []struct {
		outcome status.Outcome
		code    string
		want    int
	}{
		{status.Committed, "", exitOK},
		{status.RolledBack, "no-registration", exitRolledBack},
		{status.RolledBack, "", exitRolledBack},
		{status.Failed, "install-memory", exitFailed},
		{status.Failed, "rejected", exitRefused},
		{status.Failed, "cancelled", exitRefused},
	} {
		rec := activation.Record{Outcome: tt.outcome}
		if tt.code != "" {
			rec.Error = &status.Problem{Code: tt.code, Text: "x"}
		}
		var errs strings.Builder
		if got := report(std{err: &errs}, outcomeError(rec)); got != tt.want {
			t.Errorf("%s %s: exit code %d, want %d", tt.outcome, tt.code, got, tt.want)
		}
	}
}
