package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dynamod/configs"
)

// A router comes up on a file of a later version, with what it knows of it; what is
// wrong in a value stays an error.
func TestLoadKnown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dynamod.toml")
	for _, tt := range []struct {
		name, text string
		unknown    []string // places and keys
		refused    bool
	}{
		{"the reference", string(configs.Reference), nil, false},
		{"key of a later version", "[modem]\nvoice = \"off\"\nport = \"/dev/ttyUSB7\"\n", []string{`:2:1: unknown key "voice"`}, false},
		{"table of a later version", "[gnss]\nport = [\n \"a\",\n]\nrate = 1\n[modem]\nport = \"/dev/ttyUSB7\"\n", []string{":1:2: unknown table [gnss]"}, false},
		{"array of tables of a later version", "[[sms]]\nto = {a = {b = 1}}\n[[sms]]\nto = 2\n[modem]\nport = \"/dev/ttyUSB7\"\n", []string{":1:3: unknown table [sms]", ":3:3: unknown table [sms]"}, false},
		{"table below a known one", "[modem.antenna]\nport = \"x\"\n[modem]\nport = \"/dev/ttyUSB7\"\n", []string{":1:2: unknown table [modem.antenna]"}, false},
		{"more than are told", "[modem]\nport = \"/dev/ttyUSB7\"\n" + manyKeys(30), nil, false},
		{"unknown key and wrong value", "[modem]\nvoice = 1\nbaud = \"fast\"\n", nil, true},
		{"many unknown keys before a wrong value", "[modem]\n" + manyKeys(30) + "baud = \"fast\"\n", nil, true},
		{"no TOML", "[modem\n", nil, true},
		{"not UTF-8", "[modem]\nport = \"\xff\"\n", nil, true},
	} {
		if err := os.WriteFile(path, []byte(tt.text), 0o644); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the file is as it was
			c, err := LoadKnown(path)
			if tt.refused {
				var errs Errors
				if c != nil || !errors.As(err, &errs) {
					t.Errorf("%s: %v, %v", tt.name, c, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			if strings.Contains(tt.text, "ttyUSB7") && c.Modem.Port != "/dev/ttyUSB7" {
				t.Errorf("%s: port %q", tt.name, c.Modem.Port)
			}
			for i, want := range tt.unknown {
				if i >= len(c.Unknown) || !strings.HasPrefix(c.Unknown[i].Error(), path+want) {
					t.Errorf("%s: unknown %v, want %s", tt.name, c.Unknown, want)
				}
			}
			if tt.unknown != nil && len(c.Unknown) != len(tt.unknown) || len(c.Unknown) > maxErrors {
				t.Errorf("%s: unknown %v", tt.name, c.Unknown)
			}
			if _, err := Load(path); (err == nil) != (len(c.Unknown) == 0) {
				t.Errorf("%s: Load said %v", tt.name, err)
			}
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for range n {
		b.WriteString("later" + strings.Repeat("x", b.Len()%97) + " = true\n")
	}
	return b.String()
}
