package gpio_test

import (
	"errors"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"dynamod/board/boardsim"
	"dynamod/board/gpio"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want gpio.Name
		ok   bool
	}{
		{"modem_rst", gpio.Name{Text: "modem_rst"}, true},
		{"!modem_rst", gpio.Name{Text: "modem_rst", Low: true}, true},
		{"rut955:ext:sck", gpio.Name{Text: "rut955:ext:sck"}, true}, // a line-name of OpenWrt's
		{"enable USB power", gpio.Name{Text: "enable USB power"}, true},
		{"chip:1e000600.gpio:27", gpio.Name{Kind: gpio.ByChip, Text: "1e000600.gpio", Offset: 27}, true},
		{"chip:a:b:3", gpio.Name{Kind: gpio.ByChip, Text: "a:b", Offset: 3}, true},
		{"export:lte_power", gpio.Name{Kind: gpio.Exported, Text: "lte_power"}, true},
		{"!regulator:lte", gpio.Name{Kind: gpio.Regulator, Text: "lte", Low: true}, true},
		{"led:green:4g", gpio.Name{Kind: gpio.LED, Text: "green:4g"}, true},
		{"", gpio.Name{}, false},
		{"!", gpio.Name{}, false},
		{"chip:x", gpio.Name{}, false},
		{"chip:x:-1", gpio.Name{}, false},
		{"chip:x:99999", gpio.Name{}, false},
		{"export:", gpio.Name{}, false},
		{"export:..", gpio.Name{}, false},
		{"export:a/b", gpio.Name{}, false},
		{"led:*", gpio.Name{}, false},
		{"regulator:../../x", gpio.Name{}, false},
		{"a\nb", gpio.Name{}, false},
		{strings.Repeat("x", 32), gpio.Name{Text: strings.Repeat("x", 32)}, true},
		{strings.Repeat("x", 65), gpio.Name{}, false},
	} {
		got, err := gpio.Parse(tt.in)
		if (err == nil) != tt.ok || tt.ok && (got != tt.want || got.String() != tt.in) {
			t.Errorf("%q: %+v (%q), %v", tt.in, got, got.String(), err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"modem_rst", "!chip:a:3", "export:x", "regulator:x", "led:a:b", "chip:x:007"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := gpio.Parse(s)
		if err != nil {
			return
		}
		if again, err := gpio.Parse(n.String()); err != nil || again != n {
			t.Errorf("%q: %+v, written %q, and %+v, %v", s, n, n.String(), again, err)
		}
		if n.Kind != gpio.ByName && !gpio.IsFile(n.Text) {
			t.Errorf("%q leads out of its directory: %+v", s, n)
		}
	})
}

// rut955 is the board whose lines have names on two chips.
func rut955(t *testing.T) (gpio.Tree, *boardsim.Chips) {
	t.Helper()
	soc := &boardsim.Chip{Name: "gpiochip0", Label: "18040000.gpio", Lines: []*boardsim.Line{{Name: "RS485_D"}, {Name: "led_wan", Consumer: "rut955:led:wan", Output: true}, {Name: ""}}}
	ext := &boardsim.Chip{Name: "gpiochip1", Label: "74hc595", Lines: []*boardsim.Line{
		{Name: "signal_bar0", Output: true}, {Name: "sim_sel", Output: true, Level: true}, {Name: "modem_vbus", Output: true, Level: true}, {Name: "modem_rst", Output: true},
	}}
	tree := boardsim.Tree(t.TempDir())
	if err := tree.Nodes(soc, ext); err != nil {
		t.Fatal(err)
	}
	chips := boardsim.New(soc, ext)
	return gpio.Tree{Sys: tree.Sys(), Dev: tree.Dev(), Chips: chips}, chips
}

func TestChipLine(t *testing.T) {
	tree, chips := rut955(t)
	l, err := tree.Output("modem_rst", true)
	if err != nil {
		t.Fatal(err)
	}
	if got := chips.Read("modem_rst"); !got.Level || got.Consumer != "dynamod" {
		t.Errorf("%+v", got)
	}
	if _, err := tree.Output("modem_rst", true); !errors.Is(err, syscall.EBUSY) || !strings.Contains(err.Error(), "used by dynamod") {
		t.Errorf("taken twice: %v", err)
	}
	if err := errors.Join(l.Set(false), l.Set(false), l.Close()); err != nil {
		t.Error(err)
	}
	var levels []bool
	for _, c := range chips.Read("modem_rst").History {
		levels = append(levels, c.High)
	}
	if !reflect.DeepEqual(levels, []bool{true, false}) {
		t.Errorf("levels %v", levels)
	}
	if n := chips.Held(); n != 0 {
		t.Errorf("%d descriptors are left open", n)
	}
}

// Reading changes nothing, and an output stays one.
func TestChipLineAsItIs(t *testing.T) {
	tree, chips := rut955(t)
	for name, want := range map[string]bool{"modem_vbus": true, "!modem_vbus": false, "modem_rst": false, "chip:74hc595:1": true, "!chip:74hc595:3": true} {
		if got, err := tree.Active(name); got != want || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if l := chips.Read("modem_vbus"); !l.Level || !l.Output || len(l.History) > 0 || l.Consumer != "" {
		t.Errorf("%+v", l)
	}
	if n := chips.Held(); n != 0 {
		t.Errorf("%d descriptors are left open", n)
	}
}

func TestActiveLow(t *testing.T) {
	tree, chips := rut955(t)
	l, err := tree.Output("!modem_vbus", true)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if chips.Read("modem_vbus").Level {
		t.Error("active, and high")
	}
	if err := l.Set(false); err != nil || !chips.Read("modem_vbus").Level {
		t.Error("inactive, and low", err)
	}
}

func TestChipErrors(t *testing.T) {
	tree, _ := rut955(t)
	for _, tt := range []struct{ line, want string }{
		{"modem_reset", "line modem_reset: no such line on the GPIO chips"},
		{"chip:74hc595:4", "line chip:74hc595:4: no such line on the GPIO chips"},
		{"chip:other:0", "line chip:other:0: no such line"},
		{"led_wan", "line led_wan: device or resource busy, used by rut955:led:wan"},
	} {
		if _, err := tree.Output(tt.line, true); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.line, err)
		}
	}
	if where, err := tree.Find("led_wan"); where != "gpiochip0 line 1 (18040000.gpio), used by rut955:led:wan" || err != nil {
		t.Errorf("%q, %v", where, err)
	}

	twice := &boardsim.Chip{Name: "gpiochip0", Label: "a", Lines: []*boardsim.Line{{Name: "x"}, {Name: "x"}}}
	denied := &boardsim.Chip{Name: "gpiochip1", Label: "b", Denied: syscall.EACCES, Lines: []*boardsim.Line{{Name: "y"}}}
	dir := boardsim.Tree(t.TempDir())
	if err := dir.Nodes(twice, denied); err != nil {
		t.Fatal(err)
	}
	tree = gpio.Tree{Sys: dir.Sys(), Dev: dir.Dev(), Chips: boardsim.New(twice, denied)}
	if _, err := tree.Output("x", true); err == nil || !strings.Contains(err.Error(), "2 lines have that name") {
		t.Errorf("%v", err)
	}
	if _, err := tree.Output("y", true); !errors.Is(err, syscall.EACCES) || !strings.Contains(err.Error(), "gpiochip1") {
		t.Errorf("%v", err)
	}
	if _, err := (gpio.Tree{Dev: t.TempDir()}).Output("y", true); !errors.Is(err, gpio.ErrNoLine) {
		t.Errorf("no chip at all: %v", err)
	}
}

// What is behind a file: gpio-export of OpenWrt, a regulator, an LED.
func TestFiles(t *testing.T) {
	dir := boardsim.Tree(t.TempDir())
	for path, text := range map[string]string{
		"sys/class/gpio/lte_power/value":               "1\n",
		"sys/class/leds/apu:simswap/brightness":        "0\n",
		"sys/class/leds/apu:simswap/max_brightness":    "255\n",
		"sys/bus/platform/devices/lte-power/state":     "enabled\n", // by a device tree: without a name
		"sys/bus/platform/devices/reg-user.0/name":     "modem\n",
		"sys/bus/platform/devices/reg-user.0/state":    "disabled\n",
		"sys/bus/platform/devices/other-device/name":   "ttl\n",
		"sys/bus/platform/devices/serial8250/modalias": "x\n",
	} {
		if err := dir.Write(path, text); err != nil {
			t.Fatal(err)
		}
	}
	tree := gpio.Tree{Sys: dir.Sys(), Dev: dir.Dev()}
	for _, tt := range []struct {
		line, path string
		before     bool
		on, off    string
	}{
		{"export:lte_power", "sys/class/gpio/lte_power/value", true, "1", "0"},
		{"!export:lte_power", "sys/class/gpio/lte_power/value", true, "0", "1"}, // off after the row above
		{"led:apu:simswap", "sys/class/leds/apu:simswap/brightness", false, "255", "0"},
		{"regulator:lte-power", "sys/bus/platform/devices/lte-power/state", true, "enabled", "disabled"},
		{"regulator:modem", "sys/bus/platform/devices/reg-user.0/state", false, "enabled", "disabled"},
	} {
		if got, err := tree.Active(tt.line); got != tt.before || err != nil {
			t.Errorf("%s: %v, %v", tt.line, got, err)
		}
		l, err := tree.Output(tt.line, true)
		if err != nil {
			t.Errorf("%s: %v", tt.line, err)
			continue
		}
		if got := dir.Read(tt.path); got != tt.on {
			t.Errorf("%s on: %q", tt.line, got)
		}
		if got, err := tree.Active(tt.line); !got || err != nil {
			t.Errorf("%s: %v, %v", tt.line, got, err)
		}
		if err := errors.Join(l.Set(false), l.Close()); err != nil || dir.Read(tt.path) != tt.off {
			t.Errorf("%s off: %q, %v", tt.line, dir.Read(tt.path), err)
		}
		if got, err := tree.Active(tt.line); got || err != nil {
			t.Errorf("%s: %v, %v", tt.line, got, err)
		}
	}
	for _, line := range []string{"export:other", "led:x", "regulator:ttl", "regulator:x"} {
		if _, err := tree.Output(line, true); !errors.Is(err, gpio.ErrNoLine) {
			t.Errorf("%s: %v", line, err)
		}
	}
}
