package bearer

import (
	"context"

	"dynamod/atcmd/modem"
	"dynamod/daemon/status"
)

// ServingCells are what the modem tells of its cells, by its maker's command or
// else with the registration.
func ServingCells(ctx context.Context, r Radio, reg modem.Registration, plmn string) (out []status.Cell) {
	if !reg.State.Registered() {
		return nil
	}
	cells, err := r.Cells(ctx)
	if own, ok := reg.Cell(plmn); ok && (err != nil || len(cells) == 0) {
		cells = []modem.Cell{own}
	}
	for _, c := range cells {
		out = append(out, status.Cell{
			RAT: string(c.RAT), PLMN: c.MCC + c.MNC, AreaCode: c.AreaCode, CellID: c.CellID, PCI: c.PCI, ARFCN: c.ARFCN,
			Band: c.Band, RSRP: c.RSRP, RSRQ: c.RSRQ, SINR: c.SINR,
		})
	}
	return out
}
