package recovery

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"dynamod/daemon/status"
)

// Config is what a Ladder is made of.
type Config struct {
	// Limit is the last rung that may be taken now, in the order of Rungs; ""
	// takes none.
	Limit func() Rung
	// Missing says why a rung cannot be taken on this box, "" if it can. Nil
	// means that every rung can.
	Missing func(Rung) string
	Status  *status.Model
	Log     *slog.Logger // nil discards
}

// Ladder is the recovery of one modem. Its methods may be called from any
// goroutine. A nil Ladder takes what it is told and does nothing.
type Ladder struct {
	c Config

	mu     sync.Mutex
	kick   chan struct{}
	tracks map[Symptom]*track
	taken  map[Rung][]time.Time // within Window, since the modem was well for Hold
	counts map[Rung]*status.RungUse
	told   map[Rung]bool // that it is missing
	quiet  time.Time     // until then nothing counts: the modem has not come to rest
	held   string        // what holds the ladder off
}

// track is what is known of one symptom.
type track struct {
	reason      string
	seen        int       // since the last rung, or since it came back
	first, last time.Time // of those
	well        time.Time // since when it is gone; zero while it is there
	climbing    bool      // a rung was taken since it came: it need not last again for the next
	next        int       // index of the class's rung that is due next
	tried       int       // index of the last one that was taken, -1 for none
	rests       int       // how often the ladder was climbed in vain
	rest        time.Time // the end of the present pause; zero if there is none
}

// New returns a ladder that has seen nothing.
func New(c Config) *Ladder {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Missing == nil {
		c.Missing = func(Rung) string { return "" }
	}
	return &Ladder{
		c: c, kick: make(chan struct{}, 1), tracks: map[Symptom]*track{},
		taken: map[Rung][]time.Time{}, counts: map[Rung]*status.RungUse{}, told: map[Rung]bool{},
	}
}

// Kicked is sent to when Due may have something new.
func (l *Ladder) Kicked() <-chan struct{} { return l.kick }

// Saw tells of a symptom. reason is one line, for people.
func (l *Ladder) Saw(s Symptom, reason string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.forget(now)
	if now.Before(l.quiet) {
		return
	}
	t := l.tracks[s]
	switch {
	case t == nil:
		t = &track{tried: -1}
		l.tracks[s] = t
	case t.well.IsZero() || now.Sub(t.well) < steady:
		if now.Sub(t.last) > fresh {
			t.seen = 0
		}
	default:
		// It comes back before it was gone for long: what helped for a while may
		// help again, and what is milder did not.
		t.next, t.seen, t.climbing, t.rest = max(t.tried, 0), 0, false, time.Time{}
	}
	t.well = time.Time{}
	if t.seen == 0 {
		t.first = now
	}
	t.seen++
	t.last, t.reason = now, reason
	l.show(now)
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// Well tells that these are not there, or no fault.
func (l *Ladder) Well(symptoms ...Symptom) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.forget(now)
	changed := false
	for _, s := range symptoms {
		t := l.tracks[s]
		if t == nil || !t.well.IsZero() {
			continue
		}
		if t.tried >= 0 {
			l.c.Log.Info("recovered", "symptom", s, "after", classOf(s).rungs[t.tried])
		}
		t.well, changed = now, true
	}
	if changed {
		l.show(now)
	}
}

// forget drops what is over. l.mu is held.
func (l *Ladder) forget(now time.Time) {
	for r, at := range l.taken {
		l.taken[r] = slices.DeleteFunc(at, func(t time.Time) bool { return now.Sub(t) >= Window })
	}
	for _, t := range l.tracks {
		if t.well.IsZero() && now.Sub(t.last) > fresh {
			// Nobody has looked, or nobody can: it is not known to be there.
			if t.seen = 0; t.tried < 0 {
				t.well = t.last
			}
		}
		if t.well.IsZero() || now.Sub(t.well) < Hold {
			return
		}
	}
	if len(l.tracks) > 0 {
		clear(l.tracks)
		clear(l.taken)
		l.show(now)
	}
}

// Step is a rung that is due.
type Step struct {
	Rung    Rung
	Symptom Symptom
	Reason  string
}

// Due returns the rung to take now. Without one, wait is how long nothing is
// due if nothing more is seen, 0 for ever. linkUp keeps rungs that would take a
// link that works.
func (l *Ladder) Due(linkUp bool) (step Step, wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.forget(now)
	defer l.show(now)
	if linkUp || l.c.Limit() == "" {
		return step, 0, false
	}
	if now.Before(l.quiet) {
		return step, l.quiet.Sub(now), false
	}
	for i := range classes {
		c := &classes[i]
		t := l.tracks[c.symptom]
		if t == nil || !t.well.IsZero() || t.seen == 0 {
			continue
		}
		if !t.rest.IsZero() {
			if d := t.rest.Sub(now); d > 0 {
				wait = sooner(wait, d)
				continue
			}
			// Only what is seen after the pause is a reason to begin again.
			if t.last.Before(t.rest) {
				continue
			}
			t.rest, t.next = time.Time{}, 0
		}
		if !t.climbing && (t.seen < c.times || t.last.Sub(t.first) < c.after) {
			continue
		}
		for ; t.next < len(c.rungs); t.next++ {
			if l.may(c.rungs[t.next]) {
				return Step{c.rungs[t.next], c.symptom, t.reason}, 0, true
			}
		}
		wait = sooner(wait, l.giveUp(c, t, now))
	}
	l.held = ""
	return step, wait, false
}

func sooner(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// may reports whether a rung can be taken. l.mu is held.
func (l *Ladder) may(r Rung) bool {
	if slices.Index(Rungs, r) > slices.Index(Rungs, l.c.Limit()) {
		return false
	}
	if why := l.c.Missing(r); why != "" {
		if !l.told[r] {
			l.told[r] = true
			l.c.Log.Warn("a rung of the recovery is left out", "rung", r, "reason", why)
		}
		return false
	}
	return len(l.taken[r]) < budgets[r].uses
}

// giveUp ends a climb that did not help, until a pause is over. l.mu is held.
func (l *Ladder) giveUp(c *class, t *track, now time.Time) time.Duration {
	pause := min(firstRest<<min(t.rests, 10), lastRest)
	t.rests++
	t.rest, t.climbing = now.Add(pause), true
	text := fmt.Sprintf("recovery gives up for now: %s: %s", c.symptom, t.reason)
	l.c.Log.Error(text, "advice", c.advice, "next", pause)
	l.c.Status.Log(fmt.Sprintf("%s; %s; tried again in %v", text, c.advice, pause))
	return pause
}

// Taken tells that a rung was taken, and how it ended.
func (l *Ladder) Taken(s Step, err error) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.held = ""
	l.taken[s.Rung] = append(l.taken[s.Rung], now)
	l.quiet = now.Add(budgets[s.Rung].settle)
	if t := l.tracks[s.Symptom]; t != nil {
		t.tried = slices.Index(classOf(s.Symptom).rungs, s.Rung)
		t.next, t.climbing = t.tried+1, true
	}
	// What else was seen, was seen of the modem as it was before.
	for _, t := range l.tracks {
		t.seen = 0
	}
	l.count(s.Rung, s.Reason, err, now)
	l.show(now)
}

// Count tells of a rung that was taken without being due: one that belongs to
// what somebody else does.
func (l *Ladder) Count(r Rung, reason string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.count(r, reason, nil, now)
	l.show(now)
}

func (l *Ladder) count(r Rung, reason string, err error, now time.Time) {
	u := l.counts[r]
	if u == nil {
		u = &status.RungUse{Rung: string(r)}
		l.counts[r] = u
	}
	u.Count++
	u.Last, u.Reason, u.Error = now, reason, ""
	if err != nil {
		u.Error = err.Error()
	}
}

// HeldOff tells that what is due has to wait, and for what.
func (l *Ladder) HeldOff(s Step, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held != why {
		l.held = why
		l.c.Log.Info("recovery waits", "rung", s.Rung, "symptom", s.Symptom, "for", why)
	}
	l.show(time.Now())
}

// show puts the ladder into the status. l.mu is held.
func (l *Ladder) show(now time.Time) {
	r := &status.Recovery{}
	for i := range classes {
		c := &classes[i]
		t := l.tracks[c.symptom]
		if t == nil || !t.well.IsZero() {
			continue
		}
		r.State, r.Symptom, r.Reason = status.Watching, string(c.symptom), t.reason
		switch {
		case !t.rest.IsZero():
			r.State, r.Advice = status.GivenUp, c.advice
			if next := t.rest; next.After(now) {
				r.Next = &next
			}
		case l.held != "":
			r.State, r.Advice = status.HeldOff, l.held
		case t.climbing:
			r.State = status.Climbing
		}
		break
	}
	for _, rung := range Rungs {
		if u := l.counts[rung]; u != nil {
			r.Rungs = append(r.Rungs, *u)
		}
	}
	if r.State == "" && len(r.Rungs) == 0 {
		r = nil
	}
	l.c.Status.Update(func(s *status.Snapshot) { s.Recovery = r })
}
