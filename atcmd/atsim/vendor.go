package atsim

import "strings"

// What vendors' commands have in common.

// dialUp brings a context up and gives it the network interface, which carries
// one at a time.
func (x *exec) dialUp(cid int) error {
	m := x.m
	for _, c := range m.packet.sorted() {
		if c.linkUp && c.cid != cid {
			return cmeNotAllowed
		}
	}
	if err := m.activate(x, cid); err != nil {
		return err
	}
	return m.linkUp(cid)
}

// hangDown takes a context and the network interface down. The context of the
// attach stays up.
func (x *exec) hangDown(cid int) {
	c := x.m.packet.contexts[cid]
	switch {
	case c == nil:
	case x.m.lastContext(cid):
		x.m.linkDown(c)
	default:
		x.m.deactivate(cid, "ME PDN DEACT")
	}
}

// linked is the context that has the network interface, or nil.
func (m *Modem) linked() *pdp {
	for _, c := range m.packet.sorted() {
		if c.linkUp {
			return c
		}
	}
	return nil
}

// constant answers a command with one line; empty means OK alone.
func constant(text string) func(*exec) error {
	return func(x *exec) error {
		if text != "" {
			x.tagged("%s", text)
		}
		return nil
	}
}

// accepted takes a command and does nothing.
func accepted(*exec) error { return nil }

// iccidVerb tells the ICCID under a tag, or bare without one.
func iccidVerb(name, tag string) verb {
	f := func(x *exec) error {
		if err := x.needCard(); err != nil {
			return err
		}
		digits := x.m.card.ICCID()
		if digits == "" {
			return x.m.noProfileError()
		}
		if tag == "" {
			x.info("%s", digits)
		} else {
			x.info("%s: %s", tag, digits)
		}
		return nil
	}
	return verb{name: name, test: "-", exec: f, read: f}
}

// triesVerb tells the tries of PIN1 and PUK1 in a format with two %d, PIN first.
func triesVerb(name, format string) verb {
	f := func(x *exec) error {
		if err := x.needCard(); err != nil {
			return err
		}
		pin, puk := x.m.card.tryCounts()
		x.tagged(format, pin, puk)
		return nil
	}
	return verb{name: name, test: "-", exec: f, read: f, set: func(x *exec) error {
		if strings.EqualFold(x.str(0), "SC") {
			return f(x)
		}
		return cmeBadParameters
	}}
}

// authVerb sets credentials; the parameters user and password stand where it says.
func authVerb(name string, user, password int) verb {
	return verb{name: name, test: "-", set: func(x *exec) error {
		cid, err := x.int(0, -1, x.minCID(), maxCID)
		if err != nil || cid < 0 {
			return cmeBadParameters
		}
		auth, err := x.int(1, 0, 0, 3)
		if err != nil || len(x.str(user)) > 127 || len(x.str(password)) > 127 {
			return cmeBadParameters
		}
		c := x.m.packet.contexts[cid]
		if c == nil {
			return cmeInvalidIndex
		}
		c.auth, c.user, c.passwd = min(auth, 2), x.str(user), x.str(password)
		return nil
	}}
}

// restartVerb restarts the modem as +CFUN=1,1 does.
func restartVerb(name string) verb {
	f := func(x *exec) error {
		if x.m.habits.Reenumerate {
			x.m.after("reboot", goodbye, x.m.reboot)
		} else {
			x.then = x.m.reboot
		}
		return nil
	}
	return verb{name: name, test: "-", exec: f}
}
