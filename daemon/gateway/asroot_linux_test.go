package gateway

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dynamod/daemon/bearer"
	"dynamod/daemon/config"
	"dynamod/daemon/helper"
	"dynamod/daemon/recovery"
)

// usbModem is a gateway whose modem is, or was, at a place on USB.
func usbModem(t *testing.T, usb string) (*Gateway, *usbTree, string) {
	t.Helper()
	u := newUSBTree(t)
	u.plug("1-2", map[int]string{2: "ttyUSB2"})
	hub := filepath.Join(u.Sys, "devices/usb1/1-0:1.0")
	u.must(os.MkdirAll(filepath.Join(hub, "usb1-port2"), 0o755))
	u.must(os.Symlink(hub, filepath.Join(u.Sys, "bus/usb/devices/1-0:1.0")))
	disable := filepath.Join(hub, "usb1-port2/disable")
	u.must(os.WriteFile(disable, []byte("0\n"), 0o644))
	g := &Gateway{log: slog.New(slog.NewTextHandler(io.Discard, nil)), opts: Options{Tree: u.Tree, Now: time.Now}, clock: &clock{system: time.Now}, bearer: bearer.New(bearer.Config{})}
	cfg := config.Default()
	cfg.State.Run, cfg.State.Helper = t.TempDir(), filepath.Join(u.Dev, "helper")
	g.conf.Store(cfg)
	if usb != "" {
		g.last.Store(&device{usb: usb})
	}
	return g, u, disable
}

// TestPowerMissing: what is said where the power of the modem's port cannot be cut.
func TestPowerMissing(t *testing.T) {
	for _, tt := range []struct {
		name, usb, port       string
		old, user, withHelper bool
		want                  string
	}{
		{name: "on USB", usb: "1-2"},
		{name: "dead from the start, its place is configured", port: "usb:1-2:2"},
		{name: "dead from the start, looked for", port: "auto", want: "no power line is known, and the modem is not on USB"},
		{name: "Linux 5.10", usb: "1-2", old: true, want: "no power line is known, and the USB port of 1-2 has no switch: it needs Linux 6.0"},
		{name: "another hub", usb: "1-1.4", want: "no power line is known, and there is no USB port for 1-1.4"},
		{name: "a user of its own", usb: "1-2", user: true, want: "only root may switch the USB port, and there is no helper: `systemctl enable --now dynamod-helper.socket`"},
		{name: "a user of its own, with a helper", usb: "1-2", user: true, withHelper: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, u, disable := usbModem(t, tt.usb)
			g.opts.Unprivileged = tt.user
			g.config().Modem.Port = tt.port
			if tt.old {
				u.must(os.Remove(disable))
			}
			if tt.withHelper {
				serveHelper(t, g.config().State.Helper, helper.Root{Sys: u.Sys})
			}
			if os.Geteuid() != 0 && !tt.user {
				t.Skip("only root does it by itself")
			}
			if got := g.missing(recovery.Power); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// TestCutUSB: the rung cuts the port's power, by itself as root and through the helper,
// and what a daemon that was killed has left off is switched on.
func TestCutUSB(t *testing.T) {
	for _, user := range []bool{false, true} {
		if os.Geteuid() != 0 && !user {
			continue
		}
		g, u, disable := usbModem(t, "1-2")
		g.opts.Unprivileged = user
		if user {
			serveHelper(t, g.config().State.Helper, helper.Root{Sys: u.Sys})
		}
		has := func(want string) {
			t.Helper()
			if b, err := os.ReadFile(disable); err != nil || strings.TrimSpace(string(b)) != want {
				t.Errorf("user %v: the port has %q, %v, want %s", user, b, err, want)
			}
		}
		mark := filepath.Join(g.config().State.Run, cutMark)
		ctx, cancel := context.WithCancel(t.Context())
		if !user {
			cancel() // a daemon that ends is not waited for
		}
		err := g.take(ctx, recovery.Power)
		cancel()
		if err != nil && !strings.Contains(err.Error(), "nothing is known") {
			t.Errorf("user %v: %v", user, err)
		}
		has("0")
		if _, err := os.Stat(mark); err == nil {
			t.Error("the mark is still there")
		}
		g.endCut(t.Context()) // nothing to do
		u.must(os.WriteFile(disable, []byte("1"), 0o644))
		u.must(os.WriteFile(mark, []byte("1-2"), 0o600))
		for range 2 {
			g.endCut(t.Context())
			has("0")
		}
		u.must(os.WriteFile(mark, []byte("../x"), 0o600)) // not ours
		g.endCut(t.Context())
		if _, err := os.Stat(mark); err == nil {
			t.Error("a mark that is none stays for ever")
		}
	}
}

// TestSetClock: the system's clock is set where that is wanted and it is wrong.
func TestSetClock(t *testing.T) {
	floor := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name         string
		wanted, none bool
		want         string // of the log
		set          bool
	}{
		{name: "not wanted"},
		{name: "wanted", wanted: true, want: "the clock is set to 2026-02-01", set: true},
		{name: "no helper", wanted: true, none: true, want: "the system's clock stays wrong"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, _, _ := usbModem(t, "")
			var log strings.Builder
			g.log = slog.New(slog.NewTextHandler(&log, nil))
			var now atomic.Int64
			now.Store(100)
			system := func() time.Time { return time.Unix(now.Load(), 0) }
			g.opts.Unprivileged, g.opts.Now, g.config().Time.Set = true, system, tt.wanted
			g.clock = &clock{floor: floor, system: system}
			if !tt.none {
				serveHelper(t, g.config().State.Helper, helper.Root{Floor: floor, Now: system, SetClock: func(to time.Time) error { now.Store(to.Unix()); return nil }})
			}
			if !g.clock.offer("modem", floor.AddDate(0, 1, 0)) {
				t.Fatal("the date was not taken")
			}
			for range 2 {
				if err := g.setClock(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := g.clock.now(); got.Unix() != floor.AddDate(0, 1, 0).Unix() {
					t.Errorf("it is %v", got)
				}
			}
			if !strings.Contains(log.String(), tt.want) || (system().Year() == 2026) != tt.set {
				t.Errorf("the system's clock says %v\n%s", system(), &log)
			}
		})
	}
}

// TestNoHelper: what PPP without root and without a helper says, before anything is asked.
func TestNoHelper(t *testing.T) {
	g, _, _ := usbModem(t, "1-2")
	g.opts.Unprivileged, g.opts.PPPD, g.config().Bearer.PPP = true, "/bin/sh", config.Auto
	g.buildLine()
	_, err := (&dialled{nil, g, &device{}}).Function(t.Context())
	checkFault(t, err, "no-helper", replaceDev("this needs root: no helper answers: stat DEV/helper: no such file or directory", filepath.Dir(g.config().State.Helper)), "`systemctl enable --now dynamod-helper.socket`, or run the daemon as root")
}
