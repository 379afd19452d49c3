package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
	"dynamod/euicc"
)

// rungFor finds the rung of a family's SIM reset ladder that does what an engineer
// asks for: the last that starts the modem again, or the first that takes the
// card's power.
func rungFor(d *dialect.Dialect, kind string) (index int, ok bool) {
	for i, r := range d.SIMReset {
		restart := len(r.Steps) == 1 && r.Drops
		if len(r.Steps) > 0 && restart == (kind == hook.ResetModem) {
			index, ok = i, true
			if kind == hook.ResetSIM {
				break
			}
		}
	}
	return index, ok
}

// ResetModem resets the card, the radio or the modem, and waits until the modem
// shows its card again. Like every change it goes on to its end when nobody waits
// for it any more.
func (g *Gateway) ResetModem(ctx context.Context, kind string) (out hook.ModemReset, err error) {
	switch kind {
	case hook.ResetSIM, hook.ResetRadio, hook.ResetModem:
	default:
		return out, &activation.Fault{Code: "bad-reset", Text: "the modem cannot be reset in that way", Advice: "sim, radio, modem"}
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
	start := time.Now()
	out.Kind = kind
	err = g.whole(ctx, func(ctx context.Context) error {
		defer g.bearer.Hold()()
		g.bearer.Down(ctx)
		if kind == hook.ResetRadio {
			out.Done, err = g.cycleRadio(ctx, d)
			return err
		}
		index, ok := rungFor(d.modem.Dialect(), kind)
		if !ok {
			return &activation.Fault{Code: "bad-reset", Text: "no command is known that does this to a modem of family " + d.modem.Dialect().Name, Advice: "reset another part of it, or switch its power off and on", Retry: euicc.RetryNever}
		}
		goal := modem.ResetGoal{Once: true}
		if kind == hook.ResetModem {
			begun, stop := restartOf(d)
			defer stop()
			goal.Begun = begun
		}
		if goal.ICCID, err = d.modem.ICCID(ctx); err != nil {
			goal.ICCID = "" // no profile, perhaps: then the card has to answer, and no more
		}
		out.Done = d.modem.Dialect().SIMReset[index].Name
		return g.resetSIM(ctx, d, goal, modem.Rung{Index: index})
	})
	if errors.Is(err, modem.ErrNotReset) {
		return out, &euicc.Error{Stage: "reset", Code: "not-reset", Text: "the modem does not show its card again after " + out.Done, Advice: "reset the whole modem with --modem, or switch its power off and on", Retry: euicc.RetryAsk, Err: err}
	}
	if err != nil {
		return out, err
	}
	if d, err = g.waitDevice(ctx, deviceWait); err != nil {
		return out, err
	}
	out.Port = d.path
	if s, err := d.modem.SIM(ctx); err == nil {
		out.SIM = string(g.bearer.SIMState(s.State))
	}
	if iccid, err := d.modem.ICCID(ctx); err == nil {
		out.ICCID = iccid
	}
	out.ElapsedMS = ms(start)
	return out, nil
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

// radioPause is how long the radio is off.
const radioPause = 2 * time.Second

// cycleRadio switches the radio off and on, and leaves the card its power where
// the modem can (27.007, 8.2: +CFUN=4).
func (g *Gateway) cycleRadio(ctx context.Context, d *device) (done string, err error) {
	off := modem.RadioOff
	if err := d.modem.SetFunctionality(ctx, off); err != nil {
		g.log.Info("the modem has no +CFUN=4", "error", err)
		off = modem.Minimum
		if err := d.modem.SetFunctionality(ctx, off); err != nil {
			return "", errors.Join(err, d.modem.SetFunctionality(ctx, modem.Full))
		}
		d.card.Invalidate()
	}
	done = fmt.Sprintf("+CFUN=%d, +CFUN=1", off)
	select {
	case <-time.After(radioPause):
	case <-ctx.Done(): // never leave the radio off
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer stop()
	if err = d.modem.SetFunctionality(ctx, modem.Full); err != nil {
		err = d.modem.SetFunctionality(ctx, modem.Full)
	}
	if err == nil {
		err = d.modem.EnableEvents(ctx)
	}
	return done, err
}
