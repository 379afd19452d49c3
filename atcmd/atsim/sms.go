package atsim

import (
	"encoding/hex"
	"slices"
	"strings"
)

// smsStore is the modem's message store "ME" (TS 27.005 3). It speaks PDU mode.
type smsStore struct {
	slots []message // index 1 is slots[0]
	sca   string
	ref   int
}

type message struct {
	status int    // 0 unread, 1 read; -1 an empty slot
	pdu    string // SC address and TPDU in hexadecimal
}

const smsSlots = 25

func (s *smsStore) init() {
	s.slots = make([]message, smsSlots)
	for i := range s.slots {
		s.slots[i].status = -1
	}
}

func (s *smsStore) used() int {
	n := 0
	for _, m := range s.slots {
		n += btoi(m.status >= 0)
	}
	return n
}

var smsVerbs = []verb{
	{name: "+CSMS", test: "(0,1)", read: func(x *exec) error { x.tagged("0,1,1,0"); return nil }, set: func(x *exec) error { x.tagged("1,1,0"); return nil }},
	{name: "+CMGF", test: "(0)", read: func(x *exec) error { x.tagged("0"); return nil }, set: setCMGF},
	{name: "+CPMS", test: `("ME"),("ME"),("ME")`, read: readCPMS, set: setCPMS},
	{name: "+CNMI", test: "(0-2),(0-2),0,0,(0,1)", read: storedRead("0,0,0,0,0"), set: storedSet},
	{name: "+CSCA", test: "-", read: readCSCA, set: setCSCA},
	{name: "+CMGL", test: "(0-4)", exec: cmgl, set: cmgl},
	{name: "+CMGR", test: "-", set: cmgr},
	{name: "+CMGD", test: "", set: cmgd},
	{name: "+CMGS", test: "-", set: cmgs},
}

func setCMGF(x *exec) error {
	if n, err := x.int(0, 0, 0, 0); err != nil || n != 0 {
		return cmsUnsupported
	}
	return nil
}

func readCPMS(x *exec) error {
	n := x.m.sms.used()
	x.tagged(`"ME",%d,%d,"ME",%d,%d,"ME",%d,%d`, n, smsSlots, n, smsSlots, n, smsSlots)
	return nil
}

func setCPMS(x *exec) error {
	for i := range x.n() {
		if x.str(i) != "ME" {
			return cmsNotAllowed
		}
	}
	n := x.m.sms.used()
	x.tagged("%d,%d,%d,%d,%d,%d", n, smsSlots, n, smsSlots, n, smsSlots)
	return nil
}

func readCSCA(x *exec) error {
	if err := x.needSIM(); err != nil {
		return err
	}
	x.tagged("%s,%d", quote(x.m.sms.sca), 129+16*btoi(strings.HasPrefix(x.m.sms.sca, "+")))
	return nil
}

func setCSCA(x *exec) error {
	if !allDigits(strings.TrimPrefix(x.str(0), "+")) || len(x.str(0)) > 21 {
		return cmeBadParameters
	}
	x.m.sms.sca = x.str(0)
	return nil
}

// tpduLen is the length that +CMGL, +CMGR and +CMGS give: octets of the TPDU
// without the service centre address before it (TS 27.005 3.1).
func tpduLen(pdu string) (int, bool) {
	b, err := hex.DecodeString(pdu)
	if err != nil || len(b) == 0 || len(b) < 2+int(b[0]) {
		return 0, false
	}
	return len(b) - 1 - int(b[0]), true
}

// cmgl is +CMGL[=<stat>]: 0 unread, 1 read, 4 all (TS 27.005 4.1).
func cmgl(x *exec) error {
	stat, err := x.int(0, 0, 0, 4)
	if err != nil {
		return cms(cmsNotAllowed)
	}
	for i := range x.m.sms.slots {
		msg := &x.m.sms.slots[i]
		if msg.status < 0 || stat != 4 && stat != msg.status {
			continue
		}
		n, _ := tpduLen(msg.pdu)
		x.tagged("%d,%d,,%d", i+1, msg.status, n)
		x.info("%s", msg.pdu)
		msg.status = 1
	}
	return nil
}

func (x *exec) slot() (*message, error) {
	i, err := x.int(0, 0, 1, smsSlots)
	if err != nil || i == 0 || x.m.sms.slots[i-1].status < 0 {
		return nil, cmsInvalidIndex
	}
	return &x.m.sms.slots[i-1], nil
}

func cmgr(x *exec) error {
	msg, err := x.slot()
	if err != nil {
		return err
	}
	n, _ := tpduLen(msg.pdu)
	x.tagged("%d,,%d", msg.status, n)
	x.info("%s", msg.pdu)
	msg.status = 1
	return nil
}

// cmgd is +CMGD=<index>[,<delflag>] (TS 27.005 3.5.4).
func cmgd(x *exec) error {
	flag, err := x.int(1, 0, 0, 4)
	if err != nil {
		return cmsNotAllowed
	}
	if flag == 0 {
		msg, err := x.slot()
		if err != nil {
			return err
		}
		msg.status = -1
		return nil
	}
	for i := range x.m.sms.slots {
		if msg := &x.m.sms.slots[i]; flag == 4 || msg.status == 1 {
			msg.status = -1
		}
	}
	return nil
}

// cmgs is +CMGS=<length>, a prompt, the PDU and Ctrl-Z (TS 27.005 4.3).
func cmgs(x *exec) error {
	want, err := x.int(0, 0, 1, 255)
	if err != nil || want == 0 {
		return cmsBadPDU
	}
	if x.needSIM() != nil {
		return cmsNoSIM
	}
	x.p.prompt = &prompt{done: func(x *exec, pdu string) error {
		x.cmd = command{name: "+CMGS"}
		if n, ok := tpduLen(pdu); !ok || n != want {
			return cmsBadPDU
		}
		if !x.m.radio.reg.Registered() {
			return cms(331) // no network service
		}
		x.m.sms.ref = (x.m.sms.ref + 1) & 0xFF
		if x.m.cfg.SMSSent != nil {
			x.m.cfg.SMSSent(pdu)
		}
		x.tagged("%d", x.m.sms.ref)
		x.parts = append(x.parts, x.p.set.info(x.lines)...)
		return nil
	}}
	x.stop, x.suffix = true, "\r\n> "
	return nil
}

// ReceiveSMS is a short message from the network, a DELIVER TPDU in hexadecimal
// with its service centre address. A port whose +CNMI has <mt> 2 gets it as it is
// (+CMT); otherwise it goes into the store and is announced (+CMTI) to the ports
// that have <mt> 1. It reports whether somebody or the store took it.
func (m *Modem) ReceiveSMS(pdu string) bool {
	m.state.lock()
	defer m.state.release()
	n, ok := tpduLen(pdu)
	if !ok {
		return false
	}
	routed := false
	for p := range m.ports {
		if f := strings.Split(p.set.values["+CNMI"], ","); len(f) > 1 && f[0] != "0" && f[1] == "2" {
			p.urc("+CMT: ," + itoa(n) + "\r\n" + strings.ToUpper(pdu))
			routed = true
		}
	}
	if routed {
		return true
	}
	i := slices.IndexFunc(m.sms.slots, func(msg message) bool { return msg.status < 0 })
	if i < 0 {
		return false
	}
	m.sms.slots[i] = message{status: 0, pdu: strings.ToUpper(pdu)}
	for p := range m.ports {
		if f := strings.Split(p.set.values["+CNMI"], ","); len(f) > 1 && f[0] != "0" && f[1] == "1" {
			p.urc(`+CMTI: "ME",` + itoa(i+1))
		}
	}
	return true
}
