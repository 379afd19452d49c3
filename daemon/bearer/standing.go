package bearer

import (
	"context"
	"errors"
	"slices"
	"time"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/daemon/activation"
	"dynamod/daemon/status"
	"dynamod/euicc"
	"dynamod/netlink/uplink"
)

// String names the task.
func (b *Bearer) String() string { return "bearer" }

// Run looks after the link until ctx ends.
func (b *Bearer) Run(ctx context.Context) error {
	backoff := firstBackoff
	var last time.Time
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		kicked := false
		b.Pulse.Rest()
		select {
		case <-ctx.Done():
			leave, done := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
			defer done()
			b.leave(leave)
			return nil
		case <-b.kick:
			kicked = true
		case <-timer.C:
		}
		if kicked {
			backoff = firstBackoff // something changed: what failed may work now
		}
		next := b.settings().Interval
		if next == 0 {
			next = time.Hour
		}
		if b.idle() {
			b.dropOverdue(ctx)
			b.settled()
			timer.Reset(next)
			continue
		}
		if wait := minLook - time.Since(last); wait > 0 && !last.IsZero() {
			select {
			case <-ctx.Done():
				continue
			case <-time.After(wait):
			}
		}
		last = time.Now()
		b.Pulse.Work("looking after the link", lookTime)
		if err := b.look(ctx); err != nil && ctx.Err() == nil && !b.idle() {
			early, ok := errors.AsType[*tooEarly](err)
			switch wait := b.waiting(); {
			case ok:
				next = min(next, early.wait)
			case wait > 0: // the connections that were tried have a pace of their own
				next = min(next, wait)
			default:
				next = backoff
				backoff = min(3*backoff, lastLook)
			}
			if !ok {
				b.Log.Warn("the link is down", "error", err, "next", next)
			}
			b.showDown(err)
		} else {
			backoff = firstBackoff
		}
		b.settled()
		timer.Reset(next)
	}
}

// Settle waits for the modem, makes the bearer look, and waits for the end of
// that look or of the one that is under way: then the link is up, or was tried.
// It ends with ctx.
func (b *Bearer) Settle(ctx context.Context) {
	if b.awaitRadio(ctx) != nil {
		return
	}
	b.mu.Lock()
	looked := b.looked
	b.mu.Unlock()
	b.Kick()
	select {
	case <-looked:
	case <-ctx.Done():
	}
}

// settled wakes who waits for the end of a look.
func (b *Bearer) settled() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.looked)
	b.looked = make(chan struct{})
}

// waiting is the time until a connection that failed is tried again.
func (b *Bearer) waiting() time.Duration {
	b.op.Lock()
	defer b.op.Unlock()
	return b.pace.wait()
}

func (b *Bearer) showDown(err error) {
	if early, ok := errors.AsType[*tooEarly](err); ok {
		err = early.fault
	}
	p := activation.Problem("", err)
	b.Status.Update(func(s *status.Snapshot) {
		s.State, s.Reason, s.Advice, s.Link, s.Reach = status.Down, p.Text, p.Advice, nil, nil
	})
}

const (
	// lookTime is more than any look takes, with every connection tried and every
	// card reset waited for.
	lookTime = 2 * time.Hour
	// leaveTime is for ending the data call of a modem that may hang: an init
	// system does not wait for ever.
	leaveTime = 3 * time.Second
)

// minLook is the least time between two looks: a modem that announces every
// cell that it hears must not keep the daemon busy.
const minLook = 2 * time.Second

// Watch kicks the bearer when something else changes what the kernel holds of
// the link, until ctx ends.
func (b *Bearer) Watch(ctx context.Context) error {
	err := b.Kernel.Watch(ctx, func() {
		spec, ok := b.Active()
		if !ok || !b.Apply || b.idle() {
			return
		}
		st, err := uplink.Read(ctx, b.Kernel, spec)
		if err == nil && (!st.Usable() || len(uplink.Diff(spec, st)) > 0) {
			b.Kick()
		}
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// idle reports whether the modem is somebody else's now, or not there.
func (b *Bearer) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held > 0 || b.radio == nil
}

// look checks the link and mends what is broken.
func (b *Bearer) look(ctx context.Context) error {
	b.op.Lock()
	defer b.op.Unlock()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	b.mu.Lock()
	idle := b.held > 0 || b.radio == nil
	b.stop = stop
	b.mu.Unlock()
	if idle {
		return nil // an activation has begun while we waited for the lock
	}
	r, err := b.getRadio()
	if err != nil {
		return err
	}
	// A switched-off radio shows no SIM on many modems: who was interrupted in a
	// reset may have left it so.
	if f, err := r.Functionality(ctx); err == nil && f != modem.Full {
		if err := r.SetFunctionality(ctx, modem.Full); err != nil {
			return err
		}
	}
	sim, err := b.readSIM(ctx, r)
	if err != nil {
		return b.noteCard(err)
	}
	if (sim.State == modem.SIMAbsent || sim.State == modem.SIMFailure) && b.AwaitCard != nil {
		b.AwaitCard(ctx, "") // it may be an eUICC without an enabled profile
	}
	sim.State = b.SIMState(sim.State)
	lost := b.noteSIM(sim.State)
	if sim.State == modem.SIMBusy { // it passes, and nobody says when
		if a := b.current(); a != nil {
			// The card is not needed for a link that stands.
			if ok, err := b.healthy(ctx, r, a); ok || err != nil {
				return err
			}
		}
		return noSIM(sim.State)
	}
	if sim.State != modem.SIMReady {
		if a := b.current(); a != nil {
			b.down(ctx, a, r)
		}
		reason, advice := why(sim, sim.State)
		b.Status.Update(func(s *status.Snapshot) {
			s.State, s.Link, s.Reach, s.Registration, s.Cells = status.Down, nil, nil, nil, nil
			s.SIM = &status.SIM{State: string(sim.State), PINTries: sim.tries}
			s.Reason, s.Advice = reason, advice
		})
		return lost // any other is a state, not a fault: nothing is tried in vain
	}
	if sig, err := r.Signal(ctx); err == nil {
		b.Status.Update(func(s *status.Snapshot) {
			s.Signal = &status.Signal{RSSI: sig.RSSI, RSRP: sig.RSRP, RSRQ: sig.RSRQ, SINR: sig.SINR}
		})
	}
	iccid, err := r.ICCID(ctx)
	if err != nil {
		return b.noteCard(err)
	}
	b.sawSIM(iccid)
	if a := b.current(); a != nil && a.iccid != iccid {
		b.down(ctx, a, r) // another SIM: nothing of the old one's is of use
	} else if a != nil {
		ok, err := b.healthy(ctx, r, a)
		if err != nil {
			return err
		}
		if ok && b.stillRight(ctx, r, a) {
			return nil
		}
	}
	p, err := b.plan(iccid, nil)
	if err != nil {
		return err
	}
	// A call that is active already, from before a restart, is taken over as
	// it is: Up changes nothing that is right.
	_, err = b.up(ctx, p, func(activation.State) {}, true)
	if err != nil && ctx.Err() == nil {
		b.clear(ctx, r)
	}
	return err
}

// clear takes away what a link that is not there any more left in the kernel,
// also a link of an earlier process: a route that leads nowhere would keep
// packets from other uplinks.
func (b *Bearer) clear(ctx context.Context, r Radio) {
	if a := b.current(); a != nil {
		b.down(ctx, a, r)
		return
	}
	ifname, err := b.Interface()
	if err != nil || !b.Apply {
		return
	}
	spec := b.Spec
	spec.Interface = ifname
	if _, err := uplink.Down(ctx, b.Kernel, spec); err != nil {
		b.Log.Warn("cannot take an earlier process's uplink down", "error", err)
	}
}

// SIMState tells an eUICC without an enabled profile, which most modems take for
// no card or a broken one, from a slot that is empty.
func (b *Bearer) SIMState(s modem.SIMState) modem.SIMState {
	card := b.Status.Snapshot().Card
	if (s == modem.SIMAbsent || s == modem.SIMFailure) && card != nil && card.EID != "" &&
		!slices.ContainsFunc(card.Profiles, func(p status.Profile) bool { return p.State == euicc.Enabled.String() }) {
		return modem.SIMNoProfile
	}
	return s
}

// down takes a link apart.
func (b *Bearer) down(ctx context.Context, a *active, r Radio) {
	b.mu.Lock()
	old := b.active
	if old == a || old != nil && old.iccid == a.iccid {
		b.active = nil
	} else {
		old = a
	}
	b.mu.Unlock()
	old.lease.end()
	a.lease.end()
	ctx, done := context.WithTimeout(ctx, 30*time.Second)
	defer done()
	if b.Apply && a.spec.Interface != "" {
		if _, err := uplink.Down(ctx, b.Kernel, a.spec); err != nil {
			b.Log.Warn("cannot take the uplink down", "error", err)
		}
	}
	if r != nil {
		if err := r.Down(ctx, a.call); err != nil {
			b.Log.Debug("cannot end the data call", "error", err)
		}
	}
	b.Status.Update(func(s *status.Snapshot) { s.State, s.Link, s.Reach = status.Down, nil, nil })
}

// Down takes the link down on request: before the profile below it changes.
func (b *Bearer) Down(ctx context.Context) {
	b.op.Lock()
	defer b.op.Unlock()
	if a := b.current(); a != nil {
		r, err := b.getRadio()
		if err != nil {
			r = nil
		}
		b.down(ctx, a, r)
	}
}

// leave is the bearer's end: by default an upgrade or a restart never drops
// the link of a router that has no other.
func (b *Bearer) leave(ctx context.Context) {
	a := b.current()
	if b.settings().KeepUp && (a == nil || a.call.Function != dialect.PPP) {
		if a != nil {
			a.lease.end() // the next process asks again
		}
		return
	}
	b.op.Lock()
	defer b.op.Unlock()
	r, err := b.getRadio()
	if err != nil {
		r = nil
	}
	b.clear(ctx, r)
}

func (b *Bearer) current() *active {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.active
}

// Active returns the Spec of the link that is up.
func (b *Bearer) Active() (uplink.Spec, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.active == nil {
		return uplink.Spec{}, false
	}
	return b.active.spec, true
}

// Standing numbers the link that carries traffic for all that is known, 0 for none:
// one that was lost and is back has another number.
func (b *Bearer) Standing() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	// Without a modem, the sight of a link that was lost would be that of now.
	if a := b.active; a != nil && b.radio != nil && a.seen == (sight{b.radio, b.taken.Load()}) {
		return a.number
	}
	return 0
}

func (b *Bearer) show(a *active, reach Reach) {
	if reach.State == status.Up {
		if err := b.Learned.SetWorked(a.iccid); err != nil {
			b.Log.Warn("cannot remember when the profile worked", "error", err)
		}
	}
	b.Status.Update(func(s *status.Snapshot) {
		s.State, s.Reason, s.Advice = reach.State, "", ""
		if reach.State == status.Limited {
			s.Reason, s.Advice = reach.Text(), reach.Advice()
		}
		l := linkOf(a.spec)
		l.APN, l.APNReason, l.Source, l.Since = a.candidate.Connection.APN, a.candidate.Reason, a.source, a.since
		s.Link = l
		s.Reach = &status.Reach{Result: "ok", Target: reach.Target, Reason: reach.Reason, RTTMS: float64(reach.RTT.Microseconds()) / 1000, Cause: reach.Cause, Targets: reach.Targets, At: b.Now()}
		if reach.State == status.Limited {
			s.Reach.Result = "limited"
		}
	})
}
