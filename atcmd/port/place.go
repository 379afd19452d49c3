package port

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Place is where a port sits on USB: the device by the way that the plugs go,
// and the number of its interface. A modem that resets itself comes back at the
// same place, with whatever number the kernel has free for the name of its tty.
type Place struct {
	Device    string // as the kernel names it: bus and ports, "1-1.2"
	Interface int    // bInterfaceNumber, 0 to 255
}

// String returns the name that Open takes: "usb:1-1.2:3".
func (p Place) String() string { return fmt.Sprintf("usb:%s:%d", p.Device, p.Interface) }

// ParsePlace reads "usb:1-1.2:3": device and number of the interface, both as
// they stand in /sys/bus/usb/devices. The kernel's own name of an interface,
// "usb:1-1.2:1.3" with the configuration before the number, means the same.
func ParsePlace(name string) (Place, error) {
	rest, ok := strings.CutPrefix(name, "usb:")
	device, number, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 || !IsUSBDevice(device) {
		return Place{}, fmt.Errorf("%q is not a place on USB, such as usb:1-1.2:3", name)
	}
	if config, n, ok := strings.Cut(number, "."); ok {
		if _, err := decimal(config); err != nil {
			return Place{}, fmt.Errorf("%q: configuration is no number from 0 to 255", name)
		}
		number = n
	}
	n, err := decimal(number)
	if err != nil {
		return Place{}, fmt.Errorf("%q: interface is no number from 0 to 255", name)
	}
	return Place{Device: device, Interface: n}, nil
}

// decimal reads a number of one byte without sign or leading zeros.
func decimal(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err == nil && strconv.FormatUint(n, 10) != s {
		err = strconv.ErrSyntax
	}
	return int(n), err
}

// IsUSBDevice reports whether name is a USB device's in sysfs: bus, '-', and the ports
// on the way separated by points. A root hub, "usb1", is no modem.
func IsUSBDevice(name string) bool {
	bus, ports, ok := strings.Cut(name, "-")
	if !ok || len(name) > 64 {
		return false
	}
	for _, part := range append([]string{bus}, strings.Split(ports, ".")...) {
		if _, err := decimal(part); err != nil {
			return false
		}
	}
	return true
}

// Tree is where devices are looked up. The zero value is this machine's.
type Tree struct {
	Sys string // "" means /sys
	Dev string // "" means /dev
}

func (t Tree) sys() string { return cmp.Or(t.Sys, "/sys") }
func (t Tree) dev() string { return cmp.Or(t.Dev, "/dev") }

// classes are those in which the kernel lists what may be an AT port.
var classes = []string{"tty", "wwan"}

// Place returns where on USB the device node with the given path sits. A link,
// such as udev makes below /dev/serial, is followed. It reports false for what
// is not on USB.
func (t Tree) Place(path string) (Place, bool) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return Place{}, false
	}
	for _, class := range classes {
		if p, ok := t.placeOf(class, filepath.Base(path)); ok {
			return p, true
		}
	}
	return Place{}, false
}

// placeOf climbs from a device in sysfs to the USB interface that it is of.
func (t Tree) placeOf(class, name string) (Place, bool) {
	dir, err := filepath.EvalSymlinks(filepath.Join(t.sys(), "class", class, name))
	if err != nil {
		return Place{}, false
	}
	for range 8 {
		dir = filepath.Dir(dir)
		b, err := os.ReadFile(filepath.Join(dir, "bInterfaceNumber"))
		if err != nil {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 16, 8)
		device := filepath.Base(filepath.Dir(dir))
		return Place{Device: device, Interface: int(n)}, err == nil && IsUSBDevice(device)
	}
	return Place{}, false
}

// Find returns the path of the device node at a place. Its error is
// ErrNoDevice when nothing is there, or when what is there has no port (yet:
// the ports of a modem come one after the other).
func (t Tree) Find(p Place) (path string, err error) {
	for _, class := range classes {
		entries, err := os.ReadDir(filepath.Join(t.sys(), "class", class))
		if err != nil {
			continue
		}
		for _, e := range entries {
			if have, ok := t.placeOf(class, e.Name()); ok && have == p {
				node := filepath.Join(t.dev(), e.Name())
				if _, err := os.Stat(node); err == nil {
					return node, nil
				}
			}
		}
	}
	if _, err := os.Stat(filepath.Join(t.sys(), "bus/usb/devices", p.Device)); err == nil {
		return "", fmt.Errorf("%v: %w: the USB device is there, a port of that interface is not", p, ErrNoDevice)
	}
	return "", fmt.Errorf("%v: %w", p, ErrNoDevice)
}

// Physical returns the sysfs directory of the USB or PCI device that a port
// belongs to, which ModemManager and others know it by, or "".
func (t Tree) Physical(path string) string {
	above := t.Above(path, 8)
	if len(above) > 0 && isWhole(above[len(above)-1]) {
		return above[len(above)-1]
	}
	return ""
}

// USB returns maker and model of the USB device that a port belongs to, as
// "2c7c:0125", or "".
func (t Tree) USB(path string) string {
	device := t.Physical(path)
	if device == "" {
		return ""
	}
	var ids [2]string
	for i, file := range []string{"idVendor", "idProduct"} {
		b, err := os.ReadFile(filepath.Join(device, file))
		ids[i] = strings.ToLower(strings.TrimSpace(string(b)))
		if _, bad := strconv.ParseUint(ids[i], 16, 16); err != nil || bad != nil {
			return ""
		}
	}
	return ids[0] + ":" + ids[1]
}

// Above lists the devices in sysfs that a port belongs to, the nearest first,
// at most n, up to the USB or PCI device: beyond it are hubs and bridges.
func (t Tree) Above(path string, n int) (dirs []string) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil
	}
	for _, class := range classes {
		dir, err := filepath.EvalSymlinks(filepath.Join(t.sys(), "class", class, filepath.Base(path), "device"))
		for ; err == nil && n > 0 && len(dir) > len(t.sys()); n-- {
			dirs = append(dirs, dir)
			if isWhole(dir) {
				return dirs
			}
			dir = filepath.Dir(dir)
		}
	}
	return dirs
}

func isWhole(dir string) bool {
	for _, file := range []string{"idVendor", "vendor"} { // of USB, of PCI
		if _, err := os.Stat(filepath.Join(dir, file)); err == nil {
			return true
		}
	}
	return false
}

// Candidates lists the device nodes that may be AT ports, likeliest first.
func (t Tree) Candidates() []string {
	var paths []string
	for _, glob := range []string{"wwan*at*", "ttyUSB*", "ttyACM*", "smd*"} {
		found, err := filepath.Glob(filepath.Join(t.dev(), glob))
		if err != nil {
			continue // only a bad pattern is an error
		}
		// ttyUSB10 comes after ttyUSB9.
		slices.SortFunc(found, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
		paths = append(paths, found...)
	}
	return paths
}

// Driver names the kernel's driver of a port, such as "option", or "". Of a port
// on USB it is the interface's: the serial core has another name below it.
func (t Tree) Driver(path string) (name string) {
	for _, dir := range t.Above(path, 8) {
		driver, err := filepath.EvalSymlinks(filepath.Join(dir, "driver"))
		_, noInterface := os.Stat(filepath.Join(dir, "bInterfaceNumber"))
		if err == nil && (name == "" || noInterface == nil) {
			name = filepath.Base(driver)
		}
	}
	return name
}

// Product is what the USB device of a port calls itself, or "".
func (t Tree) Product(path string) string {
	var words []string
	if device := t.Physical(path); device != "" {
		for _, file := range []string{"manufacturer", "product"} {
			if b, err := os.ReadFile(filepath.Join(device, file)); err == nil {
				words = append(words, strings.Fields(string(b))...)
			}
		}
	}
	return strings.Join(words, " ")
}
