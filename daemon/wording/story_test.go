package wording

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
)

// What a run was begun for is in its first line.
func TestLogTellsWhatARunIs(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rec := func(r activation.Record) activation.Record {
		r.ID, r.Started = "RUN1", at
		return r
	}
	for _, tt := range []struct {
		name  string
		story []activation.Record
		want  string
	}{
		{"a code", []activation.Record{{State: activation.Accepted, Mark: "m", SMDP: "smdp.example.com"}}, "activation RUN1 from smdp.example.com, 2026"},
		{"a switch", []activation.Record{{State: activation.Enabling, ICCID: "8900000000000000018"}}, "switch RUN1 to profile 8900000000000000018, 2026"},
		{"a discovery", []activation.Record{{State: activation.Accepted, Mark: "m"}, {State: activation.Agreed, Mark: "m", SMDP: "found.example.com"}}, "activation RUN1 from found.example.com, 2026"},
		{"a discovery that found nothing", []activation.Record{{State: activation.Accepted, Mark: "m"}}, "activation RUN1, 2026"},
		{"a fallback", []activation.Record{{State: activation.Enabling, ICCID: "8900000000000000018", Fallback: &activation.Fallback{Text: "no link for 1h"}}}, "activation RUN1 because of no link for 1h, 2026"},
	} {
		var records []hook.LogRecord
		for i, r := range tt.story {
			data, err := json.Marshal(rec(r))
			if err != nil {
				t.Fatal(err)
			}
			records = append(records, hook.LogRecord{Seq: uint64(i + 1), Time: at, Kind: activation.Kind, Data: data})
		}
		var b strings.Builder
		Log(&b, records)
		if !strings.HasPrefix(b.String(), tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, b.String(), tt.want)
		}
	}
}
