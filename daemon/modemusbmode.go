package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"dynamod/daemon/hook"
)

var modemUSBModeCommand = command{
	name:    "modem usb-mode",
	args:    "[MODE]",
	summary: "show how the modem's packets reach this machine, or change it",
	about: `Data is dialled by AT commands, which start none in the modes qmi and mbim. MODE is
one of those that are shown: ecm, ncm, rndis and the like. It asks first, or takes
--yes: the modem restarts, and comes back with other ports. --undo goes back to
the mode that the modem had before, which is remembered by its IMEI: where it tells
none, that is said before the question. Refused while an activation runs.`,
	example: "dynamod modem usb-mode\ndynamod modem usb-mode ecm\ndynamod modem usb-mode --undo --yes",
	setup: func(fs *flag.FlagSet) action {
		var u usbModeVerb
		u.declare(fs)
		fs.BoolVar(&u.undo, "undo", false, "go back to the mode of before")
		fs.BoolVar(&u.yes, "yes", false, "do not ask")
		return u.run
	},
}

type usbModeVerb struct {
	reach
	undo, yes bool
}

func (u *usbModeVerb) run(ctx context.Context, args []string, s std) error {
	if len(args) > 1 || len(args) == 1 && u.undo {
		return usageError{errors.New("modem usb-mode takes one mode, or --undo"), "`dynamod modem usb-mode` shows the modes"}
	}
	return u.atBench(ctx, s, func(c *hook.Client) error {
		if len(args) == 0 && !u.undo {
			_, err := tell(ctx, s, c, u.json, "/v1/modem/usb-mode", writeUSBMode)
			return err
		}
		var now hook.USBMode
		if err := c.Do(ctx, "GET", "/v1/modem/usb-mode", nil, nil, &now); err != nil {
			return err
		}
		req := hook.USBModeRequest{Mode: strings.Join(args, ""), Undo: u.undo, Confirm: true}
		if err := u.ask(ctx, s, now, req); err != nil {
			return err
		}
		_, err := tellAfter(ctx, s, c, u.json, "POST", "/v1/modem/usb-mode", req, writeUSBMode)
		return err
	})
}

// ask tells what will be done, and does nothing where the mode is the wanted one
// or none that the modem can be given: the daemon tells that.
func (u *usbModeVerb) ask(ctx context.Context, s std, now hook.USBMode, req hook.USBModeRequest) error {
	target := req.Mode
	if req.Undo {
		target = now.Before
	}
	possible := req.Undo // its value may have no name
	warning := "The modem gets the USB mode " + target
	for _, m := range now.Modes {
		if m.Mode == target {
			possible = true
			warning += " by " + strings.Join(m.Commands, ", ")
			if !m.Dials {
				warning += ".\nThis build starts no data in that mode: the link stays down"
			}
		}
	}
	if now.NoUndo != "" && !req.Undo {
		warning += ".\nIt cannot be undone with --undo: " + now.NoUndo
	}
	if u.yes || target == "" || target == now.Mode || !possible {
		return nil
	}
	return confirm(ctx, s, "modem usb-mode", clean(warning, "\n")+".", "It restarts, and the link goes down meanwhile. Go on?", "the USB mode is as it was")
}

func writeUSBMode(w io.Writer, m hook.USBMode) {
	row := rower(w, 8)
	mode := m.Mode
	if mode == "" {
		mode = "the modem does not tell"
	}
	row("mode", mode+parens(m.Value))
	if d := m.Data; d != nil {
		row("data", strings.Join(fields(d.Kind, d.Interface, prefix("driver ", d.Driver)), ", "))
	}
	for i, c := range m.Modes {
		row(onlyIf(i == 0, "modes"), fmt.Sprintf("%-6s %s", c.Mode, strings.Join(c.Commands, ", "))+parens(onlyIf(!c.Dials, "no data in this build")))
	}
	if len(m.Modes) == 0 {
		row("modes", "no command that changes it is known for this family")
	}
	row("undo", onlyIf(m.NoUndo != "", "none: "+m.NoUndo))
	row("before", m.Before+onlyIf(m.Before != "", ": `dynamod modem usb-mode --undo` goes back"))
}
