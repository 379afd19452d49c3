// Package gpio sets and reads the lines by which a board controls its modem, by the
// names that they have on it.
//
//	modem_rst       the line of that name on any GPIO chip (gpio-line-names of a device tree)
//	chip:LABEL:9    line 9 of the chip with that label
//	export:NAME     /sys/class/gpio/NAME, as OpenWrt's gpio-export makes them
//	regulator:NAME  the consumer of a regulator that the kernel leaves to user space
//	led:NAME        /sys/class/leds/NAME, for what is wired as an LED
//
// "!" before it turns its sense: the line is active when low. A board's chips are
// asked by the second version of their interface, which kernels have from 5.10 on.
package gpio

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Kind is how a line is reached.
type Kind int

// The kinds of lines.
const (
	ByName Kind = iota // of a chip
	ByChip             // of a chip, by its number
	Exported
	Regulator
	LED
)

// Name is the name of a line, parsed.
type Name struct {
	Kind   Kind
	Text   string // of the line; of its chip where it is ByChip
	Offset int    // of a line ByChip
	Low    bool   // it is active when low
}

// Parse reads one of the forms above.
func Parse(s string) (n Name, err error) {
	whole := s
	if s, n.Low = strings.CutPrefix(s, "!"); s == "" {
		return n, errors.New("a line needs a name")
	}
	kind, rest, ok := strings.Cut(s, ":")
	if !ok {
		rest = s
	}
	n.Text = rest
	switch {
	case !ok:
	case kind == "export":
		n.Kind = Exported
	case kind == "regulator":
		n.Kind = Regulator
	case kind == "led": // whose names have colons of their own
		n.Kind = LED
	case kind == "chip":
		i := strings.LastIndexByte(rest, ':')
		offset, bad := strconv.ParseUint(rest[i+1:], 10, 16)
		if i < 0 || bad != nil {
			return n, fmt.Errorf("%q names no chip and line", whole)
		}
		n.Kind, n.Text, n.Offset = ByChip, rest[:i], int(offset)
	default: // names of lines may have colons, too
		n.Text = s
	}
	if !IsFile(n.Text) && (n.Kind != ByName || len(n.Text) > maxName || !isPrintable(n.Text)) {
		return n, fmt.Errorf("%q cannot be the name of a line", whole)
	}
	return n, nil
}

func (n Name) isOfChip() bool { return n.Kind == ByName || n.Kind == ByChip }

// String returns what Parse read.
func (n Name) String() string {
	s := []string{"", "chip:", "export:", "regulator:", "led:"}[n.Kind] + n.Text
	if n.Kind == ByChip {
		s += ":" + strconv.Itoa(n.Offset)
	}
	if n.Low {
		s = "!" + s
	}
	return s
}

// IsFile reports a name that may stand below a directory of /sys.
func IsFile(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) <= 64 && isPrintable(s) && !strings.ContainsAny(s, `/*?[\`)
}

func isPrintable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// Line is a line that is held. What it is set to holds while it is open; what
// becomes of it after Close is its driver's, and mostly it stays.
type Line interface {
	Set(active bool) error
	Close() error
}

// ErrNoLine is returned where a box has no such line.
var ErrNoLine = errors.New("no such line")

// Tree is where lines are looked up. The zero value is this machine's.
type Tree struct {
	Sys string // "" means /sys
	Dev string // "" means /dev
	// Chips is what chips are asked by; nil is the kernel.
	Chips System
}

func (t Tree) sys() string { return cmp.Or(t.Sys, "/sys") }
func (t Tree) dev() string { return cmp.Or(t.Dev, "/dev") }

// Output takes a line and sets it.
func (t Tree) Output(name string, active bool) (Line, error) {
	n, err := Parse(name)
	if err != nil {
		return nil, err
	}
	l, err := t.output(n, active)
	if err != nil {
		return nil, fmt.Errorf("line %s: %w", name, err)
	}
	return l, nil
}

func (t Tree) output(n Name, active bool) (Line, error) {
	if n.isOfChip() {
		return t.request(n, flagOutput, active)
	}
	f, err := t.file(n)
	if err == nil {
		err = f.Set(active)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Active reads a line as it is, and leaves an output one.
func (t Tree) Active(name string) (bool, error) {
	n, err := Parse(name)
	if err != nil {
		return false, err
	}
	var active bool
	if n.isOfChip() {
		var l *chipLine
		if l, err = t.request(n, 0, false); err == nil {
			defer l.Close()
			active, err = l.get()
		}
	} else {
		var f file
		if f, err = t.file(n); err == nil {
			active, err = f.get()
		}
	}
	if err != nil {
		return false, fmt.Errorf("line %s: %w", name, err)
	}
	return active, nil
}

// Find returns where a line is, for people: "gpiochip1 line 11 (74hc595)", or the
// file. Nothing is taken for it.
func (t Tree) Find(name string) (where string, err error) {
	n, err := Parse(name)
	if err != nil {
		return "", err
	}
	if n.isOfChip() {
		p, err := t.lookup(n)
		if err != nil {
			return "", fmt.Errorf("line %s: %w", name, err)
		}
		return fmt.Sprintf("%s line %d (%s)%s", filepath.Base(p.path), p.info.offset, p.label, p.user()), nil
	}
	f, err := t.file(n)
	if err != nil {
		return "", fmt.Errorf("line %s: %w", name, err)
	}
	return f.path, nil
}

// file is a line behind a file of sysfs.
type file struct {
	path    string
	on, off string
	low     bool
}

func (t Tree) file(n Name) (f file, err error) {
	f = file{on: "1", off: "0", low: n.Low}
	switch n.Kind {
	case Exported:
		f.path = filepath.Join(t.sys(), "class/gpio", n.Text, "value")
	case LED:
		dir := filepath.Join(t.sys(), "class/leds", n.Text)
		f.path = filepath.Join(dir, "brightness")
		if b, err := os.ReadFile(filepath.Join(dir, "max_brightness")); err == nil {
			f.on = cmp.Or(strings.TrimSpace(string(b)), "1")
		}
	case Regulator: // drivers/regulator/userspace-consumer.c
		f.on, f.off = "enabled", "disabled"
		if f.path, err = t.consumer(n.Text); err != nil {
			return f, err
		}
	}
	if _, err := os.Stat(f.path); err != nil {
		return f, fmt.Errorf("%w: there is no %s", ErrNoLine, f.path)
	}
	return f, nil
}

// consumer finds the consumer of a regulator by its name, or by its device's where a
// device tree made it, which gives it none.
func (t Tree) consumer(name string) (string, error) {
	state := filepath.Join(t.sys(), "bus/platform/devices", name, "state")
	if _, err := os.Stat(state); err == nil {
		return state, nil
	}
	names, err := filepath.Glob(filepath.Join(t.sys(), "bus/platform/devices/*/name"))
	for _, path := range names {
		b, _ := os.ReadFile(path)
		state := filepath.Join(filepath.Dir(path), "state")
		if _, bad := os.Stat(state); bad == nil && strings.TrimSpace(string(b)) == name {
			return state, nil
		}
	}
	return "", errors.Join(err, fmt.Errorf("%w: no regulator is left to user space under that name", ErrNoLine))
}

// Set writes the file; what was there before stays where that is refused.
func (f file) Set(active bool) error {
	text := f.off
	if active != f.low {
		text = f.on
	}
	out, err := os.OpenFile(f.path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = out.WriteString(text)
	return errors.Join(err, out.Close())
}

func (f file) get() (bool, error) {
	b, err := os.ReadFile(f.path)
	if err != nil {
		return false, err
	}
	text := strings.TrimSpace(string(b))
	on := text == f.on || f.on != "enabled" && text != "0" && text != ""
	return on != f.low, nil
}

func (file) Close() error { return nil }
