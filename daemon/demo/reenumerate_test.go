//go:build linux && !nodemo

package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/atcmd/port"
	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/gateway"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/smdpsim"
)

// usbModem is a modem's place on USB in a made-up sysfs: device 1-2, AT port on
// interface 2, another port on interface 0. Its nodes are sockets.
type usbModem struct {
	port.Tree
	t     *testing.T
	nodes []net.Listener
}

// plug gives the interfaces their tty numbers, and returns what listens behind the
// AT port.
func (u *usbModem) plug(numbers map[int]int) net.Listener {
	u.t.Helper()
	dir := filepath.Join(u.Sys, "devices/usb1/1-2")
	link := func(target, path string) error {
		return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(target, path))
	}
	must := func(err error) {
		if err != nil {
			u.t.Error(err)
		}
	}
	must(os.MkdirAll(dir, 0o755))
	must(os.WriteFile(filepath.Join(dir, "idVendor"), []byte("2c7c\n"), 0o644))
	must(os.WriteFile(filepath.Join(dir, "idProduct"), []byte("0125\n"), 0o644)) // EC25
	must(link(dir, filepath.Join(u.Sys, "bus/usb/devices/1-2")))
	var at net.Listener
	for n, number := range numbers {
		name := "ttyUSB" + strconv.Itoa(number)
		iface := filepath.Join(dir, fmt.Sprintf("1-2:1.%d", n))
		tty := filepath.Join(iface, name, "tty", name)
		must(os.MkdirAll(tty, 0o755))
		must(os.WriteFile(filepath.Join(iface, "bInterfaceNumber"), fmt.Appendf(nil, "%02d\n", n), 0o644))
		must(link(filepath.Join(iface, name), filepath.Join(tty, "device")))
		must(link(tty, filepath.Join(u.Sys, "class/tty", name)))
		l, err := net.Listen("unix", filepath.Join(u.Dev, name))
		must(err)
		u.nodes = append(u.nodes, l)
		if n == 2 {
			at = l
		}
	}
	return at
}

func (u *usbModem) unplug() {
	for _, l := range u.nodes {
		l.Close() // removes the node
	}
	u.nodes = nil
	if err := os.RemoveAll(u.Sys); err != nil {
		u.t.Error(err)
	}
}

// TestSwitchRenumbersPort: the card's REFRESH makes the modem restart, and its ports
// come back under other numbers, its second one under the number that the AT port
// had. The port is found again by device and interface, the run commits.
func TestSwitchRenumbersPort(t *testing.T) {
	for _, configured := range []string{"/ttyUSB2", "usb:1-2:2", config.Auto} {
		t.Run(strings.Trim(configured, "/"), func(t *testing.T) {
			t.Parallel()
			log := slog.New(slog.DiscardHandler)
			if os.Getenv("DYNAMOD_TEST_LOG") == t.Name() {
				log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
			}
			n, err := netlab.NewSimulated(netlab.Options{Log: log})
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			var wg sync.WaitGroup
			defer wg.Wait()
			defer cancel()
			o := Options{Dir: t.TempDir(), Dialect: "quectel", Log: log}
			if o.Earlier, err = smdpsim.TestProfile(smdpsim.ProfileData{ICCID: "8900101000009999991", IMSI: "001010000009999", MNCDigits: 2, SPN: Operator}); err != nil {
				t.Fatal(err)
			}
			w, err := Open(ctx, n, o)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			root, err := os.MkdirTemp("", "usb") // a socket's path has 107 bytes at most
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(root)
			u := &usbModem{Tree: port.Tree{Sys: filepath.Join(root, "sys"), Dev: filepath.Join(root, "dev")}, t: t}
			if err := os.MkdirAll(u.Dev, 0o755); err != nil {
				t.Fatal(err)
			}
			at := u.plug(map[int]int{0: 0, 2: 2})
			wg.Go(func() { // the bus
				defer u.unplug()
				for {
					c, err := at.Accept()
					if err != nil {
						return
					}
					err = w.Modem.Serve(ctx, c)
					c.Close()
					if !errors.Is(err, atsim.ErrUnplugged) || ctx.Err() != nil {
						continue
					}
					u.unplug()
					select {
					case <-time.After(300 * time.Millisecond):
					case <-ctx.Done():
						return
					}
					at = u.plug(map[int]int{0: 2, 2: 6})
					context.AfterFunc(ctx, func() { at.Close() })
				}
			})
			first := at
			context.AfterFunc(ctx, func() { first.Close() })
			cfg, err := config.Load(filepath.Join(o.Dir, "dynamod.toml"))
			if err != nil {
				t.Fatal(err)
			}
			cfg.Modem.Port = configured
			if strings.HasPrefix(configured, "/") {
				cfg.Modem.Port = u.Dev + configured
			}
			opts := w.gatewayOptions(log, "test", time.Time{}, cfg)
			opts.Tree = u.Tree
			var rec activation.Record
			var was, is status.Snapshot
			err = gateway.Direct(ctx, cfg, opts, func(c *hook.Client) error {
				if err := awaitUp(ctx, c, &was); err != nil {
					return err
				}
				if err := w.Modem.SetFault("refresh-restart", atsim.Fault{Times: 1, Delay: 100 * time.Millisecond}); err != nil {
					return err
				}
				if err := c.Do(ctx, "POST", "/v1/activations", nil, hook.ActivationRequest{Code: w.Profiles[0].Code, Consent: true}, &rec); err != nil {
					return err
				}
				if err := await(ctx, c, "/v1/activations/"+rec.ID, &rec, func() bool { return rec.Ended != nil }); err != nil {
					return err
				}
				return awaitUp(ctx, c, &is)
			})
			if err != nil {
				t.Fatalf("%v; the run: %s %+v", err, rec.State, rec.Error)
			}
			if w.Modem.Stats().Struck["refresh-restart"] != 1 {
				t.Error("the REFRESH did not restart the modem")
			}
			if rec.Outcome != status.Committed {
				t.Errorf("%s, %+v", rec.Outcome, rec.Error)
			}
			for _, p := range []struct {
				s           *status.Snapshot
				port, iccid string
			}{{&was, "ttyUSB2", "8900101000009999991"}, {&is, "ttyUSB6", w.Profiles[0].ICCID}} {
				if p.s.Modem.Port != filepath.Join(u.Dev, p.port) || p.s.SIM == nil || p.s.SIM.ICCID != p.iccid {
					t.Errorf("the modem was on %s with %+v, want %s with %s", p.s.Modem.Port, p.s.SIM, p.port, p.iccid)
				}
			}
		})
	}
}
