package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"dynamod/board"
	"dynamod/board/boardsim"
	"dynamod/board/gpio"
	"dynamod/daemon/config"
)

func TestBoardDetect(t *testing.T) {
	rut, silent := boardsim.Tree(t.TempDir()), boardsim.Tree(t.TempDir())
	for path, text := range map[string]string{"model": "Teltonika RUT955\x00", "compatible": "teltonika,rut955\x00qca,ar9344\x00"} {
		if err := rut.Write("proc/device-tree/"+path, text); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name   string
		root   boardsim.Tree
		choice config.Board
		json   bool
		want   []string
		warned string
	}{
		{"Teltonika RUT955", rut, config.Board{Name: config.Auto}, false,
			[]string{"box      Teltonika RUT955\n", "teltonika,rut955, qca,ar9344", "board    teltonika-rut955, untested", "  by     teltonika,rut955\n", "ar9344_teltonika_rut955.dts"}, ""},
		{"the same as JSON", rut, config.Board{Name: config.Auto}, true,
			[]string{`"model":"Teltonika RUT955"`, `"board":"teltonika-rut955","by":"teltonika,rut955"`, `"untested":true`}, ""},
		{"by name", rut, config.Board{Name: "raspberrypi"}, false, []string{"board    raspberrypi, untested", "  by     [board] name\n"}, ""},
		{"a name that is not there", rut, config.Board{Name: "teltonika-rut95"}, false, []string{"board    generic-usb\n"}, `did you mean "teltonika-rut955"?`},
		{"a box that says nothing", silent, config.Board{Name: config.Auto, Dir: "/etc/dynamod/boards.d"}, false, []string{"does not say what it is", "generic-usb\n", "write one in /etc/dynamod/boards.d"}, ""},
	} {
		var out, errs bytes.Buffer
		v := boardVerb{json: tt.json, root: string(tt.root)}
		if err := v.detect(tt.choice, nil, std{out: &out, err: &errs}); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		for _, want := range tt.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %q in\n%s", tt.name, want, out.String())
			}
		}
		if !strings.Contains(errs.String(), tt.warned) || tt.warned == "" && errs.Len() > 0 {
			t.Errorf("%s: warned %q", tt.name, errs.String())
		}
	}
}

// Two instances that share what they must not, and two that do not.
func TestCheckSiblings(t *testing.T) {
	dir := boardsim.Tree(t.TempDir())
	write := func(name, text string) string {
		if err := dir.Write(name, text); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(string(dir), name)
	}
	main := write("dynamod.toml", "[modem]\nport = \"usb:1-1.2:2\"\n")
	for _, tt := range []struct{ name, text, want string }{
		{"all shared but the port", "[modem]\nport = \"usb:1-1.3:2\"\n", "[uplink] table,[uplink] metric"},
		{"the same modem", "[modem]\nport = \"usb:1-1.2:2\"\n[uplink]\ntable = 701\nmetric = 701\n", "[modem] port"},
		{"nothing shared", "[uplink]\ntable = 701\nmetric = 701\n", ""},
		{"a file that is wrong", "x = 1\n", ""},
	} {
		write("dynamod@lte2.toml", tt.text)
		cfg, err := config.Load(main)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range siblings(main, cfg) {
			key, _, _ := strings.Cut(w, ":")
			got = append(got, key)
		}
		if strings.Join(got, ",") != tt.want {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}

// A box that has what its definition names, and one that lacks some of it. No line is
// taken for the look.
func TestBoardCheckBox(t *testing.T) {
	b := &board.Board{
		Name: "acme-m1", Modem: board.Modem{Port: "/dev/ttyS1"}, Supply: board.Supply{Line: "modem_vbus"},
		Reset: board.Reset{Line: "export:modem_reset"}, LEDs: board.LEDs{Registered: "green:4g"},
	}
	chip := &boardsim.Chip{Name: "gpiochip0", Label: "74hc595", Lines: []*boardsim.Line{{Name: "other"}, {Name: "modem_vbus", Output: true, Level: true}}}
	dir := boardsim.Tree(t.TempDir())
	chips := boardsim.New(chip)
	for _, path := range []string{"dev/ttyS1", "sys/class/gpio/modem_reset/value", "sys/class/leds/green:4g/brightness"} {
		if err := dir.Write(path, "0"); err != nil {
			t.Fatal(err)
		}
	}
	if err := dir.Nodes(chip); err != nil {
		t.Fatal(err)
	}
	v := boardVerb{root: string(dir), tree: gpio.Tree{Sys: dir.Sys(), Dev: dir.Dev(), Chips: chips}}
	var out bytes.Buffer
	if err := v.checkBox(b, std{out: &out}); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	if text := out.String(); strings.Count(text, "[ ok ]") != 4 || !strings.Contains(text, "gpiochip0 line 1 (74hc595)") {
		t.Errorf("all there:\n%s", text)
	}
	if l := chips.Read("modem_vbus"); len(l.History) > 0 || l.Consumer != "" {
		t.Errorf("%+v", l)
	}

	b.Supply.Line, b.LEDs.Registered, b.Modem.Port = "modem_power", "green:5g", "/dev/ttyS2"
	out.Reset()
	if code := exitCode(v.checkBox(b, std{out: &out})); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if text := out.String(); strings.Count(text, "[FAIL]") != 3 || !strings.Contains(text, "no such line on the GPIO chips") || !strings.Contains(text, "ttyS2: no such file") {
		t.Errorf("some missing:\n%s", text)
	}
	out.Reset()
	v.json = true
	v.checkBox(b, std{out: &out})
	if text := out.String(); !strings.HasPrefix(text, `{"board":"acme-m1","ok":false,"parts":[{"key":"modem.port","name":"/dev/ttyS2","ok":false`) {
		t.Errorf("JSON: %s", text)
	}
}
