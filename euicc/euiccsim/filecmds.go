package euiccsim

import (
	"bytes"

	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
)

// selectFile is SELECT (ETSI TS 102 221, 11.1.1).
func (c *Card) selectFile(ch *channel, number int, cmd apdu.Command) ([]byte, apdu.Status) {
	if cmd.P1 == 0x04 {
		return c.selectApplication(ch, number, cmd)
	}
	if ch.app == appISDR {
		// The ISD-R has no files; a file of the MF is selected all the same.
		if cmd.P1 == 0x00 && !bytes.Equal(cmd.Data, []byte{0x3F, 0x00}) && len(cmd.Data) != 0 {
			return nil, swNotFound
		}
		c.leaveISDR(ch, number)
	}
	var f *file
	switch cmd.P1 {
	case 0x00:
		switch len(cmd.Data) {
		case 0:
			f = c.files.mf
		case 2:
			f = ch.current().byFID(uint16(cmd.Data[0])<<8 | uint16(cmd.Data[1]))
		default:
			return nil, swLength
		}
	case 0x01: // child DF of the current DF
		if len(cmd.Data) != 2 {
			return nil, swLength
		}
		if f = ch.df.child(uint16(cmd.Data[0])<<8 | uint16(cmd.Data[1])); f != nil && !f.isDF() {
			f = nil
		}
	case 0x03: // parent DF of the current DF
		f = ch.df.parent
	case 0x08, 0x09: // by path from the MF, from the current DF
		path, df := cmd.Data, ch.df
		if cmd.P1 == 0x08 {
			df = c.files.mf
			if len(path) >= 2 && path[0] == 0x3F && path[1] == 0x00 {
				path = path[2:]
			} else if len(path) >= 2 && path[0] == 0x7F && path[1] == 0xFF {
				if df, path = ch.df.adf(), path[2:]; df.aid == nil {
					return nil, swNotFound
				}
			}
			if f = df; len(path) == 0 {
				break
			}
		}
		f = df.byPath(path)
	default:
		return nil, swWrongP1P2
	}
	if f == nil {
		return nil, swNotFound
	}
	ch.enter(f)
	return answerSelect(cmd.P2, f)
}

func (ch *channel) current() *file {
	if ch.ef != nil {
		return ch.ef
	}
	return ch.df
}

func (ch *channel) enter(f *file) {
	if f.isDF() {
		ch.df, ch.ef = f, nil
		return
	}
	ch.ef = f
	if f.parent != nil {
		ch.df = f.parent
	}
}

// answerSelect returns the FCP unless P2 asks for no data (11.1.1.2).
func answerSelect(p2 byte, f *file) ([]byte, apdu.Status) {
	switch p2 & 0x1C {
	case 0x0C:
		return nil, swOK
	case 0x00, 0x04:
		return f.fcp(), swOK
	}
	return nil, swWrongP1P2
}

// selectApplication is SELECT by DF name, which may be shortened at its end.
func (c *Card) selectApplication(ch *channel, number int, cmd apdu.Command) ([]byte, apdu.Status) {
	if cmd.P2&0x03 != 0 {
		return nil, swNotFound // "next occurrence": there is none
	}
	if bytes.Equal(cmd.Data, isdrAID) && !c.behaviour.NoISDR && (c.capability || !c.behaviour.NeedCapability) {
		if number == 0 {
			return nil, swNotFound // ETSI TS 102 221, 8.5.1: the ISD-R is selected on channels of its own
		}
		c.leaveISDR(ch, number)
		*ch = channel{app: appISDR, df: c.files.mf}
		if cmd.P2&0x0C == 0x0C {
			return nil, swOK
		}
		return c.isdrTemplate(), swOK
	}
	adf := c.files.application(cmd.Data)
	if adf == nil {
		return nil, swNotFound
	}
	c.leaveISDR(ch, number)
	ch.app = appFiles
	ch.enter(adf)
	return answerSelect(cmd.P2, adf)
}

// leaveISDR ends what was going on in the ISD-R on this channel.
func (c *Card) leaveISDR(ch *channel, number int) {
	if ch.app != appISDR {
		return
	}
	if s := c.session; s != nil && s.channel == number {
		s.abandonLoad()
	}
	ch.chain, ch.next, ch.loadDone = nil, 0, false
	ch.selectMF(c.files)
}

// isdrTemplate is the ISD-R's FCI: its AID and the SGP.22 version (SGP.22, annex H,
// ISDRProprietaryApplicationTemplate, tag E0).
func (c *Card) isdrTemplate() []byte {
	var b bertlv.Builder
	b.Open(0x6F).Put(0x84, isdrAID)
	b.Open(0xA5).Raw([]byte{0x9F, 0x65, 0x01, 0xFF}).Close() // longest command data
	b.Open(0xE0).Put(0x82, c.svn()).Close()
	return b.Close().Bytes()
}

// target returns the EF that READ names: by short identifier or the current one.
func (ch *channel) target(sfi byte) (*file, apdu.Status) {
	if ch.app == appISDR {
		return nil, swNoEF
	}
	if sfi != 0 {
		f := ch.df.bySFI(sfi)
		if f == nil {
			return nil, swNotFound
		}
		ch.ef = f
	}
	if ch.ef == nil {
		return nil, swNoEF
	}
	return ch.ef, swOK
}

// readBinary is READ BINARY (ETSI TS 102 221, 11.1.3).
func readBinary(ch *channel, cmd apdu.Command) ([]byte, apdu.Status) {
	if len(cmd.Data) > 0 {
		return nil, swLength
	}
	var sfi byte
	offset := int(cmd.P1)<<8 | int(cmd.P2)
	if cmd.P1&0x80 != 0 {
		if cmd.P1&0x60 != 0 {
			return nil, swWrongP1P2
		}
		sfi, offset = cmd.P1&0x1F, int(cmd.P2)
	}
	f, sw := ch.target(sfi)
	if f == nil {
		return nil, sw
	}
	if f.kind != kindTransparent {
		return nil, swIncompatible
	}
	if offset >= len(f.data) {
		return nil, swWrongParams
	}
	data := f.data[offset:]
	if cmd.Ne > 0 && len(data) > cmd.Ne {
		data = data[:cmd.Ne]
	} else if cmd.Ne != 256 && cmd.Ne > len(data) {
		return nil, 0x6C00 | apdu.Status(byte(len(data)))
	}
	return data, swOK
}

// readRecord is READ RECORD (ETSI TS 102 221, 11.1.5), absolute mode.
func readRecord(ch *channel, cmd apdu.Command) ([]byte, apdu.Status) {
	if len(cmd.Data) > 0 {
		return nil, swLength
	}
	if cmd.P2&0x07 != 0x04 {
		return nil, swWrongP1P2
	}
	f, sw := ch.target(cmd.P2 >> 3)
	if f == nil {
		return nil, sw
	}
	if f.kind != kindLinear && f.kind != kindCyclic {
		return nil, swIncompatible
	}
	r := f.record(int(cmd.P1))
	if r == nil {
		return nil, swNoRecord
	}
	if cmd.Ne != 256 && cmd.Ne != len(r) {
		return nil, 0x6C00 | apdu.Status(byte(len(r)))
	}
	return r, swOK
}

// status is STATUS (ETSI TS 102 221, 11.1.2).
func (c *Card) status(ch *channel, cmd apdu.Command) ([]byte, apdu.Status) {
	if ch.app == appISDR {
		return nil, swINS
	}
	if cmd.P1 > 2 {
		return nil, swWrongP1P2
	}
	switch cmd.P2 {
	case 0x00:
		data := ch.df.fcp()
		if cmd.Ne != 256 && cmd.Ne < len(data) {
			data = data[:cmd.Ne]
		}
		return data, swOK
	case 0x01:
		aid := ch.df.adf().aid
		if aid == nil {
			return nil, swReferencedData
		}
		return bertlv.Encode(0x84, aid), swOK
	case 0x0C:
		return nil, swOK
	}
	return nil, swWrongP1P2
}
