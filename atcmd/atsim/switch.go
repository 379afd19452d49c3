package atsim

import "context"

// The SIM slots: one card interface that is switched between them.

// inserted is the card in the active slot.
func (m *Modem) inserted() Card {
	card := m.cfg.Card
	if m.slot > 0 {
		card = nil
		if m.slot <= len(m.cfg.Slots) {
			card = m.cfg.Slots[m.slot-1]
		}
	}
	if card == nil {
		return func([]byte) []byte { return nil }
	}
	return card
}

// switchSlot changes the active slot. A modem whose card has power reads the
// new one, after the command was answered.
func (m *Modem) switchSlot(n int) {
	if n == m.slot {
		return
	}
	m.slot = n
	if m.fun == 0 {
		return
	}
	m.after("slot", 0, func(ctx context.Context) {
		m.leave()
		m.card.lose()
		if m.pers.notReadyURC != "" {
			m.urc(m.pers.notReadyURC)
		}
		m.resetCard(ctx)
		m.announceSIM()
		m.startRadio(ctx)
	})
}

// slotVerb reads and changes the slot: it counts from first, has the slot as
// parameter at, and answers in a format with one %d.
func slotVerb(name string, first, at int, format string) verb {
	return verb{
		name: name, test: "-",
		read: func(x *exec) error {
			x.tagged(format, x.m.slot+first)
			return nil
		},
		set: func(x *exec) error {
			n, err := x.int(at, -1, first, first+1)
			if err != nil || n < 0 {
				return cmeBadParameters
			}
			x.m.switchSlot(n - first)
			return nil
		},
	}
}
