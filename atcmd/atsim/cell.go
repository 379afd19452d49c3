package atsim

import (
	"fmt"
	"strconv"
	"strings"
)

// air is what the modem measures of its cell: the same on every command that
// tells it, each in its own coding.
type air struct {
	pci, arfcn, band       int
	rsrp, rsrq, rssi, sinr int // dBm, dB
}

// measured are the levels in the present cell. A Registration has no
// measurements, so they are fixed ones for each technology.
func (m *Modem) measured() air {
	switch act := m.radio.reg.AcT; {
	case act >= 10 && act != 13:
		return air{pci: 434, arfcn: 636576, band: 78, rsrp: -79, rsrq: -10, rssi: -60, sinr: 22}
	case act >= 7:
		return air{pci: 301, arfcn: 1300, band: 3, rsrp: -87, rsrq: -9, rssi: -58, sinr: 12}
	case act >= 2:
		return air{pci: 177, arfcn: 10713, band: 1, rsrp: -69, rssi: -65}
	}
	return air{arfcn: 62, band: 8, rssi: -67}
}

// here is the serving cell's name; ok is false when there is none to be told.
func (m *Modem) here() (mcc, mnc string, tac, ci uint64, ok bool) {
	reg := m.radio.reg
	if !reg.Registered() || len(reg.PLMN) < 5 {
		return "", "", 0, 0, false
	}
	tac, _ = strconv.ParseUint(reg.TAC, 16, 64)
	ci, _ = strconv.ParseUint(reg.CellID, 16, 64)
	return reg.PLMN[:3], reg.PLMN[3:], tac, ci, true
}

func (m *Modem) inNR() bool  { return m.radio.reg.AcT >= 10 && m.radio.reg.AcT != 13 }
func (m *Modem) inLTE() bool { return m.radio.reg.AcT >= 7 && !m.inNR() }

// qeng is Quectel's +QENG="servingcell" (EC2x and RG50xQ/RM5xxQ AT commands
// manuals).
func qeng(x *exec) error {
	if !strings.EqualFold(x.str(0), "servingcell") {
		return nil
	}
	mcc, mnc, tac, ci, ok := x.m.here()
	a := x.m.measured()
	switch {
	case !ok:
		x.tagged(`"servingcell","SEARCH"`)
	case x.m.inNR():
		x.tagged(`"servingcell","NOCONN","NR5G-SA","TDD",%s,%s,%X,%d,%X,%d,%d,12,%d,%d,%d,1,-`, mcc, mnc, ci, a.pci, tac, a.arfcn, a.band, a.rsrp, a.rsrq, a.sinr)
	case x.m.inLTE():
		x.tagged(`"servingcell","NOCONN","LTE","FDD",%s,%s,%X,%d,%d,%d,5,5,%X,%d,%d,%d,%d,22`, mcc, mnc, ci, a.pci, a.arfcn, a.band, tac, a.rsrp, a.rsrq, a.rssi, a.sinr)
	case x.m.radio.reg.AcT >= 2:
		x.tagged(`"servingcell","NOCONN","WCDMA",%s,%s,%X,%X,%d,%d,1,%d,-4,-,-,-,-,-`, mcc, mnc, tac, ci, a.arfcn, a.pci, a.rsrp)
	default:
		x.tagged(`"servingcell","NOCONN","GSM",%s,%s,%X,%X,35,%d,1,%d,255,255,0,28,28,1,-,-,-,-,-,-,-,-,-,"-"`, mcc, mnc, tac, ci, a.arfcn, a.rssi)
	}
	return nil
}

// cpsi is SIMCom's +CPSI? (SIM7500/SIM7600 AT command manual; levels in tenths,
// as SIM7600, SIM8202 and SIM8260 answer).
func cpsi(x *exec) error {
	mcc, mnc, tac, ci, ok := x.m.here()
	a := x.m.measured()
	switch {
	case !ok:
		x.tagged("NO SERVICE,Online")
	case x.m.inNR():
		x.tagged("NR5G_SA,Online,%s-%s,0x%X,%d,%d,NR5G_BAND%d,%d,%d,%d,%d", mcc, mnc, tac, ci, a.pci, a.band, a.arfcn, 10*a.rsrp, 10*a.rsrq, 10*a.sinr)
	case x.m.inLTE():
		x.tagged("LTE,Online,%s-%s,0x%X,%d,%d,EUTRAN-BAND%d,%d,5,5,%d,%d,%d,%d", mcc, mnc, tac, ci, a.pci, a.band, a.arfcn, 10*a.rsrq, 10*a.rsrp, 10*a.rssi, a.sinr)
	case x.m.radio.reg.AcT >= 2:
		x.tagged("WCDMA,Online,%s-%s,0x%X,%d,WCDMA IMT 2000,%d,%d,0,4,69,33,45,500", mcc, mnc, tac, ci, a.pci, a.arfcn)
	default:
		x.tagged("GSM,Online,%s-%s,0x%X,%d,%d EGSM 900,%d,0,27-27", mcc, mnc, tac, ci, a.arfcn, a.rssi)
	}
	return nil
}

// rfsts is Telit's #RFSTS in its form for LTE (LE910Cx AT commands manual).
func rfsts(x *exec) error {
	mcc, mnc, tac, ci, ok := x.m.here()
	if !ok || !x.m.inLTE() {
		x.tagged(`"",0,0,0,0,0,0,0,0,19,0,0,"%s","",0,0`, x.m.card.imsi)
		return nil
	}
	a := x.m.measured()
	x.tagged(`"%s %s",%d,%d,%d,%d,%X,255,,128,19,0,%07X,"%s","%s",3,%d,720,2000,%d`,
		mcc, mnc, a.arfcn, a.rsrp, a.rssi, a.rsrq, tac, ci, x.m.card.imsi, x.m.radio.reg.Operator, a.band, a.sinr)
	return nil
}

// gstatus is Sierra's !GSTATUS?, labels and values in two columns, as the
// EM74xx/MC74xx (LTE) and the EM919x (5G) answer.
func gstatus(x *exec) error {
	_, _, tac, ci, ok := x.m.here()
	a := x.m.measured()
	x.info("!GSTATUS: ")
	x.info("Current Time:  22016\t\tTemperature: 40")
	x.info("Reset Counter: 1\t\tMode:        ONLINE         ")
	switch {
	case !ok:
		x.info("System mode:   Unknown    \tPS state:    Not attached ")
		x.info("EMM state:     Deregistered   \tNo Service")
	case x.m.inNR():
		x.info("System mode:   NR5G       \tPS state:    Attached     ")
		x.info("NR5G TAC:        %06x        \tNR5G Cell ID:    %X (%d)", tac, ci, ci)
		x.info("NR5G band:       n%d       \tNR5G Carrier ID: 0", a.band)
		x.info("NR5G Rx chan:    %d", a.arfcn)
		x.info("NR5G RSRP (dBm): %d        \tNR5G RSRQ (dB):  %d", a.rsrp, a.rsrq)
		x.info("NR5G SINR (dB):  %d.0", a.sinr)
	default:
		x.info("System mode:   LTE        \tPS state:    Attached     ")
		x.info("LTE band:      B%d     \t\tLTE bw:      10 MHz  ", a.band)
		x.info("LTE Rx chan:   %d\t\tLTE Tx chan: %d", a.arfcn, a.arfcn+18000)
		x.info("EMM state:     Registered     \tNormal Service ")
		x.info("RRC state:     RRC Idle       ")
		x.info("PCC RxM RSSI:  %d             \tRSRP (dBm):  %d", a.rssi, a.rsrp)
		x.info("PCC RxD RSSI:  %d             \tRSRP (dBm):  %d", a.rssi-1, a.rsrp-1)
		x.info("Tx Power:      --              \tTAC:         %04X (%d)", tac, tac)
		x.info("RSRQ (dB):     %d.0           \tCell ID:     %08X (%d)", a.rsrq, ci, ci)
		x.info("SINR (dB):     %d.0", a.sinr)
	}
	return nil
}

// ucged is u-blox' +UCGED? in mode 2 (SARA-R5 AT commands manual).
func ucged(x *exec) error {
	mode := storedOr(x, "0")
	x.tagged("%s", mode)
	if mode != "2" {
		return nil
	}
	mcc, mnc, tac, ci, ok := x.m.here()
	if !ok {
		x.info("6,2,fff,fff")
		x.info("65535,255,255,255,ffff,0000000,65535,00000000,ffff,ff,255,255,255,1,255,255,255,255,255,0,255,255,0")
		return nil
	}
	a := x.m.measured()
	x.info("6,4,%s,%s", mcc, mnc)
	x.info("%d,%d,50,50,%04x,%07x,%d,d60814d1,8001,01,%d,%d,%d.00,3,1,10,28,-50,-6,0,255,255,0", a.arfcn, a.band, tac, ci, a.pci, a.rsrp+141, 2*(a.rsrq+20), a.sinr)
	return nil
}

// gtccinfo is Fibocom's +GTCCINFO?, with a heading and levels as in +CESQ
// (TS 27.007 8.69). Channel and physical cell are hexadecimal on FM160 and
// decimal on FM350.
func gtccinfo(number string) func(*exec) error {
	return func(x *exec) error {
		x.tagged("")
		mcc, mnc, tac, ci, ok := x.m.here()
		if !ok {
			return nil
		}
		a := x.m.measured()
		place := fmt.Sprintf("%s,%s,%X,%X,"+number+","+number, mcc, mnc, tac, ci, a.arfcn, a.pci)
		if x.m.inNR() {
			x.info("NR service cell:")
			x.info("1,9,%s,50%d,100,%d,%d,%d,%d", place, a.band, 2*a.sinr+47, a.rsrp+157, a.rsrp+157, 2*a.rsrq+87)
			return nil
		}
		x.info("LTE service cell:")
		x.info("1,4,%s,%d,100,%d,%d,%d,%d", place, 100+a.band, 2*a.sinr, a.rsrp+141, a.rsrp+141, 2*(a.rsrq+20))
		x.info("LTE neighbor cell:")
		x.info("2,4,,,,,"+number+","+number+",,38,38,0", a.arfcn, a.pci+1)
		return nil
	}
}

// monsc is Huawei's ^MONSC, as the HiSilicon firmware writes it.
func monsc(x *exec) error {
	mcc, mnc, tac, ci, ok := x.m.here()
	if !ok {
		x.tagged("NONE")
		return nil
	}
	a := x.m.measured()
	x.tagged("LTE,%s,%s,%d,%X,%X,%X,%d,%d,%d", mcc, mnc, a.arfcn, ci, a.pci, tac, a.rsrp, a.rsrq, a.rssi)
	return nil
}

// xmonitor is Nordic's %XMONITOR (nRF91 AT commands reference).
func xmonitor(x *exec) error {
	mcc, mnc, tac, ci, ok := x.m.here()
	reg := x.m.radio.reg
	if !ok {
		x.tagged("%d", reg.Status)
		return nil
	}
	a := x.m.measured()
	x.tagged(`%d,"","","%s%s","%04X",%d,%d,"%08X",%d,%d,%d,%d,"","11100000","11100000","01001001"`,
		reg.Status, mcc, mnc, tac, reg.AcT, a.band, ci, a.pci, a.arfcn, a.rsrp+141, a.sinr+25)
	return nil
}
