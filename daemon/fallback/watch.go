package fallback

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"dynamod/atcmd/modem"
	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/learned"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// Config is what a Watch is made of. All fields but Log are needed.
type Config struct {
	Policy  func() config.Fallback // as it is now
	Learned *learned.Store
	Status  *status.Model
	Runs    func() []activation.Record // oldest first
	// Worked tells when a profile last had a link; see activation.Link.
	Worked func(iccid string) (apn string, last time.Time, ok bool)
	// Profiles reads the card.
	Profiles func(ctx context.Context) ([]status.Profile, error)
	// Switch begins a run; see Orchestrator.FallBack.
	Switch func(iccid, previous string, f activation.Fallback) (activation.Record, error)
	// Changed journals that the ICCID is another one, and nobody here has done it.
	Changed func(status.SIMChange)
	Now     func() time.Time // for what people read; durations use package time
	Log     *slog.Logger
}

const (
	// tick is how often the times are summed up at least.
	tick = 30 * time.Second
	// steady, or Hold if that is shorter, is how long a link has to be up until its
	// profile is alive again: one
	// that carries data for 20 s at a time is as good as dead.
	steady = 5 * time.Minute
	// again is the pause after a switch that could not be begun.
	again = 30 * time.Minute
	// readTime bounds the look at the card before a switch.
	readTime = time.Minute
	// Flash wears: of what a profile is without traffic each tenth of the time that
	// counts is written, of what it is merely kept each saveOn.
	deadParts, saveOn = 10, 15 * time.Minute
	// ever is how long a profile has been enabled that was so when nothing was
	// known yet.
	ever = 365 * 24 * time.Hour
)

// Watch watches the enabled profile. Its methods may be called from any goroutine.
type Watch struct {
	c    Config
	kick chan struct{}

	mu        sync.Mutex
	s         learned.Standing // ICCID and Run
	on        time.Duration
	dead      time.Duration
	saved     learned.Standing
	at        time.Time // what is summed up goes up to here
	is        condition // since then
	bootstrap bool      // the enabled profile is for provisioning
	up        time.Time // since when the link is up, zero while it is not
	later     time.Time // no switch is begun before
	why       string    // and the reason
	stale     bool      // the profiles of the status are those of before
}

// condition says which of the times run.
type condition struct {
	on   bool // no run is under way
	dead bool // nor does traffic cross, though modem and SIM are there
}

// New returns a Watch that goes on from what was learned.
func New(c Config) *Watch {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	w := &Watch{c: c, kick: make(chan struct{}, 1), at: time.Now()}
	w.s = c.Learned.Standing()
	w.saved = w.s
	w.on, w.dead = time.Duration(w.s.OnMS)*time.Millisecond, time.Duration(w.s.DeadMS)*time.Millisecond
	return w
}

// Saw tells that the modem shows the profile with this ICCID. Whoever reads the SIM
// says so; what a run has switched to is no news.
func (w *Watch) Saw(iccid string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	runs := w.c.Runs()
	ended := since(runs, w.s.Run)
	w.account(ended)
	from := w.s.ICCID
	known := from == "" || from == iccid
	for _, r := range ended {
		known = known || r.Knows(iccid)
		w.s.Run = r.ID
	}
	if r := underWay(runs); r != nil {
		known = known || r.Knows(iccid)
	}
	if from != iccid {
		w.s.ICCID, w.on, w.dead = iccid, 0, 0
		if from == "" {
			w.on = ever
		}
	}
	w.save()
	if !known {
		c := status.SIMChange{From: from, To: iccid, At: w.c.Now().UTC().Round(time.Millisecond)}
		w.c.Log.Warn("the ICCID has changed without an activation: an applet of the card, another program or another SIM", "from", short(from), "to", short(iccid))
		w.c.Status.Log(fmt.Sprintf("sim-changed: the SIM has ICCID %s in place of %s, without an activation; the link is brought up with it", iccid, from))
		w.c.Status.Update(func(s *status.Snapshot) { s.SIMChange = &c })
		w.c.Changed(c)
		w.stale = true
	}
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// account takes over what runs have left: the times begin anew, of the same profile
// too. A run that failed may have left anything, which the SIM will tell. w.mu is
// held.
func (w *Watch) account(ended []activation.Record) {
	for _, r := range ended {
		if end := r.EndsAt(); end != "" {
			w.s.ICCID, w.s.Run, w.on, w.dead, w.why = end, r.ID, 0, 0, ""
		}
	}
}

func short(iccid string) string {
	id, err := euicc.ParseICCID(iccid)
	if err != nil {
		return "?"
	}
	return id.Short()
}

// String names the task.
func (w *Watch) String() string { return "fallback" }

// Run watches until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	sub := w.c.Status.Subscribe(0)
	defer sub.Close()
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.kick:
		case <-sub.Events():
		case <-t.C:
		}
		w.reread(ctx)
		wait := w.look()
		if wait <= 0 {
			w.try(ctx)
			wait = tick
		}
		t.Reset(min(wait, tick))
	}
}

// reread reads the profiles after the card has changed them by itself.
func (w *Watch) reread(ctx context.Context) {
	w.mu.Lock()
	stale := w.stale
	w.stale = false
	w.mu.Unlock()
	if !stale {
		return
	}
	ctx, done := context.WithTimeout(ctx, readTime)
	defer done()
	if _, err := w.c.Profiles(ctx); err != nil {
		w.c.Log.Info("the card's profiles cannot be read after its change", "error", err)
	}
}

// look sums the times up and returns how long nothing is due, 0 if a switch is.
func (w *Watch) look() time.Duration {
	snap, runs := w.c.Status.Snapshot(), w.c.Runs()
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	past := now.Sub(w.at)
	w.at = now
	if w.is.on {
		w.on = min(w.on+past, ever)
	}
	if w.is.dead {
		w.dead += past
	}
	w.account(since(runs, w.s.Run))
	w.is.on = underWay(runs) == nil
	w.is.dead = w.is.on && snap.State != status.Up && snap.Modem != nil && snap.Modem.Present && canServe(snap.SIM)
	switch {
	case snap.State != status.Up:
		w.up = time.Time{}
	case w.up.IsZero():
		w.up = now
	}
	if !w.up.IsZero() && now.Sub(w.up) >= min(steady, w.c.Policy().Hold) {
		w.dead, w.why = 0, ""
	}
	w.save()
	w.bootstrap = snap.Card != nil && isBootstrap(w.c.Policy(), snap.Card.Profiles, w.s.ICCID)
	wait, next := w.next(runs, now)
	w.show(runs, next)
	return wait
}

// canServe reports whether it may be for the profile that there is no link. A card
// that does not answer is the recovery's, and no enabled profile is a state.
func canServe(s *status.SIM) bool {
	if s == nil {
		return true
	}
	switch modem.SIMState(s.State) {
	case modem.SIMReady, modem.SIMNeedsPIN, modem.SIMNeedsPUK, modem.SIMLocked:
		return true
	}
	return false
}

// next returns how long no switch is due, 0 if one is, and when it will be if the
// link stays as it is; zero for never. w.mu is held.
func (w *Watch) next(runs []activation.Record, now time.Time) (wait time.Duration, next time.Time) {
	p := w.c.Policy()
	if len(p.Order) == 0 || w.s.ICCID == "" || !w.is.on {
		return tick, next
	}
	switch home, failed := preferred(runs, w.s.ICCID); {
	case w.is.dead:
		wait = max(p.After-w.dead, p.Hold-w.on)
	case home != "" && (p.Return > 0 || w.bootstrap) && !w.up.IsZero():
		wait = returnTime(p, w.bootstrap, failed) - w.on
		wait = max(wait, min(steady, p.Hold)-now.Sub(w.up)) // a link to come back to
	default:
		return tick, next
	}
	wait = max(wait, w.later.Sub(now), 0)
	return wait, now.Add(wait)
}

// try begins the switch that is due.
func (w *Watch) try(ctx context.Context) {
	limited, done := context.WithTimeout(ctx, readTime)
	profiles, err := w.c.Profiles(limited)
	done()
	if ctx.Err() != nil || w.look() > 0 {
		return // what is so now counts, not what was when the card was asked
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		err = w.begin(profiles)
	}
	if err == nil {
		w.is, w.why = condition{}, ""
		return
	}
	if w.why != err.Error() {
		w.c.Log.Warn("no switch to another profile", "error", err, "next", again)
	}
	w.why, w.later = err.Error(), time.Now().Add(again)
}

// begin chooses the profile and begins the run. w.mu is held.
func (w *Watch) begin(profiles []status.Profile) error {
	from := w.s.ICCID
	home, _ := preferred(w.c.Runs(), from)
	list, err := successors(w.c.Policy(), profiles, from, home, w.c.Worked)
	if err != nil {
		return err
	}
	to, rest := list[0], list[1:]
	f := activation.Fallback{Preferred: cmp.Or(home, from), Reason: activation.NoTraffic, WayBack: append(slices.Clone(rest), from)}
	switch {
	case w.is.dead:
		f.Text = fmt.Sprintf("fallback: no traffic with profile %s for %v", from, w.dead.Round(time.Second))
	case w.bootstrap:
		f.Reason = activation.Return
		f.Text = fmt.Sprintf("return: profile %s is for provisioning alone", from)
	case to != home:
		return fmt.Errorf("the preferred profile %s cannot be enabled any more", short(home))
	default:
		f.Reason, f.WayBack = activation.Return, append([]string{from}, rest...)
		f.Text = fmt.Sprintf("return: profile %s has stood in for %v", from, w.on.Round(time.Minute))
	}
	if _, err := w.c.Switch(to, from, f); err != nil {
		return err
	}
	w.c.Log.Warn("switching profiles", "from", short(from), "to", short(to), "reason", f.Reason, "dead", w.dead.Round(time.Second))
	w.c.Status.Log(f.Text + "; switching to profile " + to)
	return nil
}

// save remembers the times now and then. w.mu is held.
func (w *Watch) save() {
	v := w.s
	v.OnMS, v.DeadMS = w.on.Milliseconds(), w.dead.Milliseconds()
	if same := v.ICCID == w.saved.ICCID && v.Run == w.saved.Run; same {
		p := w.c.Policy()
		if len(p.Order) == 0 {
			return
		}
		// Times beyond any that is waited for are as good as known.
		on := time.Duration(v.OnMS-w.saved.OnMS) * time.Millisecond
		dead := time.Duration(v.DeadMS-w.saved.DeadMS) * time.Millisecond
		counts := time.Duration(w.saved.DeadMS)*time.Millisecond < p.After && dead >= p.After/deadParts
		kept := time.Duration(w.saved.OnMS)*time.Millisecond < max(p.Hold, p.Return, maxReturn) && on >= saveOn
		if !counts && !kept && dead >= 0 {
			return
		}
	}
	w.saved = v
	if err := w.c.Learned.SetStanding(v); err != nil {
		w.c.Log.Warn("cannot remember how the enabled profile does", "error", err)
	}
}

// show puts into the status what is about to happen. w.mu is held.
func (w *Watch) show(runs []activation.Record, next time.Time) {
	var f *status.Fallback
	if len(w.c.Policy().Order) > 0 {
		home, _ := preferred(runs, w.s.ICCID)
		f = &status.Fallback{Preferred: home, Reason: w.why}
		if !next.IsZero() {
			at := w.c.Now().Add(time.Until(next)).UTC().Truncate(time.Minute)
			f.Next = &at
		}
		if *f == (status.Fallback{}) {
			f = nil
		}
	}
	w.c.Status.Update(func(s *status.Snapshot) {
		// The same time as before, as long as it is within a minute: no event
		// tells of what the clock makes of it.
		if f != nil && f.Next != nil && s.Fallback != nil && s.Fallback.Next != nil {
			if d := f.Next.Sub(*s.Fallback.Next); d.Abs() <= time.Minute {
				f.Next = s.Fallback.Next
			}
		}
		s.Fallback = f
	})
}
