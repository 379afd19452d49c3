package euiccsim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
)

// faultNames are the kinds as a control channel names them, with what they do.
var faultNames = []struct {
	kind      FaultKind
	name, doc string
}{
	{FaultStatus, "status", "the card answers sw and does nothing"},
	{FaultLost, "lost", "the card executes the command, its answer is lost"},
	{FaultMute, "mute", "the card neither executes nor answers"},
	{FaultPowerCut, "power-cut", "power fails before the command; silent until reset"},
	{FaultPowerCutAfter, "power-cut-after", "power fails after the command, before its answer"},
	{FaultSlow, "slow", "the card takes delay before it executes the command"},
}

// String names the kind.
func (k FaultKind) String() string {
	for _, n := range faultNames {
		if n.kind == k {
			return n.name
		}
	}
	return "fault " + strconv.Itoa(int(k))
}

// flags are the lasting peculiarities that are on or off.
func (b *Behaviour) flags() []struct {
	name, doc string
	on        *bool
} {
	return []struct {
		name, doc string
		on        *bool
	}{
		{"no-isdr", "an ordinary UICC: there is no ISD-R", &b.NoISDR},
		{"need-capability", "the ISD-R hides until TERMINAL CAPABILITY has come", &b.NeedCapability},
		{"wrong-signature", "the card's signatures do not verify", &b.WrongSignature},
		{"no-memory", "no profile fits", &b.NoMemory},
		{"pin-locked", "the profiles' PIN (1234 in the lab's own) is asked for, from the next reset of the card on", &b.PINLocked},
		{"cat-busy", "enable and disable with refresh end with catBusy", &b.CATBusy},
		{"refuse-refresh", "enable and disable with refresh end with undefinedError", &b.RefuseRefresh},
		{"keep-session", "a new challenge is refused (6985) while a download session is open", &b.KeepSession},
		{"new-key-always", "the one-time key pair is never used again", &b.NewKeyAlways},
		{"surplus", "answers hold data objects that SGP.22 v2 does not know", &b.Surplus},
	}
}

// behaviourDelay is the lasting peculiarity that has a value.
const behaviourDelay = "delay"

// Controls lists what Set takes, with what it does.
func Controls() [][2]string {
	var out [][2]string
	for _, n := range faultNames {
		out = append(out, [2]string{n.name, n.doc})
	}
	for _, f := range new(Behaviour).flags() {
		out = append(out, [2]string{f.name, f.doc})
	}
	return append(out, [2]string{behaviourDelay, "the card takes time before each command"})
}

// ParseFault reads a fault as a control channel sends it: a kind and then fields
// as key=value, as in "lost tag=BF38 block=last at=2 times=3". Fault.String is the inverse.
func ParseFault(s string) (f Fault, err error) {
	fields := strings.Fields(s)
	if len(fields) == 0 {
		return f, errors.New("no fault is named")
	}
	for _, n := range faultNames {
		if n.name == fields[0] {
			f.Kind = n.kind
		}
	}
	if f.Kind == FaultNone {
		return f, fmt.Errorf("unknown fault %q", fields[0])
	}
	for _, field := range fields[1:] {
		key, value, _ := strings.Cut(field, "=")
		var n uint64
		switch key {
		case "at":
			n, err = strconv.ParseUint(value, 10, 31)
			f.At = int(n)
		case "times":
			n, err = strconv.ParseUint(value, 10, 31)
			f.Times = int(n)
		case "block":
			if f.LastBlock = value == "last"; !f.LastBlock && value != "first" {
				err = errors.New("want first or last")
			}
		case "tag":
			n, err = strconv.ParseUint(value, 16, 32)
			f.Tag = bertlv.Tag(n)
		case "sw":
			n, err = strconv.ParseUint(value, 16, 16)
			f.SW = apdu.Status(n)
		case "delay":
			f.Delay, err = time.ParseDuration(value)
		default:
			err = errors.New("unknown key")
		}
		if err != nil {
			return f, fmt.Errorf("%s: %s: %w", fields[0], field, err)
		}
	}
	switch {
	case (f.Kind == FaultStatus) != (f.SW != 0):
		return f, fmt.Errorf("%s: sw belongs to status, which needs one", fields[0])
	case (f.Kind == FaultSlow) != (f.Delay > 0) || f.Delay < 0:
		return f, fmt.Errorf("%s: delay belongs to slow, which needs one", fields[0])
	case f.LastBlock && f.Tag == 0:
		return f, fmt.Errorf("%s: block=last needs the tag of a function", fields[0])
	}
	return f, nil
}

// String writes a fault as ParseFault reads it.
func (f Fault) String() string {
	s := f.Kind.String()
	if f.SW != 0 {
		s += fmt.Sprintf(" sw=%04X", uint16(f.SW))
	}
	if f.Tag != 0 {
		s += fmt.Sprintf(" tag=%X", uint32(f.Tag))
	}
	if f.LastBlock {
		s += " block=last"
	}
	if f.At != 0 {
		s += " at=" + strconv.Itoa(f.At)
	}
	if f.Times != 0 {
		s += " times=" + strconv.Itoa(f.Times)
	}
	if f.Delay != 0 {
		s += " delay=" + f.Delay.String()
	}
	return s
}

// Set does what a line of a control channel says: it adds a fault, see
// ParseFault, or switches a lasting peculiarity on, such as "cat-busy" or "delay
// time=2s". Controls lists both.
func (c *Card) Set(line string) error {
	name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	c.mu.Lock()
	defer c.mu.Unlock()
	if name == behaviourDelay {
		d, err := time.ParseDuration(strings.TrimPrefix(strings.TrimSpace(rest), "time="))
		if err != nil || d < 0 {
			return errors.New("delay: want time=DURATION")
		}
		c.behaviour.Delay = d
		return nil
	}
	for _, f := range c.behaviour.flags() {
		if f.name == name {
			if strings.TrimSpace(rest) != "" {
				return fmt.Errorf("%s takes nothing", name)
			}
			*f.on = true
			return nil
		}
	}
	f, err := ParseFault(line)
	if err != nil {
		return err
	}
	c.faults = append(c.faults, f)
	return nil
}

// Clear undoes Set for a fault or peculiarity; an empty name undoes all.
func (c *Card) Clear(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if name == "" {
		c.faults, c.behaviour = nil, Behaviour{}
		return nil
	}
	if !slices.ContainsFunc(Controls(), func(d [2]string) bool { return d[0] == name }) {
		return fmt.Errorf("unknown fault %q", name)
	}
	c.faults = slices.DeleteFunc(c.faults, func(f Fault) bool { return f.Kind.String() == name })
	if name == behaviourDelay {
		c.behaviour.Delay = 0
	}
	for _, f := range c.behaviour.flags() {
		if f.name == name {
			*f.on = false
		}
	}
	return nil
}

// Active returns the lines that Set would take for what is on.
func (c *Card) Active() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []string{}
	for _, f := range c.faults {
		out = append(out, f.String())
	}
	for _, f := range c.behaviour.flags() {
		if *f.on {
			out = append(out, f.name)
		}
	}
	if d := c.behaviour.Delay; d > 0 {
		out = append(out, behaviourDelay+" time="+d.String())
	}
	return out
}
