package atsim

import (
	"cmp"
	"context"
)

// Types of proactive command (TS 102 223 9.4) and general results (8.12) that
// the modem knows.
const (
	cmdRefresh      = 0x01
	cmdMoreTime     = 0x02
	cmdPollInterval = 0x03
	cmdPollingOff   = 0x04

	resultPerformed = 0x00
	resultBeyond    = 0x30 // command beyond terminal's capabilities
)

// proactive runs the card's proactive session: FETCH, act, TERMINAL RESPONSE,
// until the card has no more (TS 102 223 6.3, TS 102 221 11.2).
func (m *Modem) proactive(ctx context.Context, length byte) {
	const bound = 32 // a card that never ends is left alone
	for range bound {
		data, sw, ok := m.exchange(ctx, []byte{0x80, 0x12, 0x00, 0x00, length}, m.transmit)
		if !ok || normal(sw) != swOK {
			break
		}
		body := find(data, 0xD0)
		details := find(body, 0x81)
		if details == nil {
			details = find(body, 0x01) // the comprehension flag is the card's choice
		}
		if len(details) != 3 {
			break
		}
		kind, qualifier := details[1], details[2]
		reset := kind == cmdRefresh && resets(qualifier) && !m.faults.on("no-refresh") && !m.pers.noRefresh
		var sw2 int
		// A UICC reset is answered by the reset itself, an implicit TERMINAL
		// RESPONSE (TS 102 223 6.4.7).
		if !reset || qualifier != refreshUICCReset {
			if sw2, ok = m.terminalResponse(ctx, body, details); !ok {
				break
			}
		}
		if reset {
			m.stats.refreshes.Add(1)
			m.after("refresh", m.cfg.RefreshDelay, m.refresh)
			break
		}
		if sw2>>8 != 0x91 {
			break
		}
		length = byte(sw2)
	}
	m.card.fetching = false
	m.cancel("fetch") // TERMINAL RESPONSE answered 91xx: served above
}

// REFRESH modes (TS 102 223 8.6).
const (
	refreshFileChange = 0x01
	refreshUICCReset  = 0x04
	refreshSteering   = 0x07
	refreshSteeringI  = 0x08
	refreshAppUpdate  = 0x0A
)

// resets reports whether a REFRESH mode makes the modem start the card session
// again. Modems do so for NAA initialisation and for an eUICC profile state
// change as well, where the standard would allow less.
func resets(qualifier byte) bool {
	switch qualifier {
	case refreshFileChange, refreshSteering, refreshSteeringI, refreshAppUpdate:
		return false
	}
	return true
}

// terminalResponse answers a proactive command (TS 102 223 6.8).
func (m *Modem) terminalResponse(ctx context.Context, body, details []byte) (sw int, ok bool) {
	var tlv []byte
	switch details[1] {
	case cmdRefresh, cmdMoreTime, cmdPollingOff:
		tlv = []byte{0x03, 0x01, resultPerformed}
	case cmdPollInterval:
		tlv = []byte{0x03, 0x01, resultPerformed}
		if d := find(body, 0x84); d == nil {
			d = find(body, 0x04)
			tlv = append(tlv, append([]byte{0x04, byte(len(d))}, d...)...)
		} else {
			tlv = append(tlv, append([]byte{0x84, byte(len(d))}, d...)...)
		}
	default:
		tlv = []byte{0x03, 0x01, resultBeyond}
	}
	tlv[0] |= 0x80
	data := append([]byte{0x81, 0x03, details[0], details[1], details[2], 0x82, 0x02, 0x82, 0x81}, tlv...)
	cmd := append([]byte{0x80, 0x14, 0x00, 0x00, byte(len(data))}, data...)
	_, sw, ok = m.exchange(ctx, cmd, m.transmit)
	return sw, ok
}

// refresh is what a REFRESH does to the modem: it leaves the network, resets
// the card, reads it again and registers as whoever it finds.
func (m *Modem) refresh(ctx context.Context) {
	m.leave()
	if f, ok := m.faults.take("refresh-restart", command{}); ok {
		m.after("reboot", goodbye, func(context.Context) { m.restartPorts(cmp.Or(f.Delay, m.habits.ReplugAfter)) })
		return
	}
	if m.pers.notReadyURC != "" {
		m.urc(m.pers.notReadyURC)
	}
	m.resetCard(ctx)
	m.announceSIM()
	m.startRadio(ctx)
}

// announceSIM sends the URCs of a card that has become ready.
func (m *Modem) announceSIM() {
	if state, err := m.pinText(); err == nil {
		m.urc("+CPIN: " + state)
	}
	if !m.card.present {
		return
	}
	for _, line := range m.pers.simURCs {
		m.urc(line)
	}
	if _, ok := m.card.subscriber(); ok {
		for _, line := range m.pers.readyURCs {
			m.urc(line)
		}
	}
}
