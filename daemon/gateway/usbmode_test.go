package gateway

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/daemon/bearer"
	"dynamod/daemon/config"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/netlink/nlsim"
	"dynamod/netlink/uplink"
)

// composition is how a modem with a USB mode looks to the kernel.
type composition struct {
	driver string
	port   int // interface number of the AT port
}

// TestUSBMode: a modem that shows QMI alone is told so, gets ECM by its own
// commands, comes back with other interfaces and ports, and goes back.
func TestUSBMode(t *testing.T) {
	quectel := map[string]composition{"0": {"qmi_wwan", 2}, "1": {"cdc_ether", 2}, "2": {"cdc_mbim", 2}}
	for _, tt := range []struct {
		name, personality, vendor, product string
		modes                              map[string]composition
		from, mode, value                  string
		driver, before                     string
		stays                              bool // the port, over the restart
	}{
		{"Quectel EC25: MBIM to ECM", "quectel", "2c7c", "0125", quectel, "2", "ecm", "1", "cdc_ether", "mbim", false},
		{"the same, on a port that stays", "quectel", "2c7c", "0125", quectel, "2", "ecm", "1", "cdc_ether", "mbim", true},
		{"SIM7600: QMI to ECM", "simcom-sim7600", "1e0e", "9001", map[string]composition{"9001": {"qmi_wwan", 2}, "9018": {"cdc_ether", 3}}, "9001", "ecm", "9018", "cdc_ether", "qmi", false},
		{"Telit LE910C4: QMI to ECM", "telit-le910", "1bc7", "1201", map[string]composition{"0": {"qmi_wwan", 4}, "4": {"cdc_ether", 5}}, "0", "ecm", "4", "cdc_ether", "qmi", false},
		{"Fibocom L850: MBIM to NCM", "fibocom-l850", "2cb7", "0007", map[string]composition{"7": {"cdc_mbim", 2}, "0": {"cdc_ncm", 2}}, "7", "ncm", "0", "cdc_ncm", "mbim", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			var wg sync.WaitGroup
			defer wg.Wait()
			defer cancel()
			u := newUSBTree(t)
			changed := make(chan string, 8)
			m, err := atsim.New(atsim.Config{
				Personality: tt.personality, Card: m2mCard(), Habits: atsim.Habits{Reenumerate: !tt.stays},
				FirstUSBMode: tt.from, USBMode: func(v string) {
					if !tt.stays {
						changed <- v
						return
					}
					link := filepath.Join(u.Sys, "devices/usb1/1-2/1-2:1.9/driver")
					if err := errors.Join(os.Remove(link), os.Symlink("/sys/bus/usb/drivers/"+tt.modes[v].driver, link)); err != nil {
						t.Error(err)
					}
				},
			})
			u.must(err)
			n := 0
			plug := func(value string) func() {
				n++
				c := tt.modes[value]
				nodes := u.plug("1-2", map[int]string{c.port: "ttyUSB" + string(rune('0'+n))})
				dir := filepath.Join(u.Sys, "devices/usb1/1-2")
				u.must(os.WriteFile(filepath.Join(dir, "idVendor"), []byte(tt.vendor), 0o644))
				u.must(os.WriteFile(filepath.Join(dir, "idProduct"), []byte(tt.product), 0o644))
				u.must(os.Symlink("/sys/bus/usb/drivers/"+c.driver, filepath.Join(dir, "1-2:1.9/driver")))
				pull := serveModem(ctx, &wg, m, nodes[c.port])
				return func() { u.unplug("1-2", nodes); pull() }
			}
			pull := plug(tt.from)
			wg.Go(func() { // the bus
				for {
					select {
					case <-ctx.Done():
						pull()
						return
					case v := <-changed:
						pull()
						pull = plug(v)
					}
				}
			})

			cfg := config.Default()
			dir := t.TempDir()
			cfg.State.Dir, cfg.State.Run = filepath.Join(dir, "state"), filepath.Join(dir, "run")
			cfg.Uplink.DNSFile, cfg.Operators.Dir = filepath.Join(dir, "resolv.conf"), dir
			cfg.Modem.Port = config.Auto
			err = Direct(ctx, cfg, Options{
				Version: "test", Tree: u.Tree, Kernel: nlsim.New(),
				DHCP:  func(context.Context, string) (bearer.Lease, error) { return bearer.Lease{}, errors.New("no server") },
				Probe: func(context.Context, uplink.Spec) bearer.Reach { return bearer.Reach{State: status.Down} },
			}, func(c *hook.Client) error {
				var was, is, back hook.USBMode
				if err := c.Do(ctx, "GET", "/v1/modem/usb-mode", nil, nil, &was); err != nil {
					return err
				}
				if was.Mode != tt.before || was.Data == nil || was.Data.Kind != tt.before || was.Before != "" {
					t.Errorf("was %+v %+v", was, was.Data)
				}
				if err := c.Do(ctx, "POST", "/v1/modem/usb-mode", nil, hook.USBModeRequest{Mode: tt.mode, Confirm: true}, &is); err != nil {
					return err
				}
				if is.Mode != tt.mode || is.Value != tt.value || is.Data == nil || is.Data.Driver != tt.driver || is.Before != tt.before || m.USBMode() != tt.value {
					t.Errorf("is %+v %+v", is, is.Data)
				}
				err := c.Do(ctx, "POST", "/v1/modem/usb-mode", nil, hook.USBModeRequest{Mode: "none", Confirm: true}, nil)
				var p *status.Problem
				if !errors.As(err, &p) || p.Code != "bad-mode" {
					t.Errorf("a mode that there is not: %v", err)
				}
				if err := c.Do(ctx, "POST", "/v1/modem/usb-mode", nil, hook.USBModeRequest{Undo: true, Confirm: true}, &back); err != nil {
					return err
				}
				if back.Mode != tt.before || back.Before != "" || m.USBMode() != tt.from {
					t.Errorf("back %+v %+v", back, back.Data)
				}
				err = c.Do(ctx, "POST", "/v1/modem/usb-mode", nil, hook.USBModeRequest{Undo: true, Confirm: true}, nil)
				if !errors.As(err, &p) || p.Code != "no-undo" {
					t.Errorf("a second undo: %v", err)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// A modem that tells no IMEI: that its mode is not remembered is told before it is
// changed, and what goes back.
func TestUSBModeWithoutIMEI(t *testing.T) {
	choices := func(modes ...string) (m hook.USBMode) {
		for _, mode := range modes {
			m.Modes = append(m.Modes, hook.USBModeChoice{Mode: mode})
		}
		return m
	}
	known, other, silent := choices("ecm", "mbim"), choices("ecm"), choices("ecm")
	known.Mode, known.Value, other.Value = "mbim", "2", "7"
	for _, tt := range []struct {
		m    hook.USBMode
		want string
	}{
		{known, "`dynamod modem usb-mode mbim` goes back to this one"},
		{other, "no mode named here goes back to the value 7"},
		{silent, "note down how the modem is now"},
	} {
		if got := noUndo(&tt.m); !strings.Contains(got, tt.want) || !strings.HasPrefix(got, "the modem tells no IMEI") {
			t.Errorf("%+v: %s", tt.m, got)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	u := newUSBTree(t)
	m, err := atsim.New(atsim.Config{Personality: "quectel", Card: m2mCard(), FirstUSBMode: "0", USBMode: func(string) {}})
	u.must(err)
	u.must(m.SetFault("cme", atsim.Fault{Command: "+CGSN", Code: 100}))
	nodes := u.plug("1-2", map[int]string{2: "ttyUSB2"})
	defer serveModem(ctx, &wg, m, nodes[2])()
	defer nodes[2].Close()
	cfg := labConfig(t)
	cfg.Modem.Port = filepath.Join(u.Dev, "ttyUSB2")
	cfg.Uplink.DNSFile = filepath.Join(t.TempDir(), "resolv.conf")
	u.must(Direct(ctx, cfg, Options{
		Version: "test", Tree: u.Tree, Kernel: nlsim.New(),
		DHCP:  func(context.Context, string) (bearer.Lease, error) { return bearer.Lease{}, errors.New("no server") },
		Probe: func(context.Context, uplink.Spec) bearer.Reach { return bearer.Reach{State: status.Down} },
	}, func(c *hook.Client) error {
		var was, is hook.USBMode
		if err := c.Do(ctx, "GET", "/v1/modem/usb-mode", nil, nil, &was); err != nil {
			return err
		}
		if err := c.Do(ctx, "POST", "/v1/modem/usb-mode", nil, hook.USBModeRequest{Mode: "ecm", Confirm: true}, &is); err != nil {
			return err
		}
		if !strings.Contains(was.NoUndo, "usb-mode qmi") || is.Mode != "ecm" || is.NoUndo == "" || is.Before != "" {
			t.Errorf("was %+v, is %+v", was, is)
		}
		err := c.Do(ctx, "POST", "/v1/modem/usb-mode", nil, hook.USBModeRequest{Undo: true, Confirm: true}, nil)
		var p *status.Problem
		if !errors.As(err, &p) || p.Code != "no-undo" || !strings.Contains(p.Text, "no IMEI") {
			t.Errorf("an undo: %v", err)
		}
		return nil
	}))
}
