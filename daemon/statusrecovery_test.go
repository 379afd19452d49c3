package main

import (
	"strings"
	"testing"
	"time"

	"dynamod/daemon/status"
)

// The recovery of a modem as `dynamod status` shows it: nothing while nothing
// was done.
func TestStatusRecovery(t *testing.T) {
	next := time.Date(2026, 11, 24, 14, 5, 0, 0, time.Local)
	last := time.Date(2026, 11, 24, 12, 5, 0, 0, time.Local)
	use := status.RungUse{Rung: "radio", Count: 3, Last: last, Reason: "the SIM was there", Error: "+CFUN was refused"}
	for _, tt := range []struct {
		name string
		r    *status.Recovery
		want []string
	}{
		{"never needed", nil, nil},
		{"over", &status.Recovery{Rungs: []status.RungUse{use}}, []string{"recovery      nothing is wrong", "radio       3 times, last 2026-11-24 12:05:00, the SIM was there, failed: +CFUN was refused"}},
		{"once, with no reason but itself", &status.Recovery{Rungs: []status.RungUse{{Rung: "sweep", Count: 1, Last: last, Reason: "sweep"}}}, []string{"  sweep       once, 2026-11-24 12:05:00\n"}},
		{"given up", &status.Recovery{State: status.GivenUp, Symptom: "sim-lost", Reason: "gone", Advice: "take it out and in again", Next: &next}, []string{
			"recovery      given-up, sim-lost: gone, begun again at 2026-11-24 14:05:00", "  advice      take it out and in again",
		}},
	} {
		var b strings.Builder
		writeStatus(&b, status.Snapshot{State: status.Down, Recovery: tt.r})
		for _, line := range tt.want {
			if !strings.Contains(b.String(), line) {
				t.Errorf("%s: no %q in\n%s", tt.name, line, b.String())
			}
		}
		if tt.r == nil && strings.Contains(b.String(), "recovery") {
			t.Errorf("%s:\n%s", tt.name, b.String())
		}
	}
}
