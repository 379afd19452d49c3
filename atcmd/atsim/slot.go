package atsim

import (
	"bytes"
	"context"
	"encoding/binary"
	"strconv"
)

// slot is the modem's side of the card interface (TS 102 221).
type slot struct {
	present bool
	iccid   []byte // EF_ICCID as it is on the card
	usim    []byte // AID of the USIM application; nil without an enabled profile
	imsi    string
	mncLen  int
	spn     string
	pin     pinState
	tries   int // of the PIN, -1 when unknown
	puk     int // of the PUK, -1 when unknown

	sessions map[string]session
	handles  uint64

	fetching bool // a FETCH is planned or runs
}

// session is a logical channel that +CCHO opened.
type session struct {
	channel byte
	aid     []byte
}

type pinState int

const (
	pinReady pinState = iota
	pinNeeded
	pukNeeded
	pinBlocked
)

// lose forgets everything about the card: no power.
func (s *slot) lose() { *s = slot{handles: s.handles} }

// status words of TS 102 221 10.2 and ISO 7816-4
const (
	swOK          = 0x9000
	swNoChannel   = 0x6A81
	swPINBlocked  = 0x6983
	swNotFound    = 0x6A82
	swNoRecord    = 0x6A83
	swUnsupported = 0x6D00
)

// transmit gives one command APDU to the card and returns the answer as it is,
// or nil if the card is mute. A 91xx makes the modem fetch the proactive
// command, by itself and after the answer has gone up (TS 102 221 7.4.2).
func (m *Modem) transmit(ctx context.Context, cmd []byte) []byte {
	m.stats.cardAPDUs.Add(1)
	sleep(ctx, m.cfg.APDUDelay)
	resp := m.inserted()(cmd)
	if len(resp) < 2 {
		return nil
	}
	if sw := statusWord(resp); sw>>8 == 0x91 && !m.card.fetching {
		m.card.fetching = true
		length := byte(sw)
		m.after("fetch", 0, func(ctx context.Context) { m.proactive(ctx, length) })
	}
	return resp
}

// hostTransmit is transmit for an APDU of the client: it is counted, and faults
// strike here.
func (m *Modem) hostTransmit(ctx context.Context, cmd []byte) []byte {
	m.stats.apdus.Add(1)
	m.stats.apduIn.Add(int64(len(cmd)))
	if f, ok := m.faults.take("sw", command{}); ok {
		return binary.BigEndian.AppendUint16(nil, uint16(f.Code))
	}
	if len(cmd) > 2 && cmd[1] == 0x70 && cmd[2] == 0 && m.faults.on("channels") {
		return binary.BigEndian.AppendUint16(nil, swNoChannel)
	}
	resp := m.transmit(ctx, cmd)
	if _, ok := m.faults.take("drop-answer", command{}); ok {
		return nil
	}
	m.stats.apduOut.Add(int64(len(resp)))
	return resp
}

// exchange is transmit with 61xx and 6Cxx served (TS 102 221 7.3.1.1): the
// whole response data and the last status word. ok is false when the card is mute.
func (m *Modem) exchange(ctx context.Context, cmd []byte, send func(context.Context, []byte) []byte) (data []byte, sw int, ok bool) {
	const rounds = 512 // 128 kB: no card answers more
	for range rounds {
		resp := send(ctx, cmd)
		if resp == nil {
			return nil, 0, false
		}
		data = append(data, resp[:len(resp)-2]...)
		sw = statusWord(resp)
		switch sw >> 8 {
		case 0x61:
			cmd = []byte{responseClass(cmd[0]), 0xC0, 0, 0, byte(sw)}
		case 0x6C:
			if len(cmd) < 5 {
				cmd = append(bytes.Clone(cmd[:4]), 0)
			} else {
				cmd = bytes.Clone(cmd)
				if body := 5 + int(cmd[4]); len(cmd) > 5 && len(cmd) == body { // a case 3 command gets an Le
					cmd = append(cmd, 0)
				}
			}
			cmd[len(cmd)-1] = byte(sw)
		default:
			return data, sw, true
		}
	}
	return data, sw, true
}

func statusWord(resp []byte) int {
	return int(binary.BigEndian.Uint16(resp[len(resp)-2:]))
}

// responseClass is the CLA of a GET RESPONSE on the channel of another command:
// TS 102 221 10.1.2 gives it class 0X, on the channels above 3 4X.
func responseClass(cla byte) byte {
	if cla&0x40 != 0 {
		return 0x40 | cla&0x0F
	}
	return cla & 0x03
}

// onChannel sets the channel bits of a CLA (TS 102 221 10.1.1).
func onChannel(cla, channel byte) byte {
	if channel < 4 {
		return cla&0xBC | channel
	}
	return cla&0xA0 | 0x40 | (channel - 4)
}

// resetCard powers the card off and on and starts a card session: ATR, TERMINAL
// CAPABILITY if the card wants it, TERMINAL PROFILE, then the files that the
// modem needs to register. Channels and handles are gone.
func (m *Modem) resetCard(ctx context.Context) {
	s := &m.card
	s.lose()
	m.cancel("fetch")
	m.stats.resets.Add(1)
	m.faults.powerCycled()
	m.faults.heal(HealCard)
	if m.faults.on("card-gone") {
		return
	}
	if atr := m.inserted()(nil); len(atr) == 0 {
		return
	}
	s.present = true
	s.sessions = make(map[string]session)
	s.tries, s.puk = -1, -1
	fcp, sw := m.selectFile(ctx, 0x3F00)
	if sw == swOK && wantsTerminalCapability(fcp) {
		// TS 102 221 11.1.19: additional interfaces none, no eUICC support
		// of the modem's own (the LPA is in the host).
		m.transmit(ctx, []byte{0x80, 0xAA, 0x00, 0x00, 0x05, 0xA9, 0x03, 0x83, 0x01, 0x00})
	}
	// TS 102 223 5.2: profile download; MORE TIME, POLL INTERVAL, POLLING OFF
	// and REFRESH. Nothing is claimed that the modem does not do.
	m.transmit(ctx, []byte{0x80, 0x10, 0x00, 0x00, 0x03, 0x01, 0x00, 0xE8})
	m.readCard(ctx)
}

// wantsTerminalCapability looks into the FCP template of the MF: the supported
// system commands, tag 87 of the proprietary template (TS 102 221 11.1.1.4.6.8).
func wantsTerminalCapability(fcp []byte) bool {
	v := find(find(find(fcp, 0x62), 0xA5), 0x87)
	return len(v) > 0 && v[0]&0x01 != 0
}

// readCard reads what the modem wants to know of the card and its USIM.
func (m *Modem) readCard(ctx context.Context) {
	s := &m.card
	s.iccid = m.readFile(ctx, 0x3F00, 0x2FE2)
	s.usim, s.imsi, s.spn = nil, "", ""
	aid := m.findUSIM(ctx)
	if aid == nil {
		return
	}
	s.usim = aid
	if m.checkPIN(ctx); s.pin != pinReady {
		return
	}
	m.readUSIM(ctx)
}

// readUSIM reads the subscriber's files, which the PIN protects.
func (m *Modem) readUSIM(ctx context.Context) {
	s := &m.card
	m.selectAID(ctx, s.usim)
	s.imsi = decodeIMSI(m.readFile(ctx, 0x6F07))
	s.mncLen = 2
	if ad := m.readFile(ctx, 0x6FAD); len(ad) >= 4 && ad[3]&0x0F == 3 { // TS 31.102 4.2.18
		s.mncLen = 3
	}
	if spn := m.readFile(ctx, 0x6F46); len(spn) > 1 { // TS 31.102 4.2.12
		s.spn = string(bytes.TrimRight(spn[1:], "\xff"))
	}
	if s.imsi == "" {
		s.usim = nil
	}
}

// findUSIM selects the card's USIM by EF_DIR (TS 102 221 13.1), or by the
// beginning of its AID if the card has no EF_DIR (TS 101 220 annex E).
func (m *Modem) findUSIM(ctx context.Context) []byte {
	prefix := []byte{0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02}
	if _, sw := m.selectFile(ctx, 0x3F00); sw == swOK {
		if _, sw := m.selectFile(ctx, 0x2F00); sw == swOK {
			for n := byte(1); n < 20; n++ {
				rec, sw, ok := m.exchange(ctx, []byte{0x00, 0xB2, n, 0x04, 0x00}, m.transmit)
				if !ok || sw != swOK {
					break
				}
				if aid := find(find(rec, 0x61), 0x4F); bytes.HasPrefix(aid, prefix) && m.selectAID(ctx, aid) {
					return bytes.Clone(aid)
				}
			}
		}
	}
	if m.selectAID(ctx, prefix) {
		return prefix
	}
	return nil
}

// selectFile selects a file of the current directory by its identifier and
// returns its FCP template (TS 102 221 11.1.1).
func (m *Modem) selectFile(ctx context.Context, fid uint16) (fcp []byte, sw int) {
	cmd := []byte{0x00, 0xA4, 0x00, 0x04, 0x02, byte(fid >> 8), byte(fid)}
	fcp, sw, ok := m.exchange(ctx, cmd, m.transmit)
	if !ok {
		return nil, 0
	}
	return fcp, normal(sw)
}

// selectAID selects an application on channel 0.
func (m *Modem) selectAID(ctx context.Context, aid []byte) bool {
	cmd := append([]byte{0x00, 0xA4, 0x04, 0x04, byte(len(aid))}, aid...)
	_, sw, ok := m.exchange(ctx, cmd, m.transmit)
	return ok && normal(sw) == swOK
}

// normal folds the status words of success into one: 91xx is 9000 with a
// proactive command waiting.
func normal(sw int) int {
	if sw>>8 == 0x91 {
		return swOK
	}
	return sw
}

// readFile selects by a path of identifiers and reads a transparent file whole.
func (m *Modem) readFile(ctx context.Context, path ...uint16) []byte {
	for _, fid := range path {
		if _, sw := m.selectFile(ctx, fid); sw != swOK {
			return nil
		}
	}
	data, sw, ok := m.exchange(ctx, []byte{0x00, 0xB0, 0x00, 0x00, 0x00}, m.transmit)
	if !ok || normal(sw) != swOK {
		return nil
	}
	return data
}

// find returns the value of the first BER-TLV with a one-byte tag in b, or nil.
func find(b []byte, tag byte) []byte {
	for len(b) >= 2 {
		if b[0] == 0x00 || b[0] == 0xFF { // padding
			b = b[1:]
			continue
		}
		t, n, head := b[0], int(b[1]), 2
		switch {
		case n == 0x81 && len(b) > 2:
			n, head = int(b[2]), 3
		case n == 0x82 && len(b) > 3:
			n, head = int(b[2])<<8|int(b[3]), 4
		case n > 0x80:
			return nil
		}
		if len(b) < head+n {
			return nil
		}
		if t == tag {
			return b[head : head+n : head+n]
		}
		b = b[head+n:]
	}
	return nil
}

// decodeIMSI reads EF_IMSI (TS 31.102 4.2.2): a length, then digits behind a
// parity nibble.
func decodeIMSI(b []byte) string {
	if len(b) < 2 || int(b[0]) == 0 || int(b[0]) > len(b)-1 {
		return ""
	}
	digits := swapNibbles(b[1 : 1+int(b[0])])
	if len(digits) < 2 {
		return ""
	}
	return digits[1:]
}

// swapNibbles reads packed digits, low nibble first, up to the filler F.
func swapNibbles(b []byte) string {
	var out []byte
	for _, c := range b {
		for _, d := range [2]byte{c & 0x0F, c >> 4} {
			if d > 9 {
				return string(out)
			}
			out = append(out, '0'+d)
		}
	}
	return string(out)
}

// ICCID returns the ICCID of the card as digits, empty without one.
func (s *slot) ICCID() string { return swapNibbles(s.iccid) }

// subscriber is who the modem registers as; ok is false when it cannot.
func (s *slot) subscriber() (sub Subscriber, ok bool) {
	return Subscriber{ICCID: s.ICCID(), IMSI: s.imsi}, s.present && s.usim != nil && s.pin == pinReady && s.imsi != ""
}

// newHandle makes the session identifier that +CCHO answers.
func (m *Modem) newHandle(channel byte) string {
	if !m.habits.HexHandle {
		return strconv.Itoa(int(channel))
	}
	m.card.handles++
	const digits = "0123456789abcdef"
	v := 0x385a700 + m.card.handles*0xd5 // opaque, never a small number
	var b [16]byte
	for i := range b {
		b[15-i] = digits[v&15]
		v >>= 4
	}
	return string(b[:])
}
