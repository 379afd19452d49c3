package board

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"dynamod/board/gpio"
)

// Each calls f with all that a definition says, in the order of its keys, by their
// names in a file: "reset.line". Values are string, bool, int, Duration and arrays of
// string and int.
func (b *Board) Each(f func(key string, value any)) { each(reflect.ValueOf(b).Elem(), "", f) }

func each(v reflect.Value, prefix string, f func(string, any)) {
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("toml")
		switch field := v.Field(i); {
		case tag == "-" || field.IsZero():
		case field.Kind() == reflect.Struct:
			each(field, prefix+tag+".", f)
		default:
			f(prefix+tag, field.Interface())
		}
	}
}

// IsLine reports whether a key's value is the name of a line, or names of lines.
func IsLine(key string) bool { return strings.HasSuffix(key, ".line") || key == "quirks.on" }

// A Problem is one value of a definition that cannot be used.
type Problem struct {
	Path string // of the key: "reset.line", "modem.usb[1]"
	Msg  string
	Hint string
}

func (p *Problem) Error() string { return p.Path + ": " + p.Msg }

// rules are what texts have to be, by key.
var rules = []struct {
	key        string
	fits       func(string) bool
	what, hint string
}{
	{"compatible", isCompatible, "is no name of a device tree", `such as "glinet,gl-x750"`},
	{"dmi", isDMI, "is not maker and board", `such as "PC Engines/apu2"`},
	{"modem.usb", isPlace, "is no place on USB", `as in /sys/bus/usb/devices: "1-1.2"`},
	{"modem.ids", isID, "is no maker and model on USB", `such as "2c7c:0125" or "2c7c:*"`},
	{"modem.port", isNode, "is no device node", `such as "/dev/ttyS1"`},
	{"modem.interface", isInterface, "is no network interface", `such as "wwan0"`},
	{"leds.registered", gpio.IsFile, "cannot be the name of an LED", "a name of /sys/class/leds"},
	{"leds.link", gpio.IsFile, "cannot be the name of an LED", "a name of /sys/class/leds"},
}

// longest is the longest time of a definition: nothing waits for ever.
const longest = Duration(5 * time.Minute)

// Problems lists everything in a definition that cannot be used.
func (b *Board) Problems() []*Problem {
	var c checker
	if b.Name == "" || len(b.Name) > 40 || strings.Trim(b.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		c.fail("about", "name its file so: up to 40 of a-z, 0-9 and hyphen", "%q is not the name of a board", b.Name)
	}
	b.Each(func(key string, value any) {
		switch v := value.(type) {
		case string:
			c.text(key, key, v)
		case []string:
			for i, s := range v {
				c.text(key, key+"["+strconv.Itoa(i)+"]", s)
			}
		case int:
			c.number(key, key, v)
		case []int:
			for i, n := range v {
				c.number(key, key+"["+strconv.Itoa(i)+"]", n)
			}
		case Duration:
			if v < 0 || v > longest {
				c.fail(key, "", "%v is not in 0s..5m", time.Duration(v))
			}
		}
	})
	if m := &b.Modem; m.Port != "" && len(m.USB)+len(m.IDs)+len(m.AT) > 0 {
		c.fail("modem.port", "for a modem on USB: usb, ids and at", "a modem has a fixed node, or a place on USB")
	}
	if b.Key.Line != "" && b.Status.Line == "" {
		c.fail("key.line", "add status, or leave the key out: it may turn the modem off for good", "a power key needs a status line")
	}
	if n, err := gpio.Parse(b.Status.Line); err == nil && (n.Kind == gpio.Regulator || n.Kind == gpio.LED) {
		c.fail("status.line", "a line of a GPIO chip", "%q does not tell whether the modem is on", b.Status.Line)
	}
	if b.SIM.Line != "" && len(b.SIM.Slots) < 2 {
		c.fail("sim.slots", "such as [0, 1]: the line's value for slot 1, and for slot 2", "a switch of slots needs the line's values")
	}
	return c.problems
}

type checker struct{ problems []*Problem }

func (c *checker) fail(path, hint, format string, args ...any) {
	c.problems = append(c.problems, &Problem{path, fmt.Sprintf(format, args...), hint})
}

func (c *checker) text(key, path, s string) {
	if IsLine(key) {
		if _, err := gpio.Parse(s); err != nil {
			c.fail(path, `such as "modem_rst", "!modem_rst" (active when low), "chip:LABEL:9", "export:lte_power", "regulator:lte" or "led:NAME"`, "%v", err)
		}
		return
	}
	for i := range rules {
		if r := &rules[i]; r.key == key && !r.fits(s) {
			c.fail(path, r.hint, "%q %s", s, r.what)
		}
	}
}

func (c *checker) number(key, path string, n int) {
	lo, hi, hint := 0, 255, "bInterfaceNumber of the port"
	switch key {
	case "modem.baud":
		lo, hi, hint = 1200, 4_000_000, "bit/s"
	case "sim.slots":
		hi, hint = 1, "the line's value"
	}
	if n < lo || n > hi {
		c.fail(path, hint, "%d is not in %d..%d", n, lo, hi)
	}
}

func isCompatible(s string) bool {
	maker, model, ok := strings.Cut(s, ",")
	return ok && maker != "" && model != "" && isText(s)
}

func isDMI(s string) bool {
	maker, board, ok := strings.Cut(s, "/")
	return ok && maker != "" && board != "" && isText(s)
}

// isPlace reports a device's name on USB: bus, '-', and the ports on the way.
func isPlace(s string) bool {
	bus, ports, ok := strings.Cut(s, "-")
	return ok && !slices.ContainsFunc(append(strings.Split(ports, "."), bus), func(n string) bool {
		_, err := strconv.ParseUint(n, 10, 8)
		return err != nil
	})
}

func isID(s string) bool {
	maker, model, ok := strings.Cut(s, ":")
	half := func(n string) bool {
		return n == "*" || len(n) == 4 && strings.Trim(n, "0123456789abcdef*") == ""
	}
	return ok && half(maker) && half(model)
}

func isNode(s string) bool {
	return strings.HasPrefix(s, "/dev/") && !strings.Contains(s, "..") && isText(s)
}

func isInterface(s string) bool { return gpio.IsFile(s) && len(s) <= 15 }

// isText reports printable ASCII.
func isText(s string) bool {
	return len(s) <= 100 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}
