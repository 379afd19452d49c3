package gateway

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/port"
	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// modemInterface names the network interface of the modem: the configured one,
// or the one below the same USB device as the AT port. A modem whose data
// cannot be started by AT is an error.
func (g *Gateway) modemInterface() (string, error) {
	g.mu.Lock()
	d := g.device
	g.mu.Unlock()
	name := g.config().Uplink.Interface
	switch {
	case g.line != nil:
		if ifname, ok := g.line.Active(); ok {
			return ifname, nil
		}
		return "", &activation.Fault{Code: "no-interface", Text: "there is no PPP connection", Retry: euicc.RetryLater}
	case d != nil:
		f, err := g.netFunction(d)
		return f.Interface, err
	case name != config.Auto:
		return name, nil
	}
	return "", &activation.Fault{Code: "no-modem", Text: "no modem is there"}
}

// netFunction finds out how the modem's packets reach this machine. Its Kind is
// "" where the kernel does not tell: of an interface that is configured and not
// the modem's by sysfs.
func (g *Gateway) netFunction(d *device) (port.NetFunction, error) {
	var f port.NetFunction
	if g.line != nil { // whatever else the modem has
		f.Kind, f.Driver = dialect.PPP, "pppd"
		f.Interface, _ = g.line.Active()
		_, err := (&dialled{d.modem, g, d}).Function(context.Background())
		return f, err
	}
	if name := g.config().Uplink.Interface; name != config.Auto {
		var ok bool
		if f, ok = g.opts.Tree.FunctionOf(d.path, name); !ok {
			return port.NetFunction{Interface: name}, nil
		}
	} else if all := g.opts.Tree.NetFunctions(d.path); g.boardInterface(all) != "" {
		name := g.boardInterface(all)
		i := slices.IndexFunc(all, func(f port.NetFunction) bool { return f.Interface == name })
		if i < 0 {
			return port.NetFunction{Interface: name}, nil
		}
		f = all[i]
	} else if len(all) > 0 {
		f = all[0]
		if i := slices.IndexFunc(all, func(f port.NetFunction) bool { return f.Interface != "" && d.dials(f.Kind) }); i >= 0 {
			f = all[i]
		}
	} else {
		return f, &activation.Fault{
			Code: "no-interface", Text: "cannot find the modem's network interface: none belongs to " + d.path, Retry: euicc.RetryAsk,
			Advice: "name it in [uplink] interface" + prefixed(", or give the modem one: ", d.usbStep()),
		}
	}
	name := strings.ToUpper(string(f.Kind))
	switch {
	case !d.dials(f.Kind):
		return f, &activation.Fault{
			Code: "data-needs-" + string(f.Kind), Text: "data needs " + name + "; this build dials by AT", Retry: euicc.RetryAsk,
			Advice: cmp.Or(d.usbStep(), "switch the modem's USB mode to ECM, NCM or RNDIS, as its maker's manual says: no command for it is known here"),
		}
	case f.Interface == "":
		return f, &activation.Fault{
			Code: "no-interface", Text: fmt.Sprintf("the modem's %s function has no network interface", name), Retry: euicc.RetryAsk,
			Advice: "the kernel may lack the driver: " + driverOf[f.Kind],
		}
	}
	return f, nil
}

var driverOf = map[dialect.Kind]string{
	dialect.ECM:   "cdc_ether (OpenWrt: kmod-usb-net-cdc-ether)",
	dialect.NCM:   "cdc_ncm (OpenWrt: kmod-usb-net-cdc-ncm)",
	dialect.RNDIS: "rndis_host (OpenWrt: kmod-usb-net-rndis)",
}

// dials reports whether AT commands can start data with a data function.
func (d *device) dials(k dialect.Kind) bool {
	return d.modem.Dialect().Call(k) != nil
}

// usbStep says how to give the modem a data function that AT can dial on, ""
// where no command for it is known.
func (d *device) usbStep() string {
	f := &d.modem.Dialect().Function
	kinds := f.Settable()
	if len(kinds) == 0 || !d.dials(kinds[0]) {
		return ""
	}
	value, _ := f.Value(kinds[0])
	return fmt.Sprintf("`dynamod modem usb-mode %s` (%s)", kinds[0], strings.Join(f.Commands(value), ", "))
}

// showFunction tells in the status how data reaches this machine.
func (g *Gateway) showFunction(d *device) {
	f, err := g.netFunction(d)
	if err != nil {
		g.log.Warn("no data by this modem as it is", "error", err, "hint", hintOf(err))
	}
	if f.Kind == "" && err == nil {
		return
	}
	g.status.Update(func(s *status.Snapshot) {
		if s.Modem != nil {
			s.Modem.Data = &status.NetFunction{Kind: string(cmp.Or(f.Kind, dialect.None)), Interface: f.Interface, Driver: f.Driver}
		}
	})
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
