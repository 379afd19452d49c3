package modem_test

import (
	"testing"

	"dynamod/atcmd/atsim"
	"dynamod/atcmd/dialect"
)

// Every personality that tells its cell tells the same one, each in its maker's
// coding.
func TestCellsOnSimulatedModem(t *testing.T) {
	for _, net := range []struct {
		name       string
		reg        atsim.Registration
		rat        dialect.RAT
		band, pci  int
		rsrp, sinr float64
	}{
		{"LTE", atsim.Registration{Status: 1, AcT: 7, PLMN: "310260", TAC: "12AB", CellID: "01A2D001"}, dialect.LTE, 3, 301, -87, 12},
		{"5G", atsim.Registration{Status: 5, AcT: 11, PLMN: "26201", TAC: "0012AB", CellID: "1C649D138"}, dialect.NR, 78, 434, -79, 22},
	} {
		told := 0
		for _, personality := range atsim.Personalities() {
			l := newLab(t, func(c *atsim.Config) { c.Personality = personality; c.Network = &network{reg: net.reg} })
			if net.rat == dialect.NR && personality == "nordic-nrf9160" {
				continue // which never registers there
			}
			m := l.start(t)
			cells, err := m.Cells(t.Context())
			l.close()
			if err != nil {
				t.Fatal(err)
			}
			if len(cells) == 0 {
				continue
			}
			told++
			c := cells[0]
			if net.rat == dialect.NR && c.RAT != net.rat {
				continue // a modem without 5G, that the network says has it
			}
			if len(cells) != 1 || c.RAT != net.rat || c.AreaCode != "12AB" || c.CellID == "" || c.ARFCN == nil {
				t.Errorf("%s, %s: %+v", personality, net.name, cells)
				continue
			}
			if c.MCC != "" && c.MCC+c.MNC != net.reg.PLMN || c.Band != 0 && c.Band != net.band || c.PCI != nil && *c.PCI != net.pci ||
				c.RSRP == nil || *c.RSRP != net.rsrp || c.SINR != nil && *c.SINR != net.sinr {
				t.Errorf("%s, %s: %+v", personality, net.name, c)
			}
		}
		if told < 8 {
			t.Errorf("%s: %d personalities told their cell", net.name, told)
		}
	}
}

// The levels of 5G are the last three of +CESQ.
func TestSignalOfNR(t *testing.T) {
	l := newLab(t, func(c *atsim.Config) {
		c.Network = &network{reg: atsim.Registration{Status: 1, AcT: 11, PLMN: "26201", TAC: "0012AB", CellID: "1C649D138"}}
	})
	s, err := l.start(t).Signal(t.Context())
	if err != nil || s.RSRP == nil || *s.RSRP != -79 || s.RSRQ == nil || *s.RSRQ != -10 || s.SINR == nil || *s.SINR != 22 {
		t.Errorf("%+v %v", s, err)
	}
}
