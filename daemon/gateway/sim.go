package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/daemon/config"
	"dynamod/daemon/learned"
)

// slotTime is how long a change of the SIM slot may take.
const slotTime = 2 * time.Minute

// useSlot selects the SIM slot of the configuration if another one is active: once
// for each modem, since one that does not keep it would restart for ever. It
// returns the slot that is active then, nil where the modem does not tell. Only
// a modem that does not answer is an error.
func (g *Gateway) useSlot(ctx context.Context, m *modem.Modem, id modem.Identity) (*int, error) {
	ctx, done := context.WithTimeout(ctx, slotTime)
	defer done()
	if g.board.SIM.Line != "" {
		return g.switchSlot(ctx, m)
	}
	read := func() (*int, error) {
		n, err := m.Slot(ctx)
		if err == nil {
			return &n, nil
		}
		if modem.NoAnswer(err) {
			return nil, err
		}
		g.log.Debug("the modem does not tell its SIM slot", "error", err)
		return nil, nil
	}
	now, err := read()
	want := g.config().Modem.SIMSlot
	if err != nil || want == config.NoSlot || now != nil && *now == want {
		return now, err
	}
	if g.slotOf[id.IMEI] {
		if now != nil {
			g.log.Warn("the modem does not keep the SIM slot of the configuration", "slot", *now, "wanted", want)
		}
		return now, nil
	}
	if g.slotOf == nil {
		g.slotOf = map[string]bool{}
	}
	g.slotOf[id.IMEI] = true
	g.log.Info("selecting a SIM slot", "slot", want)
	if err := m.SelectSlot(ctx, want); err != nil {
		if modem.NoAnswer(err) {
			return nil, err // as of a modem that restarts with it
		}
		g.log.Error("cannot select the SIM slot", "slot", want, "error", err)
		return now, nil
	}
	return read()
}

// switchSlot is useSlot by the board's switch, whose slots count from 1.
func (g *Gateway) switchSlot(ctx context.Context, m *modem.Modem) (*int, error) {
	sim, want := &g.board.SIM, g.config().Modem.SIMSlot
	active, err := g.lines().Active(sim.Line)
	if err != nil {
		g.log.Error("the board's switch of SIM slots cannot be read", "error", err)
		return nil, nil
	}
	slot := 1 + slices.IndexFunc(sim.Slots, func(v int) bool { return v == 1 == active })
	switch {
	case want == config.NoSlot || want == slot:
		return &slot, nil
	case want < 1 || want > len(sim.Slots):
		g.log.Error("the board has no such SIM slot", "slot", want, "slots", len(sim.Slots))
		return &slot, nil
	}
	g.log.Info("selecting a SIM slot by the board", "slot", want)
	if g.simLine != nil {
		g.simLine.Close()
	}
	if g.simLine, err = g.lines().Output(sim.Line, sim.Slots[want-1] == 1); err != nil {
		g.simLine = nil
		g.log.Error("cannot select the SIM slot", "slot", want, "error", err)
		return &slot, nil
	}
	part := dialect.CardPart
	if m.Dialect().Reset(part) == nil {
		part = dialect.RadioPart
	}
	if err := m.Restart(ctx, part, nil); modem.NoAnswer(err) || errors.Is(err, modem.ErrReopen) {
		return nil, err
	} else if err != nil {
		g.log.Error("the modem has not restarted its SIM", "error", err)
	}
	return &want, nil
}

// pin reads the PIN of pin_file, "" without one.
func (g *Gateway) pin() (modem.Secret, error) {
	if g.config().Modem.PINFile == "" {
		return "", nil
	}
	pin, err := config.ReadSecret(g.config().Modem.PINFile)
	return modem.Secret(pin), err
}

// keepPINs has the PINs that a card refused outlive the process: each start would
// cost a try of those that block the card.
func (g *Gateway) keepPINs() {
	g.pins.Keep = func(digest []byte, left int) {
		if err := g.learned.SetRefusedPIN(g.vault.MarkPIN(digest), learned.RefusedPIN{Left: left}); err != nil {
			g.log.Warn("that the SIM's PIN was refused is forgotten at a restart", "error", err)
		}
	}
	g.pins.Kept = func(digest []byte) (int, bool) {
		p, ok := g.learned.RefusedPIN(g.vault.MarkPIN(digest))
		return p.Left, ok
	}
}

// enterPIN gives the SIM the PIN of pin_file if it asks for one. What a card did
// not accept is never sent to it again; see modem.EnterPIN.
func (g *Gateway) enterPIN(ctx context.Context, m *modem.Modem) {
	if g.config().Modem.PINFile == "" || !asksPIN(ctx, m) {
		return
	}
	pin, err := g.pin()
	if err == nil {
		err = m.EnterPIN(ctx, pin, false)
	}
	if err != nil {
		g.log.Error("cannot enter the SIM's PIN", "error", err)
	}
}

// asksPIN reports whether the SIM waits for its PIN, also while it starts.
func asksPIN(ctx context.Context, m *modem.Modem) bool {
	for range 5 {
		sim, err := m.SIM(ctx)
		if err != nil || sim.State != modem.SIMBusy {
			return err == nil && sim.State == modem.SIMNeedsPIN
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Second):
		}
	}
	return false
}
