package atsim

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// form is how an extended command is used (V.250 5.4.3 and 5.4.4).
type form int

const (
	formExec form = iota // +X
	formSet              // +X=...
	formRead             // +X?
	formTest             // +X=?
)

// command is one command of a command line.
type command struct {
	name string // upper case: "+CGLA", "E", "&F", "D", "S"
	form form
	args []arg
	num  int    // basic commands and the register of S: the number, 0 if absent
	text string // D: the dial string
}

// arg is one parameter (V.250 5.4.2).
type arg struct {
	s      string
	quoted bool
}

var errSyntax = errors.New("syntax error in the command line")

// Limits of a command line. A 255 byte APDU with its Le needs 522 digits; V.250
// 5.2.1 asks for no more than 40 characters of body.
const (
	maxLine     = 8192
	maxCommands = 40
	maxArgs     = 64
)

// parseLine splits the body of a command line, which is what stands between AT
// and the terminator, into its commands (V.250 5.2 to 5.4).
func parseLine(body string) ([]command, error) {
	var cmds []command
	s := body
	for {
		s = strings.TrimLeft(s, " ;\t\n")
		if s == "" {
			return cmds, nil
		}
		if len(cmds) == maxCommands {
			return nil, errSyntax
		}
		c, rest, err := parseCommand(s)
		if err != nil {
			return nil, err
		}
		cmds = append(cmds, c)
		s = rest
	}
}

func parseCommand(s string) (command, string, error) {
	switch {
	case isLetter(s[0]):
		return parseBasic(s[:1], s[1:])
	case s[0] == '&' && len(s) > 1 && isLetter(s[1]):
		return parseBasic(s[:2], s[2:])
	case strings.IndexByte("+^$%#!*_@\\", s[0]) >= 0:
		return parseExtended(s)
	}
	return command{}, "", errSyntax
}

// parseBasic parses what follows the name of a basic command (V.250 5.3).
func parseBasic(name, s string) (command, string, error) {
	c := command{name: strings.ToUpper(name)}
	if c.name == "D" { // takes the rest of the line, a closing semicolon included
		c.text = strings.TrimSpace(s)
		if !printable(c.text) {
			return command{}, "", errSyntax
		}
		return c, "", nil
	}
	num, rest, ok := cutNumber(s)
	if ok {
		c.num = num
	}
	if c.name != "S" {
		return c, rest, nil
	}
	if !ok { // a bare S has no register
		return command{}, "", errSyntax
	}
	switch {
	case strings.HasPrefix(rest, "?"):
		c.form = formRead
		return c, rest[1:], nil
	case strings.HasPrefix(rest, "="):
		v, after, _ := cutNumber(rest[1:])
		c.form, c.args = formSet, []arg{{s: strconv.Itoa(v)}}
		return c, after, nil
	}
	return c, rest, nil
}

// parseExtended parses an extended syntax command (V.250 5.4). Makers' prefixes
// other than + follow the same rules.
func parseExtended(s string) (command, string, error) {
	i := 1
	for i < len(s) && isNameByte(s[i]) {
		i++
	}
	if i == 1 {
		return command{}, "", errSyntax
	}
	c := command{name: strings.ToUpper(s[:i])}
	s = strings.TrimLeft(s[i:], " ")
	switch {
	case s == "" || s[0] == ';':
		return c, s, nil
	case s[0] == '?':
		c.form = formRead
		return c, s[1:], endsCommand(s[1:])
	case s[0] != '=':
		return command{}, "", errSyntax
	}
	s = strings.TrimLeft(s[1:], " ")
	if strings.HasPrefix(s, "?") && endsCommand(s[1:]) == nil {
		c.form = formTest
		return c, s[1:], nil
	}
	c.form = formSet
	for {
		a, rest, err := parseArg(s)
		if err != nil || len(c.args) == maxArgs {
			return command{}, "", errSyntax
		}
		c.args = append(c.args, a)
		if rest == "" || rest[0] == ';' {
			return c, rest, nil
		}
		s = rest[1:] // a comma
	}
}

// parseArg takes one parameter; rest is empty or starts with ',' or ';'.
func parseArg(s string) (a arg, rest string, err error) {
	s = strings.TrimLeft(s, " ")
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexAny(s, ",;")
		if i < 0 {
			i = len(s)
		}
		a.s = strings.TrimRight(s[:i], " ")
		if strings.ContainsRune(a.s, '"') || !printable(a.s) {
			return arg{}, "", errSyntax
		}
		return a, s[i:], nil
	}
	end := strings.IndexByte(s[1:], '"')
	if end < 0 {
		return arg{}, "", errSyntax
	}
	a.quoted = true
	if a.s, err = unescape(s[1 : 1+end]); err != nil {
		return arg{}, "", err
	}
	rest = strings.TrimLeft(s[2+end:], " ")
	if rest != "" && rest[0] != ',' && rest[0] != ';' {
		return arg{}, "", errSyntax
	}
	return a, rest, nil
}

// unescape resolves the \hh of a string constant (V.250 5.4.2.2). A backslash
// that no two digits follow stands for itself, as modems take it.
func unescape(s string) (string, error) {
	if !printable(s) {
		return "", errSyntax
	}
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+2 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(v))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), nil
}

// quote writes a string constant that unescape reads back.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if c := s[i]; c == '"' || c == '\\' || c < 0x20 || c == 0x7F {
			fmt.Fprintf(&b, `\%02X`, c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// String writes the command as it could stand in a command line.
func (c command) String() string {
	switch {
	case c.name == "D":
		return "D" + c.text
	case c.name == "S":
		s := "S" + strconv.Itoa(c.num)
		switch c.form {
		case formRead:
			return s + "?"
		case formSet:
			return s + "=" + c.args[0].s
		}
		return s
	case isLetter(c.name[0]) || c.name[0] == '&':
		return c.name + strconv.Itoa(c.num)
	}
	switch c.form {
	case formRead:
		return c.name + "?"
	case formTest:
		return c.name + "=?"
	case formSet:
		args := make([]string, len(c.args))
		for i, a := range c.args {
			if args[i] = a.s; a.quoted {
				args[i] = quote(a.s)
			}
		}
		return c.name + "=" + strings.Join(args, ",")
	}
	return c.name
}

func endsCommand(s string) error {
	s = strings.TrimLeft(s, " ")
	if s == "" || s[0] == ';' {
		return nil
	}
	return errSyntax
}

func cutNumber(s string) (n int, rest string, ok bool) {
	i := 0
	for i < len(s) && i < 6 && s[i] >= '0' && s[i] <= '9' {
		n = n*10 + int(s[i]-'0')
		i++
	}
	return n, s[i:], i > 0
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// isNameByte: the characters of an extended name (V.250 5.4.1).
func isNameByte(c byte) bool {
	return isLetter(c) || c >= '0' && c <= '9' || strings.IndexByte("!%-./:_", c) >= 0
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7F {
			return false
		}
	}
	return true
}
