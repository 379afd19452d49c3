package gateway

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/port"
	"dynamod/daemon/config"
)

// usbTree is a sysfs and a /dev with USB modems in it. Their nodes are unix
// sockets, which a port may be as well as a tty.
type usbTree struct {
	t *testing.T
	port.Tree
}

func newUSBTree(t *testing.T) *usbTree {
	// A socket's path has 107 bytes at most.
	root, err := os.MkdirTemp("", "usb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	u := &usbTree{t, port.Tree{Sys: filepath.Join(root, "sys"), Dev: filepath.Join(root, "dev")}}
	u.must(os.MkdirAll(u.Dev, 0o755))
	return u
}

func (u *usbTree) must(err error) {
	u.t.Helper()
	if err != nil {
		u.t.Fatal(err)
	}
}

// plug adds a device with ports by interface number, and a network interface.
// It returns what listens behind the ports.
func (u *usbTree) plug(device string, ttys map[int]string) map[int]net.Listener {
	u.t.Helper()
	nodes := map[int]net.Listener{}
	dir := filepath.Join(u.Sys, "devices/usb1", device)
	u.must(os.MkdirAll(filepath.Join(dir, device+":1.9/net/wwan"+device[len(device)-1:]), 0o755))
	u.must(os.WriteFile(filepath.Join(dir, "idVendor"), []byte("2c7c\n"), 0o644))
	u.must(os.WriteFile(filepath.Join(dir, "idProduct"), []byte("0125\n"), 0o644)) // EC25: AT on 2, the second on 3
	u.must(os.MkdirAll(filepath.Join(u.Sys, "class/tty"), 0o755))
	u.must(os.MkdirAll(filepath.Join(u.Sys, "bus/usb/devices"), 0o755))
	u.must(os.Symlink(dir, filepath.Join(u.Sys, "bus/usb/devices", device)))
	for n, name := range ttys {
		iface := filepath.Join(dir, device+":1."+strconv.Itoa(n))
		at := filepath.Join(iface, name, "tty", name)
		u.must(os.MkdirAll(at, 0o755))
		u.must(os.WriteFile(filepath.Join(iface, "bInterfaceNumber"), []byte("0"+strconv.Itoa(n)+"\n"), 0o644))
		u.must(os.Symlink(filepath.Join(iface, name), filepath.Join(at, "device")))
		u.must(os.Symlink(at, filepath.Join(u.Sys, "class/tty", name)))
		l, err := net.Listen("unix", filepath.Join(u.Dev, name))
		u.must(err)
		u.t.Cleanup(func() { l.Close() })
		nodes[n] = l
	}
	return nodes
}

func (u *usbTree) unplug(device string, nodes map[int]net.Listener) {
	u.t.Helper()
	for _, l := range nodes {
		name := filepath.Base(l.Addr().String())
		l.Close() // removes the node
		u.must(os.Remove(filepath.Join(u.Sys, "class/tty", name)))
	}
	u.must(os.Remove(filepath.Join(u.Sys, "bus/usb/devices", device)))
	u.must(os.RemoveAll(filepath.Join(u.Sys, "devices/usb1", device)))
}

func TestPortNames(t *testing.T) {
	u := newUSBTree(t)
	four := u.plug("1-2", map[int]string{0: "ttyUSB0", 1: "ttyUSB1", 2: "ttyUSB2", 3: "ttyUSB3"})
	u.must(os.Symlink("ttyUSB2", filepath.Join(u.Dev, "modem")))
	g := &Gateway{log: slog.New(slog.DiscardHandler), opts: Options{Tree: u.Tree}, dialects: new(dialect.Set)}
	g.conf.Store(config.Default())
	was := &port.Place{Device: "1-2", Interface: 2}
	check := func(what, configured string, place *port.Place, want string) {
		t.Helper()
		if strings.HasPrefix(configured, "tty") || configured == "modem" {
			configured = filepath.Join(u.Dev, configured)
		}
		g.config().Modem.Port, g.place = configured, place
		names, err := g.portNames()
		got := make([]string, len(names))
		for i, n := range names {
			got[i] = strings.TrimPrefix(n, u.Dev+"/")
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if all := strings.Join(got, " "); !strings.Contains(all, want) || want == "" != (all == "") {
			t.Errorf("%s: %q, want %q", what, all, want)
		}
	}
	check("by name", "ttyUSB2", nil, "ttyUSB2")
	check("by place", "usb:1-2:2", nil, "ttyUSB2")
	check("automatic: as the table says", "auto", nil, "ttyUSB2 ttyUSB3 ttyUSB0 ttyUSB1")
	check("automatic, known before", "auto", &port.Place{Device: "1-2", Interface: 3}, "ttyUSB3 ttyUSB2 ttyUSB0 ttyUSB1")
	check("socket", "unix:@modem", was, "unix:@modem")

	// It restarts, and somebody still held ttyUSB0.
	u.unplug("1-2", four)
	two := u.plug("1-2", map[int]string{0: "ttyUSB1", 1: "ttyUSB2"})
	check("not all of it is there", "ttyUSB2", was, "ttyUSB2 is another port of the modem now; waiting for interface 2")
	check("at its place, not all there", "usb:1-2:2", nil, "the USB device is there, a port of that interface is not")
	u.unplug("1-2", two)
	three := u.plug("1-2", map[int]string{0: "ttyUSB1", 1: "ttyUSB2", 2: "ttyUSB3"})
	check("under another number", "ttyUSB2", was, "ttyUSB3")
	check("a link is right by itself", "modem", was, "modem")
	u.unplug("1-2", three)

	// Plugged in elsewhere: the name is all that is left to go by.
	elsewhere := u.plug("1-4", map[int]string{2: "ttyUSB2"})
	check("elsewhere", "ttyUSB2", was, "ttyUSB2")
	check("elsewhere, by place", "usb:1-2:2", was, "no such device")
	u.unplug("1-4", elsewhere)
	check("nothing", "auto", was, "no modem port was found")
}
