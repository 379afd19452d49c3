package atsim

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
)

// radio is the modem's place in the network.
type radio struct {
	reg      Registration
	detached bool   // +CGATT=0 or +COPS=2
	mode     int    // +COPS <mode>
	plmn     string // chosen by hand
}

// regVerbs: TS 27.007 7.2, 7.3, 8.2, 10.1.9, 10.1.20, 10.1.22 and 10.1.47.
var regVerbs = []verb{
	{name: "+CFUN", test: "(0,1,4),(0,1)", read: readCFUN, set: setCFUN},
	{name: "+COPS", test: "", read: readCOPS, set: setCOPS},
	{name: "+CGATT", test: "(0,1)", read: readCGATT, set: setCGATT},
	{name: "+CREG", test: "(0-3)", read: readREG, set: setREG},
	{name: "+CGREG", test: "(0-3)", read: readREG, set: setREG},
	{name: "+CEREG", test: "(0-3)", read: readREG, set: setREG},
	{name: "+C5GREG", test: "(0-3)", read: readREG, set: setREG},
	{name: "+WS46", test: "(12,22,25,28,30,31)", read: readWS46, set: setWS46},
}

// ready reports whether the modem can and wants to register.
func (m *Modem) ready() (Subscriber, bool) {
	sub, ok := m.card.subscriber()
	return sub, ok && m.fun == 1 && !m.radio.detached && m.radio.mode != 2
}

// startRadio begins a registration: the modem searches, and has the network's
// answer after Config.RegisterTime.
func (m *Modem) startRadio(ctx context.Context) {
	if _, ok := m.ready(); !ok {
		m.leave()
		return
	}
	if m.cfg.RegisterTime <= 0 {
		m.register(ctx)
		return
	}
	m.setRegistration(Registration{Status: 2}, "")
	m.after("register", m.cfg.RegisterTime, m.register)
}

// register asks the network now and plans the next time.
func (m *Modem) register(context.Context) {
	m.cancel("register")
	sub, ok := m.ready()
	if !ok {
		m.leave()
		return
	}
	reg := Registration{Status: 2}
	if m.cfg.Network != nil {
		m.stats.registrations.Add(1)
		reg = m.cfg.Network.Register(sub)
	}
	if m.faults.on("no-service") {
		reg = Registration{Status: 2}
	}
	if f, ok := m.faults.take("deny", command{}); ok {
		reg = Registration{Status: 3, AcT: reg.AcT, RejectCause: f.Code}
	}
	if reg.Status == 1 {
		if f, ok := m.faults.take("roam", command{}); ok {
			reg.Status, reg.PLMN, reg.Operator = 5, cmp.Or(f.Text, "99970"), "Foreign Network"
		}
	}
	if m.faults.has("stale-carrier") && m.carrier.stale(sub.ICCID) {
		m.faults.strike("stale-carrier")
		reg = Registration{Status: 2}
	}
	if m.radio.plmn != "" && reg.Registered() && reg.PLMN != m.radio.plmn {
		reg = Registration{Status: 2}
	}
	if m.cfg.AttachBearer && reg.Registered() && !m.radio.reg.Registered() && reg.AcT >= 7 {
		if err := m.activateContext(sub, 1); err != nil {
			reg = Registration{Status: 3, AcT: reg.AcT, PLMN: reg.PLMN, Operator: reg.Operator, RejectCause: 19} // ESM failure
		}
	}
	m.setRegistration(reg, "NW DETACH")
	if m.cfg.RegisterEvery > 0 {
		m.after("register", m.cfg.RegisterEvery, m.register)
	}
}

// leave is the modem's own detach.
func (m *Modem) leave() { m.setRegistration(Registration{}, "ME DETACH") }

// setRegistration takes a new state over and tells the ports that asked. The
// loss of registration is the loss of every context; event is what +CGEV calls it.
func (m *Modem) setRegistration(reg Registration, event string) {
	old := m.radio.reg
	if reg == old {
		return
	}
	if old.Registered() && !reg.Registered() {
		m.dropContexts(event)
	}
	m.radio.reg = reg
	if reg.RejectCause != 0 {
		m.lastErr = "EMM cause " + strconv.Itoa(reg.RejectCause)
	}
	for _, name := range []string{"+CREG", "+CGREG", "+CEREG", "+C5GREG"} {
		was, is := m.domainStatus(name, old), m.domainStatus(name, reg)
		for p := range m.ports {
			n := p.set.creg[name]
			if n == 0 || n == 1 && was == is {
				continue
			}
			if was != is || n >= 2 && m.location(name, old, 2) != m.location(name, reg, 2) {
				p.urc(name + ": " + m.regText(name, n, reg))
			}
		}
	}
	m.log.Debug("registration", "stat", reg.Status, "act", reg.AcT, "cause", reg.RejectCause)
}

// domainStatus is what one of the four registration commands says. Each knows
// its own access technologies: TS 27.007 10.1.20 (GERAN and UTRAN), 10.1.22
// (E-UTRAN), 10.1.47 (NR); 7.2 is the circuit-switched side.
func (m *Modem) domainStatus(name string, reg Registration) int {
	if reg.Status == 0 {
		return 0
	}
	own := true
	switch name {
	case "+CGREG":
		own = reg.AcT < 7 || reg.AcT <= 9 && m.pers.cgregInLTE
	case "+CEREG":
		own = reg.AcT >= 7 && reg.AcT <= 9
	case "+C5GREG":
		own = reg.AcT >= 10
	}
	if !own && reg.Registered() {
		return 4
	}
	if !own {
		return 0
	}
	return reg.Status
}

// location is the part behind <stat> of a registration line.
func (m *Modem) location(name string, reg Registration, n int) string {
	var b strings.Builder
	stat := m.domainStatus(name, reg)
	here := stat == 1 || stat == 5
	if n >= 2 && here {
		fmt.Fprintf(&b, `,"%s","%s",%d`, reg.TAC, reg.CellID, reg.AcT)
		switch {
		case name == "+CGREG":
			b.WriteString(`,"01"`) // <rac>
		}
	}
	if n >= 3 && stat == 3 && reg.RejectCause != 0 {
		// <cause_type> 0: the cause is the network's own number.
		b.WriteString(",,,")
		switch name {
		case "+CGREG":
			b.WriteString(",")
		case "+C5GREG":
			b.WriteString(",,")
		}
		fmt.Fprintf(&b, ",0,%d", reg.RejectCause)
	}
	return b.String()
}

// regText is <stat> and what follows it.
func (m *Modem) regText(name string, n int, reg Registration) string {
	return strconv.Itoa(m.domainStatus(name, reg)) + m.location(name, reg, n)
}

func readREG(x *exec) error {
	n := x.p.set.creg[x.cmd.name]
	x.tagged("%d,%s", n, x.m.regText(x.cmd.name, n, x.m.radio.reg))
	return nil
}

func setREG(x *exec) error {
	n, err := x.int(0, 0, 0, 3)
	if err != nil {
		return err
	}
	x.p.set.creg[x.cmd.name] = n
	return nil
}

// setCFUN is +CFUN=<fun>[,<rst>] (TS 27.007 8.2).
func setCFUN(x *exec) error {
	m := x.m
	rst, err := x.int(1, 0, 0, 1)
	if err != nil {
		return err
	}
	fun, err := x.int(0, 1, 0, 127)
	if err == nil && fun != 0 && fun == m.pers.resetFun {
		fun, rst = 1, 1
	}
	if err != nil || fun != 0 && fun != 1 && fun != 4 {
		return cmeBadParameters
	}
	if rst == 1 {
		reboot := func(ctx context.Context) {
			m.reboot(ctx)
			if m.fun = fun; fun != 1 {
				m.leave()
			}
		}
		if m.habits.Reenumerate {
			m.after("reboot", goodbye, reboot)
		} else {
			x.then = reboot
		}
		return nil
	}
	old := m.fun
	if fun == old {
		return nil
	}
	if fun != 1 {
		m.leave()
	}
	m.fun = fun
	switch {
	case fun == 0: // the card loses its power
		m.card.lose()
		if m.pers.notReadyURC != "" {
			m.urc(m.pers.notReadyURC)
		}
	case old == 0:
		m.faults.heal(HealRadio)
		m.resetCard(x.ctx)
		m.announceSIM()
	}
	if fun == 1 {
		m.after("register", m.cfg.RegisterTime, m.register)
		if _, ok := m.ready(); ok {
			m.setRegistration(Registration{Status: 2}, "")
		}
	}
	return nil
}

func readCFUN(x *exec) error {
	x.tagged("%d", x.m.fun)
	return nil
}

// setCOPS is +COPS=<mode>[,<format>[,<oper>[,<AcT>]]] (TS 27.007 7.3).
func setCOPS(x *exec) error {
	m := x.m
	mode, err := x.int(0, 0, 0, 4)
	if err != nil {
		return err
	}
	format, err := x.int(1, x.p.set.copsFormat, 0, 2)
	if err != nil {
		return err
	}
	if mode == 3 {
		x.p.set.copsFormat = format
		return nil
	}
	if err := x.needSIM(); err != nil {
		return err
	}
	if m.fun != 1 {
		return cmeNoNetwork
	}
	m.radio.plmn = ""
	switch mode {
	case 2:
		m.radio.mode = 2
		m.leave()
		return nil
	case 1, 4:
		plmn, err := m.findOperator(format, x.text(2))
		if err != nil && mode == 1 {
			return err
		}
		m.radio.plmn = plmn
	}
	m.radio.mode = mode
	m.radio.detached = false
	m.register(x.ctx)
	if mode == 4 && !m.radio.reg.Registered() {
		m.radio.mode, m.radio.plmn = 0, ""
		m.register(x.ctx)
	}
	if m.radio.reg.Registered() {
		return nil
	}
	return m.attachError()
}

// findOperator turns the name of an operator into its PLMN.
func (m *Modem) findOperator(format int, oper string) (string, error) {
	if format == 2 {
		if len(oper) < 5 || len(oper) > 6 || !allDigits(oper) {
			return "", cmeBadParameters
		}
		return oper, nil
	}
	for _, o := range m.scan() {
		if oper != "" && (o.Name == oper || shortName(o.Name) == oper) {
			return o.PLMN, nil
		}
	}
	return "", cmeNoNetwork
}

// scan is what +COPS=? finds.
func (m *Modem) scan() []Operator {
	if s, ok := m.cfg.Network.(Scanner); ok {
		return s.Scan()
	}
	if r := m.radio.reg; r.PLMN != "" {
		return []Operator{{Status: 2, PLMN: r.PLMN, Name: r.Operator, AcT: r.AcT}}
	}
	return nil
}

// shortName: the short format has up to eight characters.
func shortName(name string) string {
	if len(name) > 8 {
		return strings.TrimSpace(name[:8])
	}
	return name
}

func readCOPS(x *exec) error {
	r := x.m.radio
	if !r.reg.Registered() {
		x.tagged("%d", r.mode)
		return nil
	}
	name := x.alpha(r.reg.Operator)
	switch x.p.set.copsFormat {
	case 1:
		name = x.alpha(shortName(r.reg.Operator))
	case 2:
		name = r.reg.PLMN
	}
	x.tagged("%d,%d,%s,%d", r.mode, x.p.set.copsFormat, quote(name), r.reg.AcT)
	return nil
}

// testCOPS is the scan, +COPS=?.
func testCOPS(x *exec) error {
	if x.m.fun != 1 {
		return cmeNoNetwork
	}
	var list []string
	for _, o := range x.m.scan() {
		list = append(list, fmt.Sprintf("(%d,%s,%s,%s,%d)", o.Status, quote(x.alpha(o.Name)), quote(x.alpha(shortName(o.Name))), quote(o.PLMN), o.AcT))
	}
	x.tagged("%s", strings.Join(append(list, ",(0-4),(0-2)"), ","))
	return nil
}

// attachError is why the modem is not registered, as a +CME ERROR.
func (m *Modem) attachError() error {
	if _, ok := m.card.subscriber(); !ok {
		return cmeNoSIM
	}
	if code, ok := attachCauses[m.radio.reg.RejectCause]; ok {
		return code
	}
	if m.radio.reg.Status == 3 {
		return cmeNotAllowedNet
	}
	return cmeNoNetwork
}

func readCGATT(x *exec) error {
	x.tagged("%d", btoi(x.m.radio.reg.Registered()))
	return nil
}

func setCGATT(x *exec) error {
	m := x.m
	state, err := x.int(0, 1, 0, 1)
	if err != nil {
		return err
	}
	if state == 0 {
		m.radio.detached = true
		m.leave()
		return nil
	}
	return m.attachNow(x.ctx)
}

// attachNow registers if the modem is not registered, and says why it cannot.
func (m *Modem) attachNow(ctx context.Context) error {
	m.radio.detached = false
	if m.radio.reg.Registered() {
		return nil
	}
	if m.fun != 1 {
		return cmeNotAllowed
	}
	if m.radio.mode == 2 {
		m.radio.mode = 0
	}
	m.register(ctx)
	if m.radio.reg.Registered() {
		return nil
	}
	return m.attachError()
}

// networkDetach is a detach by the network: the modem leaves and tries again.
func (m *Modem) networkDetach() {
	m.setRegistration(Registration{}, "NW DETACH")
	m.after("register", m.cfg.RegisterTime, m.register)
}

func readWS46(x *exec) error {
	v, ok := x.p.set.values["+WS46"]
	if !ok {
		v = "25" // GERAN, UTRAN and E-UTRAN (TS 27.007 5.9)
	}
	x.info("%s", v)
	return nil
}

func setWS46(x *exec) error {
	n, err := x.int(0, 25, 0, 255)
	if err != nil {
		return err
	}
	x.p.set.values["+WS46"] = strconv.Itoa(n)
	return nil
}
