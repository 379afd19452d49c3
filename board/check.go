package board

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"dynamod/board/gpio"
)

// A Problem is one value of a definition that cannot be used.
type Problem struct {
	Path string // of the key: "reset.line", "modem.usb[1]"
	Msg  string
	Hint string
}

func (p *Problem) Error() string { return p.Path + ": " + p.Msg }

// longest is the longest time of a definition: nothing waits for ever.
const longest = 5 * time.Minute

// Problems lists everything in a definition that cannot be used.
func (b *Board) Problems() []*Problem {
	var c checker
	if !isName(b.Name) {
		c.fail("about", "name its file so: up to 40 of a-z, 0-9 and hyphen", "%q is not the name of a board", b.Name)
	}
	for i, s := range b.Compatible {
		if maker, model, ok := strings.Cut(s, ","); !ok || maker == "" || model == "" || !isText(s) {
			c.fail(at("compatible", i), `such as "glinet,gl-x750"`, "%q is no name of a device tree", s)
		}
	}
	for i, s := range b.DMI {
		if maker, board, ok := strings.Cut(s, "/"); !ok || maker == "" || board == "" || !isText(s) {
			c.fail(at("dmi", i), `such as "PC Engines/apu2"`, "%q is not maker and board", s)
		}
	}
	c.modem(&b.Modem)
	c.line("supply.line", b.Supply.Line)
	c.line("reset.line", b.Reset.Line)
	c.line("key.line", b.Key.Line)
	c.line("status.line", b.Status.Line)
	c.line("sim.line", b.SIM.Line)
	for i, s := range b.Quirks.On {
		c.line(at("quirks.on", i), s)
	}
	for path, d := range map[string]Duration{
		"supply.off": b.Supply.Off, "reset.pulse": b.Reset.Pulse, "key.on": b.Key.On, "key.off": b.Key.Off,
		"quirks.boot": b.Quirks.Boot, "quirks.whole": b.Quirks.Whole,
	} {
		if d < 0 || time.Duration(d) > longest {
			c.fail(path, "", "%v is not in 0s..5m", time.Duration(d))
		}
	}
	switch line, _ := gpio.Parse(b.Status.Line); {
	case b.Key.Line != "" && b.Status.Line == "":
		c.fail("key.line", "add status, or leave the key out: it may turn the modem off for good", "a power key needs a status line")
	case line.Kind == gpio.Regulator || line.Kind == gpio.LED:
		c.fail("status.line", "a line of a GPIO chip", "%q does not tell whether the modem is on", line)
	}
	if b.SIM.Line != "" && len(b.SIM.Slots) < 2 {
		c.fail("sim.slots", "such as [0, 1]: the line's value for slot 1, and for slot 2", "a switch of slots needs the line's values")
	}
	for i, v := range b.SIM.Slots {
		if v != 0 && v != 1 {
			c.fail(at("sim.slots", i), "0 or 1", "a line has no value %d", v)
		}
	}
	for path, s := range map[string]string{"leds.registered": b.LEDs.Registered, "leds.link": b.LEDs.Link} {
		if s != "" && !gpio.IsFile(s) {
			c.fail(path, "a name of /sys/class/leds", "%q cannot be the name of an LED", s)
		}
	}
	return c.problems
}

type checker struct{ problems []*Problem }

func (c *checker) fail(path, hint, format string, args ...any) {
	c.problems = append(c.problems, &Problem{path, fmt.Sprintf(format, args...), hint})
}

func (c *checker) line(path, name string) {
	if name == "" {
		return
	}
	if _, err := gpio.Parse(name); err != nil {
		c.fail(path, `such as "modem_rst", "!modem_rst" (active when low), "chip:LABEL:9", "export:lte_power", "regulator:lte" or "led:NAME"`, "%v", err)
	}
}

func (c *checker) modem(m *Modem) {
	for i, s := range m.USB {
		bus, ports, ok := strings.Cut(s, "-")
		for _, n := range append(strings.Split(ports, "."), bus) {
			if _, err := strconv.ParseUint(n, 10, 8); err != nil {
				ok = false
			}
		}
		if !ok {
			c.fail(at("modem.usb", i), `as in /sys/bus/usb/devices: "1-1.2"`, "%q is no place on USB", s)
		}
	}
	for i, s := range m.IDs {
		maker, model, ok := strings.Cut(s, ":")
		for _, n := range []string{maker, model} {
			if n != "*" && (len(n) != 4 || strings.Trim(n, "0123456789abcdef*") != "") {
				ok = false
			}
		}
		if !ok {
			c.fail(at("modem.ids", i), `such as "2c7c:0125" or "2c7c:*"`, "%q is no maker and model on USB", s)
		}
	}
	for i, n := range m.AT {
		c.number(at("modem.at", i), n)
	}
	c.number("modem.ppp", m.PPP)
	c.number("modem.net", m.Net)
	if m.Port != "" && (!strings.HasPrefix(m.Port, "/dev/") || strings.Contains(m.Port, "..") || !isText(m.Port)) {
		c.fail("modem.port", `such as "/dev/ttyS1"`, "%q is no device node", m.Port)
	}
	if m.Port != "" && len(m.USB)+len(m.IDs)+len(m.AT) > 0 {
		c.fail("modem.port", "for a modem on USB: usb, ids and at", "a modem has a fixed node, or a place on USB")
	}
	if m.Baud != 0 && (m.Baud < 1200 || m.Baud > 4_000_000) {
		c.fail("modem.baud", "", "%d is not in 1200..4000000 bit/s", m.Baud)
	}
	if m.Interface != "" && (!gpio.IsFile(m.Interface) || len(m.Interface) > 15) {
		c.fail("modem.interface", `such as "wwan0"`, "%q is no network interface", m.Interface)
	}
}

func (c *checker) number(path string, n int) {
	if n < 0 || n > 255 {
		c.fail(path, "bInterfaceNumber, 0 to 255", "%d is no number of an interface", n)
	}
}

func at(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// isName reports the name of a definition.
func isName(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// isText reports printable ASCII.
func isText(s string) bool {
	return len(s) <= 100 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}
