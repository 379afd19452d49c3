package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc"
	"dynamod/euicc/lpa"
)

var _ hook.Daemon = (*Gateway)(nil)

// Submit accepts an activation.
func (g *Gateway) Submit(r activation.Request) (activation.Record, error) {
	r.KeepTrying = r.KeepTrying || g.config().Activation.KeepTrying
	rec, err := g.runs.Submit(r)
	if err == nil {
		g.wantRuns()
	}
	if f, ok := errors.AsType[*activation.Fault](err); ok && f.Code == "state-unwritable" {
		g.journal.Doubt() // the request is written first
		g.warn()
	}
	return rec, err
}

// keepRuns carries activations out, until ctx ends.
func (g *Gateway) keepRuns(ctx context.Context) error {
	select {
	case <-g.wanted:
		return g.runs.Run(ctx)
	case <-ctx.Done():
		return nil
	}
}

// wantRuns has activations carried out from now on; see Options.LeaveRun.
func (g *Gateway) wantRuns() { g.want.Do(func() { close(g.wanted) }) }

func (g *Gateway) busy() bool {
	for _, r := range g.runs.Runs() {
		if !r.State.Ended() {
			return true
		}
	}
	return false
}

// running reports whether an activation is under way and not waiting: then the
// card, and the servers that it talks to, are its own.
func (g *Gateway) running() bool { return g.busy() && !g.waiting() }

// waiting reports whether the activation that is under way waits for an answer,
// which it may do for a day, for a link on its way back, or for a card that is silent.
// While it holds a session for it, the card's token keeps others off.
func (g *Gateway) waiting() bool {
	r := g.status.Snapshot().Run
	return r != nil && (r.State == string(activation.Waiting) || r.Waiting == activation.WaitLink || r.Waiting == activation.WaitCard)
}

// Runs lists the activations.
func (g *Gateway) Runs() []activation.Record { return g.runs.Runs() }

// Get returns an activation.
func (g *Gateway) Get(id string) (activation.Record, error) { return g.runs.Get(id) }

// Answer answers a waiting activation.
func (g *Gateway) Answer(id string, a activation.Answer) error {
	g.wantRuns()
	return g.runs.Answer(id, a)
}

// Cancel cancels an activation.
func (g *Gateway) Cancel(id string) error {
	g.wantRuns()
	return g.runs.Cancel(id)
}

// Profiles lists the profiles on the card.
func (g *Gateway) Profiles(ctx context.Context) ([]status.Profile, error) {
	defer g.cardWasRead()
	err := g.withCard(ctx, func(c *lpa.Card) error { return g.showCard(ctx, c) })
	if err != nil {
		return nil, err
	}
	return g.status.Snapshot().Card.Profiles, nil
}

// EnableProfile switches to a profile and waits for the end.
func (g *Gateway) EnableProfile(ctx context.Context, iccid string, o hook.EnableOptions) error {
	rec, err := g.beginSwitch(ctx, iccid, o)
	if err != nil || rec.ID == "" {
		return err
	}
	return g.await(ctx, rec.ID)
}

// beginSwitch begins to switch to a profile: a switch is a run of its own, with the
// way back written first. Where the profile's policy rules allow none (PPR1), the
// options have to say that this is wanted. There is no run, and no error, for a
// profile that is enabled already.
func (g *Gateway) beginSwitch(ctx context.Context, iccid string, o hook.EnableOptions) (rec activation.Record, err error) {
	profiles, err := g.Profiles(ctx)
	if err != nil {
		return rec, err
	}
	var previous, wanted *status.Profile
	for _, p := range profiles {
		if p.ICCID == iccid {
			wanted = &p
		}
		if p.State == euicc.Enabled.String() {
			previous = &p
		}
	}
	switch {
	case wanted == nil:
		return rec, noProfile(iccid)
	case previous == nil:
		previous = &status.Profile{}
	case previous.ICCID == iccid:
		return rec, nil
	case stays(*previous):
		id, err := euicc.ParseICCID(previous.ICCID)
		if err != nil {
			return rec, err
		}
		return rec, activation.Bound(id)
	case stays(*wanted) && !o.NoWayBack:
		return rec, activation.NoWayBack()
	}
	if rec, err = g.runs.Switch(activation.Switching{ICCID: iccid, PolicyRules: wanted.PolicyRules, Previous: previous.ICCID, AcceptLimited: o.AcceptLimited}); err == nil {
		g.wantRuns()
	}
	return rec, err
}

// stays reports whether the profile must never be disabled.
func stays(p status.Profile) bool { return strings.Contains(p.PolicyRules, euicc.PPR1.String()) }

// await waits for a run's end and returns its error.
func (g *Gateway) await(ctx context.Context, id string) error {
	sub := g.status.Subscribe(0)
	defer sub.Close()
	for {
		rec, err := g.runs.Get(id)
		if err != nil {
			return err
		}
		if rec.State.Ended() && rec.Ended != nil {
			if rec.Outcome == status.Committed {
				return nil
			}
			return activation.NewEndError(rec)
		}
		if rec.Waiting == activation.WaitLink {
			return &activation.Fault{
				Code: "no-link-yet", Text: "no profile on the card gives a link now; the switch goes on trying, on its way back",
				Advice: "`dynamod diag` finds out why; `dynamod activate --cancel` ends it", Retry: euicc.RetryLater,
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-sub.Events():
		case <-time.After(time.Second): // events may be lost by a slow reader
		}
	}
}

func noProfile(iccid string) error {
	return &activation.Fault{Code: "no-such-profile", Text: fmt.Sprintf("no profile %s is on the card", iccid), Advice: "`dynamod profiles` lists them"}
}

// DisableProfile disables a profile. The one that carries the link is only
// disabled by force: the router might not be reached again.
func (g *Gateway) DisableProfile(ctx context.Context, iccid string, force bool) error {
	p, err := g.profile(ctx, iccid)
	if err != nil {
		return err
	}
	if p.State != euicc.Enabled.String() {
		return nil
	}
	if !force {
		return &activation.Fault{Code: "last-profile", Text: "this is the enabled profile: without it the modem has no link", Advice: "enable another one instead, or force it", Retry: euicc.RetryNever}
	}
	id, err := euicc.ParseICCID(iccid)
	if err != nil {
		return err
	}
	return g.alone(ctx, func(ctx context.Context) error {
		defer g.bearer.Hold()()
		g.bearer.Down(ctx)
		return g.switchOff(ctx, nil, id)
	})
}

func (g *Gateway) profile(ctx context.Context, iccid string) (status.Profile, error) {
	profiles, err := g.Profiles(ctx)
	if err != nil {
		return status.Profile{}, err
	}
	for _, p := range profiles {
		if p.ICCID == iccid {
			return p, nil
		}
	}
	return status.Profile{}, noProfile(iccid)
}

// DeleteProfile deletes a disabled profile.
func (g *Gateway) DeleteProfile(ctx context.Context, iccid string, force bool) error {
	p, err := g.profile(ctx, iccid)
	if err != nil {
		return err
	}
	if !force && g.onlyWorking(p) {
		return &activation.Fault{
			Code: "last-profile", Text: "this is the only profile on the card that is known to give a link", Retry: euicc.RetryNever,
			Advice: "bring the link up with another one first, or force it",
		}
	}
	if p.State == euicc.Enabled.String() {
		if !force {
			return &activation.Fault{Code: "profile-enabled", Text: "the profile is enabled", Advice: "enable another one first, or force it", Retry: euicc.RetryNever}
		}
		if err := g.DisableProfile(ctx, iccid, true); err != nil {
			return err
		}
	}
	id, err := euicc.ParseICCID(iccid)
	if err != nil {
		return err
	}
	return g.alone(ctx, func(ctx context.Context) error {
		c, err := g.openCard(ctx, nil)
		if err != nil {
			return err
		}
		defer g.closeCard(c)
		// What the card has to report about the profile goes with it.
		if err := g.copyAll(ctx, c); err != nil {
			return err
		}
		if err := c.Delete(ctx, id); err != nil {
			e, ok := errors.AsType[*euicc.Error](err)
			if !ok || !e.Unknown {
				return err
			}
			g.uncollected.Store(true) // it may have happened
			return g.settleDelete(ctx, id, err)
		}
		return g.deleted(ctx, c, id)
	})
}

// onlyWorking reports whether p, which is disabled, is the only profile that has ever
// given a link, while the enabled one gives none now, or one to a portal alone.
func (g *Gateway) onlyWorking(p status.Profile) bool {
	snap := g.status.Snapshot()
	if _, worked := g.learned.Worked(p.ICCID); !worked || snap.State == status.Up || p.State == euicc.Enabled.String() {
		return false
	}
	return !slices.ContainsFunc(snap.Card.Profiles, func(other status.Profile) bool {
		_, worked := g.learned.Worked(other.ICCID)
		return worked && other.ICCID != p.ICCID && other.State != euicc.Enabled.String()
	})
}

// settleDelete asks the card whether a profile is gone when the answer to its
// deletion was lost, if need be after the card was powered off and on. The card
// token is held.
func (g *Gateway) settleDelete(ctx context.Context, id euicc.ICCID, lost error) error {
	g.log.Warn("the answer to a profile's deletion was lost; the card is asked", "error", lost)
	ask, done := context.WithTimeout(ctx, recoverWait) // it may have been silent for minutes already
	c, there, err := g.openAnew(ask, id)
	done()
	if err != nil {
		g.log.Warn("the card does not tell what became of the deletion; it is reset", "error", err)
		g.status.Log("the card does not answer; it is reset")
		defer g.bearer.Hold()()
		if rerr := g.recoverSIM(ctx, ""); rerr != nil {
			return errors.Join(lost, rerr)
		}
		if c, there, err = g.openAnew(ctx, id); err != nil {
			return lost
		}
	}
	defer g.closeCard(c)
	if there {
		return lost
	}
	return g.deleted(ctx, c, id)
}

// openAnew opens the card with nothing kept of it and tells whether a profile is there.
func (g *Gateway) openAnew(ctx context.Context, id euicc.ICCID) (c *lpa.Card, there bool, err error) {
	d, err := g.waitDevice(ctx, deviceWait)
	if err != nil {
		return nil, false, err
	}
	d.card.Invalidate()
	if c, err = g.openCard(ctx, nil); err != nil {
		return nil, false, err
	}
	profiles, err := c.Profiles(ctx)
	if err != nil {
		g.closeCard(c)
		return nil, false, err
	}
	return c, slices.ContainsFunc(profiles, func(p euicc.Profile) bool { return p.ICCID == id }), nil
}

// deleted forgets a profile that the card has not any more.
func (g *Gateway) deleted(ctx context.Context, c *lpa.Card, id euicc.ICCID) error {
	g.forgetProfile(id.String())
	if _, err := g.collect(ctx, c); err != nil {
		g.log.Warn("cannot copy notifications off the card yet", "error", err)
	}
	return g.showCard(ctx, c)
}

// wholeTime bounds a change of the card with the SIM resets that follow it.
const wholeTime = 10 * time.Minute

// alone carries out a person's change of the card, while no run is under way and
// as a whole.
func (g *Gateway) alone(ctx context.Context, change func(context.Context) error) error {
	release, err := g.acquireIdle(ctx)
	if err != nil {
		return err
	}
	defer release()
	return g.whole(ctx, change)
}

// whole carries a change out to its end whether or not somebody still waits for
// it: half a SIM reset is a radio that is off. Only the daemon's end breaks it off.
func (g *Gateway) whole(ctx context.Context, change func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wholeTime)
	defer cancel()
	defer context.AfterFunc(g.life, cancel)()
	return change(ctx)
}

// NicknameProfile names a profile.
func (g *Gateway) NicknameProfile(ctx context.Context, iccid, name string) error {
	id, err := euicc.ParseICCID(iccid)
	if err != nil {
		return err
	}
	return g.withCard(ctx, func(c *lpa.Card) error {
		if err := c.SetNickname(ctx, id, name); err != nil {
			return err
		}
		return g.showCard(ctx, c)
	})
}

// ExplainAPN tells which connections there are for the SIM, and why.
func (g *Gateway) ExplainAPN(ctx context.Context) (hook.APN, error) { return g.bearer.Explain(ctx) }

// Notifications lists what waits on the card and in the outbox.
func (g *Gateway) Notifications(ctx context.Context) ([]hook.Notification, error) {
	there := "" // EID of the card that was read
	err := g.withCard(ctx, func(c *lpa.Card) error {
		_, err := g.collect(ctx, c)
		if err == nil {
			there = c.EID().String()
		}
		return err
	})
	if err != nil && len(g.outbox.Entries()) == 0 {
		return nil, err
	}
	var out []hook.Notification
	for _, e := range g.outbox.Entries() {
		out = append(out, hook.Notification{
			Seq: e.Seq, Operation: e.Operation, ICCID: e.ICCID, Address: e.Address, OnCard: e.EID == there && e.Cancel == "", Stored: true,
			Delivered: e.Delivered, Tries: e.Tries, Next: e.Next, Error: e.LastError,
		})
	}
	return out, nil
}

// Log returns the journal.
func (g *Gateway) Log() ([]hook.LogRecord, error) {
	var out []hook.LogRecord
	for _, r := range g.journal.Records() {
		out = append(out, hook.LogRecord{Seq: r.Seq, Time: r.Time, Kind: r.Kind, Data: json.RawMessage(r.Data)})
	}
	return out, nil
}
