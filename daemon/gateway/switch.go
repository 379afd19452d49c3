package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/daemon/activation"
	"dynamod/euicc"
	"dynamod/euicc/es10"
	"dynamod/euicc/lpa"
)

// switchTo enables a profile and waits until the modem shows it. It repeats
// nothing that the card may have done: it reads the card instead. The card token
// is held; c is the open card, nil for none, and is closed.
func (g *Gateway) switchTo(ctx context.Context, c *lpa.Card, iccid euicc.ICCID) error {
	change := func(c *lpa.Card, refresh bool) error { return c.Enable(ctx, iccid, refresh) }
	done := func(p euicc.Profile) bool { return p.ICCID == iccid && p.State == euicc.Enabled }
	return g.switchProfile(ctx, c, change, done, modem.ResetGoal{ICCID: iccid.String()})
}

// switchOff disables a profile and waits until the modem has lost it; see
// switchTo.
func (g *Gateway) switchOff(ctx context.Context, c *lpa.Card, iccid euicc.ICCID) error {
	change := func(c *lpa.Card, refresh bool) error { return c.Disable(ctx, iccid, refresh) }
	done := func(p euicc.Profile) bool { return p.ICCID == iccid && p.State == euicc.Disabled }
	return g.switchProfile(ctx, c, change, done, modem.ResetGoal{Not: iccid.String()})
}

func (g *Gateway) switchProfile(ctx context.Context, c *lpa.Card, change func(c *lpa.Card, refresh bool) error, done func(euicc.Profile) bool, goal modem.ResetGoal) error {
	isDone := func(c *lpa.Card) (bool, error) {
		profiles, err := c.Profiles(ctx)
		return slices.ContainsFunc(profiles, done), err
	}
	d, err := g.waitDevice(ctx, deviceWait)
	already := false
	if c != nil {
		if err == nil {
			already, err = isDone(c)
		}
		if err != nil { // the modem may have restarted since
			g.closeCard(c)
			c = nil
			d, err = g.waitDevice(ctx, deviceWait)
		}
	}
	if err != nil {
		return err
	}
	if c == nil {
		if c, err = g.openCard(ctx, nil); err != nil {
			return err
		}
		already, err = isDone(c)
	}
	if imsi, err := d.modem.IMSI(ctx); err == nil {
		goal.OldIMSI = imsi
	}
	var rung modem.Rung
	if err == nil && !already {
		if lerr := g.bearer.LeaveProfile(ctx); lerr != nil {
			g.log.Warn("the modem keeps this profile's attach context", "error", lerr)
		}
		var quiet bool
		if quiet, err = g.pastToolkit(ctx, d.modem.Dialect().Refresh.Flag, func(refresh bool) error { return change(c, refresh) }); quiet {
			// No REFRESH comes that would be worth a wait.
			if i := slices.IndexFunc(d.modem.Dialect().SIMReset, func(r dialect.ResetStep) bool { return len(r.Steps) > 0 }); i > 0 {
				rung.Index = i
			}
		}
	}
	g.closeCard(c)
	if e, ok := errors.AsType[*euicc.Error](err); ok && e.Unknown {
		g.log.Warn("the answer to a profile switch was lost; the card is asked", "error", err)
		d.card.Invalidate()
		if c, oerr := g.openCard(ctx, nil); oerr == nil {
			if ok, perr := isDone(c); perr == nil && ok {
				err = nil
			}
			g.closeCard(c)
		}
	}
	if err != nil {
		return err
	}
	if already {
		goal.OldIMSI = "" // who is registered now may be the goal already
	}
	if err := g.resetSIM(ctx, d, goal, rung); err != nil {
		return err
	}
	if c, err = g.openCard(ctx, nil); err != nil {
		return err
	}
	defer g.closeCard(c)
	if ok, err := isDone(c); err != nil {
		return err
	} else if !ok {
		return &activation.Fault{Code: "switch-lost", Text: "the card fell back to another profile", Advice: "see `dynamod profiles`", Retry: euicc.RetryLater}
	}
	if _, err := g.collect(ctx, c); err != nil {
		g.log.Warn("cannot copy notifications off the card yet", "error", err)
	}
	return g.showChange(ctx, c)
}

// toolkitPauses are how long the card's toolkit is waited for. Its sessions are
// over when the modem has answered them, most of them at once.
var toolkitPauses = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second}

// pastToolkit makes a change that the card puts off (catBusy) as long as its
// toolkit waits for the modem: it has done nothing then. A toolkit that never
// ends is got round without REFRESH, which is all that it stands in the way of;
// the modem is made to read the card again afterwards in any case (SGP.22
// 5.7.16). quiet says that it was.
func (g *Gateway) pastToolkit(ctx context.Context, refresh bool, change func(refresh bool) error) (quiet bool, err error) {
	err = change(refresh)
	for _, pause := range toolkitPauses {
		if !errors.Is(err, es10.ErrCATBusy) {
			return false, err
		}
		g.status.Log("the card's toolkit is busy, it is waited for")
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false, err
		}
		err = change(refresh)
	}
	if refresh && errors.Is(err, es10.ErrCATBusy) {
		g.log.Warn("the card's toolkit stays busy; the profile is switched without REFRESH")
		return true, change(false)
	}
	return false, err
}

// resetSIM makes the modem read the card again, also when it restarts for it.
// It climbs the family's ladder from the given rung.
func (g *Gateway) resetSIM(ctx context.Context, d *device, goal modem.ResetGoal, rung modem.Rung) error {
	for {
		var err error
		rung, err = d.modem.ResetSIM(ctx, goal, rung, func(name string) { g.status.Log("SIM reset: " + name) })
		d.card.Invalidate()
		if err == nil {
			g.enterPIN(ctx, d.modem)
			if err := d.modem.EnableEvents(ctx); err != nil {
				g.log.Warn("cannot turn the modem's events on", "error", err)
			}
			g.checkCarrier(ctx, d)
			return nil
		}
		if !errors.Is(err, modem.ErrReopen) {
			return err
		}
		if err := awaitGone(ctx, d); err != nil {
			return err
		}
		old := d
		for d == old {
			if d, err = g.waitDevice(ctx, time.Until(deadlineOf(ctx))); err != nil {
				return err
			}
			if d == old {
				select {
				case <-d.session.Done():
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(time.Second):
					old = nil
				}
			}
		}
	}
}

// recoverWait is how long a modem has that restarts while the outcome of a change
// is open: a crashed one is back within a minute.
const recoverWait = time.Minute

// recoverSIM makes the modem power its card off and on. The first rung, waiting for
// a REFRESH, is left out: nobody asked the card for one. The card token is held.
func (g *Gateway) recoverSIM(ctx context.Context, enabled string) error {
	d, err := g.waitDevice(ctx, recoverWait)
	if err != nil {
		return err
	}
	return g.resetSIM(ctx, d, modem.ResetGoal{ICCID: enabled}, modem.Rung{Index: 1})
}

// checkCarrier says when the modem keeps a carrier configuration that was chosen
// by hand for one operator: the new profile's may not take the modem with it.
func (g *Gateway) checkCarrier(ctx context.Context, d *device) {
	c, err := d.modem.CarrierConfig(ctx)
	stale := ""
	if err == nil && c.Stale() {
		stale = c.Name
	}
	g.mu.Lock()
	g.staleCarrier = stale
	g.mu.Unlock()
	if stale == "" {
		return // no way to ask, or no answer: nothing is known
	}
	g.log.Warn("the modem's carrier configuration was chosen by hand and does not follow the profile", "configuration", c.Name)
	g.status.Log(fmt.Sprintf("the modem keeps carrier configuration %q, chosen by hand; if the network denies the new profile, let the SIM choose it", c.Name))
}

func (g *Gateway) getStaleCarrier() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.staleCarrier
}

func deadlineOf(ctx context.Context) time.Time {
	if t, ok := ctx.Deadline(); ok {
		return t
	}
	return time.Now().Add(3 * time.Minute)
}
