package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"dynamod/board"
	"dynamod/configs"
)

// Each board that is shipped has a source, and says what nobody has tested.
func TestBuiltinBoards(t *testing.T) {
	list, errs := LoadBoards(filepath.Join(t.TempDir(), "none"))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	public := 0
	for _, b := range list {
		if strings.HasPrefix(b.Name, "generic-") {
			if len(b.Compatible)+len(b.DMI) > 0 {
				t.Errorf("%s is taken for a box", b.Name)
			}
			continue
		}
		public++
		if b.About == "" || !strings.Contains(b.Source, "/") || !b.Untested {
			t.Errorf("%s: about %q, source %q, untested %v", b.Name, b.About, b.Source, b.Untested)
		}
		for _, name := range b.Compatible {
			if got, _ := board.Find(list, board.Identity{Compatible: []string{strings.ReplaceAll(name, "*", "x")}}); got != b {
				t.Errorf("%s: %q leads to %v", b.Name, name, got)
			}
		}
	}
	if public < 8 {
		t.Errorf("only %d boards", public)
	}
	if _, err := configs.Boards.ReadFile("boards/generic-usb.toml"); err != nil {
		t.Error(err)
	}
}

// What a maker writes for a board of his own, and what became of each line.
func TestBoardInherits(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("acme-m1.toml", `inherits = "teltonika-rut955"
about = "Acme M1"
compatible = ["acme,m1"]
[modem]
usb = ["1-1.4", "2-1"]
at = [2, 3]
[reset]
pulse = "450ms"
[sim]
line = "!simsel"
`)
	write("acme-m2.toml", `inherits = "acme-m1"
[supply]
line = ""
`)
	write("glinet-gl-x750.toml", `inherits = "glinet-gl-x750"
compatible = ["glinet,gl-x750"]
[modem]
usb = ["1-1.2"]
`)
	list, errs := LoadBoards(dir)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	by := map[string]*board.Board{}
	for _, b := range list {
		by[b.Name] = b
	}
	m1, m2, spitz := by["acme-m1"], by["acme-m2"], by["glinet-gl-x750"]
	if m1 == nil || m2 == nil || spitz == nil {
		t.Fatalf("%v", by)
	}
	want := board.Board{
		Name: "acme-m1", About: "Acme M1", Compatible: []string{"acme,m1"},
		Modem:  board.Modem{USB: []string{"1-1.4", "2-1"}, AT: []int{2, 3}},
		Supply: board.Supply{Line: "modem_vbus"}, Reset: board.Reset{Line: "modem_rst", Pulse: board.Duration(450 * time.Millisecond)},
		SIM: board.SIM{Line: "!simsel", Slots: []int{1, 0}}, LEDs: board.LEDs{Registered: "green:signal0"},
	}
	if !reflect.DeepEqual(*m1, want) {
		t.Errorf("%+v", *m1)
	}
	if m2.Supply.Line != "" || m2.Reset.Line != "modem_rst" || m2.Compatible != nil {
		t.Errorf("%+v", *m2)
	}
	if len(spitz.Modem.USB) != 1 || spitz.LEDs.Registered != "green:4g" {
		t.Errorf("in place of the built-in one: %+v", *spitz)
	}
	if rut := by["teltonika-rut955"]; rut.Reset.Pulse != 0 || len(rut.Modem.USB) > 0 {
		t.Errorf("the heir has changed its parent: %+v", *rut)
	}
}

func TestBoardErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"unknown key", "[rset]\n", "x.toml:1:2: unknown table [rset]\nhint: did you mean \"reset\"?"},
		{"key of another table", "[reset]\nline = \"a\"\noff = \"3s\"\n", "x.toml:3:1: unknown key \"off\"\nhint: \"off\" belongs to [key]"},
		{"no unit", "[reset]\nline = \"a\"\npulse = 300\n", "x.toml:3:9: \"reset.pulse\" must be a duration, not a whole number"},
		{"not a duration", "[reset]\nline = \"a\"\npulse = \"300\"\n", "x.toml:3:9: "},
		{"too long", "[supply]\nline = \"a\"\noff = \"1h\"\n", "x.toml:3:7: 1h0m0s is not in 0s..5m"},
		{"line", "[reset]\nline = \"chip:x\"\n", "x.toml:2:8: \"chip:x\" names no chip and line\nhint: such as"},
		{"file elsewhere", "[reset]\nline = \"export:../../x\"\n", "x.toml:2:8: \"export:../../x\" cannot be the name of a line"},
		{"key without status", "[key]\nline = \"pwrkey\"\n", "x.toml:2:8: a power key needs a status line\nhint: add status, or leave the key out"},
		{"slots", "[sim]\nline = \"sim\"\n", "x.toml:1:2: a switch of slots needs the line's values"},
		{"slot value", "[sim]\nline = \"sim\"\nslots = [0, 2]\n", "x.toml:3:13: 2 is not in 0..1"},
		{"usb", "[modem]\nusb = [\"1-1.2:1.0\"]\n", "x.toml:2:8: \"1-1.2:1.0\" is no place on USB"},
		{"ids", "[modem]\nids = [\"2c7c\"]\n", "x.toml:2:8: \"2c7c\" is no maker and model on USB"},
		{"both", "[modem]\nport = \"/dev/ttyS1\"\nusb = [\"1-1\"]\n", "x.toml:2:8: a modem has a fixed node, or a place on USB"},
		{"led", "[leds]\nlink = \"../x\"\n", "x.toml:2:8: \"../x\" cannot be the name of an LED"},
		{"parent", "inherits = \"teltonika-rut95\"\n", "x.toml:1:12: there is no board \"teltonika-rut95\" to inherit from\nhint: did you mean \"teltonika-rut955\"?"},
		{"itself", "inherits = \"x\"\n", "x.toml:1:12: x inherits from itself: x, x"},
		{"compatible", "compatible = [\"rut955\"]\n", "x.toml:1:15: \"rut955\" is no name of a device tree"},
	} {
		_, err := ParseBoard("x.toml", []byte(tt.text))
		errs, ok := errors.AsType[Errors](err)
		if !ok || len(errs) != 1 || !strings.HasPrefix(errs.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// Two definitions that inherit from each other, and a file that cannot be read.
func TestBoardsDir(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.toml": `inherits = "b"`, "b.toml": `inherits = "a"`, "c.toml": "x = 1", "d.toml": "about = \"D\""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "e.toml"), 0o700); err != nil {
		t.Fatal(err)
	}
	list, errs := LoadBoards(dir)
	if len(errs) != 4 || !strings.Contains(errs.Error(), "inherits from itself") || !strings.Contains(errs.Error(), "not a regular file") {
		t.Errorf("%v", errs)
	}
	names := 0
	for _, b := range list {
		if b.Name == "d" {
			names++
		}
		if b.Name <= "c" && len(b.Name) == 1 {
			t.Errorf("%s is used", b.Name)
		}
	}
	if names != 1 {
		t.Error("a good file is left out with the bad ones")
	}
}

// FuzzParseBoard: what is accepted can be written and read again, and is the same.
func FuzzParseBoard(f *testing.F) {
	paths, err := configs.Boards.ReadDir("boards")
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range paths {
		data, err := configs.Boards.ReadFile("boards/" + p.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("inherits = \"teltonika-rut955\"\n[key]\nline = \"!k\"\n[status]\nline = \"chip:a:b:3\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ParseBoard("fuzz.toml", data)
		if err != nil {
			if errs, ok := errors.AsType[Errors](err); !ok || len(errs) == 0 || errs[0].Line < 1 {
				t.Errorf("error without a place: %v", err)
			}
			return
		}
		if len(b.Problems()) > 0 {
			t.Fatalf("accepted, and %v", b.Problems())
		}
		var text bytes.Buffer
		if err := toml.NewEncoder(&text).Encode(b); err != nil {
			t.Fatal(err)
		}
		again, err := ParseBoard("fuzz.toml", text.Bytes())
		if err != nil {
			t.Fatalf("%v\n%s", err, text.Bytes())
		}
		var twice bytes.Buffer
		if err := toml.NewEncoder(&twice).Encode(again); err != nil || !bytes.Equal(text.Bytes(), twice.Bytes()) {
			t.Errorf("%v\n%s\n%s", err, text.Bytes(), twice.Bytes())
		}
	})
}
