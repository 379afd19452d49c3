//go:build linux && !nodemo

// Package walk is what those tests share that stop a daemon at each point where it
// meets its world: the points, how it is stopped there, whether every report came,
// and the table of what was tried. Only tests use it.
package walk

import (
	"regexp"
	"sync"
)

// Fate is what a point means for the daemon that has come to it.
type Fate int

// The fates.
const (
	Live   Fate = iota // it goes on
	Lose               // the point has its effect, and then Kill is called in place of telling the daemon
	Dies               // it has been stopped, nothing has an effect
	Nobody             // it was stopped before
)

// Gate is asked at each point.
type Gate interface {
	// Enter comes to a point: a record of the journal, an AT command, an APDU, a
	// request, a change in the kernel. At one of kind Journal what is the state of
	// the run from then on.
	Enter(kind, what string) Fate
	// Kill stops the daemon, when Lose had its effect. It may not return.
	Kill()
}

// The kinds of points.
const (
	Journal = "journal"
	AT      = "AT"
	APDU    = "APDU"
	HTTP    = "HTTP"
	Netlink = "netlink"
)

// Kinds are all of them.
func Kinds() []string { return []string{Journal, APDU, HTTP, Netlink, AT} }

// Point is one of the places where a daemon meets its world.
type Point struct {
	Kind  string
	State string // of the run, by its last record
	What  string
}

// String is for people.
func (p Point) String() string { return p.Kind + " " + p.What + " while " + p.State }

var question = regexp.MustCompile(`^AT(.*\?|\+CRSM=(176|178|192).*|\+(CIMI|CSQ|CESQ|CGSN|CGMI|CGMM|CGMR|QCSQ)|\+QENG.*|\+COPS=3,.)$`)

// Asks reports whether the modem is only asked something there.
func (p Point) Asks() bool { return p.Kind == AT && question.MatchString(p.What) }

// Like tells the point again that was the ith of an earlier telling: as many of its
// sort came before it. Other sorts may come between the two in another order, and
// which state of the run something falls into that goes on beside it is chance.
func Like(points []Point, i int) func(int, Point) bool {
	sort := func(p Point) Point {
		switch p.Kind {
		case APDU: // lengths differ with the signatures
			p.What, p.State = "", ""
		case HTTP, Netlink:
			p.State = ""
		}
		return p
	}
	wanted, before := sort(points[i]), 0
	for _, p := range points[:i] {
		if sort(p) == wanted {
			before++
		}
	}
	return func(_ int, p Point) bool {
		if sort(p) != wanted {
			return false
		}
		before--
		return before == -1
	}
}

// A Reaper counts the points that a daemon comes by and stops it at one of them,
// before the point has an effect or after it had it and before the daemon knows.
type Reaper struct {
	at    func(n int, p Point) bool
	after bool
	stop  func(torn bool)

	// Reach, if it is not nil, is told of each state of the run. It is set before
	// the daemon starts.
	Reach func(state string)

	mu     sync.Mutex
	armed  bool
	state  string
	points []Point
	met    bool
	died   chan struct{}
	dead   bool
}

// NewReaper makes one that does not count before Arm. It stops the daemon at the
// first point of which at says so, which is called with the number of points before
// it, one at a time; nil is no point. stop ends the daemon: when it returns nothing
// of that daemon has any effect. torn says that the journal's last record is to be
// cut in two.
func NewReaper(at func(n int, p Point) bool, after bool, stop func(torn bool)) *Reaper {
	if at == nil {
		at = func(int, Point) bool { return false }
	}
	return &Reaper{at: at, after: after, stop: stop, died: make(chan struct{})}
}

// Arm begins to count.
func (r *Reaper) Arm() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed = true
}

// Enter implements Gate.
func (r *Reaper) Enter(kind, what string) Fate {
	if kind == Journal && r.Reach != nil {
		r.Reach(what)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		return Nobody
	}
	if kind == Journal {
		r.state = what
	}
	if !r.armed {
		return Live
	}
	n, p := len(r.points), Point{kind, r.state, what}
	r.points = append(r.points, p)
	switch {
	case r.met || !r.at(n, p):
		return Live
	case r.after:
		r.met = true
		return Lose
	}
	r.met = true
	r.die(kind == Journal)
	return Dies
}

// Kill implements Gate: it stops the daemon wherever it is.
func (r *Reaper) Kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.die(false)
}

func (r *Reaper) die(torn bool) {
	if r.dead {
		return
	}
	r.dead = true
	r.stop(torn)
	close(r.died)
}

// Dead reports whether the daemon was stopped.
func (r *Reaper) Dead() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dead
}

// Met reports whether the daemon has come to the point at which it is stopped.
func (r *Reaper) Met() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.met
}

// Died is closed when the daemon was stopped.
func (r *Reaper) Died() <-chan struct{} { return r.died }

// Points are those that it came by since Arm.
func (r *Reaper) Points() []Point {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Point(nil), r.points...)
}
