package port

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// fakeTree is a sysfs and a /dev with what the tests plug in.
type fakeTree struct {
	t    *testing.T
	Tree Tree
}

func newFakeTree(t *testing.T) *fakeTree {
	root := t.TempDir()
	f := &fakeTree{t, Tree{Sys: filepath.Join(root, "sys"), Dev: filepath.Join(root, "dev")}}
	f.dir("dev")
	return f
}

func (f *fakeTree) path(parts ...string) string {
	return filepath.Join(append([]string{filepath.Dir(f.Tree.Sys)}, parts...)...)
}

func (f *fakeTree) dir(parts ...string) string {
	f.t.Helper()
	if err := os.MkdirAll(f.path(parts...), 0o755); err != nil {
		f.t.Fatal(err)
	}
	return f.path(parts...)
}

func (f *fakeTree) write(text string, parts ...string) {
	f.t.Helper()
	f.dir(filepath.Dir(filepath.Join(parts...)))
	if err := os.WriteFile(f.path(parts...), []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeTree) link(target string, parts ...string) {
	f.t.Helper()
	f.dir(filepath.Dir(filepath.Join(parts...)))
	if err := os.Symlink(target, f.path(parts...)); err != nil {
		f.t.Fatal(err)
	}
}

const usbRoot = "sys/devices/platform/soc/3f980000.usb/usb1/1-1"

// plug adds a USB modem whose tty names are given by interface number, laid out
// as Linux 6.1 does for the drivers option (usb-serial) and cdc_acm.
func (f *fakeTree) plug(device string, ttys map[int]string) {
	dev := usbRoot + "/" + device
	f.write("2c7c\n", dev, "idVendor")
	f.write("0125\n", dev, "idProduct")
	f.link("../../../"+strings.TrimPrefix(dev, "sys/"), "sys/bus/usb/devices", device)
	for n, tty := range ttys {
		iface := dev + "/" + device + ":1." + strconv.Itoa(n)
		number := strconv.FormatInt(int64(n), 16)
		f.write(strings.Repeat("0", 2-len(number))+number+"\n", iface, "bInterfaceNumber")
		class, at := "tty", iface+"/"+tty+"/tty/"+tty
		if strings.HasPrefix(tty, "ttyACM") {
			at = iface + "/tty/" + tty
		} else if strings.HasPrefix(tty, "wwan") {
			class, at = "wwan", iface+"/wwan/wwan0/"+tty
		}
		f.dir(at)
		f.link(f.path(map[bool]string{true: iface, false: filepath.Dir(filepath.Dir(at))}[strings.HasPrefix(tty, "ttyACM")]), at, "device")
		f.link("../../"+strings.TrimPrefix(at, "sys/"), "sys/class", class, tty)
		f.write("", "dev", tty)
	}
}

func (f *fakeTree) unplug(device string) {
	f.t.Helper()
	for _, class := range classes {
		entries, _ := os.ReadDir(f.path("sys/class", class))
		for _, e := range entries {
			if p, ok := f.Tree.placeOf(class, e.Name()); ok && p.Device == device {
				os.Remove(f.path("sys/class", class, e.Name()))
				os.Remove(f.path("dev", e.Name()))
			}
		}
	}
	os.Remove(f.path("sys/bus/usb/devices", device))
	if err := os.RemoveAll(f.path(usbRoot, device)); err != nil {
		f.t.Fatal(err)
	}
}

func TestPlace(t *testing.T) {
	f := newFakeTree(t)
	f.plug("1-1.2", map[int]string{0: "ttyUSB0", 2: "ttyUSB2", 12: "wwan0at0"})
	f.plug("1-1.3", map[int]string{2: "ttyACM0"})
	f.dir("sys/devices/pnp0/tty/ttyS0")
	f.link("../../devices/pnp0/tty/ttyS0", "sys/class/tty/ttyS0")
	f.write("", "dev/ttyS0")
	f.link("../ttyUSB2", "dev/serial/modem")
	f.write("", "dev/smd8")
	for _, tt := range []struct {
		dev  string
		want Place
		ok   bool
	}{
		{"ttyUSB0", Place{"1-1.2", 0}, true},
		{"ttyUSB2", Place{"1-1.2", 2}, true},
		{"serial/modem", Place{"1-1.2", 2}, true},
		{"wwan0at0", Place{"1-1.2", 12}, true},
		{"ttyACM0", Place{"1-1.3", 2}, true},
		{"ttyS0", Place{}, false},
		{"smd8", Place{}, false},
		{"ttyUSB9", Place{}, false},
	} {
		path := filepath.Join(f.Tree.Dev, tt.dev)
		got, ok := f.Tree.Place(path)
		if got != tt.want || ok != tt.ok {
			t.Errorf("%s is at %v, %v; want %v, %v", tt.dev, got, ok, tt.want, tt.ok)
		}
		if !ok || tt.dev == "serial/modem" {
			continue
		}
		if back, err := f.Tree.Find(got); err != nil || back != path {
			t.Errorf("at %v is %s, %v", got, back, err)
		}
		if want := f.path(usbRoot, got.Device); f.Tree.Physical(path) != want {
			t.Errorf("%s belongs to %s, want %s", tt.dev, f.Tree.Physical(path), want)
		}
	}
	if id := f.Tree.USB(filepath.Join(f.Tree.Dev, "ttyACM0")); id != "2c7c:0125" {
		t.Errorf("ttyACM0 is of %q", id)
	}
	if id := f.Tree.USB(filepath.Join(f.Tree.Dev, "ttyS0")); id != "" {
		t.Errorf("ttyS0 is of %q", id)
	}
	if p := f.Tree.Physical(filepath.Join(f.Tree.Dev, "smd8")); p != "" {
		t.Errorf("smd8 belongs to %s", p)
	}
}

// TestReenumeration: the modem resets itself and its ports get other numbers,
// because the old ones are still held, or come in another order.
func TestReenumeration(t *testing.T) {
	f := newFakeTree(t)
	f.plug("1-1.2", map[int]string{0: "ttyUSB0", 1: "ttyUSB1", 2: "ttyUSB2", 3: "ttyUSB3"})
	place, ok := f.Tree.Place(filepath.Join(f.Tree.Dev, "ttyUSB2"))
	if !ok {
		t.Fatal("no place")
	}
	f.unplug("1-1.2")
	if _, err := f.Tree.Find(place); !errors.Is(err, ErrNoDevice) || strings.Contains(err.Error(), "is there") {
		t.Errorf("unplugged: %v", err)
	}
	// The first ports come before the others.
	f.plug("1-1.2", map[int]string{0: "ttyUSB1", 1: "ttyUSB2"})
	if _, err := f.Tree.Find(place); !errors.Is(err, ErrNoDevice) || !strings.Contains(err.Error(), "the USB device is there") {
		t.Errorf("half there: %v", err)
	}
	f.unplug("1-1.2")
	f.plug("1-1.2", map[int]string{0: "ttyUSB1", 1: "ttyUSB2", 2: "ttyUSB4", 3: "ttyUSB3"})
	if path, err := f.Tree.Find(place); err != nil || filepath.Base(path) != "ttyUSB4" {
		t.Errorf("came back as %s, %v; want ttyUSB4", path, err)
	}
	// A twin in another socket is another modem.
	f.unplug("1-1.2")
	f.plug("1-1.3", map[int]string{2: "ttyUSB2"})
	if path, err := f.Tree.Find(place); !errors.Is(err, ErrNoDevice) {
		t.Errorf("took %s, %v", path, err)
	}
}

func TestOpenByPlace(t *testing.T) {
	f := newFakeTree(t)
	_, err := Open(t.Context(), "usb:1-1.2:2", Options{Tree: f.Tree})
	if !errors.Is(err, ErrNoDevice) || !strings.HasPrefix(err.Error(), "open usb:1-1.2:2: ") {
		t.Errorf("nothing there: %v", err)
	}
	if _, err := Open(t.Context(), "usb:modem", Options{Tree: f.Tree}); err == nil || !strings.Contains(err.Error(), "such as usb:1-1.2:3") {
		t.Errorf("not a place: %v", err)
	}
	// What is at the place is opened: here a file, which is no port.
	f.plug("1-1.2", map[int]string{2: "ttyUSB7"})
	if _, err := Open(t.Context(), "usb:1-1.2:2", Options{Tree: f.Tree}); !errors.Is(err, ErrNotPort) || !strings.Contains(err.Error(), "ttyUSB7") {
		t.Errorf("there: %v", err)
	}
}

func TestCandidates(t *testing.T) {
	f := newFakeTree(t)
	for _, name := range []string{"ttyUSB10", "ttyUSB9", "ttyACM0", "smd8", "wwan0at0", "wwan0mbim0", "ttyS0"} {
		f.write("", "dev", name)
	}
	var got []string
	for _, p := range f.Tree.Candidates() {
		got = append(got, filepath.Base(p))
	}
	if want := []string{"wwan0at0", "ttyUSB9", "ttyUSB10", "ttyACM0", "smd8"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestParsePlace(t *testing.T) {
	for _, tt := range []struct {
		name string
		want Place
		ok   bool
	}{
		{"usb:1-1.2:3", Place{"1-1.2", 3}, true},
		{"usb:1-1.2:1.3", Place{"1-1.2", 3}, true}, // /sys/bus/usb/devices/1-1.2:1.3
		{"usb:2-1:0", Place{"2-1", 0}, true},
		{"usb:1-1.2", Place{}, false},
		{"usb:usb1:0", Place{}, false},
		{"usb:1-1.2:256", Place{}, false},
		{"usb:1-1.2:03", Place{}, false},
		{"usb:1-1..2:3", Place{}, false},
		{"usb:../../x:3", Place{}, false},
		{"1-1.2:3", Place{}, false},
	} {
		got, err := ParsePlace(tt.name)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: %v, %v", tt.name, got, err)
		}
	}
}

// FuzzParsePlace reads a place, writes it, and reads it again.
func FuzzParsePlace(f *testing.F) {
	f.Add("usb:1-1.2:3")
	f.Add("usb:1-1.2:1.3")
	f.Add("usb:1-:.")
	f.Fuzz(func(t *testing.T, name string) {
		p, err := ParsePlace(name)
		if err != nil {
			if p != (Place{}) {
				t.Errorf("%q: %v beside an error", name, p)
			}
			return
		}
		if strings.ContainsAny(p.Device, "/\\") {
			t.Errorf("%q leads out of its directory", name)
		}
		if again, err := ParsePlace(p.String()); err != nil || again != p {
			t.Errorf("%q is %v, and that is %v, %v", name, p, again, err)
		}
	})
}

// What `dynamod modem ports` tells of a port.
func TestDescribe(t *testing.T) {
	f := newFakeTree(t)
	f.plug("1-1.2", map[int]string{2: "ttyUSB2"})
	iface := usbRoot + "/1-1.2/1-1.2:1.2"
	for _, name := range []string{"option", "option1", "usb"} {
		f.dir("sys/bus/usb/drivers", name)
	}
	f.link(f.path("sys/bus/usb/drivers/option1"), iface, "ttyUSB2/driver")
	f.link(f.path("sys/bus/usb/drivers/option"), iface, "driver")
	f.link(f.path("sys/bus/usb/drivers/usb"), usbRoot, "1-1.2/driver")
	f.write("Quectel\n", usbRoot, "1-1.2/manufacturer")
	f.write("EG25-G  LTE\n", usbRoot, "1-1.2/product")
	port := f.path("dev/ttyUSB2")
	if d, p := f.Tree.Driver(port), f.Tree.Product(port); d != "option" || p != "Quectel EG25-G LTE" {
		t.Errorf("driver %q, product %q", d, p)
	}
	none := f.path("dev/none")
	if d, p := f.Tree.Driver(none), f.Tree.Product(none); d != "" || p != "" {
		t.Errorf("of no port: driver %q, product %q", d, p)
	}
}
