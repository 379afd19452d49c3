package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"dynamod/atcmd/dialect"
	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
	"dynamod/daemon/learned"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// USBMode tells the modem's data function and those that it can be given.
func (g *Gateway) USBMode(ctx context.Context) (hook.USBMode, error) {
	d, err := g.waitDevice(ctx, deviceWait)
	if err != nil {
		return hook.USBMode{}, err
	}
	return g.usbMode(ctx, d)
}

func (g *Gateway) usbMode(ctx context.Context, d *device) (hook.USBMode, error) {
	f := &d.modem.Dialect().Function
	m := hook.USBMode{Modes: []hook.USBModeChoice{}}
	for _, k := range f.Settable() {
		v, _ := f.Value(k)
		m.Modes = append(m.Modes, hook.USBModeChoice{Mode: string(k), Commands: f.Commands(v), Dials: d.dials(k)})
	}
	var err error
	if m.Value, err = d.modem.FunctionValue(ctx); err != nil {
		return m, err
	}
	m.Mode = string(f.Kinds[m.Value])
	if n, err := g.netFunction(d); n.Kind != "" {
		m.Data = &status.NetFunction{Kind: string(n.Kind), Interface: n.Interface, Driver: n.Driver}
	} else if err != nil {
		m.Data = &status.NetFunction{Kind: string(dialect.None)}
	}
	if before, ok := g.learned.USBMode(d.id.IMEI); ok {
		m.Before = modeName(f, before.Value)
	}
	if d.id.IMEI == "" && len(m.Modes) > 0 {
		m.NoUndo = noUndo(&m)
	}
	return m, nil
}

// noUndo is what somebody has to know of a modem by whose IMEI no mode can be
// remembered.
func noUndo(m *hook.USBMode) string {
	text := "the modem tells no IMEI, and its mode cannot be remembered without one: "
	switch {
	case slices.ContainsFunc(m.Modes, func(c hook.USBModeChoice) bool { return c.Mode == m.Mode }):
		return text + fmt.Sprintf("`dynamod modem usb-mode %s` goes back to this one", m.Mode)
	case m.Value != "":
		return text + fmt.Sprintf("no mode named here goes back to the value %s, see the maker's manual", m.Value)
	}
	return text + "note down how the modem is now"
}

// modeName is the mode of a value, or the value where it has no known meaning.
func modeName(f *dialect.NetFunction, value string) string {
	if k := f.Kinds[value]; k != "" {
		return string(k)
	}
	return value
}

// restartEnds is how long a modem that restarts may take to answer again.
const restartEnds = 2 * time.Minute

// SetUSBMode gives the modem another data function, or the one that it had
// before dynamod changed it, and waits until it is back. What it had is
// remembered first.
func (g *Gateway) SetUSBMode(ctx context.Context, r hook.USBModeRequest) (m hook.USBMode, err error) {
	err = g.alone(ctx, func(ctx context.Context) error {
		d, err := g.waitDevice(ctx, deviceWait)
		if err != nil {
			return err
		}
		m, err = g.setUSBMode(ctx, d, r)
		return err
	})
	return m, err
}

// setUSBMode does it. The card token is held.
func (g *Gateway) setUSBMode(ctx context.Context, d *device, r hook.USBModeRequest) (hook.USBMode, error) {
	f := &d.modem.Dialect().Function
	before, undo := g.learned.USBMode(d.id.IMEI)
	value := before.Value
	if !r.Undo {
		var ok bool
		if value, ok = f.Value(dialect.Kind(r.Mode)); !ok || len(f.Set) == 0 {
			return hook.USBMode{}, unknownMode(d, r.Mode)
		}
	} else if !undo {
		text := "the modem's USB mode was not changed here"
		if d.id.IMEI == "" {
			text = "the modem tells no IMEI by which the mode of before would be remembered"
		}
		return hook.USBMode{}, &activation.Fault{Code: "no-undo", Text: text, Advice: "name a mode", Retry: euicc.RetryNever}
	}
	now, err := d.modem.FunctionValue(ctx)
	if err != nil {
		return hook.USBMode{}, err
	}
	if now == value {
		return g.usbMode(ctx, d)
	}
	if !undo && d.id.IMEI != "" {
		if err := g.learned.SetUSBMode(d.id.IMEI, learned.USBMode{Value: now}); err != nil {
			return hook.USBMode{}, &activation.Fault{Code: "state-unwritable", Text: "cannot note the USB mode as it is", Err: err, Advice: "make room on, or remount, the file system of [state] dir"}
		}
	}
	g.log.Info("the modem gets another USB mode", "from", modeName(f, now), "to", modeName(f, value))
	defer g.bearer.Hold()()
	g.bearer.Down(ctx)
	d.card.Invalidate()
	begun, stop := restartOf(d)
	defer stop()
	if err := d.modem.SetFunction(ctx, value); err != nil {
		return hook.USBMode{}, fmt.Errorf("usb mode: %w", err)
	}
	begun(ctx)
	back, err := g.afterRestart(ctx, d)
	if err != nil {
		return hook.USBMode{}, err
	}
	m, err := g.usbMode(ctx, back)
	if err != nil {
		return m, err
	}
	if m.Value != value {
		return m, &euicc.Error{Stage: "usb-mode", Code: "mode-kept", Text: fmt.Sprintf("the modem is back with the USB mode %s", modeName(f, m.Value)), Advice: "switch its power off and on, and look again", Retry: euicc.RetryAsk}
	}
	if undo && value == before.Value {
		if err := g.learned.ForgetUSBMode(d.id.IMEI); err != nil {
			g.log.Warn("learned", "error", err)
		}
		m.Before = ""
	}
	g.showFunction(back)
	return m, nil
}

// afterRestart waits until a modem whose restart has begun is back: with another
// port, or on the same one, on a serial line for instance.
func (g *Gateway) afterRestart(ctx context.Context, d *device) (*device, error) {
	for {
		back, err := g.waitDevice(ctx, restartEnds)
		if err != nil || back.session != d.session || d.session.Err() == nil {
			return back, err
		}
		select { // the port has gone, and nobody has said so yet
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func unknownMode(d *device, mode string) error {
	var known []string
	for _, k := range d.modem.Dialect().Function.Settable() {
		known = append(known, string(k))
	}
	advice := "one of " + strings.Join(known, ", ")
	if len(known) == 0 {
		advice = "no command that changes it is known; see the maker's manual, and [modem] dialects for adding it"
	}
	return &activation.Fault{Code: "bad-mode", Text: fmt.Sprintf("%q is no USB mode that a modem of family %s can be given", mode, d.modem.Dialect().Name), Advice: advice, Retry: euicc.RetryNever}
}
