package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/daemon/wording"
)

// A switch that nobody asked for, and a SIM that changed by itself, as people see
// them.
func TestFallbackIsTold(t *testing.T) {
	const from, to = "8900000000000000018", "8900000000000000026"
	at := time.Date(2026, 11, 24, 14, 5, 0, 0, time.Local)
	rec := activation.Record{
		ID: "RUN1", State: activation.Done, ICCID: to, Previous: from, Outcome: status.Committed, Started: at, Ended: &at,
		Fallback: &activation.Fallback{Reason: activation.NoTraffic, Text: "fallback: no traffic with profile " + from + " for 30m0s", Preferred: from},
	}
	change := status.SIMChange{From: from, To: to, At: at}
	record := func(kind string, v any) hook.LogRecord {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return hook.LogRecord{Time: at, Kind: kind, Data: b}
	}
	var b strings.Builder
	writeStatus(&b, status.Snapshot{State: status.Up, Run: rec.View(), SIM: &status.SIM{State: "ready", ICCID: to}, SIMChange: &change, Fallback: &status.Fallback{Preferred: from, Next: &at}})
	wording.Log(&b, []hook.LogRecord{record(activation.Kind, rec), record(status.SIMChangeKind, change)})
	for _, line := range []string{
		"  changed     from ICCID " + from + " to " + to + ", without an activation, 2026-11-24 14:05:00",
		"fallback      this profile stands in for " + from + ", another profile is tried at 2026-11-24 14:05:00",
		"  why         fallback: no traffic with profile " + from + " for 30m0s",
		"activation RUN1 because of fallback: no traffic with profile " + from + " for 30m0s, 2026-11-24 14:05:00",
		"2026-11-24 14:05:00  the SIM changed without an activation: ICCID " + to + " in place of " + from,
	} {
		if !strings.Contains(b.String(), line+"\n") {
			t.Errorf("no %q in\n%s", line, b.String())
		}
	}
}
