package atsim

import (
	"context"
	"fmt"
)

// simVerbs are about the SIM and its PIN (TS 27.007 5.6, 7.1, 7.4, 7.5, 8.3, 8.65).
var simVerbs = []verb{
	{name: "+CPIN", test: "-", read: readCPIN, set: setCPIN},
	{name: "+CPINR", test: "-", exec: cpinr, set: cpinr},
	{name: "+CIMI", test: "-", exec: cimi},
	{name: "+CCID", test: "-", exec: iccid, read: iccid},
	{name: "+CLCK", test: `("SC")`, set: clck},
	{name: "+CPWD", test: `("SC",8)`, set: cpwd},
	{name: "+CNUM", test: "-", exec: func(x *exec) error { return x.needSIM() }},
}

// noProfileError is what commands that need a USIM get when the card has none.
func (m *Modem) noProfileError() error {
	if m.pers.noProfile != 0 {
		return m.pers.noProfile
	}
	return cmeNoSIM
}

// needSIM fails unless a USIM is there and its PIN is given.
func (x *exec) needSIM() error {
	switch s := &x.m.card; {
	case x.m.fun == 0 || !s.present:
		return cmeNoSIM
	case s.usim == nil:
		return x.m.noProfileError()
	case s.pin == pinNeeded:
		return cmePINRequired
	case s.pin == pukNeeded:
		return cmePUKRequired
	case s.pin == pinBlocked:
		return cmeSIMFailure
	}
	return nil
}

// pinText is what +CPIN? says, or its error.
func (m *Modem) pinText() (string, error) {
	switch s := &m.card; {
	case m.fun == 0 || !s.present:
		return "", cmeNoSIM
	case s.usim == nil:
		if m.pers.noProfileText != "" {
			return m.pers.noProfileText, nil
		}
		return "", m.noProfileError()
	case s.pin == pinNeeded:
		return "SIM PIN", nil
	case s.pin == pukNeeded:
		return "SIM PUK", nil
	case s.pin == pinBlocked:
		return "", cmeSIMFailure
	}
	return "READY", nil
}

func readCPIN(x *exec) error {
	text, err := x.m.pinText()
	if err == nil {
		x.tagged("%s", text)
	}
	return err
}

// setCPIN is +CPIN=<pin>[,<newpin>]: one parameter answers SIM PIN, two answer
// SIM PUK.
func setCPIN(x *exec) error {
	m := x.m
	if _, err := m.pinText(); err != nil {
		return err
	}
	for i := range x.n() {
		if !validPIN(x.str(i)) {
			return cmeBadParameters
		}
	}
	var cmd []byte
	switch {
	case m.card.pin == pinNeeded && x.n() == 1:
		cmd = append([]byte{0x00, 0x20, 0x00, 0x01, 0x08}, padPIN(x.str(0))...)
	case m.card.pin == pukNeeded && x.n() == 2:
		cmd = append([]byte{0x00, 0x2C, 0x00, 0x01, 0x10}, padPIN(x.str(0))...)
		cmd = append(cmd, padPIN(x.str(1))...)
	case m.card.pin == pukNeeded:
		return cmePUKRequired
	case m.card.pin == pinNeeded:
		return cmeBadParameters
	default: // TS 27.007 8.3: no password is asked for
		return cmeNotAllowed
	}
	if err := m.pinCommand(x.ctx, cmd); err != nil {
		return err
	}
	m.card.pin = pinReady
	m.readUSIM(x.ctx)
	m.after("sim-ready", 0, func(ctx context.Context) {
		m.announceSIM()
		m.startRadio(ctx)
	})
	return nil
}

// checkPIN asks the card for the state of PIN1 by a VERIFY without data
// (TS 102 221 11.1.9): 63Cx counts the tries that are left.
func (m *Modem) checkPIN(ctx context.Context) {
	s := &m.card
	s.pin = pinReady
	_, sw, ok := m.exchange(ctx, []byte{0x00, 0x20, 0x00, 0x01}, m.transmit)
	switch {
	case !ok:
		s.pin = pinBlocked
	case sw&0xFFF0 == 0x63C0 && sw&0x0F != 0:
		s.pin, s.tries = pinNeeded, sw&0x0F
	case sw&0xFFF0 == 0x63C0 || sw == swPINBlocked:
		s.pin, s.tries = pukNeeded, 0
		m.checkPUK(ctx)
	}
}

// checkPUK asks the same of the PUK (TS 102 221 11.1.13).
func (m *Modem) checkPUK(ctx context.Context) {
	s := &m.card
	_, sw, ok := m.exchange(ctx, []byte{0x00, 0x2C, 0x00, 0x01}, m.transmit)
	switch {
	case ok && sw&0xFFF0 == 0x63C0 && sw&0x0F != 0:
		s.puk = sw & 0x0F
	case ok && (sw&0xFFF0 == 0x63C0 || sw == swPINBlocked):
		s.pin, s.puk = pinBlocked, 0
	}
}

// pinCommand runs a PIN command and keeps account of the tries.
func (m *Modem) pinCommand(ctx context.Context, cmd []byte) error {
	_, sw, ok := m.exchange(ctx, cmd, m.hostTransmit)
	switch {
	case !ok:
		return cmeSIMFailure
	case normal(sw) == swOK:
		m.card.tries = -1
		return nil
	case sw&0xFFF0 == 0x63C0 || sw == swPINBlocked:
		wasPUK := m.card.pin == pukNeeded
		if m.card.pin != pinReady {
			m.checkPIN(ctx)
		} else if left := sw & 0x0F; sw == swPINBlocked || left == 0 {
			m.card.pin = pukNeeded
			m.checkPUK(ctx)
		} else {
			m.card.tries = left
		}
		if m.card.pin == pukNeeded && !wasPUK {
			return cmePUKRequired
		}
		return cmeWrongPassword
	}
	return cmeSIMFailure
}

func validPIN(s string) bool { return len(s) >= 4 && len(s) <= 8 && allDigits(s) }

// padPIN codes a PIN in eight bytes (TS 102 221 9.5.1).
func padPIN(s string) []byte {
	b := []byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}
	copy(b, s)
	return b
}

// tryCounts returns the tries of PIN1 and PUK1; a card that tells none has the
// usual number.
func (s *slot) tryCounts() (pin, puk int) {
	pin, puk = s.tries, s.puk
	if pin < 0 {
		pin = 3
	}
	if puk < 0 {
		puk = 10
	}
	return pin, puk
}

// cpinr is +CPINR[=<sel_code>] (TS 27.007 8.65).
func cpinr(x *exec) error {
	if err := x.needCard(); err != nil {
		return err
	}
	pin, puk := x.m.card.tryCounts()
	for _, c := range []struct {
		code        string
		left, total int
	}{{"SIM PIN", pin, 3}, {"SIM PUK", puk, 10}} {
		if sel := x.str(0); sel == "" || sel == c.code || sel == c.code[:4]+"PIN*" {
			x.tagged("%s,%d,%d", c.code, c.left, c.total)
		}
	}
	return nil
}

func cimi(x *exec) error {
	if err := x.needSIM(); err != nil {
		return err
	}
	x.info("%s", x.m.card.imsi)
	return nil
}

// iccid answers EF_ICCID; a card has one even when its PIN is not given.
func iccid(x *exec) error {
	if err := x.needCard(); err != nil {
		return err
	}
	digits := x.m.card.ICCID()
	if digits == "" {
		return x.m.noProfileError()
	}
	x.tagged("%s", digits)
	return nil
}

// clck is +CLCK=<fac>,<mode>[,<passwd>] for the PIN lock "SC" (TS 27.007 7.4).
func clck(x *exec) error {
	m := x.m
	mode, err := x.int(1, -1, 0, 2)
	if err != nil || mode < 0 {
		return cmeBadParameters
	}
	if x.str(0) != "SC" {
		return cmeNotSupported
	}
	if mode == 2 {
		if err := x.needCard(); err != nil {
			return err
		}
		x.tagged("%d", btoi(m.pinEnabled(x.ctx)))
		return nil
	}
	if err := x.needSIM(); err != nil {
		return err
	}
	if !validPIN(x.str(2)) {
		return cmeBadParameters
	}
	ins := byte(0x26) // DISABLE PIN
	if mode == 1 {
		ins = 0x28 // ENABLE PIN
	}
	return m.pinCommand(x.ctx, append([]byte{0x00, ins, 0x00, 0x01, 0x08}, padPIN(x.str(2))...))
}

// pinEnabled looks into the PIN status template of the MF's FCP (TS 102 221
// 11.1.1.4.10): the first bit of the PS_DO belongs to the first key reference.
func (m *Modem) pinEnabled(ctx context.Context) bool {
	if m.card.pin != pinReady {
		return true
	}
	if m.card.usim != nil {
		cmd := append([]byte{0x00, 0xA4, 0x04, 0x04, byte(len(m.card.usim))}, m.card.usim...)
		if fcp, sw, ok := m.exchange(ctx, cmd, m.transmit); ok && normal(sw) == swOK {
			ps := find(find(find(fcp, 0x62), 0xC6), 0x90)
			return len(ps) > 0 && ps[0]&0x80 != 0
		}
	}
	return false
}

// cpwd is +CPWD=<fac>,<old>,<new> (TS 27.007 7.5).
func cpwd(x *exec) error {
	if err := x.needSIM(); err != nil {
		return err
	}
	if x.str(0) != "SC" {
		return cmeNotSupported
	}
	if x.n() != 3 || !validPIN(x.str(1)) || !validPIN(x.str(2)) {
		return cmeBadParameters
	}
	cmd := append([]byte{0x00, 0x24, 0x00, 0x01, 0x10}, padPIN(x.str(1))...)
	return x.m.pinCommand(x.ctx, append(cmd, padPIN(x.str(2))...))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// identityVerbs: TS 27.007 5.1 to 5.4 and V.250 6.1.3 to 6.1.9.
func identityVerbs(p *personality) []verb {
	plain := func(text string) func(*exec) error {
		return func(x *exec) error { x.info("%s", text); return nil }
	}
	imei := func(x *exec) error { x.info("%s", x.m.cfg.IMEI); return nil }
	return []verb{
		{name: "+CGMI", test: "-", exec: plain(p.Manufacturer)},
		{name: "+CGMM", test: "-", exec: plain(p.Model)},
		{name: "+CGMR", test: "-", exec: plain(p.Revision)},
		{name: "+GMI", test: "-", exec: plain(p.Manufacturer)},
		{name: "+GMM", test: "-", exec: plain(p.Model)},
		{name: "+GMR", test: "-", exec: plain(p.Revision)},
		{name: "+GSN", test: "-", exec: imei},
		{name: "+CGSN", test: "(0-3)", exec: imei, set: cgsn},
		{name: "+GCAP", test: "-", exec: func(x *exec) error { x.tagged("+CGSM"); return nil }},
		{name: "I", exec: func(x *exec) error {
			for _, line := range p.ati {
				x.info("%s", line)
			}
			return nil
		}},
	}
}

// cgsn is +CGSN=<snt> (TS 27.007 5.4): 1 is the IMEI, 2 IMEI and software
// version, 3 the version number.
func cgsn(x *exec) error {
	snt, err := x.int(0, 1, 0, 3)
	if err != nil {
		return err
	}
	imei := x.m.cfg.IMEI
	switch snt {
	case 0:
		x.info("%s", imei)
	case 1:
		x.tagged("%s", quote(imei))
	case 2:
		x.tagged("%s", quote(imei[:14]+"01"))
	case 3:
		x.tagged("%s", quote("01"))
	}
	return nil
}

// basicVerbs are the basic commands of V.250 6.1 and 6.2 that clients send.
func basicVerbs() []verb {
	accept := func(*exec) error { return nil }
	flag := func(f func(x *exec, n int)) func(*exec) error {
		return func(x *exec) error {
			if x.cmd.num > 1 {
				return resError
			}
			f(x, x.cmd.num)
			return nil
		}
	}
	reset := func(x *exec) error {
		x.m.endCallsOf(x.p)
		x.p.resetSettings()
		return nil
	}
	verbs := []verb{
		{name: "E", exec: flag(func(x *exec, n int) { x.p.echo.Store(n == 1) })},
		{name: "V", exec: flag(func(x *exec, n int) { x.p.set.verbose = n == 1 })},
		{name: "Q", exec: flag(func(x *exec, n int) { x.p.set.quiet = n == 1 })},
		{name: "X", exec: func(x *exec) error {
			if x.cmd.num > 4 {
				return resError
			}
			x.p.set.connectText = x.cmd.num
			return nil
		}},
		{name: "Z", exec: reset},
		{name: "&F", exec: reset},
		{name: "S", set: setRegister, read: readRegister, exec: accept},
		{name: "D", exec: dial},
		{name: "H", exec: hangUp},
		{name: "O", exec: goBack},
	}
	for _, name := range []string{"&C", "&D", "&K", "&S", "&W", "&V", "L", "M", "T", "P", "N", "&Y"} {
		verbs = append(verbs, verb{name: name, exec: accept})
	}
	return verbs
}

func setRegister(x *exec) error {
	v, err := x.int(0, 0, 0, 255)
	if err != nil || x.cmd.num > 255 {
		return resError
	}
	x.p.set.sregs[x.cmd.num] = v
	return nil
}

func readRegister(x *exec) error {
	if x.cmd.num > 255 {
		return resError
	}
	x.info("%s", fmt.Sprintf("%03d", x.p.set.sregs[x.cmd.num]))
	return nil
}
