package atsim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault tells how a fault behaves. Which fields matter depends on the fault;
// see Faults.
type Fault struct {
	Command string        // only this command: "+CGLA"; empty means any
	Holds   string        // only a command with a parameter that holds this: "80E21100FF86", a first segment of a profile
	After   int           // let so many matching events pass first
	Times   int           // then misbehave so many times; 0 means until cleared
	Delay   time.Duration // how late, how far apart, how long
	Code    int           // +CME number, status word, reject cause
	Text    string        // URC or bytes to send
	Until   Heal          // what ends it by itself; empty means nothing
}

// faultDocs names every fault and says what it does.
var faultDocs = map[string]string{
	"silent":          "Command is not executed and not answered",
	"mute":            "Command is executed and not answered",
	"hang":            "at Command the firmware hangs: nothing is executed or answered any more, until the fault is cleared",
	"card-hang":       "at Command the card hangs: no command that needs it is answered any more, until it is powered off and on",
	"late":            "the answer to Command comes Delay late",
	"cme":             "Command is not executed and answered with +CME ERROR: Code (ERROR if 0)",
	"error-after":     "Command is executed and answered with +CME ERROR: Code (ERROR if 0): the tail of a download",
	"sim-busy":        "commands that need the card get +CME ERROR: 14",
	"split-echo":      "the echo comes in two pieces, Delay apart, with the URC Text between them",
	"urc-mid-answer":  "the URC Text comes between the lines of the answer to Command",
	"urc-storm":       "the URC Text comes Times times, Delay apart",
	"garbage":         "Text (default: binary rubbish) comes before the answer to Command",
	"busy-drop":       "what arrives while a command runs is lost",
	"sw":              "the card is not asked; the client's APDU is answered with status word Code",
	"drop-answer":     "the client's APDU is executed, its answer is lost: +CME ERROR: 13",
	"channels":        "no logical channel is free: MANAGE CHANNEL gets 6A81",
	"leak":            "+CCHC answers OK but leaves the channel open on the card",
	"deny":            "the network denies registration with cause Code",
	"roam":            "the network Text (a PLMN, default 99970) takes the modem as a roaming one",
	"detach":          "the network detaches the modem now, once",
	"no-data":         "contexts come up but the network interface stays dead",
	"stale-carrier":   "the modem keeps the carrier configuration of the profile that is enabled now: with another one it finds no network",
	"card-gone":       "the modem loses its card now, and does not find it again",
	"no-service":      "no cell is found, whatever the network says",
	"no-refresh":      "the modem ignores a REFRESH of the card",
	"refresh-restart": "a REFRESH of the card restarts the modem: its ports go, and come back after Delay (default: as after +CFUN=1,1)",
	"unplug":          "the modem is unplugged now and comes back after Delay; 0 means never",
}

// Faults returns the names that SetFault takes, sorted, each with what it does.
func Faults() [][2]string {
	var out [][2]string
	for name, doc := range faultDocs {
		out = append(out, [2]string{name, doc})
	}
	slices.SortFunc(out, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return out
}

// SetFault switches a fault on. Faults that happen at once, see AtOnce, begin
// before it returns.
func (m *Modem) SetFault(name string, f Fault) error {
	if _, ok := faultDocs[name]; !ok {
		return fmt.Errorf("atsim: unknown fault %q", name)
	}
	f.Command = strings.ToUpper(f.Command)
	if !AtOnce(name) {
		m.faults.set(name, f)
		if !registering(name) && name != "card-gone" {
			return nil
		}
	}
	m.state.lock()
	defer m.state.release()
	if !m.powered {
		return nil
	}
	switch name {
	case "detach":
		if m.radio.reg.Registered() {
			m.faults.strike(name)
		}
		m.networkDetach()
	case "unplug":
		m.faults.strike(name)
		m.unplug(f.Delay)
	case "urc-storm":
		m.storm(f)
	case "card-gone":
		m.faults.strike(name)
		m.loseCard()
	default:
		m.after("register", 0, m.register)
	}
	return nil
}

// AtOnce reports whether a fault happens when it is set and is over then, so that
// it takes a client to meet it.
func AtOnce(name string) bool {
	return name == "detach" || name == "unplug" || name == "urc-storm"
}

// registering reports whether a fault changes what the network says: the modem
// asks it again when the fault is set or cleared.
func registering(name string) bool {
	return name == "deny" || name == "roam" || name == "stale-carrier" || name == "no-service"
}

// ClearFault switches a fault off; an empty name switches all of them off.
func (m *Modem) ClearFault(name string) {
	m.faults.clear(name)
	m.state.lock()
	defer m.state.release()
	if name == "" || name == "urc-storm" {
		m.cancel("urc-storm")
	}
	if name == "" || name == "stale-carrier" {
		m.carrier.release()
	}
	if m.powered && (name == "" || registering(name)) {
		m.after("register", 0, m.register)
	}
}

// ParseFault reads a fault as a control channel sends it: a name and then
// fields as key=value, as in "late command=+CGLA delay=2s times=1".
func ParseFault(s string) (name string, f Fault, err error) {
	fields := strings.Fields(s)
	if len(fields) == 0 {
		return "", f, fmt.Errorf("atsim: no fault named")
	}
	name = fields[0]
	if _, ok := faultDocs[name]; !ok {
		return "", f, fmt.Errorf("atsim: unknown fault %q", name)
	}
	for _, field := range fields[1:] {
		key, value, ok := strings.Cut(field, "=")
		if !ok {
			return "", f, fmt.Errorf("atsim: fault %s: %q is not key=value", name, field)
		}
		switch key {
		case "command":
			f.Command = value
		case "holds":
			f.Holds = value
		case "after":
			f.After, err = strconv.Atoi(value)
		case "times":
			f.Times, err = strconv.Atoi(value)
		case "delay":
			f.Delay, err = time.ParseDuration(value)
		case "code":
			var v int64
			v, err = strconv.ParseInt(value, 0, 32)
			f.Code = int(v)
		case "until":
			f.Until, err = parseHeal(value)
		case "text":
			f.Text = strings.ReplaceAll(value, "_", " ")
		default:
			err = fmt.Errorf("unknown key")
		}
		if err == nil && (f.After < 0 || f.Times < 0 || f.Delay < 0) {
			err = fmt.Errorf("it is negative")
		}
		if err != nil {
			return "", f, fmt.Errorf("atsim: fault %s: %s: %v", name, field, err)
		}
	}
	return name, f, nil
}

// format writes a fault as ParseFault reads it.
func (f Fault) format(name string) string {
	var b strings.Builder
	b.WriteString(name)
	add := func(key, value string, set bool) {
		if set {
			b.WriteString(" " + key + "=" + value)
		}
	}
	add("command", f.Command, f.Command != "")
	add("holds", f.Holds, f.Holds != "")
	add("after", strconv.Itoa(f.After), f.After > 0)
	add("times", strconv.Itoa(f.Times), f.Times > 0)
	add("delay", f.Delay.String(), f.Delay != 0)
	add("code", strconv.Itoa(f.Code), f.Code != 0)
	add("until", string(f.Until), f.Until != "")
	add("text", strings.ReplaceAll(f.Text, " ", "_"), f.Text != "")
	return b.String()
}

// Active returns the faults that are on, sorted, each as ParseFault reads it.
func (m *Modem) Active() []string {
	m.faults.mu.Lock()
	defer m.faults.mu.Unlock()
	out := []string{}
	for name, f := range m.faults.m {
		out = append(out, f.format(name))
	}
	slices.Sort(out)
	return out
}

// result is the final result code of a fault with a code.
func (f Fault) result() error {
	switch {
	case f.Text != "":
		return rawFinal(f.Text)
	case f.Code > 0:
		return cme(f.Code)
	}
	return resError
}

type faultSet struct {
	mu     sync.Mutex
	m      map[string]Fault
	struck map[string]int
}

// strike counts an effect of a fault.
func (s *faultSet) strike(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count(name)
}

// count is strike with s.mu held.
func (s *faultSet) count(name string) {
	if s.struck == nil {
		s.struck = make(map[string]int)
	}
	s.struck[name]++
}

func (s *faultSet) counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.struck)
}

func (s *faultSet) set(name string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = make(map[string]Fault)
	}
	if f.Times == 0 {
		f.Times = -1
	}
	s.m[name] = f
}

func (s *faultSet) clear(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name == "" {
		clear(s.m)
	}
	delete(s.m, name)
}

// has reports whether a fault is set.
func (s *faultSet) has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.m[name]
	return ok
}

// on asks whether a fault without events strikes, and counts it. It is asked last,
// where nothing else decides.
func (s *faultSet) on(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.m[name]
	if ok {
		s.count(name)
	}
	return ok
}

// take asks whether a fault strikes at this event, and counts it.
func (s *faultSet) take(name string, c command) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.m[name]
	if !ok || f.Command != "" && f.Command != c.name || f.Holds != "" && !c.holds(f.Holds) {
		return f, false
	}
	if f.After > 0 {
		f.After--
		s.m[name] = f
		return f, false
	}
	if f.Times > 0 {
		if f.Times--; f.Times == 0 {
			delete(s.m, name)
		} else {
			s.m[name] = f
		}
	}
	s.count(name)
	return f, true
}

// holds reports whether one of the parameters holds the text.
func (c command) holds(text string) bool {
	return slices.ContainsFunc(c.args, func(a arg) bool { return strings.Contains(a.s, text) })
}

// hung asks whether firmware or card hangs, from this command on if it has to.
func (s *faultSet) hung(name string, c command) bool {
	f, ok := s.take(name, c)
	if ok && f.Command+f.Holds != "" {
		s.set(name, Fault{Until: f.Until})
	}
	return ok && !(f.Until == HealRestart && c.restarts())
}

// powerCycled ends the hang of a card that was powered off.
func (s *faultSet) powerCycled() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.m["card-hang"]; ok && f.Command+f.Holds == "" {
		delete(s.m, "card-hang")
	}
}

// faultsBefore applies the faults that keep a command from being executed.
func (x *exec) faultsBefore() error {
	c, fs := x.cmd, &x.m.faults
	if f, ok := fs.take("late", c); ok {
		x.late += f.Delay
	}
	if fs.hung("hang", c) || x.usesCard() && fs.hung("card-hang", c) {
		x.silent = true
		return nil
	}
	if _, ok := fs.take("silent", c); ok {
		x.silent = true
		return nil
	}
	if f, ok := fs.take("cme", c); ok {
		return f.result()
	}
	if x.usesCard() && x.cmd.form != formTest {
		if _, ok := fs.take("sim-busy", c); ok {
			return cmeSIMBusy
		}
	}
	return nil
}

func (x *exec) faultsAfter() {
	if _, ok := x.m.faults.take("mute", x.cmd); ok {
		x.silent = true
	}
}

func (x *exec) usesCard() bool {
	switch x.cmd.name {
	case "+CSIM", "+CRSM", "+CCHO", "+CGLA", "+CCHC", "+CPIN", "+CIMI", "+CCID", "+QCCID", "+ICCID", "+CNUM":
		return true
	}
	return false
}

// storm sends a burst of URCs, in steps so that the modem stays responsive.
func (m *Modem) storm(f Fault) {
	text := f.Text
	if text == "" {
		text = "+CREG: 1"
	}
	left := f.Times
	var step func(context.Context)
	step = func(ctx context.Context) {
		for n := 0; n < 64; n++ {
			if f.Times > 0 {
				if left == 0 {
					return
				}
				left--
			}
			m.faults.strike("urc-storm")
			m.urc(text)
			if f.Delay > 0 {
				break
			}
		}
		m.after("urc-storm", f.Delay, step)
	}
	step(context.Background())
}
