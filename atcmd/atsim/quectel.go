package atsim

import (
	"context"
	"strings"
)

// quectel is an EG25-G. Sources: the EC2x and EG25-G AT command manuals, and
// for habits what users of its firmware report.
func quectel() personality {
	p := personality{
		Name:          "quectel",
		Manufacturer:  "Quectel",
		Model:         "EG25",
		Revision:      "EG25GGBR07A08M2G",
		path:          PathCGLA,
		source:        "field",
		ref:           "openpilot lpa.py, lpac#173",
		Habits:        Habits{QuotesNeeded: true},
		noProfile:     cmeSIMFailure,
		noChannel:     cmeSIMFailure,
		noApplication: cmeSIMFailure,
		noSession:     cmeSIMFailure,
		bootURCs:      []string{"RDY", "+CFUN: 1"},
		simURCs:       []string{"+QUSIM: 1"},
		readyURCs:     []string{"+QIND: SMS DONE", "+QIND: PB DONE"},
		notReadyURC:   "+CPIN: NOT READY",
		defaultPDP:    "IPV4V6",
		cgregInLTE:    true,
		absent:        []string{"+CCID"},
	}
	p.usb = &usbModes{factory: "1", values: []string{"0", "1", "2", "3"}, other: []string{"0", "2"}}
	p.ati = []string{p.Manufacturer, p.Model, "Revision: " + p.Revision}
	iccidF := func(x *exec) error {
		if err := x.needCard(); err != nil {
			return err
		}
		digits := x.m.card.ICCID()
		if digits == "" {
			return x.m.noProfileError()
		}
		if len(digits) == 19 {
			digits += "F" // the filler nibble is shown
		}
		x.tagged("%s", digits)
		return nil
	}
	p.vendor = []verb{
		{name: "+QCCID", test: "-", exec: iccidF},
		{name: "+ICCID", test: "-", exec: iccidF},
		slotVerb("+QUIMSLOT", 1, 0, "%d"),
		{name: "+QINISTAT", test: "(0-7)", exec: qinistat},
		{name: "+QPINC", test: `("SC","P2")`, read: qpinc, set: qpinc},
		{name: "+QSIMSTAT", test: "(0,1)", read: qsimstat, set: storedSet},
		{name: "+QSIMDET", test: "(0,1),(0,1)", read: storedRead("0,0"), set: storedSet},
		{name: "+QURCCFG", test: `("urcport",("usbat","usbmodem","uart1","all"))`, set: qurccfg},
		{name: "+QCFG", test: `("usbnet",(0-3))`, set: qcfg},
		{name: "+QICSGP", test: `(1-16),(1-3),<APN>,<username>,<password>,(0-3)`, set: qicsgp},
		{name: "+QNETDEVCTL", test: "(0-3),(1-16),(0,1)", read: readQNETDEVCTL, set: setQNETDEVCTL},
		{name: "+QMBNCFG", test: `("List","Select","Deactivate","AutoSel")`, set: qmbncfg},
		{name: "+QNWINFO", test: "-", exec: qnwinfo},
		{name: "+QENG", test: `("servingcell","neighbourcell")`, set: qeng},
		{name: "+QCSQ", test: "-", exec: qcsq, read: qcsq},
		{name: "+QPOWD", test: "(0,1)", exec: qpowd, set: qpowd},
		{name: "+QGMR", test: "-", exec: func(x *exec) error { x.info("%s_01.001.01.001", x.m.pers.Revision); return nil }},
	}
	return p
}

// qinistat: 1 CPIN is ready, 2 SMS, 4 phonebook.
func qinistat(x *exec) error {
	n := 0
	if x.needSIM() == nil {
		n = 7
	}
	x.tagged("%d", n)
	return nil
}

func qpinc(x *exec) error {
	if err := x.needCard(); err != nil {
		return err
	}
	pin, puk := x.m.card.tryCounts()
	x.tagged(`"SC",%d,%d`, pin, puk)
	return nil
}

func qsimstat(x *exec) error {
	v := x.p.set.values["+QSIMSTAT"]
	if v == "" {
		v = "0"
	}
	x.tagged("%s,%d", v, btoi(x.m.card.present))
	return nil
}

func qurccfg(x *exec) error {
	if x.n() == 1 {
		x.tagged(`"urcport","usbat"`)
	}
	return nil
}

// qcfg is +QCFG="name"[,value]: a query without a value.
func qcfg(x *exec) error {
	name := strings.ToLower(x.str(0))
	if name == "usbnet" { // the manual: it takes effect with the next start
		if x.n() > 1 {
			return x.setUSBMode(x.str(1))
		}
		x.tagged(`"usbnet",%s`, x.m.usbNext)
		return nil
	}
	def := map[string]string{"nwscanmode": "0", "roamservice": "2", "servicedomain": "1", "nat": "0", "usbcfg": "0x2C7C,0x0125,1,1,1,1,1,0,0"}
	v, ok := def[name]
	if !ok {
		return cmeBadParameters
	}
	key := "+QCFG " + name
	if x.n() > 1 {
		var parts []string
		for i := 1; i < x.n(); i++ {
			parts = append(parts, x.str(i))
		}
		x.p.set.values[key] = strings.Join(parts, ",")
		return nil
	}
	if set, ok := x.p.set.values[key]; ok {
		v = set
	}
	x.tagged("%s,%s", quote(name), v)
	return nil
}

// qicsgp is +QICSGP=<cid>[,<type>,<APN>[,<user>,<password>[,<auth>]]]: type 1
// IPv4, 2 IPv6, 3 both; auth 0 none, 1 PAP, 2 CHAP, 3 either.
func qicsgp(x *exec) error {
	cid, err := x.int(0, -1, 1, maxCID)
	if err != nil || cid < 0 {
		return cmeBadParameters
	}
	c := x.m.packet.contexts[cid]
	types := []string{"", "IP", "IPV6", "IPV4V6"}
	if x.n() == 1 {
		if c == nil {
			return cmeInvalidIndex
		}
		for i, t := range types {
			if t == c.typ {
				x.tagged("%d,%s,%s,%s,%d", i, quote(c.apn), quote(c.user), quote(c.passwd), c.auth)
			}
		}
		return nil
	}
	typ, err := x.int(1, 1, 1, 3)
	if err != nil {
		return err
	}
	auth, err := x.int(5, 0, 0, 3)
	if err != nil || !validAPN(x.str(2)) || len(x.str(3)) > 127 || len(x.str(4)) > 127 {
		return cmeBadParameters
	}
	if c == nil {
		c = &pdp{cid: cid}
		x.m.packet.contexts[cid] = c
	}
	c.typ, c.apn, c.user, c.passwd, c.auth = types[typ], x.str(2), x.str(3), x.str(4), min(auth, 2)
	return nil
}

// setQNETDEVCTL is +QNETDEVCTL=<op>,<cid>[,<state>]: op 1 connects once, 3
// connects and keeps, 2 and 0 disconnect. It brings the context up and gives
// it the USB network interface; <state> asks for a URC.
func setQNETDEVCTL(x *exec) error {
	m := x.m
	op, err := x.int(0, -1, 0, 3)
	if err != nil || op < 0 {
		return cmeBadParameters
	}
	cid, err := x.int(1, 1, 1, maxCID)
	if err != nil {
		return err
	}
	report, err := x.int(2, 0, 0, 1)
	if err != nil {
		return err
	}
	if op == 0 || op == 2 {
		c := m.packet.contexts[cid]
		if c == nil || !c.linkUp {
			return cmeNotAllowed
		}
		if m.lastContext(cid) {
			m.linkDown(c) // the host leaves the bearer, which stays
			return nil
		}
		m.deactivate(cid, "ME PDN DEACT")
		return nil
	}
	for _, c := range m.packet.sorted() {
		if c.linkUp && c.cid != cid {
			return cmeNotAllowed // one interface, one context
		}
	}
	if err := m.activate(x, cid); err != nil {
		return err
	}
	if err := m.linkUp(cid); err != nil {
		return err
	}
	if report == 1 {
		x.p.urc("+QNETDEVSTATUS: " + itoa(cid) + ",1")
	}
	return nil
}

func readQNETDEVCTL(x *exec) error {
	for _, c := range x.m.packet.sorted() {
		if c.linkUp {
			x.tagged("3,%d,1,1", c.cid)
		}
	}
	return nil
}

func qnwinfo(x *exec) error {
	reg := x.m.radio.reg
	if !reg.Registered() {
		x.tagged("No Service")
		return nil
	}
	act, band, channel := "FDD LTE", "LTE BAND 3", 1300
	switch {
	case reg.AcT < 2:
		act, band, channel = "EDGE", "GSM 900", 62
	case reg.AcT < 7:
		act, band, channel = "HSPA+", "WCDMA 2100", 10737
	}
	x.tagged("%s,%s,%s,%d", quote(act), quote(reg.PLMN), quote(band), channel)
	return nil
}

func qcsq(x *exec) error {
	if !x.m.hasCell() {
		x.tagged(`"NOSERVICE"`)
		return nil
	}
	x.tagged(`"LTE",-58,-87,160,-9`)
	return nil
}

// qpowd powers the module down; it vanishes from the bus and, where nothing
// holds its power line, comes back.
func qpowd(x *exec) error {
	m := x.m
	m.after("reboot", goodbye, func(context.Context) {
		m.leave()
		m.unplug(m.habits.ReplugAfter)
	})
	return nil
}
