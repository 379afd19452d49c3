package helper

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dynamod/atcmd/port"
)

const powerOff = 3 * time.Second // for the capacitors of a modem's board

// SwitchOf returns the switches of the port that a USB device is plugged into, or was:
// the attribute disable of the port, and that of its peer where the socket is one of
// USB 3, which has a port of each kind on the same power. It needs Linux 6.0
// (Documentation/ABI/testing/sysfs-bus-usb), and cuts the power where the hub can; where
// it cannot the device is begun anew all the same. sys is "" for /sys.
func SwitchOf(sys, device string) (files []string, err error) {
	if !port.IsUSBDevice(device) {
		return nil, refuse("%q is not a USB device, such as 1-2.3", printable(device))
	}
	sys = (&Root{Sys: sys}).sys()
	// 1-2.3 is at port 3 of the hub 1-2, whose interface is 1-2:1.0; 1-2 at port 2 of
	// the root hub usb1, whose is 1-0:1.0.
	i := strings.LastIndexAny(device, "-.")
	hub, of, number := device[:i], device[:i], device[i+1:]
	if device[i] == '-' {
		hub, of = "usb"+hub, hub+"-0"
	}
	found, err := filepath.Glob(filepath.Join(sys, "bus/usb/devices", of+":*", hub+"-port"+number))
	if err != nil || len(found) != 1 {
		return nil, lack("there is no USB port for %s", device)
	}
	for _, dir := range []string{found[0], filepath.Join(found[0], "peer")} {
		file := filepath.Join(dir, "disable")
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		return nil, lack("the USB port of %s has no switch: it needs Linux 6.0", device)
	}
	return files, nil
}

// usbPower switches the port of a device. Where the port has no switch the device is
// deauthorized: that takes its drivers and its configuration away, and leaves its power.
func (r *Root) usbPower(ctx context.Context, device, what string) (string, error) {
	if !slices.Contains([]string{"on", "off", "cycle"}, what) {
		return "", refuse("%q is not one of on, off and cycle", printable(what))
	}
	off, on, done := "1", "0", "the USB port of "+device+" is switched "
	files, err := SwitchOf(r.Sys, device)
	if Code(err) == Refused {
		return "", err
	}
	if err := r.checkModem(device); err != nil {
		return "", err
	}
	if err != nil {
		file := filepath.Join(r.sys(), "bus/usb/devices", device, "authorized")
		if _, ferr := os.Stat(file); ferr != nil {
			return "", err
		}
		files, off, on, done = []string{file}, "0", "1", "its USB port has no switch, so that it kept its power: the authorization of "+device+" is switched "
	}
	write := func(value string, files []string) (last error) {
		for _, file := range files {
			if err := os.WriteFile(file, []byte(value), 0); err != nil {
				last = fmt.Errorf("cannot switch the USB port of %s: %w", device, err)
			}
		}
		return last
	}
	if what != "on" {
		if err := write(off, files); err != nil {
			write(on, files) // half of it is none
			return "", err
		}
	}
	if what == "off" {
		return done + "off", nil
	}
	if what == "cycle" {
		select {
		case <-time.After(powerOff):
		case <-ctx.Done(): // never leaves it off
		}
	}
	if err := write(on, files); err != nil {
		return "", err
	}
	if what == "cycle" {
		return done + "off and on", nil
	}
	return done + "on", nil
}

// modemClasses are those of a modem's interfaces: communication and its data, wireless,
// miscellaneous, the maker's own.
var modemClasses = []string{"02", "0a", "e0", "ef", "ff"}

// checkModem refuses to cut what is not a modem: a hub, the disk that the system is on,
// a network adapter. A device that is gone, or has no interface, may be a modem that
// has failed; so may one of a modem's classes on which no driver is.
func (r *Root) checkModem(device string) error {
	dir := filepath.Join(r.sys(), "bus/usb/devices", device)
	class, err := os.ReadFile(filepath.Join(dir, "bDeviceClass"))
	if err == nil && strings.TrimSpace(string(class)) == "09" {
		return refuse("%s is a hub", device)
	}
	interfaces, err := filepath.Glob(dir + ":*/bInterfaceClass")
	if err != nil || len(interfaces) == 0 {
		return nil
	}
	failed := false
	for _, file := range interfaces {
		for _, port := range []string{"ttyUSB*", "tty/*", "usbmisc/cdc-wdm*"} {
			if found, err := filepath.Glob(filepath.Join(filepath.Dir(file), port)); err == nil && len(found) > 0 {
				return nil
			}
		}
		class, err := os.ReadFile(file)
		failed = failed || err == nil && slices.Contains(modemClasses, strings.ToLower(strings.TrimSpace(string(class))))
	}
	if bound, err := filepath.Glob(dir + ":*/driver"); failed && err == nil && len(bound) == 0 {
		return nil
	}
	return refuse("%s is no modem: it has neither a serial port nor a cdc-wdm", device)
}

// printable shows a caller's word without what might be more than a word.
func printable(s string) string {
	s = oneLine(s)
	return s[:min(len(s), 32)]
}
