package wording

import (
	"testing"
	"time"

	"dynamod/daemon/status"
)

func TestBalanceText(t *testing.T) {
	mb := func(n float64) *float64 { return &n }
	for _, tt := range []struct {
		b    status.Balance
		want string
	}{
		{status.Balance{Type: "MODIRECTPAYG", DataMB: mb(512.5), TimeRemaining: "P23DT23H"}, "512.5 MB left, for another 23 d 23 h"},
		{status.Balance{Type: "PAYG", DataMB: mb(1), TimeRemaining: "P2D", Locations: []string{"US", "DE"}}, "1 MB left, for another 2 d, in US DE"},
		{status.Balance{Type: "MODIRECTPAYG", TimeRemaining: "PT90M"}, "for another 1 h 30 min"},
		{status.Balance{Type: "MODIRECTPAYG", DataMB: mb(0.25)}, "0.25 MB left"},
		{status.Balance{Type: "NONE", UsedUp: true, DataMB: mb(0), TimeRemaining: "P1D"}, "nothing is left"},
		{status.Balance{Type: "MODIRECT"}, "a contract: there is no balance to count"},
		{status.Balance{Type: "NOTSUPPORTED"}, "the operator has no balance for this SIM"},
		{status.Balance{}, "there is a balance, and the operator does not say how much"},
	} {
		if got := Balance(tt.b); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.b, got, tt.want)
		}
	}
	if got := days(59 * time.Second); got != "0 min" {
		t.Error(got)
	}
}
