package atsim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Heal is what ends a fault by itself. What starts more of the modem again ends
// what less of it would have ended, too; only HealPort ends nothing else, since
// nothing starts again with it.
type Heal string

// The ways a fault ends.
const (
	HealCard    Heal = "card"    // the card was powered off and on
	HealRadio   Heal = "radio"   // +CFUN=0 and 1
	HealRestart Heal = "restart" // the modem was started again, +CFUN=1,1
	HealPower   Heal = "power"   // its power was cut, see PowerCycle
	HealPort    Heal = "port"    // a port was opened
)

// heals is the order of the first four.
var heals = []Heal{HealCard, HealRadio, HealRestart, HealPower}

func parseHeal(s string) (Heal, error) {
	if h := Heal(s); h == HealPort || slices.Contains(heals, h) {
		return h, nil
	}
	return "", fmt.Errorf("it is none of card, radio, restart, power, port")
}

// heal ends the faults that end by what has happened.
func (s *faultSet) heal(by Heal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, f := range s.m {
		if f.Until == by || by != HealPort && slices.Contains(heals, f.Until) && slices.Index(heals, f.Until) <= slices.Index(heals, by) {
			delete(s.m, name)
		}
	}
}

// PowerCycle cuts the modem's power as a line of the board does: its ports go, and
// come back after off. A modem that nobody has a port of has no power anyway.
func (m *Modem) PowerCycle(off time.Duration) {
	m.faults.heal(HealPower)
	m.state.lock()
	defer m.state.release()
	if m.powered {
		m.unplug(off)
	}
}

// loseCard is the card's end for the modem. m.state is held.
func (m *Modem) loseCard() {
	m.card.lose()
	m.leave()
	if m.pers.notReadyURC != "" {
		m.urc(m.pers.notReadyURC)
	}
}

// restarts reports whether the command starts the modem again.
func (c command) restarts() bool {
	switch c.name {
	case "+CFUN":
		return c.form == formSet && len(c.args) > 1 && c.args[1].s == "1"
	case "+CRESET", "!RESET", "^RESET":
		return true
	}
	return false
}

// simDetect is Telit's #SIMDET: 0 takes the card for gone and powers it off, 1
// for inserted, 2 asks the holder's switch.
func simDetect(x *exec) error {
	on, err := x.int(0, 2, 0, 2)
	if err != nil {
		return err
	}
	x.p.set.values["#SIMDET"] = strings.TrimSpace(x.str(0))
	if on == 0 {
		x.m.loseCard()
		return nil
	}
	if !x.m.card.present {
		x.then = func(ctx context.Context) {
			x.m.resetCard(ctx)
			x.m.announceSIM()
			x.m.startRadio(ctx)
		}
	}
	return nil
}
