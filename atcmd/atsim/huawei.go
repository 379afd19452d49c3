package atsim

import (
	"context"
	"time"
)

// huaweiMS2372 is an MS2372h-153: +CCHO is there and always an error, +CSIM has
// no logical channels, and a data call comes up after its command was answered.
func huaweiMS2372() personality {
	p := generic().as("huawei-ms2372", "huawei", "MS2372h-153", "22.323.62.00.00").from(PathBlocked, "field", "lpac#164").without("+CCID")
	p.noProfile = cmeSIMFailure
	p.noChannelSW = 0x6881
	p.defaultPDP = "IPV4V6"
	p.linkByCGACT = false
	p.cgregInLTE = true
	p.packedUSSD = true // as ModemManager's plugin for the family expects it
	p.simURCs = []string{"^SIMST: 1"}
	p.notReadyURC = "^SIMST: 255"
	p.vendor = []verb{
		iccidVerb("^ICCID", "^ICCID"),
		{name: "+CCHO", test: "-", set: func(*exec) error { return resError }},
		authVerb("^AUTHDATA", 3, 4),
		{name: "^CURC", test: "(0-2)", read: storedRead("1"), set: storedSet},
		{name: "^CPIN", test: "-", read: func(x *exec) error {
			text, err := x.m.pinText()
			if err == nil {
				pin, puk := x.m.card.tryCounts()
				x.tagged("%s,,%d,%d,%d,%d", text, puk, pin, puk, pin)
			}
			return err
		}},
		{name: "^HCSQ", test: "-", read: func(x *exec) error {
			if !x.m.hasCell() {
				x.tagged(`"NOSERVICE"`)
				return nil
			}
			x.tagged(`"LTE",46,54,146,24`)
			return nil
		}},
		slotVerb("^SCICHG", 0, 0, "%d"), // MT5700M's
		{name: "^MONSC", test: "-", exec: monsc},
		{name: "^NDISDUP", test: "(1),(0,1)", set: huaweiNDISDUP},
		{name: "^NDISSTATQRY", test: "-", read: func(x *exec) error {
			x.tagged(`%d,,,"IPV4",0,,,"IPV6"`, btoi(x.m.linked() != nil))
			return nil
		}},
		restartVerb("^RESET"),
	}
	return p
}

// ndisTime is how long a call takes to come up after its OK.
const ndisTime = 300 * time.Millisecond

// huaweiNDISDUP is ^NDISDUP=<interface>,<on>[,<APN>[,<user>,<password>,<auth>]].
// It dials context 1 with what it is given. Taking down what is not up is an error.
func huaweiNDISDUP(x *exec) error {
	m := x.m
	on, err := x.int(1, -1, 0, 1)
	if err != nil || on < 0 {
		return cmeBadParameters
	}
	if on == 0 {
		c := m.linked()
		if c == nil {
			return resError
		}
		x.hangDown(c.cid)
		m.urc("^NDISSTAT: 0,,,\"IPV4\"")
		return nil
	}
	if err := x.needSIM(); err != nil {
		return err
	}
	c := m.packet.contexts[1]
	if c == nil || c.linkUp || !validAPN(x.str(2)) {
		return resError
	}
	c.apn = x.str(2)
	if x.has(3) {
		auth, err := x.int(5, 2, 0, 2)
		if err != nil {
			return err
		}
		c.user, c.passwd, c.auth = x.str(3), x.str(4), auth
	}
	m.after("ndis", ndisTime, func(ctx context.Context) {
		if m.attachNow(ctx) != nil {
			return
		}
		sub, _ := m.card.subscriber()
		if m.activateContext(sub, 1) == nil && m.linkUp(1) == nil {
			m.urc("^NDISSTAT: 1,,,\"IPV4\"")
			return
		}
		m.urc("^NDISSTAT: 0,,,\"IPV4\"")
	})
	return nil
}
