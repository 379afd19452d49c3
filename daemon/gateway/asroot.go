package gateway

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"dynamod/atcmd/port"
	"dynamod/daemon/activation"
	"dynamod/daemon/durable"
	"dynamod/daemon/helper"
	"dynamod/euicc"
)

// root is who does in this process what needs root; nil where it is not root.
func (g *Gateway) root() *helper.Root {
	if os.Geteuid() != 0 || g.opts.Unprivileged {
		return nil
	}
	return &helper.Root{Floor: g.opts.Floor, Now: g.opts.Now, Sys: g.opts.Tree.Sys}
}

// asRoot does what needs root, itself or through the helper.
func (g *Gateway) asRoot(ctx context.Context, req helper.Request) (done string, err error) {
	if r := g.root(); r != nil {
		done, err = r.Do(ctx, req)
	} else {
		done, err = helper.Ask(ctx, g.config().State.Helper, req)
	}
	return done, helperFault(err)
}

// helperFault is what kept the helper from a thing, with what to do about it.
func helperFault(err error) error {
	if errors.Is(err, helper.ErrNone) {
		return &activation.Fault{
			Code: "no-helper", Text: "this needs root", Err: err, Retry: euicc.RetryAsk,
			Advice: "`systemctl enable --now dynamod-helper.socket`, or run the daemon as root",
		}
	}
	return err
}

// usbDevice is the modem's on USB: of the one that is there, or was there last, or is
// configured. "" means that it is not known to be on USB.
func (g *Gateway) usbDevice() string {
	if d := g.last.Load(); d != nil {
		return d.usb
	}
	place, err := port.ParsePlace(g.config().Modem.Port)
	if err != nil {
		return ""
	}
	return place.Device
}

// noSwitch says why the power of the modem's USB port cannot be cut, "" if it can.
func (g *Gateway) noSwitch() string {
	device := g.usbDevice()
	if device == "" {
		return "no power line is known, and the modem is not on USB"
	}
	if _, err := helper.SwitchOf(g.opts.Tree.Sys, device); err != nil {
		return "no power line is known, and " + err.Error()
	}
	if g.root() == nil {
		if _, err := os.Stat(g.config().State.Helper); err != nil {
			return "only root may switch the USB port, and there is no helper: `systemctl enable --now dynamod-helper.socket`"
		}
	}
	return ""
}

// cutMark has the USB port that is off for a moment, for a daemon that was killed
// just then: nothing else would switch it on again.
const cutMark = "usb-power"

// cutUSB cuts the power of the modem's USB port for a moment.
func (g *Gateway) cutUSB(ctx context.Context) error {
	g.cutting.Lock()
	defer g.cutting.Unlock()
	device := g.usbDevice()
	mark := filepath.Join(g.config().State.Run, cutMark)
	if err := durable.WriteFile(mark, []byte(device), 0o600); err != nil {
		return err
	}
	done, err := g.asRoot(ctx, helper.Request{Verb: helper.USBPower, Args: []string{device, "cycle"}})
	if err != nil {
		return err // the mark stays: the port may be off
	}
	g.log.Info(done)
	return os.Remove(mark)
}

// endCut switches a USB port on that was left off, by an earlier process or because
// that failed.
func (g *Gateway) endCut(ctx context.Context) {
	g.cutting.Lock()
	defer g.cutting.Unlock()
	mark := filepath.Join(g.config().State.Run, cutMark)
	device, err := os.ReadFile(mark)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	done := ""
	if err == nil {
		done, err = g.asRoot(ctx, helper.Request{Verb: helper.USBPower, Args: []string{string(device), "on"}})
	}
	if err == nil {
		g.log.Info(done)
	} else {
		g.log.Warn("a USB port may be off", "port", string(device), "error", err)
	}
	if err == nil || helper.Code(err) == helper.Refused || helper.Code(err) == helper.Missing {
		os.Remove(mark)
	}
}
