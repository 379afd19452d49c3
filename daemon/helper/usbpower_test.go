package helper

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// usbTree is a /sys with a hub at 1-1, a modem behind its port 3 and one at 1-2, as
// Linux 6.0 has them.
func usbTree(t *testing.T) string {
	t.Helper()
	sys := t.TempDir()
	bus := filepath.Join(sys, "bus/usb/devices")
	for _, link := range []struct{ name, to string }{
		{"usb1", "usb1"}, {"1-0:1.0", "usb1/1-0:1.0"}, {"1-1", "usb1/1-1"}, {"1-1:1.0", "usb1/1-1/1-1:1.0"}, {"1-2", "usb1/1-2"},
		{"1-1.3", "usb1/1-1/1-1.3"}, {"1-1.3:1.0", "usb1/1-1/1-1.3/1-1.3:1.0"}, {"1-2:1.0", "usb1/1-2/1-2:1.0"}, {"1-2:1.4", "usb1/1-2/1-2:1.4"},
		{"1-1.4", "usb1/1-1/1-1.4"}, {"1-1.4:1.0", "usb1/1-1/1-1.4/1-1.4:1.0"}, {"1-1.5", "usb1/1-1/1-1.5"}, {"1-1.5:1.0", "usb1/1-1/1-1.5/1-1.5:1.0"}, {"1-1.6", "usb1/1-1/1-1.6"}, {"1-1.6:1.4", "usb1/1-1/1-1.6/1-1.6:1.4"}, {"2-0:1.0", "usb2/2-0:1.0"},
	} {
		dir := filepath.Join(sys, "devices", link.to)
		must(t, os.MkdirAll(dir, 0o755))
		must(t, os.MkdirAll(bus, 0o755))
		must(t, os.Symlink(dir, filepath.Join(bus, link.name)))
	}
	for name, text := range map[string]string{
		"usb1/bDeviceClass": "09\n", "usb1/1-1/bDeviceClass": "09\n", "usb1/1-2/bDeviceClass": "00\n", "usb1/1-2/1-2:1.0/bInterfaceClass": "08\n", "usb1/1-2/1-2:1.4/bInterfaceClass": "ff\n",
		"usb1/1-1/1-1.3/bDeviceClass": "ef\n", "usb1/1-1/1-1.3/1-1.3:1.0/bInterfaceClass": "02\n", "usb1/1-1/1-1.4/1-1.4:1.0/bInterfaceClass": "08\n",
		"usb1/1-1/1-1.5/1-1.5:1.0/bInterfaceClass": "ff\n", "usb1/1-1/1-1.6/1-1.6:1.4/bInterfaceClass": "ff\n", "usb1/1-1/1-1:1.0/1-1-port5/disable": "0\n", "usb1/1-1/1-1:1.0/1-1-port6/disable": "0\n",
		"usb1/1-0:1.0/usb1-port1/disable": "0\n", "usb1/1-0:1.0/usb1-port2/disable": "0\n", "usb1/1-0:1.0/usb1-port4/disable": "0\n", "usb2/2-0:1.0/usb2-port2/disable": "0\n",
		"usb1/1-1/1-1:1.0/1-1-port3/disable": "0\n", "usb1/1-1/1-1:1.0/1-1-port4/disable": "0\n", "usb1/1-2/authorized": "1\n", "usb1/1-1/1-1.3/authorized": "1\n",
	} {
		file := filepath.Join(sys, "devices", name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, []byte(text), 0o644))
	}
	for _, name := range []string{"1-1.5/1-1.5:1.0/driver", "1-1.6/1-1.6:1.4/driver", "1-1.6/1-1.6:1.4/usbmisc/cdc-wdm0", "1-1.6/1-1.6:1.4/net/wwan0"} {
		must(t, os.MkdirAll(filepath.Join(sys, "devices/usb1/1-1", name), 0o755))
	}
	must(t, os.Symlink(filepath.Join(sys, "devices/usb2/2-0:1.0/usb2-port2"), filepath.Join(sys, "devices/usb1/1-0:1.0/usb1-port2/peer")))
	return sys
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestUSBPower: which files of /sys have what in them, a second after the request and at
// its end.
func TestUSBPower(t *testing.T) {
	const port2, peer2, port13 = "usb1/1-0:1.0/usb1-port2/disable", "usb2/2-0:1.0/usb2-port2/disable", "usb1/1-1/1-1:1.0/1-1-port3/disable"
	for _, tt := range []struct {
		name, device, what string
		without            []string // of the tree
		during, after      map[string]string
		done, code, err    string
	}{
		{name: "behind a hub", device: "1-1.3", what: "cycle", during: map[string]string{port13: "1"}, after: map[string]string{port13: "0"}, done: "the USB port of 1-1.3 is switched off and on"},
		{name: "at a root hub, in a socket of USB 3", device: "1-2", what: "cycle", during: map[string]string{port2: "1", peer2: "1"}, after: map[string]string{port2: "0", peer2: "0"}, done: "the USB port of 1-2 is switched off and on"},
		{name: "off", device: "1-2", what: "off", after: map[string]string{port2: "1", peer2: "1"}, done: "the USB port of 1-2 is switched off"},
		{name: "on", device: "1-2", what: "on", after: map[string]string{port2: "0", peer2: "0"}, done: "the USB port of 1-2 is switched on"},
		{name: "a modem that is gone", device: "1-4", what: "cycle", during: map[string]string{"usb1/1-0:1.0/usb1-port4/disable": "1"}, after: map[string]string{"usb1/1-0:1.0/usb1-port4/disable": "0"}, done: "the USB port of 1-4 is switched off and on"},
		{name: "Linux 5.10", device: "1-1.3", what: "cycle", without: []string{port13}, during: map[string]string{"usb1/1-1/1-1.3/authorized": "0"}, after: map[string]string{"usb1/1-1/1-1.3/authorized": "1"}, done: "its USB port has no switch, so that it kept its power: the authorization of 1-1.3 is switched off and on"},
		{name: "Linux 5.10, the modem is gone", device: "1-1.3", what: "cycle", without: []string{port13, "usb1/1-1/1-1.3"}, code: Missing, err: "the USB port of 1-1.3 has no switch: it needs Linux 6.0"},
		{name: "no such port", device: "1-1.9", what: "cycle", code: Missing, err: "there is no USB port for 1-1.9"},
		{name: "a hub", device: "1-1", what: "cycle", code: Refused, err: "1-1 is a hub"},
		{name: "a disk", device: "1-1.4", what: "off", code: Refused, err: "1-1.4 is no modem: it has neither a serial port nor a cdc-wdm"},
		{name: "a WLAN adapter of its maker's class", device: "1-1.5", what: "cycle", code: Refused, err: "1-1.5 is no modem"},
		{name: "a modem of its maker's class, by QMI alone", device: "1-1.6", what: "off", after: map[string]string{"usb1/1-1/1-1:1.0/1-1-port6/disable": "1"}, done: "the USB port of 1-1.6 is switched off"},
		{name: "a root hub", device: "usb1", what: "off", code: Refused, err: `"usb1" is not a USB device`},
		{name: "an interface", device: "1-2:1.0", what: "off", code: Refused, err: `"1-2:1.0" is not a USB device`},
		{name: "up the tree", device: "1-2/../1-1", what: "off", code: Refused, err: "is not a USB device"},
		{name: "a path", device: "/sys/kernel", what: "off", code: Refused, err: "is not a USB device"},
		{name: "a pattern", device: "1-*", what: "off", code: Refused, err: "is not a USB device"},
		{name: "nothing", device: "", what: "off", code: Refused, err: "is not a USB device"},
		{name: "a line of its own", device: "1-2\n", what: "off", code: Refused, err: "is not a USB device"},
		{name: "another word", device: "1-2", what: "1", code: Refused, err: `"1" is not one of on, off and cycle`},
	} {
		synctest.Test(t, func(t *testing.T) {
			sys := usbTree(t)
			for _, name := range tt.without {
				must(t, os.RemoveAll(filepath.Join(sys, "devices", name)))
			}
			before := files(t, sys)
			ask := func() (string, error) {
				return (&Root{Sys: sys}).Do(t.Context(), Request{USBPower, []string{tt.device, tt.what}})
			}
			for run := range 2 { // applied twice
				var done string
				var err error
				go func() { done, err = ask() }()
				synctest.Wait()
				if tt.during != nil {
					changed(t, tt.name+", meanwhile", sys, before, tt.during)
				}
				time.Sleep(powerOff)
				synctest.Wait()
				if done != tt.done || Code(err) != tt.code || err != nil && !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%s, %d: %q, %v", tt.name, run, done, err)
				}
				changed(t, tt.name, sys, before, tt.after)
			}
		})
	}
}

// TestUSBPowerHalf: a cut that is interrupted, or that a hub carries out by half, leaves
// the port on.
func TestUSBPowerHalf(t *testing.T) {
	sys := usbTree(t)
	before := files(t, sys)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&Root{Sys: sys}).Do(ctx, Request{USBPower, []string{"1-2", "cycle"}}); err != nil {
		t.Error(err)
	}
	changed(t, "interrupted", sys, before, map[string]string{"usb1/1-0:1.0/usb1-port2/disable": "0", "usb2/2-0:1.0/usb2-port2/disable": "0"})
}

func files(t *testing.T, sys string) map[string]string {
	t.Helper()
	all := map[string]string{}
	root := filepath.Join(sys, "devices")
	must(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, root+"/")] = string(text)
		return err
	}))
	return all
}

// changed checks that these files were written since, and no others.
func changed(t *testing.T, name, sys string, before, want map[string]string) {
	t.Helper()
	for file, text := range files(t, sys) {
		if w, ok := want[file]; ok && text != w || !ok && text != before[file] {
			t.Errorf("%s: %s has %q", name, file, text)
		}
	}
}
