package uevent

import (
	"strings"
	"testing"
)

const added = "add@/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.2/ttyUSB2/tty/ttyUSB2\x00ACTION=add\x00DEVPATH=/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.2/ttyUSB2/tty/ttyUSB2\x00SUBSYSTEM=tty\x00MAJOR=188\x00MINOR=2\x00DEVNAME=ttyUSB2\x00SEQNUM=4711\x00"

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     Event
		ok       bool
	}{
		{"a port", added, Event{"add", "/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.2/ttyUSB2/tty/ttyUSB2", "tty"}, true},
		{"without fields", "remove@/devices/virtual/x", Event{"remove", "/devices/virtual/x", ""}, true},
		{"udev's own", "libudev\x00\xfe\xed\xca\xfe", Event{}, false},
		{"no path", "add@", Event{}, false},
		{"no action", "@/devices", Event{}, false},
		{"nothing", "", Event{}, false},
	} {
		if got, ok := Parse([]byte(tt.in)); got != tt.want || ok != tt.ok {
			t.Errorf("%s: %+v, %v", tt.name, got, ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(added))
	f.Add([]byte("libudev\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := Parse(b)
		if !ok && e != (Event{}) {
			t.Errorf("refused, and %+v", e)
		}
		if ok && (!strings.HasPrefix(string(b), e.Action+"@"+e.Path) || strings.ContainsRune(e.Subsystem, 0)) {
			t.Errorf("%+v of %q", e, b)
		}
	})
}
