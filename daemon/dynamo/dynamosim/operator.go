package dynamosim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Plan is how a line is paid for.
type Plan string

// The plans.
const (
	Prepaid  Plan = "prepaid"
	Postpaid Plan = "postpaid"
	Excluded Plan = "excluded" // in the operator's range, without a balance
)

// Operator is a simulated operator. Its exported fields are set before its handlers
// are called.
type Operator struct {
	Name string
	// User and Password are wanted by Basic authentication where they are set,
	// ClientName by the subject of a client certificate.
	User, Password, ClientName string
	// Countries are where it sells: the locations that it knows.
	Countries []string
	// NewProfile orders a profile at an SM-DP+ for an EID, and returns its
	// activation code and ICCID.
	NewProfile func(eid string) (code, iccid string, err error)
	// Credit is called when what a line has left changes: with false where it has
	// used all of it up and belongs into the walled garden.
	Credit func(iccid string, open bool)
	// Directory is the service that its pages leave their calls at, for a router whose
	// page has not opened them; "" for none.
	Directory string
	Now       func() time.Time

	mu     sync.Mutex
	lines  map[string]*line
	seen   map[string]bool // transaction IDs
	faults []Fault
	counts map[string]int
	visits []Visit
}

// line is a SIM with a contract.
type line struct {
	plan   Plan
	mb     float64
	until  time.Time
	micro  []time.Time // when micro-balances were given
	notice []string    // types of notifications that wait
}

// Fault makes calls of one kind go wrong.
type Fault struct {
	Op         string // "balances", "offers", "notifications", "orders", "microbalance"; "" is any
	Status     int
	RetryAfter string // of the answer, as it is
	Times      int    // 0 is until Clear
}

// Visit is a visit to the portal, with the parameters that it came with.
type Visit struct {
	Query  map[string]string
	Errors map[string]string // X-MP-LPAError-*, by header or query
}

// New returns an operator without lines.
func New(name string, now func() time.Time) *Operator {
	return &Operator{Name: name, Now: now, Countries: []string{"US", "DE"}, lines: map[string]*line{}, seen: map[string]bool{}, counts: map[string]int{}}
}

// AddLine gives a SIM a contract.
func (o *Operator) AddLine(iccid string, plan Plan, mb float64, left time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines[iccid] = &line{plan: plan, mb: mb, until: o.Now().Add(left)}
}

// Use takes megabytes off a prepaid line, and reports whether any are left.
func (o *Operator) Use(iccid string, mb float64) bool {
	o.mu.Lock()
	l := o.lines[iccid]
	if l == nil || l.plan != Prepaid {
		o.mu.Unlock()
		return l != nil
	}
	had := l.mb > 0
	l.mb = max(l.mb-mb, 0)
	left := l.mb > 0
	if !left && had {
		l.notice = append(l.notice, "zeroBalance")
	}
	o.mu.Unlock()
	if had && !left && o.Credit != nil {
		o.Credit(iccid, false)
	}
	return left
}

// TopUp adds to a line, which lets it out of the walled garden without the session
// being dropped.
func (o *Operator) TopUp(iccid string, mb float64, time time.Duration) error {
	o.mu.Lock()
	l := o.lines[iccid]
	if l == nil {
		o.mu.Unlock()
		return errors.New("no such line")
	}
	now := o.Now()
	l.mb += mb
	if l.until.Before(now) {
		l.until = now
	}
	l.until = l.until.Add(time)
	o.mu.Unlock()
	if o.Credit != nil {
		o.Credit(iccid, true)
	}
	return nil
}

// Set adds a fault.
func (o *Operator) Set(f Fault) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.faults = append(o.faults, f)
}

// Clear ends all faults.
func (o *Operator) Clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.faults = nil
}

// Count is how many calls of a kind came, "visits" for the portal's.
func (o *Operator) Count(op string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.counts[op]
}

// Visits are the visits to the portal so far.
func (o *Operator) Visits() []Visit {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.visits)
}

// fault takes the next fault for a call. o.mu is held.
func (o *Operator) fault(op string) *Fault {
	for i := range o.faults {
		f := o.faults[i]
		if f.Op != "" && f.Op != op {
			continue
		}
		if f.Times > 0 {
			if o.faults[i].Times--; o.faults[i].Times == 0 {
				o.faults = slices.Delete(o.faults, i, i+1)
			}
		}
		return &f
	}
	return nil
}

// isoDuration writes days and what is left of a day, as the published examples do.
func isoDuration(d time.Duration) string {
	if d < time.Second {
		return "PT0S"
	}
	s, days := "P", d/(24*time.Hour)
	if days > 0 {
		s += fmt.Sprintf("%dD", days)
	}
	if rest := d % (24 * time.Hour); rest >= time.Second {
		s += "T"
		for _, u := range []struct {
			unit   time.Duration
			letter string
		}{{time.Hour, "H"}, {time.Minute, "M"}, {time.Second, "S"}} {
			if n := rest / u.unit; n > 0 {
				s += fmt.Sprintf("%d%s", n, u.letter)
			}
			rest %= u.unit
		}
	}
	return s
}

func stripF(iccid string) string { return strings.TrimRight(iccid, "Ff") }
