package atsim

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// exec is one command line that runs. The modem's state is held.
type exec struct {
	m   *Modem
	p   *port
	ctx context.Context
	cmd command

	lines  []string // information text of the running command
	parts  []string // rendered information text of the whole line
	pieces []string // what is sent, one write each
	late   time.Duration
	silent bool // no answer at all
	stop   bool // the rest of the line is not run and there is no OK: data mode, prompt
	online *call
	suffix string // sent in place of a final result code

	then func(context.Context) // runs when the answer has been written
}

// verb is a command that the modem knows.
type verb struct {
	name string
	test string // the information text of =?; "-" answers OK alone; "" answers ERROR
	exec func(*exec) error
	set  func(*exec) error
	read func(*exec) error

	testFunc func(*exec) error // =? whose answer depends on the modem's state
}

// info adds a line of information text.
func (x *exec) info(format string, a ...any) {
	x.lines = append(x.lines, fmt.Sprintf(format, a...))
}

// tagged adds a line with the running command's tag.
func (x *exec) tagged(format string, a ...any) {
	colon := ": "
	if x.m.habits.BlankColon {
		colon = " : "
	}
	x.lines = append(x.lines, x.cmd.name+colon+fmt.Sprintf(format, a...))
}

// do runs one command.
func (x *exec) do(c command) error {
	x.cmd, x.lines = c, nil
	m := x.m
	v, known := m.verbs[c.name]
	name := c.name
	if !known {
		name = "unknown" // the table of counts stays as small as the table of verbs
	}
	m.stats.count(name)
	if err := x.faultsBefore(); err != nil || x.silent {
		return err
	}
	var err error
	if !known {
		err = resError
	} else {
		err = x.call(v)
	}
	if err == nil {
		x.faultsAfter()
		if r, ok := m.faults.take("error-after", c); ok {
			err = r.result()
			x.lines = nil
		}
	}
	x.parts = append(x.parts, x.p.set.info(x.lines)...)
	return err
}

func (x *exec) call(v verb) error {
	c := x.cmd
	var f func(*exec) error
	switch c.form {
	case formExec:
		f = v.exec
	case formSet:
		f = v.set
	case formRead:
		f = v.read
	case formTest:
		switch {
		case v.testFunc != nil:
			return v.testFunc(x)
		case v.test == "" || x.m.habits.NoTestForms && isAPDUVerb(c.name):
			return resError
		case v.test == "-":
			return nil
		}
		x.tagged("%s", v.test)
		return nil
	}
	if f == nil {
		return resError
	}
	return f(x)
}

func isAPDUVerb(name string) bool {
	return name == "+CCHO" || name == "+CGLA" || name == "+CCHC" || name == "+CSIM"
}

// finish cuts the answer into the writes that send it.
func (x *exec) finish(final string) {
	if x.silent {
		return
	}
	if x.stop {
		final = x.suffix
	}
	mid := x.m.habits.URCMidAnswer
	if f, ok := x.m.faults.take("urc-mid-answer", x.cmd); ok {
		if mid = f.Text; mid == "" {
			mid = "+CREG: " + strconv.Itoa(x.m.radio.reg.Status)
		}
	}
	if f, ok := x.m.faults.take("garbage", x.cmd); ok {
		text := f.Text
		if text == "" {
			text = "\x00\xff\x7e\x81 \x02\r\n"
		}
		x.pieces = append(x.pieces, text)
	}
	if mid == "" {
		if all := strings.Join(x.parts, "") + final; all != "" {
			x.pieces = append(x.pieces, all)
		}
		return
	}
	// V.250 5.7 lets a URC stand between lines, never inside one.
	for i, part := range x.parts {
		if i == len(x.parts)/2 {
			x.pieces = append(x.pieces, x.p.set.frame(mid))
		}
		x.pieces = append(x.pieces, part)
	}
	if len(x.parts) == 0 {
		x.pieces = append(x.pieces, x.p.set.frame(mid))
	}
	x.pieces = append(x.pieces, final)
}

// n returns how many parameters the command has; trailing empty ones do not count.
func (x *exec) n() int {
	n := len(x.cmd.args)
	for n > 0 && x.cmd.args[n-1] == (arg{}) {
		n--
	}
	return n
}

// has reports whether parameter i is there and not empty.
func (x *exec) has(i int) bool { return i < len(x.cmd.args) && x.cmd.args[i] != (arg{}) }

// str returns parameter i, quoted or not.
func (x *exec) str(i int) string {
	if i >= len(x.cmd.args) {
		return ""
	}
	return x.cmd.args[i].s
}

// int returns parameter i as a number within bounds, def if it is absent.
func (x *exec) int(i, def, lo, hi int) (int, error) {
	if !x.has(i) {
		return def, nil
	}
	v, err := strconv.Atoi(x.str(i))
	if err != nil || v < lo || v > hi {
		return 0, cmeBadParameters
	}
	return v, nil
}

// alpha writes text in the character set that the client chose (TS 27.007 5.5):
// UCS2 is four hexadecimal digits a character.
func (x *exec) alpha(s string) string {
	if x.p.set.charset != "UCS2" {
		return s
	}
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, "%04X", u)
	}
	return b.String()
}

// text reads a parameter that alpha would have written.
func (x *exec) text(i int) string {
	s := x.str(i)
	raw, err := hex.DecodeString(s)
	if x.p.set.charset != "UCS2" || err != nil || len(raw)%2 != 0 {
		return s
	}
	var u []uint16
	for i := 0; i < len(raw); i += 2 {
		u = append(u, uint16(raw[i])<<8|uint16(raw[i+1]))
	}
	return string(utf16.Decode(u))
}

// settings are what a client sets on a port. They are lost with the port's
// power, by ATZ and by AT&F.
type settings struct {
	verbose, quiet bool
	connectText    int // ATX
	cmee           int
	creg           map[string]int // <n> of +CREG, +CGREG, +CEREG, +C5GREG
	cgerep         int
	timeZone       int // +CTZR
	sregs          map[int]int
	charset        string // +CSCS
	copsFormat     int
	piaf           [4]int // +CGPIAF
	values         map[string]string
}

func (p *port) resetSettings() {
	p.set = settings{
		verbose: true, connectText: 4, charset: "IRA",
		creg: make(map[string]int), sregs: map[int]int{0: 0, 3: 13, 4: 10, 5: 8, 7: 60, 12: 50},
		values: make(map[string]string),
	}
	p.echo.Store(!p.m.habits.NoEcho)
}
