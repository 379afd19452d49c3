package euiccsim

import (
	"bytes"

	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
)

// pin is a profile's PIN1 (key reference 01) as its package brings it, and what
// became of it since (ETSI TS 102 221, 9.5). A stored one is never changed.
type pin struct {
	Value   []byte // eight bytes, padded with FF
	Enabled bool
	Left    int    // tries
	PUK     []byte // empty: there is none
	PUKLeft int
}

// The number of wrong tries that block a PIN and its PUK.
const (
	pinTries = 3
	pukTries = 10
)

const pin1 = 0x01 // key reference of PIN1, and of its PUK in a package

// readPIN takes PIN1 from a PE-PINCodes, readPUK its PUK from a PE-PUKCodes
// (TCA eUICC Profile Package): lists of codes by key reference. Of several PIN1 the
// first one counts: it is the MF's.
func (b *builder) readPIN(pe bertlv.Element) {
	codes, _ := pe.Find(0xA1)
	configured, _ := codes.Find(0xA0)
	for code, err := range configured.Children() {
		if err != nil || b.fs.pin != nil {
			return
		}
		ref, v := value(code, 0x80), value(code, 0x81)
		if !bytes.Equal(ref, []byte{pin1}) || len(v) != 8 {
			continue
		}
		attributes := value(code, 0x83)
		b.fs.pin = &pin{Value: bytes.Clone(v), Left: pinTries, PUK: b.puk, PUKLeft: pukTries,
			Enabled: len(attributes) == 0 || attributes[len(attributes)-1]&1 != 0} // it defaults to 7
	}
}

func (b *builder) readPUK(pe bertlv.Element) {
	codes, _ := pe.Find(0xA1)
	for code, err := range codes.Children() {
		if err != nil {
			return
		}
		if v := value(code, 0x81); bytes.Equal(value(code, 0x80), []byte{pin1}) && len(v) == 8 {
			b.puk = bytes.Clone(v)
		}
	}
}

// currentPIN is the enabled profile's PIN1; nil without one.
func (c *Card) currentPIN() *pin {
	if p := c.nv.enabled(); p != nil && p.PIN != nil {
		return p.PIN
	}
	return c.files.pin
}

// asksPIN reports whether the enabled profile's PIN1 is enabled.
func (c *Card) asksPIN() bool {
	p := c.currentPIN()
	return p != nil && (p.Enabled || c.behaviour.PINLocked)
}

// pinCommand is VERIFY, CHANGE, DISABLE, ENABLE and UNBLOCK PIN (ETSI TS 102 221,
// 11.1.9 to 11.1.13).
func (c *Card) pinCommand(cmd apdu.Command) ([]byte, apdu.Status) {
	was := c.currentPIN()
	if cmd.P1 != 0 {
		return nil, swWrongP1P2
	}
	if cmd.P2 != pin1 || was == nil {
		return nil, swReferencedData
	}
	now, enabled := *was, c.asksPIN()
	if enabled && cmd.INS == 0x20 {
		c.strike("pin-locked")
	}
	unblock := cmd.INS == 0x2C
	left, code := &now.Left, now.Value
	if unblock {
		left, code = &now.PUKLeft, now.PUK
	}
	want := 8
	if unblock || cmd.INS == 0x24 {
		want = 16 // the new PIN follows
	}
	switch {
	case *left == 0:
		return nil, swBlocked
	case len(cmd.Data) == 0 && (unblock || cmd.INS == 0x20 && enabled):
		return nil, triesLeft(*left) // nothing is presented: how many are left?
	case unblock:
	case enabled == (cmd.INS == 0x28):
		return nil, swNotUsable // a disabled PIN can only be enabled
	}
	if len(cmd.Data) != want {
		return nil, swLength
	}
	right := bytes.Equal(cmd.Data[:8], code)
	switch {
	case !right:
		*left--
	case unblock:
		now.Value, now.Left, now.PUKLeft, now.Enabled = bytes.Clone(cmd.Data[8:]), pinTries, pukTries, true
	default:
		now.Left = pinTries
		switch cmd.INS {
		case 0x24:
			now.Value = bytes.Clone(cmd.Data[8:])
		case 0x26:
			now.Enabled = false
		case 0x28:
			now.Enabled = true
		}
	}
	next := c.nv.clone()
	next.enabled().PIN = &now
	if err := c.commit(next); err != nil {
		return nil, swMemory
	}
	c.files.mf.pinOn = c.asksPIN()
	switch {
	case right:
		return nil, swOK
	case *left == 0:
		return nil, swBlocked
	}
	return nil, triesLeft(*left)
}

func triesLeft(n int) apdu.Status { return 0x63C0 | apdu.Status(n) }
