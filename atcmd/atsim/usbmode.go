package atsim

import (
	"context"
	"slices"
)

// usbModes are the USB compositions that a model's own command tells and
// changes, as the vendor numbers them. The host's network function comes and
// goes with them.
type usbModes struct {
	factory string
	values  []string
	other   []string // in which AT gives the interface nothing: QMI, MBIM
}

// USBMode returns the composition that the modem has now, as its vendor numbers
// it, "" for a model that has but one.
func (m *Modem) USBMode() string {
	m.state.lock()
	defer m.state.release()
	return m.usbNow
}

// carriesByAT reports whether an active context can have the network interface.
func (m *Modem) carriesByAT() bool {
	return m.pers.usb == nil || m.cfg.RawIP || !slices.Contains(m.pers.usb.other, m.usbNow)
}

// setUSBMode notes a composition, which the modem has from its next start on.
func (x *exec) setUSBMode(value string) error {
	if !slices.Contains(x.m.pers.usb.values, value) {
		return cmeBadParameters
	}
	x.m.usbNext = value
	return nil
}

// newComposition is a part of the modem's start.
func (m *Modem) newComposition() {
	if m.usbNow == m.usbNext {
		return
	}
	m.usbNow = m.usbNext
	if m.cfg.USBMode != nil {
		m.cfg.USBMode(m.usbNow)
	}
}

// usbVerb is a command whose only parameter of interest is the composition. It
// restarts the modem by itself, or leaves that to another command.
func usbVerb(name, format string, restarts bool) verb {
	return verb{name: name, test: "-", read: func(x *exec) error {
		x.tagged(format, x.m.usbNext)
		return nil
	}, set: func(x *exec) error {
		if err := x.setUSBMode(x.str(0)); err != nil || !restarts {
			return err
		}
		x.m.after("reboot", goodbye, func(ctx context.Context) { x.m.reboot(ctx) })
		return nil
	}}
}
