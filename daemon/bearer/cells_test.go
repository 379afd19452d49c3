package bearer

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
)

// The cell is the maker's command's, or else what the registration tells.
func TestCells(t *testing.T) {
	pci, rsrp := 301, -87.0
	for _, tt := range []struct {
		name string
		set  func(*radio)
		want string
	}{
		{"no command", func(r *radio) { r.act, r.ci = 7, "01A2D001" }, `[{"rat":"lte","plmn":"00101","area_code":"12AB","cell_id":"1A2D001"}]`},
		{"5G", func(r *radio) { r.act, r.ci = 11, "1C649D138" }, `[{"rat":"5g","plmn":"00101","area_code":"12AB","cell_id":"1C649D138"}]`},
		{"nothing told", func(r *radio) { r.act = modem.AcTUnknown }, `null`},
		{"a command", func(r *radio) {
			r.act, r.ci = 7, "01A2D001"
			r.cells = []modem.Cell{{RAT: dialect.LTE, MCC: "001", MNC: "01", CellID: "1A2D001", PCI: &pci, Band: 3, RSRP: &rsrp}, {RAT: dialect.NR, Band: 78}}
		}, `[{"rat":"lte","plmn":"00101","cell_id":"1A2D001","pci":301,"band":3,"rsrp":-87},{"rat":"5g","band":78}]`},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, func(_ *Config, r *radio) { tt.set(r) })
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- b.Run(ctx) }()
			time.Sleep(time.Minute)
			got, err := json.Marshal(b.model.Snapshot().Cells)
			if err != nil || string(got) != tt.want {
				t.Errorf("%s: %s %v, want %s", tt.name, got, err, tt.want)
			}
			cancel()
			<-done
		})
	}
}
