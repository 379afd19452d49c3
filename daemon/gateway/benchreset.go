package gateway

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/board"
	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
	"dynamod/daemon/recovery"
	"dynamod/euicc"
)

// partFor is what an engineer asks for, by the rows of a family; "" where it has
// none. A family that cannot power the card alone does so with its radio.
func partFor(d *dialect.Dialect, kind string) dialect.Part {
	parts := map[string][]dialect.Part{
		hook.ResetSIM: {dialect.CardPart, dialect.RadioPart}, hook.ResetRadio: {dialect.RadioPart}, hook.ResetModem: {dialect.ModemPart},
	}[kind]
	for _, p := range parts {
		if d.Reset(p) != nil {
			return p
		}
	}
	return ""
}

// ResetModem resets the card, the radio or the modem, and waits until the modem
// shows its card again. Like every change it goes on to its end when nobody waits
// for it any more.
func (g *Gateway) ResetModem(ctx context.Context, kind string) (out hook.ModemReset, err error) {
	switch kind {
	case hook.ResetSIM, hook.ResetRadio, hook.ResetModem:
	case hook.ResetPower:
		return g.resetPower(ctx)
	default:
		return out, &activation.Fault{Code: "bad-reset", Text: "the modem cannot be reset in that way", Advice: "sim, radio, modem, power"}
	}
	release, err := g.acquireBench(ctx)
	if err != nil {
		return out, err
	}
	defer release()
	d, err := g.waitDevice(ctx, benchDevice)
	if err != nil {
		return out, err
	}
	part := partFor(d.modem.Dialect(), kind)
	if part == "" {
		return out, &activation.Fault{Code: "bad-reset", Text: "no command is known that does this to a modem of family " + d.modem.Dialect().Name, Advice: "reset another part of it, or switch its power off and on", Retry: euicc.RetryNever}
	}
	start, row := time.Now(), d.modem.Dialect().Reset(part)
	out.Kind, out.Done = kind, row.Name
	err = g.whole(ctx, func(ctx context.Context) error {
		defer g.bearer.Hold()()
		g.bearer.Down(ctx)
		iccid, err := d.modem.ICCID(ctx)
		if err != nil {
			iccid = "" // no profile, perhaps: then the modem has to have a card, and no more
		}
		if d, err = g.restart(ctx, d, part); err != nil {
			return err
		}
		return awaitSIM(ctx, d, iccid, row.Settle.Std(), &out)
	})
	if err != nil {
		return out, err
	}
	out.SIM = string(g.bearer.SIMState(modem.SIMState(out.SIM)))
	out.Port, out.ElapsedMS = d.path, ms(start)
	return out, nil
}

// resetPower starts the modem again from outside, by the board, also one that is not
// there, and waits until it is.
func (g *Gateway) resetPower(ctx context.Context) (out hook.ModemReset, err error) {
	if why := g.missing(recovery.Power); why != "" {
		return out, &activation.Fault{Code: "bad-reset", Text: "the modem's power cannot be cut: " + why, Advice: "`dynamod board` tells what is known of the board; docs/boards.md has how a line is named", Retry: euicc.RetryNever}
	}
	release, err := g.acquireBench(ctx)
	if err != nil {
		return out, err
	}
	defer release()
	start := time.Now()
	out.Kind, out.Done = hook.ResetPower, cmp.Or(g.board.Switch(), "power")
	err = g.whole(ctx, func(ctx context.Context) error {
		defer g.bearer.Hold()()
		g.bearer.Down(ctx)
		before := g.getDevice()
		if err := g.take(ctx, recovery.Power); err != nil {
			return err
		}
		for {
			d, err := g.waitDevice(ctx, g.board.Quirks.Boot.Or(board.DefaultBoot)+restartEnds)
			if err != nil {
				return err
			}
			if before == nil || d.session != before.session {
				out.Port = d.path
				return awaitSIM(ctx, d, "", restartEnds, &out)
			}
			select { // it has gone, and nobody has said so yet
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	if err != nil {
		return out, err
	}
	out.SIM, out.ElapsedMS = string(g.bearer.SIMState(modem.SIMState(out.SIM))), ms(start)
	return out, nil
}

// restartPart starts a part of the modem again; the card's channels do not
// survive it. With modem.ErrReopen the port is on its way to go.
func restartPart(ctx context.Context, d *device, part dialect.Part) error {
	var begun func(context.Context)
	if part == dialect.ModemPart {
		b, stop := restartOf(d)
		defer stop()
		begun = b
	}
	err := d.modem.Restart(ctx, part, begun)
	d.card.Invalidate()
	return err
}

// awaitGone waits for the port of a modem that restarts to go. Some ports live on
// through it.
func awaitGone(ctx context.Context, d *device) error {
	select {
	case <-d.session.Done():
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10 * time.Second):
	}
	return nil
}

// restart starts a part of the modem again and returns it when it answers, which
// may be on another port.
func (g *Gateway) restart(ctx context.Context, d *device, part dialect.Part) (*device, error) {
	err := restartPart(ctx, d, part)
	if err == nil {
		return d, nil
	}
	if !errors.Is(err, modem.ErrReopen) {
		return d, err
	}
	for {
		back, err := g.waitDevice(ctx, restartEnds)
		if err != nil || back.session != d.session {
			return back, err
		}
		select { // it has gone, and nobody has said so yet
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return back, ctx.Err()
		}
	}
}

// awaitSIM waits until the modem shows its card: the profile of before, or if
// there was none, any state but busy.
func awaitSIM(ctx context.Context, d *device, iccid string, limit time.Duration, out *hook.ModemReset) error {
	ctx, done := context.WithTimeout(ctx, limit)
	defer done()
	for {
		s, err := d.modem.SIM(ctx)
		if err == nil && s.State != modem.SIMBusy {
			out.SIM = string(s.State)
			out.ICCID, err = d.modem.ICCID(ctx)
			if iccid == "" || err == nil && out.ICCID == iccid {
				return nil
			}
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return &euicc.Error{Stage: "reset", Code: "not-reset", Text: "the modem does not show its card again after " + out.Done, Advice: "reset the whole modem, `dynamod modem reset --modem`, or switch its power off and on", Retry: euicc.RetryAsk}
		}
	}
}

// restartTime is how long after its OK a modem may still begin to restart, where
// neither its port goes nor it says that it has started.
const restartTime = 15 * time.Second

// restartOf returns what waits until a modem has begun to restart.
func restartOf(d *device) (begun func(context.Context), stop func()) {
	tags := []string{"RDY", "APP RDY"}
	for _, u := range d.modem.Dialect().URCs {
		if u.Event == dialect.EventBoot {
			tags = append(tags, u.Tag)
		}
	}
	sub := d.session.Subscribe("")
	begun = func(ctx context.Context) {
		limit := time.NewTimer(restartTime)
		defer limit.Stop()
		for {
			select {
			case u, ok := <-sub.C():
				if !ok || slices.ContainsFunc(tags, func(t string) bool { return strings.HasPrefix(strings.ToUpper(u.Line), t) }) {
					return // the port is gone, or it has started
				}
			case <-limit.C:
				return
			case <-ctx.Done():
				return
			}
		}
	}
	return begun, sub.Close
}
