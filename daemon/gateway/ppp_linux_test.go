package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dynamod/atcmd/atsim"
	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/daemon/bearer"
	"dynamod/daemon/config"
	"dynamod/daemon/helper"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/netlink"
	"dynamod/netlink/nlsim"
	"dynamod/netlink/uplink"
)

// pppdScript is a pppd that agrees on an address at once, unless the network wants
// the other kind of authentication. It says what pppd 2.4.9 says.
const pppdScript = `#!/bin/sh
dir=${0%/*}
cp "$2" "$dir/options.$$"
echo $$ >>"$dir/pids"
pap=no; grep -q '^refuse-chap' "$2" && pap=yes
echo "Using interface ppp7"
if [ $pap = no ]; then echo "CHAP authentication failed"; exit 19; fi
echo "local  IP address 10.64.0.7"
trap 'echo "Terminating on signal 15"; exit 5' TERM
while :; do sleep 0.1; done
`

// usimOnly is a SIM that is no eUICC.
func usimOnly() atsim.Card {
	files := map[string]string{
		"\x2f\xe2": "\x98\x00\x01\x01\x00\x00\x00\x00\x00\x71", "\x6f\x07": "\x08\x09\x10\x10\x00\x00\x00\x10\x07", "\x6f\xad": "\x00\x00\x00\x02",
	}
	selected := ""
	return func(cmd []byte) []byte {
		switch {
		case len(cmd) < 4:
			return []byte{0x3B, 0x9F, 0x96}
		case cmd[1] == 0x70, cmd[1] == 0xA4 && cmd[2] == 4 && (len(cmd) < 10 || cmd[9] != 0x87): // no applet but the USIM
			return []byte{0x6A, 0x82}
		case cmd[1] == 0xA4 && cmd[2] != 4 && len(cmd) >= 7:
			selected = files[string(cmd[5:7])]
		case cmd[1] == 0xB0:
			return []byte(selected + "\x90\x00")
		}
		return []byte{0x90, 0x00}
	}
}

// serveHelper has a helper at a socket, which tells what it was asked for.
func serveHelper(t *testing.T, socket string, r helper.Root) (asked func() int) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var n atomic.Int32
	wg.Go(func() {
		for {
			conn, err := l.AcceptUnix()
			if err != nil {
				return
			}
			n.Add(1)
			wg.Go(func() {
				defer conn.Close()
				r.Serve(context.Background(), conn, os.Geteuid())
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return func() int { return int(n.Load()) }
}

// TestPPP: a modem whose data function is QMI, with PPP on its second port: from the
// refused credentials to a link, over a pppd that dies, to the end of the daemon.
func TestPPP(t *testing.T) {
	t.Run("as root", func(t *testing.T) { testPPP(t, false) })
	t.Run("through the helper", func(t *testing.T) { testPPP(t, true) })
}

func testPPP(t *testing.T, throughHelper bool) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	u := newUSBTree(t)
	core := &atsim.Core{Home: "00101", Cell: atsim.Registration{AcT: 7, PLMN: "00101"}, APNs: []atsim.APN{{
		Name: "internet.test", Lease: atsim.Lease{DNS: []netip.Addr{netip.MustParseAddr("9.9.9.9")}, Addr: netip.MustParsePrefix("10.64.0.7/32"), MTU: 1430},
	}}}
	m, err := atsim.New(atsim.Config{
		Personality: "quectel", Card: usimOnly(), Network: core,
		Data: func(_ context.Context, _ int, _ atsim.Lease, rw io.ReadWriter) error {
			_, err := io.Copy(io.Discard, rw)
			return err
		},
	})
	u.must(err)
	nodes := u.plug("1-2", map[int]string{2: "ttyUSB2", 3: "ttyUSB3"})
	u.must(os.Symlink("/sys/bus/usb/drivers/qmi_wwan", filepath.Join(u.Sys, "devices/usb1/1-2/1-2:1.9/driver")))
	serveModem(ctx, &wg, m, nodes[2])
	defer nodes[2].Close()
	u.must(nodes[3].Close())
	pty, err := m.OpenPTY()
	u.must(err)
	second := filepath.Join(u.Dev, "ttyUSB3")
	os.Remove(second)
	u.must(os.Symlink(pty, second))
	wg.Go(func() { m.ServePTY(ctx, "") })

	dir := t.TempDir()
	pppd := filepath.Join(dir, "pppd")
	u.must(os.WriteFile(pppd, []byte(pppdScript), 0o755))
	password := filepath.Join(dir, "password")
	u.must(os.WriteFile(password, []byte("hush\n"), 0o600))
	cfg := config.Default()
	cfg.State.Dir, cfg.State.Run = filepath.Join(dir, "state"), filepath.Join(dir, "run")
	cfg.Uplink.DNSFile = filepath.Join(dir, "resolv.conf")
	cfg.Operators.Dir = dir
	cfg.Bearer.PPP = config.Auto
	cfg.APN = config.APN{Set: true, Name: "internet.test", Username: "me", PasswordFile: password}
	if throughHelper {
		var stat unix.Stat_t
		u.must(unix.Stat(pty, &stat))
		u.must(os.MkdirAll(filepath.Join(u.Sys, "dev/char"), 0o755))
		u.must(os.Symlink(filepath.Join(u.Sys, "devices/usb1/1-2/1-2:1.3/ttyUSB3/tty/ttyUSB3"), filepath.Join(u.Sys, "dev/char", fmt.Sprintf("%d:%d", unix.Major(stat.Rdev), unix.Minor(stat.Rdev)))))
		cfg.State.Helper = filepath.Join(u.Dev, "helper")
		asked := serveHelper(t, cfg.State.Helper, helper.Root{Sys: u.Sys, PPPD: pppd, Dir: dir})
		defer func() {
			if asked() < 3 {
				t.Errorf("the helper was asked %d times", asked())
			}
		}()
	}
	kernel := nlsim.New()
	kernel.AddLink(netlink.Link{Name: "ppp7", Type: netlink.TypeNone, NoARP: true})
	pids := func() (all []int) {
		b, _ := os.ReadFile(filepath.Join(dir, "pids"))
		for f := range strings.FieldsSeq(string(b)) {
			n, _ := strconv.Atoi(f)
			all = append(all, n)
		}
		return all
	}
	ours := func(s netlink.Snapshot) (n int) {
		for _, r := range s.Rules {
			if r.Protocol == netlink.Protocol {
				n++
			}
		}
		return n
	}
	err = Direct(ctx, cfg, Options{
		Version: "test", Tree: u.Tree, Kernel: kernel, PPPD: pppd, Unprivileged: throughHelper, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		DHCP: func(context.Context, string) (bearer.Lease, error) {
			return bearer.Lease{}, errors.New("nobody asks by DHCP")
		},
		Probe: func(_ context.Context, s uplink.Spec) bearer.Reach {
			if s.Interface != "ppp7" {
				return bearer.Reach{State: status.Down, Reason: "not on " + s.Interface}
			}
			return bearer.Reach{State: status.Up}
		},
	}, func(c *hook.Client) error {
		up := func(runs int) (now status.Snapshot, err error) {
			for {
				if err := c.Do(ctx, "GET", "/v1/status", nil, nil, &now); err != nil {
					return now, fmt.Errorf("waiting for the link: %w; %s", err, now.Reason)
				}
				if now.State == status.Up && len(pids()) == runs {
					return now, nil
				}
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		}
		now, err := up(2) // the first was refused
		if err != nil {
			return err
		}
		l := now.Link
		if l.Interface != "ppp7" || l.Source != "ipcp" || !slices.Equal(l.Addresses, []string{"10.64.0.7/32"}) || !slices.Equal(l.DNS, []string{"9.9.9.9"}) || l.MTU != 1430 || now.Modem.Data.Kind != "ppp" {
			t.Errorf("link %+v, data %+v", l, now.Modem.Data)
		}
		for _, pid := range pids() {
			text, err := os.ReadFile(filepath.Join(dir, "options."+strconv.Itoa(pid)))
			if err != nil || !strings.Contains(string(text), "user \"me\"\npassword \"hush\"\n") {
				t.Errorf("options %s, %v", text, err)
			}
		}
		snap, err := kernel.Snapshot(ctx)
		if err != nil || ours(snap) != 1 || !slices.ContainsFunc(snap.Routes, func(r netlink.Route) bool { return r.Default() && r.Dev == "ppp7" && r.Metric == 700 }) {
			t.Errorf("routes %v, rules %v, %v", snap.Routes, snap.Rules, err)
		}
		if err := syscall.Kill(pids()[1], syscall.SIGKILL); err != nil {
			return err
		}
		_, err = up(3) // what worked last is asked for first
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids() {
		if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
			t.Errorf("a pppd is left: %v", err)
		}
	}
	snap, err := kernel.Snapshot(t.Context())
	if err != nil || ours(snap) > 0 || len(snap.Addrs) > 0 {
		t.Errorf("left: %v, %v, %v", snap.Rules, snap.Addrs, err)
	}
	if left, _ := filepath.Glob(filepath.Join(cfg.State.Run, "ppp-options*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestPPPPort: where PPP is spoken, and what is said where it cannot be.
func TestPPPPort(t *testing.T) {
	for _, tt := range []struct {
		name, dialect, ppp string
		ports              map[int]string
		none               bool // no pppd
		port, code, text   string
	}{
		{name: "Quectel EC25, by its table", dialect: "quectel", ppp: "auto", port: "ttyUSB3"},
		{name: "Quectel EC25, its place", dialect: "quectel", ppp: "usb:1-2:1", port: "ttyUSB1"},
		{name: "a path", dialect: "generic", ppp: "DEV/ttyUSB1", port: "ttyUSB1"},
		{name: "no table", dialect: "generic", ppp: "auto", code: "ppp-no-port", text: "PPP: the table of generic names no second port that is there"},
		{name: "the table's port is not there", dialect: "quectel", ppp: "auto", ports: map[int]string{2: "ttyUSB2"}, code: "ppp-no-port", text: "PPP: the table of quectel names no second port that is there"},
		{name: "the AT port", dialect: "quectel", ppp: "DEV/ttyUSB2", code: "ppp-no-port", text: "PPP: DEV/ttyUSB2 is the port for AT commands, which stay possible beside the connection"},
		{name: "nothing there", dialect: "quectel", ppp: "DEV/ttyUSB9", code: "ppp-no-port", text: "PPP: DEV/ttyUSB9 is not there"},
		{name: "no pppd", dialect: "quectel", ppp: "auto", none: true, code: "ppp-no-pppd", text: "PPP is configured, and there is no pppd"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := newUSBTree(t)
			if tt.ports == nil {
				tt.ports = map[int]string{1: "ttyUSB1", 2: "ttyUSB2", 3: "ttyUSB3"}
			}
			u.plug("1-2", tt.ports)
			g := &Gateway{opts: Options{Tree: u.Tree, PPPD: "/bin/sh"}, bearer: bearer.New(bearer.Config{})}
			if tt.none {
				g.opts.PPPD = filepath.Join(u.Dev, "pppd")
			}
			g.conf.Store(config.Default())
			g.config().Bearer.PPP = replaceDev(tt.ppp, u.Dev)
			g.buildLine()
			d := &device{path: filepath.Join(u.Dev, "ttyUSB2"), modem: modem.New(nil, dialect.ByName(tt.dialect), nil)}
			kind, err := g.radio(d).Function(t.Context())
			f, ferr := g.netFunction(d)
			if fmt.Sprint(err) != fmt.Sprint(ferr) || f.Kind != dialect.PPP {
				t.Errorf("the two disagree: %v, %v, %s", err, ferr, f.Kind)
			}
			if tt.code == "" {
				if path, _ := g.pppPort(d); err != nil || kind != dialect.PPP || path != filepath.Join(u.Dev, tt.port) {
					t.Errorf("%s %s: %v", kind, path, err)
				}
				return
			}
			hint := "name a second AT port of the modem in [bearer] ppp: `dynamod modem ports` lists them"
			if tt.none {
				hint = "install the package ppp, or set [bearer] ppp = \"off\""
			}
			checkFault(t, err, tt.code, replaceDev(tt.text, u.Dev), hint)
		})
	}
	g := &Gateway{}
	g.conf.Store(config.Default())
	g.buildLine()
	d := &device{modem: modem.New(nil, nil, nil)}
	if g.line != nil || g.radio(d) != bearer.Radio(d.modem) {
		t.Error("PPP is on without being configured")
	}
}
