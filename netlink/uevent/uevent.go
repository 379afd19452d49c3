// Package uevent tells when the kernel adds devices, such as the ports of a modem
// that is plugged in.
package uevent

import "strings"

// Event is what the kernel says of one device.
type Event struct {
	Action    string // "add", "remove", "change", "bind" and others
	Path      string // below /sys: "/devices/pci0000:00/.../ttyUSB2/tty/ttyUSB2"
	Subsystem string // "tty", "usb", "net"
}

// Parse reads a datagram of the kernel's (lib/kobject_uevent.c): action@path, and
// then KEY=value, each ended by a zero byte. It reports false for anything else, as
// for what udev sends, which begins with "libudev".
func Parse(b []byte) (e Event, ok bool) {
	head, rest, _ := strings.Cut(string(b), "\x00")
	e.Action, e.Path, ok = strings.Cut(head, "@")
	if !ok || e.Action == "" || !strings.HasPrefix(e.Path, "/") {
		return Event{}, false
	}
	for field := range strings.SplitSeq(rest, "\x00") {
		if v, ok := strings.CutPrefix(field, "SUBSYSTEM="); ok {
			e.Subsystem = v
		}
	}
	return e, true
}
