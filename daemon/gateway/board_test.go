package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/atsim"
	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/atcmd/port"
	"dynamod/board"
	"dynamod/board/boardsim"
	"dynamod/board/gpio"
	"dynamod/daemon/config"
	"dynamod/daemon/hook"
	"dynamod/daemon/recovery"
	"dynamod/daemon/status"
)

// Where a board says that its modem sits, no other one is looked at.
func TestBoardPorts(t *testing.T) {
	u := newUSBTree(t)
	u.plug("1-1.2", map[int]string{0: "ttyUSB4", 2: "ttyUSB6", 3: "ttyUSB7"})
	u.plug("2-1", map[int]string{2: "ttyUSB1", 3: "ttyUSB2"})
	for _, tt := range []struct {
		name  string
		modem board.Modem
		port  string // [modem] port
		want  string
	}{
		{"generic-usb: all, as the table says", board.Modem{}, "auto", "ttyUSB1 ttyUSB6 ttyUSB2 ttyUSB7 ttyUSB4"},
		{"by its place: a board with two modems", board.Modem{USB: []string{"1-1.2"}}, "auto", "ttyUSB6 ttyUSB7 ttyUSB4"},
		{"by its place, of which one is taken", board.Modem{USB: []string{"3-1", "2-1"}}, "auto", "ttyUSB1 ttyUSB2"},
		{"with its AT ports", board.Modem{USB: []string{"1-1.2"}, AT: []int{3, 2}}, "auto", "ttyUSB7 ttyUSB6"},
		{"by maker and model", board.Modem{IDs: []string{"2c7c:0125"}}, "auto", "ttyUSB1 ttyUSB6 ttyUSB2 ttyUSB7 ttyUSB4"},
		{"another maker's", board.Modem{IDs: []string{"1e0e:*"}}, "auto", "no modem port was found where the board test has its modem"},
		{"nothing there", board.Modem{USB: []string{"1-4"}}, "auto", "no modem port was found where the board test has its modem"},
		{"generic-uart's heir", board.Modem{Port: "/dev/ttyS1"}, "auto", "/dev/ttyS1"},
		{"the configuration names another", board.Modem{USB: []string{"1-1.2"}}, "/dev/ttyUSB1", "/dev/ttyUSB1"},
	} {
		g := &Gateway{log: slog.New(slog.DiscardHandler), opts: Options{Tree: u.Tree}, dialects: new(dialect.Set), board: board.Board{Name: "test", Modem: tt.modem}}
		cfg := config.Default()
		cfg.Modem.Port = tt.port
		g.conf.Store(cfg)
		names, err := g.portNames()
		got := strings.ReplaceAll(strings.Join(names, " "), u.Dev+"/", "")
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestBoardBaud(t *testing.T) {
	g := &Gateway{board: board.Board{Modem: board.Modem{Port: "/dev/ttyS1", Baud: 921600}}}
	cfg := config.Default()
	g.conf.Store(cfg)
	if a, b := g.baud("/dev/ttyS1"), g.baud("/dev/ttyUSB2"); a != 921600 || b != 115200 {
		t.Errorf("%d, %d", a, b)
	}
	if cfg.Modem.Baud = 460800; g.baud("/dev/ttyS1") != 460800 {
		t.Error("the configuration is not heeded")
	}
}

// Of several network functions the board's is taken; an interface that it names is
// taken whatever sysfs has.
func TestBoardInterface(t *testing.T) {
	u := newUSBTree(t)
	u.plug("1-2", map[int]string{2: "ttyUSB2"})
	for n, ifname := range map[string]string{"04": "usb0", "0a": "usb1"} {
		iface := filepath.Join(u.Sys, "devices/usb1/1-2/1-2:1."+n)
		u.must(os.MkdirAll(filepath.Join(iface, "net", ifname), 0o755))
		u.must(os.WriteFile(filepath.Join(iface, "bInterfaceNumber"), []byte(n+"\n"), 0o644))
		u.must(os.Symlink("/sys/bus/usb/drivers/cdc_ether", filepath.Join(iface, "driver")))
		u.must(os.MkdirAll(filepath.Join(u.Sys, "class/net", ifname), 0o755))
		u.must(os.Symlink(iface, filepath.Join(u.Sys, "class/net", ifname, "device")))
	}
	for _, tt := range []struct {
		name  string
		modem board.Modem
		want  string
	}{
		{"nothing known: the first", board.Modem{}, "usb0"},
		{"by its number", board.Modem{Net: []int{10}}, "usb1"},
		{"a number that is not there", board.Modem{Net: []int{7}}, "usb0"},
		{"by its name", board.Modem{Interface: "wwan7"}, "wwan7"},
	} {
		g := &Gateway{opts: Options{Tree: u.Tree}, board: board.Board{Modem: tt.modem}}
		g.conf.Store(config.Default())
		g.device = &device{path: filepath.Join(u.Dev, "ttyUSB2"), modem: modem.New(nil, dialect.ByName("quectel"), nil)}
		if got, err := g.modemInterface(); got != tt.want || err != nil {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
}

// wiredBox is a gateway with a board whose chip has these lines, high or low.
func wiredBox(t *testing.T, b board.Board, lines map[string]bool) (*Gateway, *boardsim.Chips, boardsim.Tree) {
	t.Helper()
	dir := boardsim.Tree(t.TempDir())
	chip := &boardsim.Chip{Name: "gpiochip0", Label: "sim"}
	for name, high := range lines {
		chip.Lines = append(chip.Lines, &boardsim.Line{Name: name, Level: high, Output: true})
	}
	if err := errors.Join(dir.Nodes(chip), dir.Write("run/x", "")); err != nil {
		t.Fatal(err)
	}
	chips := boardsim.New(chip)
	g := &Gateway{log: slog.New(slog.DiscardHandler), board: b}
	g.opts.Chips, g.opts.Tree.Sys, g.opts.Tree.Dev = chips, dir.Sys(), dir.Dev()
	g.status = status.New("test", time.Now)
	cfg := config.Default()
	cfg.State.Run = filepath.Join(string(dir), "run")
	g.conf.Store(cfg)
	return g, chips, dir
}

// The Power rung takes the board's line, also where the kernel could cut a USB port's
// power, and is left out where there is neither.
func TestPowerRung(t *testing.T) {
	b := board.Board{Supply: board.Supply{Line: "modem_vbus", Off: board.Duration(time.Millisecond)}}
	g, chips, dir := wiredBox(t, b, map[string]bool{"modem_vbus": true})
	g.opts.PowerCycle = func(context.Context) error { t.Error("the USB port's power was cut"); return nil }
	if why := g.missing(recovery.Power); why != "" {
		t.Error(why)
	}
	if err := g.take(t.Context(), recovery.Power); err != nil {
		t.Fatal(err)
	}
	if l := chips.Read("modem_vbus"); !l.Level || len(l.History) != 2 {
		t.Errorf("%+v", l)
	}
	if text := dir.Read("run/" + cycleMark); text != "" {
		t.Errorf("the mark is left: %q", text)
	}

	g, _, dir = wiredBox(t, board.Board{Name: "acme", Reset: board.Reset{Line: "other"}}, map[string]bool{"modem_vbus": true})
	if err := g.take(t.Context(), recovery.Power); !errors.Is(err, gpio.ErrNoLine) || !strings.Contains(hintOf(err), "dynamod board check") {
		t.Errorf("%v; %s", err, hintOf(err))
	}
	if dir.Read("run/"+cycleMark) != "acme" {
		t.Error("the mark is gone, and a line may be as it must not stay")
	}
	g.board = board.Board{}
	if why := g.missing(recovery.Power); why == "" {
		t.Error("a board without a line can cut the power")
	}
}

// What a daemon that was killed has left is set back by the next one, before all else.
func TestCycleKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := board.Board{Name: "acme", Supply: board.Supply{Line: "vbus"}, Quirks: board.Quirks{On: []string{"hub"}}}
		g, chips, dir := wiredBox(t, b, map[string]bool{"vbus": false, "hub": false})
		if err := dir.Write("run/"+cycleMark, "acme"); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the next one finds nothing to do
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- g.keepBoard(ctx) }()
			synctest.Wait()
			if l := chips.Read("hub"); !l.Level || l.Consumer != "dynamod" {
				t.Errorf("%+v", l)
			}
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if l := chips.Read("vbus"); !l.Level || len(l.History) != 1 || dir.Read("run/"+cycleMark) != "" {
			t.Errorf("%+v", l)
		}
		if chips.Held() != 0 {
			t.Error("lines are still held")
		}
	})
}

// LEDs show registration and link, and are off when nobody looks any more.
func TestLights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _, dir := wiredBox(t, board.Board{LEDs: board.LEDs{Registered: "green:4g", Link: "green:wan"}}, nil)
		for _, led := range []string{"green:4g", "green:wan"} {
			for _, f := range []string{"trigger", "brightness", "device_name", "link", "tx", "rx"} {
				if err := dir.Write("sys/class/leds/"+led+"/"+f, ""); err != nil {
					t.Fatal(err)
				}
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { g.keepLights(ctx); close(done) }()
		shows := func(when, registered, link string) {
			t.Helper()
			synctest.Wait()
			a := dir.Read("sys/class/leds/green:4g/trigger") + " " + dir.Read("sys/class/leds/green:4g/brightness")
			b := dir.Read("sys/class/leds/green:wan/trigger") + " " + dir.Read("sys/class/leds/green:wan/device_name")
			if a != registered || strings.TrimSpace(b) != link {
				t.Errorf("%s: registered %q, link %q", when, a, b)
			}
		}
		shows("no modem", "none 0", "none")
		g.status.Update(func(s *status.Snapshot) { s.Modem = &status.Modem{Present: true} })
		shows("searching", "timer 0", "timer")
		g.status.Update(func(s *status.Snapshot) {
			s.Registration, s.State, s.Link = &status.Registration{Status: "roaming"}, status.Up, &status.Link{Interface: "wwan0"}
		})
		shows("up", "none 1", "netdev wwan0")
		g.status.Update(func(s *status.Snapshot) { s.Registration = &status.Registration{Status: "denied"} })
		shows("denied", "timer 1", "netdev wwan0")
		stop()
		<-done
		shows("ended, and the link stays", "none 0", "netdev wwan0")
	})
}

// The SIM slot is switched on the board, once, and the modem reads the other card.
func TestBoardSIMSlot(t *testing.T) {
	for _, tt := range []struct {
		name    string
		want    int
		high    bool // of the line before
		slot    int
		level   bool
		resets  int
		changes int
	}{
		{"Teltonika RUT955, slot 2", 2, true, 2, false, 1, 1},
		{"slot 1 is active", 1, true, 1, true, 0, 0},
		{"none configured", config.NoSlot, false, 2, false, 0, 0},
		{"a slot that the board has not", 3, true, 1, true, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			g, chips, _ := wiredBox(t, board.Board{SIM: board.SIM{Line: "sim_sel", Slots: []int{1, 0}}}, map[string]bool{"sim_sel": tt.high})
			g.config().Modem.SIMSlot = tt.want
			sim, err := atsim.New(atsim.Config{Personality: "quectel", Card: m2mCard()})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ours, theirs := net.Pipe()
			done := make(chan error, 1)
			go func() { done <- sim.Serve(ctx, theirs) }()
			s := atcmd.New(pipePort{ours}, atcmd.Options{})
			for range 2 {
				slot, err := g.useSlot(ctx, modem.New(s, dialect.ByName("quectel"), nil), modem.Identity{})
				if err != nil || slot == nil || *slot != tt.slot {
					t.Errorf("%s: slot %v, %v", tt.name, slot, err)
				}
				if g.simLine != nil { // as the kernel gives it back when the process ends
					g.simLine.Close()
					g.simLine = nil
				}
				time.Sleep(time.Minute)
			}
			if l := chips.Read("sim_sel"); l.Level != tt.level || len(l.History) != tt.changes {
				t.Errorf("%s: %+v", tt.name, l)
			}
			if n := sim.Stats().ByName["+CFUN"] / 2; n != tt.resets {
				t.Errorf("%s: %d resets", tt.name, n)
			}
			s.Close()
			cancel()
			<-done
		})
	}
}

// Who asks for it has the modem's power cut, and waits until it is back.
func TestResetPower(t *testing.T) {
	stand(t, standingOptions{power: true}, func(s *standing) {
		s.await(status.Up, time.Minute)
		var out hook.ModemReset
		if err := s.client.Do(s.t.Context(), "POST", "/v1/modem/reset", nil, hook.ModemResetRequest{Kind: hook.ResetPower, Confirm: true}, &out); err != nil {
			s.t.Fatal(err)
		}
		if out.Kind != hook.ResetPower || out.SIM != "ready" || out.Port == "" {
			s.t.Errorf("%+v", out)
		}
		s.await(status.Up, 5*time.Minute)
	})
	stand(t, standingOptions{}, func(s *standing) {
		s.await(status.Up, time.Minute)
		err := s.client.Do(s.t.Context(), "POST", "/v1/modem/reset", nil, hook.ModemResetRequest{Kind: hook.ResetPower, Confirm: true}, nil)
		if err == nil || !strings.Contains(err.Error(), "the modem's power cannot be cut") {
			s.t.Errorf("without a line: %v", err)
		}
	})
}

// Where no daemon runs, the board does it, and not beside a daemon.
func TestCycleBoard(t *testing.T) {
	dir := boardsim.Tree(t.TempDir())
	cfg := config.Default()
	cfg.State.Run, cfg.State.Dir, cfg.Board.Dir, cfg.Board.Name = string(dir)+"/run", string(dir)+"/state", string(dir)+"/boards.d", "acme"
	chip := &boardsim.Chip{Name: "gpiochip0", Label: "x", Lines: []*boardsim.Line{{Name: "rst", Output: true}}}
	if err := errors.Join(dir.Nodes(chip), dir.Write("boards.d/acme.toml", "[reset]\nline = \"rst\"\npulse = \"1ms\"\n")); err != nil {
		t.Fatal(err)
	}
	chips := boardsim.New(chip)
	opts := Options{Log: slog.New(slog.DiscardHandler), Chips: chips}
	opts.Tree.Dev = dir.Dev()
	if by, err := CycleBoard(t.Context(), cfg, opts); by != "reset" || err != nil {
		t.Errorf("%q, %v", by, err)
	}
	if l := chips.Read("rst"); l.Level || len(l.History) != 2 {
		t.Errorf("%+v", l)
	}
	chip.Denied = syscall.EACCES
	if _, err := CycleBoard(t.Context(), cfg, opts); !strings.Contains(hintOf(err), "udev") {
		t.Errorf("%v; %s", err, hintOf(err))
	}
	unlock, err := lock(filepath.Join(cfg.State.Dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := CycleBoard(t.Context(), cfg, opts); err == nil || !strings.Contains(err.Error(), "another dynamod is running") {
		t.Errorf("beside a daemon: %v", err)
	}
}

// TestHoldPort is not a test: it is the other instance of the test below.
func TestHoldPort(t *testing.T) {
	path := os.Getenv("DYNAMOD_TEST_HOLD")
	if path == "" {
		t.Skip("only run by another test")
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("holding\n")
	io.Copy(io.Discard, os.Stdin)
}

// Of two instances that are to look for a modem the second one opens no port of the
// first one's, and lists them.
func TestTwoInstances(t *testing.T) {
	if _, err := os.Stat("/proc/locks"); err != nil {
		t.Skip("nobody tells who holds a lock: ", err)
	}
	u := newUSBTree(t)
	for n, name := range map[int]string{2: "ttyUSB2", 3: "ttyUSB3"} {
		u.plug("1-"+strconv.Itoa(n), map[int]string{2: name})[2].Close()
		u.must(os.WriteFile(filepath.Join(u.Dev, name), nil, 0o600)) // a file can be locked, a socket not
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestHoldPort$")
	cmd.Env = append(os.Environ(), "DYNAMOD_TEST_HOLD="+filepath.Join(u.Dev, "ttyUSB2"))
	in, err := cmd.StdinPipe()
	u.must(err)
	out, err := cmd.StdoutPipe()
	u.must(err)
	u.must(cmd.Start())
	defer cmd.Wait()
	defer in.Close()
	if _, err := io.ReadFull(out, make([]byte, len("holding"))); err != nil {
		t.Fatal(err)
	}
	g := &Gateway{log: slog.New(slog.DiscardHandler), opts: Options{Tree: u.Tree}, dialects: new(dialect.Set)}
	g.conf.Store(config.Default())
	names, err := g.portNames()
	if err != nil || len(names) != 1 || filepath.Base(names[0]) != "ttyUSB3" {
		t.Errorf("%v, %v", names, err)
	}
	u.must(os.Remove(filepath.Join(u.Dev, "ttyUSB3")))
	if names, err := g.portNames(); err == nil || !strings.Contains(err.Error(), "other instances'") {
		t.Errorf("no other modem: %v, %v", names, err)
	}
	u.must(os.WriteFile(filepath.Join(u.Dev, "ttyUSB3"), nil, 0o600))
	for _, p := range g.ports(nil) {
		ours := filepath.Base(p.Path) == "ttyUSB3"
		if ours != strings.Contains(p.Why, "number 1 to be tried") || !ours && (p.Why != "the modem of another instance, never opened" || p.Holder == nil || p.Holder.PID != cmd.Process.Pid) {
			t.Errorf("%+v", p)
		}
	}
}

// A modem that is not managed is listed and never opened, whatever becomes of the one
// that is: unplugged, plugged in again under other numbers.
func TestUnmanagedNeverOpened(t *testing.T) {
	for _, tt := range []struct {
		name  string
		port  string
		board board.Board
	}{
		{"[modem] port", "usb:1-2:2", board.Board{}},
		{"the board's place", "auto", board.Board{Name: "acme", Modem: board.Modem{USB: []string{"1-2"}}}},
	} {
		u := newUSBTree(t)
		u.plug("1-3", map[int]string{2: "ttyUSB0", 3: "ttyUSB1"})
		g := &Gateway{log: slog.New(slog.DiscardHandler), opts: Options{Tree: u.Tree}, dialects: new(dialect.Set), board: tt.board}
		cfg := config.Default()
		cfg.Modem.Port = tt.port
		g.conf.Store(cfg)
		look := func(when string, want string) {
			t.Helper()
			names, err := g.portNames() // all that is ever opened
			if (want == "") != (err != nil) || want != "" && filepath.Base(names[0]) != want {
				t.Errorf("%s, %s: %v, %v", tt.name, when, names, err)
			}
			for _, name := range names {
				if filepath.Base(u.Physical(name)) != "1-2" {
					t.Errorf("%s, %s: %s is not of our modem", tt.name, when, name)
				}
			}
			listed := 0
			for _, p := range g.ports(nil) {
				if p.Device == "1-3" {
					listed++
					if !strings.HasSuffix(p.Why, "never opened") {
						t.Errorf("%s, %s: %+v", tt.name, when, p)
					}
				}
			}
			if listed != 2 {
				t.Errorf("%s, %s: %d ports of the other one are listed", tt.name, when, listed)
			}
		}
		look("not plugged in", "")
		ours := u.plug("1-2", map[int]string{2: "ttyUSB4", 3: "ttyUSB5"})
		look("plugged in", "ttyUSB4")
		g.place = &port.Place{Device: "1-2", Interface: 2}
		u.unplug("1-2", ours)
		look("unplugged", "")
		u.plug("1-2", map[int]string{2: "ttyUSB7", 3: "ttyUSB6"})
		look("plugged in again, under other numbers", "ttyUSB7")
	}
}
