package bearer

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"dynamod/atcmd/modem"
	"dynamod/configs/cosa"
	"dynamod/daemon/activation"
)

// Back-off between tries, from the way Windows paces its own (mobile broadband,
// automatic connection): three times longer each time, and slow from the start
// where the operator refuses the connection itself. What is no refusal may
// work again any time, and the router is out of reach until then.
const (
	firstBackoff = 3 * time.Second
	lastBackoff  = time.Hour
	lastLook     = 5 * time.Minute // where only the modem has to be asked
	firstSlow    = 5 * time.Minute
	lastSlow     = 24 * time.Hour
)

// pace spaces the tries of each connection: one that was refused for good does
// not hold up another, and is not asked for again by every event. It is
// forgotten when something changes that the refusal may have depended on.
type pace struct {
	of    circumstances
	list  []string           // paceKeys of the connections that there are now
	tries map[string]nextTry // by paceKey
	last  *activation.Fault  // of the last round
}

type nextTry struct {
	at       time.Time
	wait     time.Duration
	rejected bool // the server took no such user and password
	held     bool // it was left out
	refused  bool // by the operator, who will say the same for long
}

// circumstances are what a network's answer depends on. A new SIM or profile, a
// new network, other operator settings and another modem end every back-off, but
// that of a rejected password: the operator's server is the same for the same
// SIM everywhere, and locks the account of who asks too often.
type circumstances struct {
	iccid, imsi, plmn string
	db                *cosa.DB
	radio             Radio
}

// under begins anew if the circumstances are others. Of the same SIM the pauses
// of rejected passwords stay, for connections that are as they were.
func (p *pace) under(c circumstances, list []cosa.Candidate) {
	p.list = nil
	for i := range list {
		p.list = append(p.list, paceKey(&list[i].Connection))
	}
	if c.plmn == "" {
		c.plmn = p.of.plmn // that the modem does not tell it is no news
	}
	if p.of == c {
		return
	}
	same := p.of.iccid == c.iccid && p.of.imsi == c.imsi
	maps.DeleteFunc(p.tries, func(_ string, t nextTry) bool { return !same || !t.rejected })
	if len(p.tries) == 0 {
		p.last = nil
	}
	p.of = c
}

// restarted begins anew but for what the operator refused: a modem that was
// started again hears the same from him.
func (p *pace) restarted() {
	maps.DeleteFunc(p.tries, func(_ string, t nextTry) bool { return !t.refused && !t.rejected })
}

func (p *pace) clear() { p.tries, p.last = nil, nil }

// paceKey tells connections apart that Key does not: one APN in two types, or
// with two passwords. It stays in memory.
func paceKey(c *cosa.Connection) string {
	return c.Key() + "|" + c.IPType.String() + "|" + c.Password.Reveal()
}

// due returns the connections whose time has come, none where all of them were
// left out the last time and others wait.
func (p *pace) due(list []cosa.Candidate) []cosa.Candidate {
	now := time.Now()
	var out []cosa.Candidate
	held := 0
	for _, c := range list {
		t := p.tries[paceKey(&c.Connection)]
		if t.at.After(now) {
			continue
		}
		out = append(out, c)
		if t.held {
			held++
		}
	}
	if held == len(out) && len(out) < len(list) {
		return nil
	}
	return out
}

// failed puts a connection off.
func (p *pace) failed(c *cosa.Connection, cause modem.Cause) {
	first, longest := firstBackoff, lastBackoff
	if cause.Slow() {
		first, longest = firstSlow, lastSlow
	}
	if p.tries == nil {
		p.tries = map[string]nextTry{}
	}
	t := p.tries[paceKey(c)]
	t.wait = min(max(3*t.wait, first), longest)
	t.at, t.rejected, t.refused = time.Now().Add(t.wait), cause == modem.CauseAuth, cause.Slow()
	p.tries[paceKey(c)] = t
}

// hold notes a connection that was not even tried. It belongs to each round, but
// is no reason for one: that would only hide what the others failed at.
func (p *pace) hold(c *cosa.Connection) {
	if p.tries == nil {
		p.tries = map[string]nextTry{}
	}
	p.tries[paceKey(c)] = nextTry{held: true}
}

// wait is the time until a connection is due, 0 if nothing was put off.
func (p *pace) wait() time.Duration {
	var first time.Time
	for key, t := range p.tries {
		if t.held || !slices.Contains(p.list, key) {
			continue // it is left out, not there, or not for here
		}
		if first.IsZero() || t.at.Before(first) {
			first = t.at
		}
	}
	if first.IsZero() {
		return 0
	}
	return max(time.Until(first), time.Millisecond)
}

// until is when c is tried again, zero if it was not put off.
func (p *pace) until(c *cosa.Connection) time.Time { return p.tries[paceKey(c)].at }

// tooEarly means that no connection is due. It wraps what the last round ended
// with.
type tooEarly struct {
	fault *activation.Fault
	wait  time.Duration
}

func (e *tooEarly) Error() string {
	return fmt.Sprintf("%v; tried again in %v", e.fault, e.wait.Round(time.Second))
}

func (e *tooEarly) Unwrap() error { return e.fault }

func (p *pace) early() error {
	f := p.last
	if f == nil {
		f = &activation.Fault{Code: "no-data", Text: "no connection carries traffic"}
	}
	return &tooEarly{f, p.wait()}
}
