//go:build !nodemo

package main

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"dynamod/daemon/config"
	"dynamod/daemon/status"
)

// ordinary is a user who may do nothing, but for what he is given.
const ordinary = 54321

// asOrdinary has daemons run by an ordinary user with the two capabilities that a
// daemon needs, as rootfs/systemd/dynamod.service gives them.
func (b *bench) asOrdinary() {
	b.t.Helper()
	setpriv, err := exec.LookPath("setpriv")
	if err != nil || os.Geteuid() != 0 {
		b.t.Skipf("only root with setpriv can be somebody else: %v", err)
	}
	program, err := exec.LookPath("dynamod")
	b.must(err)
	text, err := os.ReadFile(program)
	b.must(err)
	own := filepath.Join(b.dir, "dynamod") // the tests' own is in a directory of root's
	b.must(os.WriteFile(own, text, 0o755))
	modem, err := filepath.EvalSymlinks(filepath.Join(b.dir, "modem"))
	b.must(err)
	for _, dir := range []string{b.dir, modem} {
		b.must(filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, ordinary, ordinary)
		}))
	}
	id := fmt.Sprint(ordinary)
	b.run = []string{setpriv, "--reuid", id, "--regid", id, "--clear-groups", "--inh-caps", "-all,+net_admin,+net_raw", "--ambient-caps", "-all,+net_admin,+net_raw", "--bounding-set", "-all,+net_admin,+net_raw", own}
}

// TestOrdinaryUser does the main job as an ordinary user with CAP_NET_ADMIN and
// CAP_NET_RAW and nothing else.
func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.config("[hook]\n", "[hook]\nlisten = \""+doorAddr+"\"\n")
	b.asOrdinary()
	b.start()
	b.waitUp()
	about, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.running.cmd.Process.Pid))
	b.must(err)
	fields := map[string]string{
		"Uid": "54321", "Gid": "54321", "Groups": "", "CapEff": "0000000000003000", "CapPrm": "0000000000003000", "CapBnd": "0000000000003000", "NoNewPrivs": "1",
	}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "CGO_ENABLED", Value: "1"}) {
		delete(fields, "NoNewPrivs") // with cgo a program cannot set it for all its threads
	}
	for field, want := range fields {
		m := regexp.MustCompile(`(?m)^` + field + `:[ \t]*(\S*)`).FindSubmatch(about)
		if m == nil || string(m[1]) != want {
			t.Errorf("%s is %q, want %q", field, m, want)
		}
	}
	v := b.activate(b.w.Profiles[0].Code)
	if v.exit != exitOK || !strings.Contains(v.stdout, b.w.Profiles[0].ICCID) {
		t.Errorf("exit %d: %s%s\n%s", v.exit, v.stdout, v.stderr, b.log())
	}
	// Root adds a caller whom that user's daemon knows at once, and leaves its state alone.
	token := b.dynamod("", "token", "add", "noc", "--config", b.configPath())
	remote := &http.Client{Transport: bearer{strings.TrimSpace(token.stdout), &http.Transport{DialContext: b.n.Dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}}
	resp, err := remote.Get("https://" + doorAddr + "/v1/status")
	b.must(err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a caller whom root has added: %s\n%s", resp.Status, b.log())
	}
	if v := b.dynamod("", "token", "list", "--config", b.configPath()); v.exit != exitOK || !strings.Contains(v.stdout, "noc") {
		t.Errorf("root reads the callers: %s%s", v.stdout, v.stderr)
	}
	if v := b.dynamod("", "status", "--direct", "--config", b.configPath()); v.exit != exitRefused || !strings.Contains(v.stderr, "setpriv --reuid 54321") {
		t.Errorf("root by itself: %d %s", v.exit, v.stderr)
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", b.running.cmd.Process.Pid))
	b.must(err)
	if !regexp.MustCompile(`(?m)^Max core file size +0 `).Match(limits) {
		t.Errorf("its memory may be written to a core file:\n%s", limits)
	}
	var snap status.Snapshot
	b.must(b.client.Do(b.ctx, "GET", "/v1/status", nil, nil, &snap))
	if snap.State != status.Up || len(snap.Warnings) > 0 || len(b.routes()) == 0 {
		t.Errorf("%s %s, %q", snap.State, snap.Reason, snap.Warnings)
	}
	for line := range strings.Lines(b.log()) {
		if strings.Contains(line, "permitted") || strings.Contains(line, "permission") {
			t.Errorf("it may not: %s", line)
		}
	}
}

// TestLacks: what an ordinary user would need is told, with the command that gives it.
func TestLacks(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
		return path
	}
	room := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	open, closed := room("open", 0o777), room("closed", 0o755)
	good := func() *config.Config {
		cfg := config.Default()
		cfg.State.Dir, cfg.State.Run, cfg.Uplink.DNSFile = filepath.Join(open, "state"), open, filepath.Join(open, "resolv.conf")
		cfg.Modem.Port = filepath.Join(dir, "none")
		return cfg
	}
	readable, secret := file("readable", 0o644), file("secret", 0o600)
	all := uint64(0x3000)
	for _, row := range []struct {
		name string
		caps uint64
		set  func(*config.Config)
		says []string // of each line, in turn
	}{
		{"nothing", all, func(*config.Config) {}, nil},
		{"no capabilities", 0, func(*config.Config) {}, []string{"CAP_NET_ADMIN is missing", "CAP_NET_RAW is missing"}},
		{"one capability", 1 << 12, func(*config.Config) {}, []string{"CAP_NET_RAW is missing"}},
		{"a port of a group", all, func(c *config.Config) { c.Modem.Port = file("tty", 0o660) }, []string{"tty cannot be opened: "}},
		{"a port of root's", all, func(c *config.Config) { c.Modem.Port = file("tty0", 0o600) }, []string{"rootfs/udev/60-dynamod.rules"}},
		{"a port of everybody's", all, func(c *config.Config) { c.Modem.Port = file("tty1", 0o666) }, nil},
		{"the state", all, func(c *config.Config) { c.State.Dir = closed }, []string{"[state] dir: " + closed + " cannot be written: `install -d -o somebody " + closed + "`"}},
		{"a state that is not there", all, func(c *config.Config) { c.State.Dir = filepath.Join(closed, "x") }, []string{"`install -d -o somebody"}},
		{"the run directory", all, func(c *config.Config) { c.State.Run = closed }, []string{"[state] run: "}},
		{"the name servers", all, func(c *config.Config) { c.Uplink.DNSFile = filepath.Join(closed, "r") }, []string{"[uplink] dns_file: "}},
		{"a secret", all, func(c *config.Config) { c.Modem.PINFile = secret }, []string{"[modem] pin_file: " + secret + " cannot be read: `chown somebody " + secret + "`"}},
		{"keys", all, func(c *config.Config) {
			c.Hook.Key, c.Hook.Certificate, c.Webhook.SecretFile = secret, readable, secret
		}, []string{"[webhook] secret_file", "[hook] key"}},
		{"issuers", all, func(c *config.Config) {
			c.Webhook.CA, c.Dynamo.CA, c.Hook.ClientCA, c.LPA.CI = secret, secret, readable, []string{secret}
		}, []string{"[webhook] ca", "[dynamo] ca", "[lpa] ci"}},
		{"a group that is not there", all, func(c *config.Config) { c.Hook.Group = "no-such-group" }, []string{"`groupadd --system no-such-group`"}},
		{"the group of others", all, func(c *config.Config) { c.Hook.Group = "root" }, []string{"`usermod -aG root somebody`"}},
		{"PPP without a helper", all, func(c *config.Config) { c.Bearer.PPP, c.State.Helper = config.Auto, filepath.Join(dir, "none") }, []string{"[bearer] ppp needs root, and there is no helper at " + filepath.Join(dir, "none") + ": `systemctl enable --now dynamod-helper.socket`"}},
		{"the clock with another's helper", all, func(c *config.Config) { c.Time.Set, c.State.Helper = true, secret }, []string{"[time] set needs root, and the helper at " + secret + " is not for somebody"}},
		{"PPP and the clock with a helper", all, func(c *config.Config) {
			c.Bearer.PPP, c.Time.Set, c.State.Helper = config.Auto, true, file("helper.sock", 0o666)
		}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := good()
			row.set(cfg)
			id := identity{name: "somebody", uid: ordinary, groups: []int{ordinary}, caps: row.caps, known: true}
			got := id.lacks(cfg, readable)
			if len(got) != len(row.says) {
				t.Fatalf("lacks %q", got)
			}
			for i, line := range got {
				if !strings.Contains(line, row.says[i]) {
					t.Errorf("%q, want %q", line, row.says[i])
				}
			}
			id.uid = 0
			if got := id.lacks(cfg, readable); len(got) > 0 {
				t.Errorf("root lacks %q", got)
			}
		})
	}
	if got := (identity{name: "somebody", uid: ordinary, known: true, caps: all}).lacks(good(), secret); len(got) != 1 || !strings.Contains(got[0], "the configuration: ") {
		t.Errorf("a configuration that cannot be read: %q", got)
	}
}

// TestUnit holds the units that ship against what the program needs.
func TestUnit(t *testing.T) {
	const path = "../rootfs/systemd/dynamod.service"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			set[key] = value
		}
	}
	var caps []string
	for _, c := range neededCaps {
		caps = append(caps, c.name)
	}
	for key, want := range map[string]string{
		"AmbientCapabilities": strings.Join(caps, " "), "CapabilityBoundingSet": strings.Join(caps, " "), "NoNewPrivileges": "yes",
		"StateDirectory": filepath.Base(config.Default().State.Dir), "RuntimeDirectory": filepath.Base(config.Default().State.Run), "ExecStart": "/usr/bin/dynamod run --ignore-unknown",
	} {
		if set[key] != want {
			t.Errorf("%s=%s, want %s", key, set[key], want)
		}
	}
	if set["ProtectKernelTunables"] == "yes" {
		t.Error("accept_ra could not be switched off")
	}
	socket, err := os.ReadFile("../rootfs/systemd/dynamod-helper.socket")
	if err != nil {
		t.Fatal(err)
	}
	service, err := os.ReadFile("../rootfs/systemd/dynamod-helper@.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"ListenStream=" + config.Default().State.Helper, "Accept=yes", "SocketMode=0660", "SocketGroup=" + set["Group"]} {
		if !strings.Contains(string(socket), "\n"+line+"\n") {
			t.Errorf("the helper's socket has no %s", line)
		}
	}
	for _, line := range []string{"ExecStart=/usr/bin/dynamod helper serve --user " + set["User"], "StandardInput=socket", "StandardOutput=journal", "NoNewPrivileges=yes", "PrivateTmp=yes", "DevicePolicy=closed"} {
		if !strings.Contains(string(service), "\n"+line+"\n") {
			t.Errorf("the helper's service has no %s", line)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("no systemd-analyze here: only our own look at the units")
		return
	}
	out, _ := exec.CommandContext(t.Context(), analyze, "verify", path, "../rootfs/systemd/dynamod-helper.socket", "../rootfs/systemd/dynamod-helper@.service").CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "dynamod") && !strings.Contains(line, "not executable") && !strings.Contains(line, "No such file") && !strings.Contains(line, "man dynamod(8)") {
			t.Errorf("systemd says %s", line)
		}
	}
}

// TestBoardFiles: what a daemon uses of a board that has a line and an LED.
func TestBoardFiles(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{filepath.Join(dir, "acme.toml"): "about = \"x\"\n[supply]\nline = \"gpiochip0:3\"\n[leds]\nlink = \"wan\"\n", filepath.Join(root, "dev/gpiochip0"): "", filepath.Join(root, "dev/gpiochip1"): ""} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := config.Default()
	if got := boardFiles(cfg, root); len(got) > 0 {
		t.Errorf("a box of no kind: %q", got)
	}
	cfg.Board.Dir, cfg.Board.Name = dir, "acme"
	want := []string{filepath.Join(root, "dev/gpiochip0"), filepath.Join(root, "dev/gpiochip1"), filepath.Join(root, "sys/class/leds/wan/trigger")}
	if got := boardFiles(cfg, root); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	id := identity{name: "somebody", uid: ordinary}
	if ok, err := id.may(want[0], 0o2); ok || err != nil {
		t.Errorf("a chip of root's: %v, %v", ok, err)
	}
}

// TestCutsUSB: where the recovery's last rung needs a helper.
func TestCutsUSB(t *testing.T) {
	root := t.TempDir()
	sys := filepath.Join(root, "sys")
	tty := filepath.Join(sys, "devices/usb1/1-2/1-2:1.2/ttyUSB2/tty/ttyUSB2")
	for _, dir := range []string{tty, filepath.Join(sys, "class/tty"), filepath.Join(sys, "bus/usb/devices/1-0:1.0/usb1-port2"), filepath.Join(sys, "bus/usb/devices/1-0:1.0/usb1-port3")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		filepath.Join(sys, "devices/usb1/1-2/1-2:1.2/bInterfaceNumber"): "02\n", filepath.Join(sys, "bus/usb/devices/1-0:1.0/usb1-port2/disable"): "0\n",
		filepath.Join(root, "ttyUSB2"): "", filepath.Join(root, "ttyS0"): "", filepath.Join(root, "acme.toml"): "about = \"x\"\n[supply]\nline = \"gpiochip0:3\"\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(tty, filepath.Join(sys, "class/tty/ttyUSB2")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, port, recovery, board string
		want                        bool
	}{
		{"a port", "/ttyUSB2", "power", "", true},
		{"no port of USB's", "/ttyS0", "power", "", false},
		{"a place", "usb:1-2:2", "power", "", true},
		{"a place whose port has no switch", "usb:1-3:2", "power", "", false},
		{"a milder recovery", "usb:1-2:2", "port", "", false},
		{"a board with a line", "usb:1-2:2", "power", "acme", false},
	} {
		cfg := config.Default()
		cfg.Modem.Port, cfg.Bearer.Recovery, cfg.Board.Dir, cfg.Board.Name = tt.port, tt.recovery, root, tt.board
		if got := cutsUSB(cfg, []string{filepath.Join(root, tt.port)}, root); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
