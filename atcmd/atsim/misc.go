package atsim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// miscVerbs: status, clock and control (TS 27.007 5, 8 and 9).
var miscVerbs = []verb{
	{name: "+CMEE", test: "(0-2)", read: func(x *exec) error { x.tagged("%d", x.p.set.cmee); return nil }, set: setCMEE},
	{name: "+CLAC", test: "-", exec: clac},
	{name: "+CPAS", test: "(0,2-5)", exec: func(x *exec) error { x.tagged("0"); return nil }},
	{name: "+CSQ", test: "(0-31,99),(0-7,99)", exec: csq},
	{name: "+CESQ", test: "(0-63,99),(0-7,99),(0-96,255),(0-49,255),(0-34,255),(0-97,255),(0-126,255),(0-126,255),(0-127,255)", exec: cesq},
	{name: "+CCLK", test: "-", read: readCCLK, set: func(x *exec) error { return cmeNotAllowed }},
	{name: "+CTZR", test: "(0,1)", read: func(x *exec) error { x.tagged("%d", x.p.set.timeZone); return nil }, set: setCTZR},
	{name: "+CEER", test: "-", exec: ceer},
	{name: "+CIND", test: `("signal",(0-5)),("service",(0,1)),("roam",(0,1))`, read: readCIND, set: func(*exec) error { return nil }},
	{name: "+CUSD", test: "(0-2)", read: storedRead("0"), set: cusd},
	{name: "+CSCS", test: `("IRA","GSM","UCS2")`, read: func(x *exec) error { x.tagged("%s", quote(x.alpha(x.p.set.charset))); return nil }, set: setCSCS},
	{name: "+CLCC", test: "-", exec: func(*exec) error { return nil }},
	{name: "+CHUP", test: "-", exec: hangUp},
}

// plainSettings are commands whose value is kept and has no effect in a modem
// without voice. A read answers what was set.
var plainSettings = []struct{ name, test, def string }{
	{"+CRC", "(0,1)", "0"},               // TS 27.007 6.11
	{"+CLIP", "(0,1)", "0,1"},            // 7.6
	{"+CLIR", "(0-2)", "0,0"},            // 7.7
	{"+COLP", "(0,1)", "0,0"},            // 7.8
	{"+CCWA", "(0,1),(0-2),(1-255)", ""}, // 7.12
	{"+CSSN", "(0,1),(0,1)", "0,0"},      // 7.17
	{"+CTZU", "(0,1)", "0"},              // 8.40
	{"+CMER", "(0-3),0,0,(0,1)", "0,0,0,0"},
	{"+CSTA", "(129,145)", "129"}, // 6.1
	{"+CMOD", "(0)", "0"},         // 6.4
	{"+CVHU", "(0-2)", "0"},       // 6.20
	{"+IFC", "(0-2),(0-2)", "2,2"},
	{"+ICF", "(0-6),(0-3)", "3,3"},
	{"+IPR", "(),(0,9600,115200)", "115200"},
	{"+CGCLASS", `("A","B")`, `"A"`},
	{"+CEMODE", "(0-3)", "0"},
	{"+CIPCA", "(0-3)", "3"},
}

func settingVerbs() []verb {
	var out []verb
	for _, s := range plainSettings {
		v := verb{name: s.name, test: s.test, set: storedSet}
		if s.def != "" {
			v.read = storedRead(s.def)
		}
		out = append(out, v)
	}
	return out
}

func storedRead(def string) func(*exec) error {
	return func(x *exec) error {
		v, ok := x.p.set.values[x.cmd.name]
		if !ok {
			v = def
		}
		x.tagged("%s", v)
		return nil
	}
}

// storedSet keeps the parameters; they are numbers or strings of this one port.
func storedSet(x *exec) error {
	var parts []string
	for i := range x.n() {
		a := x.cmd.args[i]
		if a.quoted {
			a.s = quote(a.s)
		} else if _, err := x.int(i, 0, 0, 1<<24); err != nil {
			return err
		}
		parts = append(parts, a.s)
	}
	x.p.set.values[x.cmd.name] = strings.Join(parts, ",")
	return nil
}

func setCMEE(x *exec) error {
	n, err := x.int(0, 0, 0, 2)
	if err == nil && !x.m.habits.NoCME {
		x.p.set.cmee = n
	}
	return err
}

// clac lists every command (TS 27.007 8.37).
func clac(x *exec) error {
	for _, name := range slices.Sorted(maps.Keys(x.m.verbs)) {
		if strings.IndexByte("+^$%#!*_@", name[0]) >= 0 {
			x.info("%s", name)
		}
	}
	return nil
}

// csq is +CSQ (TS 27.007 8.5); 99 while there is no cell.
func csq(x *exec) error {
	if !x.m.hasCell() {
		x.tagged("99,99")
		return nil
	}
	x.tagged("23,99")
	return nil
}

// cesq is +CESQ (TS 27.007 8.69). On E-UTRAN only <rsrq> and <rsrp> are known,
// on NR only the three behind them, which a modem without NR leaves out.
func cesq(x *exec) error {
	switch a := x.m.measured(); {
	case !x.m.hasCell():
		x.tagged("99,99,255,255,255,255")
	case x.m.inNR():
		x.tagged("99,99,255,255,255,255,%d,%d,%d", 2*a.rsrq+87, a.rsrp+157, 2*a.sinr+47)
	case x.m.inLTE():
		x.tagged("99,99,255,255,%d,%d", 2*a.rsrq+39, a.rsrp+141)
	case x.m.radio.reg.AcT >= 2:
		x.tagged("99,99,52,38,255,255")
	default:
		x.tagged("44,0,255,255,255,255")
	}
	return nil
}

func (m *Modem) hasCell() bool {
	return m.fun == 1 && (m.radio.reg.Registered() || m.radio.reg.Status == 3)
}

// readCCLK is +CCLK?: the network's local time and its zone in quarter hours
// (TS 27.007 8.15). Without a network the modem counts from its build.
func readCCLK(x *exec) error {
	now := x.m.cfg.Now()
	if !x.m.radio.reg.Registered() {
		now = time.Date(1980, 1, 6, 0, 0, 0, 0, time.UTC)
	}
	_, offset := now.Zone()
	x.tagged(`"%s%+03d"`, now.Format("06/01/02,15:04:05"), offset/900)
	return nil
}

func setCTZR(x *exec) error {
	n, err := x.int(0, 0, 0, 1)
	if err == nil {
		x.p.set.timeZone = n
	}
	return err
}

func ceer(x *exec) error {
	text := x.m.lastErr
	if text == "" {
		text = "No cause information available"
	}
	x.tagged("%s", text)
	return nil
}

func readCIND(x *exec) error {
	reg := x.m.radio.reg
	signal := 0
	if x.m.hasCell() {
		signal = 4
	}
	x.tagged("%d,%d,%d", signal, btoi(reg.Registered()), btoi(reg.Status == 5))
	return nil
}

func setCSCS(x *exec) error {
	switch s := strings.ToUpper(x.text(0)); s {
	case "IRA", "GSM", "UCS2":
		x.p.set.charset = s
		return nil
	}
	return cmeBadParameters
}

// dynamicTests are test commands whose answer depends on the modem's state.
func dynamicTests() map[string]func(*exec) error {
	return map[string]func(*exec) error{
		"+COPS":      testCOPS,
		"+CGDCONT":   testCGDCONT,
		"+CGPADDR":   testActive(true),
		"+CGCONTRDP": testActive(false),
	}
}

func (p personality) String() string {
	return fmt.Sprintf("%s %s %s", p.Manufacturer, p.Model, p.Revision)
}
