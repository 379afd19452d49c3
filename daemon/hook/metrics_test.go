package hook

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"dynamod/daemon/status"
)

// TestMetrics reads the text with Prometheus' own parser, and holds the names
// against the rules that promtool checks.
func TestMetrics(t *testing.T) {
	f := func(v float64) *float64 { return &v }
	at := time.Date(2026, 11, 24, 12, 0, 0, 500e6, time.UTC)
	full := status.Snapshot{
		Version: "v1 \"odd\\\n\"", Started: at, State: status.Limited,
		Link:  &status.Link{Since: at, Addresses: []string{"10.1.2.3/30"}, APN: "secret.apn"},
		Reach: &status.Reach{Result: "ok", RTTMS: 21.5, At: at},
		Modem: &status.Modem{Present: true, IMEI: "49015420...18"},
		Card:  &status.Card{EID: testEID, FreeMemory: 521131, Profiles: []status.Profile{{ICCID: "8900101000000000017"}}},
		SIM:   &status.SIM{IMSI: "00101********17", ICCID: "8900101000000000017"}, Balance: &status.Balance{ICCID: "8900101000000000017", DataMB: f(512.5), At: at}, Registration: &status.Registration{Status: "roaming"},
		Signal: &status.Signal{RSSI: f(-67), RSRP: f(-87), RSRQ: f(-9.5), SINR: f(12)},
		Outbox: status.Outbox{Pending: 2, Oldest: &at}, Warnings: []string{"x"},
		Run:      &status.Run{ID: "R", Ended: &at, Outcome: status.RolledBack},
		Recovery: &status.Recovery{State: status.Climbing, Rungs: []status.RungUse{{Rung: "radio", Count: 3}, {Rung: "modem", Count: 1}}},
	}
	for name, s := range map[string]status.Snapshot{"everything": full, "nothing": {State: status.Down}} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			writeMetrics(&b, s)
			parser := expfmt.NewTextParser(model.LegacyValidation)
			families, err := parser.TextToMetricFamilies(bytes.NewReader(b.Bytes()))
			if err != nil {
				t.Fatalf("%v\n%s", err, &b)
			}
			problems, err := promlint.New(bytes.NewReader(b.Bytes())).Lint()
			if err != nil || len(problems) > 0 {
				t.Errorf("%v %v", problems, err)
			}
			sum := 0.0
			for _, m := range families["dynamod_link_state"].Metric {
				sum += m.Gauge.GetValue()
			}
			if sum != 1 || len(families["dynamod_link_state"].Metric) != 3 {
				t.Errorf("link state: %v", families["dynamod_link_state"])
			}
			for _, secret := range []string{testEID, "8900101", "49015420", "00101***", "secret.apn", "10.1.2.3"} {
				if strings.Contains(b.String(), secret) {
					t.Errorf("%q is in the metrics", secret)
				}
			}
			if name == "nothing" {
				return
			}
			for family, want := range map[string]float64{
				"dynamod_signal_rsrq_db": -9.5, "dynamod_reach_duration_seconds": 0.0215, "dynamod_roaming": 1, "dynamod_outbox_pending": 2,
				"dynamod_balance_bytes": 512.5e6, "dynamod_balance_used_up": 0, "dynamod_balance_timestamp_seconds": float64(at.UnixMilli()) / 1000,
				"dynamod_run_ended_timestamp_seconds": float64(at.UnixMilli()) / 1000, "dynamod_card_free_bytes": 521131,
			} {
				if got := families[family]; got == nil || got.Metric[0].Gauge.GetValue() != want {
					t.Errorf("%s: %v, want %v", family, got, want)
				}
			}
			if got := families["dynamod_recovery_rungs_total"]; len(got.GetMetric()) != 2 || got.Metric[0].Counter.GetValue() != 3 {
				t.Errorf("rungs: %v", got)
			}
			for _, label := range families["dynamod_build_info"].Metric[0].Label {
				if label.GetName() == "version" && label.GetValue() != s.Version {
					t.Errorf("version %q", label.GetValue())
				}
			}
		})
	}
}
