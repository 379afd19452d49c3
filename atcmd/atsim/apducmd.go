package atsim

import (
	"bytes"
	"context"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// apduVerbs give the client the card (TS 27.007 8.17, 8.18 and 8.43 to 8.46).
var apduVerbs = []verb{
	{name: "+CSIM", test: "-", set: csim},
	{name: "+CRSM", test: "-", set: crsm},
	{name: "+CCHO", test: "-", set: ccho},
	{name: "+CGLA", test: "-", set: cgla},
	{name: "+CCHC", test: "-", set: cchc},
}

// apduArg reads <length>,<command>: length counts characters.
func (x *exec) apduArg(i int) ([]byte, error) {
	if len(x.cmd.args) != i+2 {
		return nil, cmeBadParameters
	}
	if x.m.habits.QuotesNeeded && !x.cmd.args[i+1].quoted {
		return nil, resError
	}
	n, err := x.int(i, -1, 8, 2*(4+3+65535+3))
	if err != nil || n < 0 {
		return nil, cmeBadParameters
	}
	b, err := hex.DecodeString(x.str(i + 1))
	if err != nil || len(x.str(i+1)) != n {
		return nil, cmeBadParameters
	}
	return b, nil
}

// apduAnswer writes <length>,<response>.
func (x *exec) apduAnswer(resp []byte, bare bool) {
	text := strings.ToUpper(hex.EncodeToString(resp))
	n := len(text)
	if !x.m.habits.NoQuotes {
		text = `"` + text + `"`
	}
	if bare {
		x.info("%d,%s", n, text)
		return
	}
	x.tagged("%d,%s", n, text)
}

// needCard fails when there is no card in the slot.
func (x *exec) needCard() error {
	if x.m.fun == 0 || !x.m.card.present {
		return cmeNoSIM
	}
	return nil
}

// csim is +CSIM: the APDU goes to the card as it is and so does the answer come
// back; channel bits and GET RESPONSE are the client's affair.
func csim(x *exec) error {
	if err := x.needCard(); err != nil {
		return err
	}
	cmd, err := x.apduArg(0)
	if err != nil {
		return err
	}
	var resp []byte
	if sw := x.m.pers.noChannelSW; sw != 0 && (cmd[1] == 0x70 || cmd[0]&0x43 != 0) {
		resp = []byte{byte(sw >> 8), byte(sw)}
	} else if resp = x.m.hostTransmit(x.ctx, cmd); resp == nil {
		return cmeSIMFailure
	}
	x.apduAnswer(resp, false)
	return nil
}

// ccho is +CCHO: open a channel, select the application, answer a handle.
func ccho(x *exec) error {
	m := x.m
	if err := x.needCard(); err != nil {
		return err
	}
	aid, err := hex.DecodeString(x.str(0))
	if err != nil || len(x.cmd.args) != 1 || len(aid) == 0 || len(aid) > 16 {
		return cmeBadParameters
	}
	if m.pers.hidden != nil && bytes.HasPrefix(aid, []byte{0xA0, 0x00, 0x00, 0x05, 0x59}) {
		return m.pers.hidden
	}
	if len(m.card.sessions) >= maxSessions {
		return m.pers.noChannel
	}
	resp, sw, ok := m.exchange(x.ctx, []byte{0x00, 0x70, 0x00, 0x00, 0x01}, m.hostTransmit)
	switch {
	case !ok:
		return cmeSIMFailure
	case sw == swNoChannel:
		return m.pers.noChannel
	case normal(sw) != swOK || len(resp) != 1 || resp[0] == 0 || resp[0] > maxSessions:
		return cmeSIMFailure
	}
	channel := resp[0]
	sel := append([]byte{onChannel(0x00, channel), 0xA4, 0x04, 0x00, byte(len(aid))}, aid...)
	_, sw, ok = m.exchange(x.ctx, sel, m.hostTransmit)
	if !ok || normal(sw) != swOK && sw>>8 != 0x62 && sw>>8 != 0x63 {
		m.closeChannel(x.ctx, channel)
		if !ok {
			return cmeSIMFailure
		}
		return m.pers.noApplication
	}
	handle := m.newHandle(channel)
	m.card.sessions[handle] = session{channel: channel, aid: aid}
	m.stats.opened.Add(1)
	if m.habits.BareAnswers {
		x.info("%s", handle)
	} else {
		x.tagged("%s", handle)
	}
	return nil
}

func (m *Modem) closeChannel(ctx context.Context, channel byte) bool {
	_, sw, ok := m.exchange(ctx, []byte{0x00, 0x70, 0x80, channel}, m.hostTransmit)
	return ok && normal(sw) == swOK
}

// session finds the session that a client means. A number may be written with
// leading zeros; any other handle must come back as it was given.
func (x *exec) session(i int) (string, session, error) {
	name := x.str(i)
	s, ok := x.m.card.sessions[name]
	if !ok {
		if n, err := strconv.Atoi(name); err == nil {
			name = strconv.Itoa(n)
			s, ok = x.m.card.sessions[name]
		}
	}
	if !ok {
		return "", s, x.m.pers.noSession
	}
	return name, s, nil
}

// cgla is +CGLA. The modem manages the channel part of CLA (TS 27.007 8.43 and
// 8.45), whatever the client put there.
func cgla(x *exec) error {
	m := x.m
	if err := x.needCard(); err != nil {
		return err
	}
	_, s, err := x.session(0)
	if err != nil {
		return err
	}
	cmd, err := x.apduArg(1)
	if err != nil {
		return err
	}
	if m.habits.StrictCLA && cmd[0]&0x43 != 0 {
		return cmeBadParameters
	}
	cmd[0] = onChannel(cmd[0], s.channel)
	var resp []byte
	if m.habits.HandUp61 {
		resp = m.hostTransmit(x.ctx, cmd)
	} else if data, sw, ok := m.exchange(x.ctx, cmd, m.hostTransmit); ok {
		resp = append(data, byte(sw>>8), byte(sw))
	}
	if resp == nil {
		return cmeSIMFailure
	}
	x.apduAnswer(resp, m.habits.BareAnswers)
	return nil
}

// cchc is +CCHC.
func cchc(x *exec) error {
	if err := x.needCard(); err != nil {
		return err
	}
	if len(x.cmd.args) != 1 {
		return cmeBadParameters
	}
	name, s, err := x.session(0)
	if err != nil {
		return err
	}
	delete(x.m.card.sessions, name)
	x.m.stats.closed.Add(1)
	if _, ok := x.m.faults.take("leak", command{}); ok {
		return nil
	}
	if !x.m.closeChannel(x.ctx, s.channel) {
		return cmeSIMFailure
	}
	return nil
}

// crsm is +CRSM=<command>[,<fileid>[,<P1>,<P2>,<P3>[,<data>[,<pathid>]]]]: the
// modem selects the file, on channel 0, and runs the command (TS 27.007 8.18).
func crsm(x *exec) error {
	m := x.m
	if err := x.needCard(); err != nil {
		return err
	}
	var p [5]int
	for i := range p {
		v, err := x.int(i, 0, 0, 65535)
		if err != nil || i != 1 && v > 255 {
			return cmeBadParameters
		}
		p[i] = v
	}
	command, fid, p1, p2, p3 := byte(p[0]), uint16(p[1]), byte(p[2]), byte(p[3]), byte(p[4])
	data, err := hex.DecodeString(x.str(5))
	if err != nil || !x.has(0) || len(data) > 255 {
		return cmeBadParameters
	}
	path, err := hex.DecodeString(x.str(6))
	if err != nil || len(path)%2 != 0 || len(path) > 16 {
		return cmeBadParameters
	}
	var cmd []byte
	switch command {
	case 176, 178: // READ BINARY, READ RECORD
		cmd = []byte{0x00, command, p1, p2, p3}
	case 192: // GET RESPONSE: the file's FCP template
	case 214, 220: // UPDATE BINARY, UPDATE RECORD
		cmd = append([]byte{0x00, command, p1, p2, byte(len(data))}, data...)
	case 242: // STATUS
		cmd = []byte{0x80, 0xF2, p1, p2, p3}
	default:
		return cmeNotSupported
	}
	var fcp []byte
	if fid != 0 || command != 242 {
		var sw int
		if fcp, sw, err = x.selectPath(fid, path); err != nil {
			return err
		}
		if sw != swOK {
			x.tagged("%d,%d", sw>>8, sw&0xFF)
			return nil
		}
	}
	sw := swOK
	resp := fcp
	if cmd != nil {
		var ok bool
		if resp, sw, ok = m.exchange(x.ctx, cmd, m.hostTransmit); !ok {
			return cmeSIMFailure
		}
	}
	if command == 192 && p3 != 0 && len(resp) > int(p3) {
		resp = resp[:p3]
	}
	if len(resp) == 0 {
		x.tagged("%d,%d", sw>>8, sw&0xFF)
		return nil
	}
	x.tagged(`%d,%d,"%X"`, sw>>8, sw&0xFF, resp)
	return nil
}

// selectPath selects the file that +CRSM means: below path if there is one,
// else by where TS 31.102 and TS 102 221 put its identifier.
func (x *exec) selectPath(fid uint16, path []byte) (fcp []byte, sw int, err error) {
	m := x.m
	dirs := []uint16{0x3F00}
	for i := 0; i+1 < len(path); i += 2 {
		dirs = append(dirs, uint16(path[i])<<8|uint16(path[i+1]))
	}
	if len(dirs) == 1 && fid>>8 == 0x6F {
		dirs = append(dirs, 0x7FFF)
	}
	if fid != 0x3F00 && fid != 0 {
		dirs = append(dirs, fid)
	}
	dirs = slices.CompactFunc(dirs, func(a, b uint16) bool { return a == 0x3F00 && b == 0x3F00 })
	for _, d := range dirs {
		if d == 0x7FFF { // the ADF of the USIM
			if m.card.usim == nil {
				return nil, 0, m.noProfileError()
			}
			if !m.selectAID(x.ctx, m.card.usim) {
				return nil, swNotFound, nil
			}
			continue
		}
		m.stats.apdus.Add(1)
		if fcp, sw = m.selectFile(x.ctx, d); sw != swOK {
			if sw == 0 {
				return nil, 0, cmeSIMFailure
			}
			return nil, sw, nil
		}
	}
	return fcp, swOK, nil
}
