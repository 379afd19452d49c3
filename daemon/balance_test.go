package main

import (
	"strings"
	"testing"
	"time"

	"dynamod/daemon/status"
)

// TestStatusBalance: the status shows the balance of the SIM that is there, and no
// other one's.
func TestStatusBalance(t *testing.T) {
	mb := 5.0
	b := &status.Balance{ICCID: newICCID, Type: "MODIRECTPAYG", DataMB: &mb, Text: "5 MB left", Stale: true, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	for iccid, want := range map[string]bool{newICCID: true, oldICCID: false} {
		var out strings.Builder
		writeStatus(&out, status.Snapshot{SIM: &status.SIM{State: "ready", ICCID: iccid}, Balance: b})
		if got := strings.Contains(out.String(), "  balance     5 MB left, as of 2026-01-0"); got != want || got && !strings.Contains(out.String(), "nothing newer is known") {
			t.Errorf("%s:\n%s", iccid, &out)
		}
	}
}
