package gateway

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/daemon/activation"
	"dynamod/daemon/config"
)

// TestNetFunction: what a modem with each kind of data function is told, before
// anything is tried with it.
func TestNetFunction(t *testing.T) {
	const quectelStep = "`dynamod modem usb-mode ecm` (AT+QCFG=\"usbnet\",1, AT+CFUN=1,1)"
	for _, tt := range []struct {
		name, driver, class string
		dialect             string
		configured          string // interface
		ifname, code, text  string
		hint                string
	}{
		{name: "Quectel EC25, usbnet 1", driver: "cdc_ether", dialect: "quectel", ifname: "wwan2"},
		{name: "Quectel EC25, usbnet 0", driver: "qmi_wwan", dialect: "quectel", code: "data-needs-qmi", text: "data needs QMI; this build dials by AT", hint: quectelStep},
		{name: "the same, named in the configuration", driver: "qmi_wwan", dialect: "quectel", configured: "wwan2", code: "data-needs-qmi", text: "data needs QMI; this build dials by AT", hint: quectelStep},
		{name: "Quectel EM06, usbnet 2", driver: "cdc_mbim", dialect: "quectel", code: "data-needs-mbim", text: "data needs MBIM; this build dials by AT", hint: quectelStep},
		{name: "Sierra EM7455, MBIM", driver: "cdc_mbim", dialect: "sierra", code: "data-needs-mbim", text: "data needs MBIM; this build dials by AT",
			hint: "switch the modem's USB mode to ECM, NCM or RNDIS, as its maker's manual says: no command for it is known here"},
		{name: "an interface that is none of the modem's", driver: "qmi_wwan", dialect: "quectel", configured: "eth7", ifname: "eth7"},
		{name: "serial ports alone", dialect: "quectel", code: "no-interface", text: "cannot find the modem's network interface: none belongs to DEV/ttyUSB2",
			hint: "name it in [uplink] interface, or give the modem one: " + quectelStep},
		{name: "ECM without a driver", class: "02/06", dialect: "quectel", code: "no-interface", text: "the modem's ECM function has no network interface",
			hint: "the kernel may lack the driver: cdc_ether (OpenWrt: kmod-usb-net-cdc-ether)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := newUSBTree(t)
			u.plug("1-2", map[int]string{2: "ttyUSB2"})
			dir := filepath.Join(u.Sys, "devices/usb1/1-2/1-2:1.9")
			if tt.driver == "" {
				u.must(os.RemoveAll(filepath.Join(dir, "net")))
			} else {
				u.must(os.Symlink("/sys/bus/usb/drivers/"+tt.driver, filepath.Join(dir, "driver")))
			}
			if tt.class != "" {
				u.must(os.WriteFile(filepath.Join(dir, "bInterfaceClass"), []byte(tt.class[:2]), 0o644))
				u.must(os.WriteFile(filepath.Join(dir, "bInterfaceSubClass"), []byte(tt.class[3:]), 0o644))
			}
			g := &Gateway{opts: Options{Tree: u.Tree}}
			g.conf.Store(config.Default())
			g.device = &device{path: filepath.Join(u.Dev, "ttyUSB2"), modem: modem.New(nil, dialect.ByName(tt.dialect), nil)}
			if tt.configured != "" {
				g.config().Uplink.Interface = tt.configured
			}
			name, err := g.modemInterface()
			if tt.code == "" {
				if err != nil || name != tt.ifname {
					t.Errorf("got %q, %v", name, err)
				}
				return
			}
			checkFault(t, err, tt.code, replaceDev(tt.text, u.Dev), tt.hint)
		})
	}
}

func replaceDev(text, dev string) string { return strings.ReplaceAll(text, "DEV", dev) }

func checkFault(t *testing.T, err error, code, text, hint string) {
	t.Helper()
	f, ok := errors.AsType[*activation.Fault](err)
	if !ok || f.Code != code || f.Error() != text || hintOf(err) != hint {
		t.Errorf("got %v (%+v), hint %q\nwant %s: %s, hint %q", err, f, hintOf(err), code, text, hint)
	}
}
