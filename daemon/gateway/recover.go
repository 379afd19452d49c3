package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/atcmd/uicc"
	"dynamod/daemon/recovery"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// parts are what the modem itself starts again at a rung.
var parts = map[recovery.Rung]dialect.Part{
	recovery.Card: dialect.CardPart, recovery.Radio: dialect.RadioPart, recovery.Modem: dialect.ModemPart,
}

// newLadder makes the recovery of the modem as the configuration allows it.
func (g *Gateway) newLadder() *recovery.Ladder {
	limit := func() recovery.Rung {
		if r := g.config().Bearer.Recovery; r != "off" {
			return recovery.Rung(r)
		}
		return ""
	}
	return recovery.New(recovery.Config{Limit: limit, Missing: g.missing, Status: g.status, Log: g.log})
}

// missing says why a rung cannot be taken here.
func (g *Gateway) missing(r recovery.Rung) string {
	if part, ok := parts[r]; ok && g.lastDialect().Reset(part) == nil {
		return modem.ErrNoReset.Error()
	}
	if r == recovery.Power && g.board.Switch() == "" && g.opts.PowerCycle == nil {
		return g.noSwitch()
	}
	return ""
}

// lastDialect is that of the modem that is there, or was there last.
func (g *Gateway) lastDialect() *dialect.Dialect {
	if d := g.last.Load(); d != nil {
		return d.modem.Dialect()
	}
	if d := g.dialects.ByName(g.config().Modem.Dialect); d != nil {
		return d
	}
	return dialect.ByName("generic")
}

const (
	// heldOffPoll is how soon a rung that had to wait is thought of again.
	heldOffPoll = 30 * time.Second
	// trafficPoll is the same where the modem fails and its link does not.
	trafficPoll = 5 * time.Minute
	// climbTime bounds one rung.
	climbTime = 5 * time.Minute
	// muteTime is how long a modem that answers nothing may take to be tried again.
	muteTime = 2 * time.Minute
	// muteAnswer is how long it then has to carry a command out.
	muteAnswer = 5 * time.Second
)

// keepRecovery takes the rungs that are due, until ctx ends.
func (g *Gateway) keepRecovery(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-g.ladder.Kicked():
		case <-t.C:
		}
		step, wait, ok := g.ladder.Due(g.status.Snapshot().State != status.Down)
		if ok {
			wait = g.climb(ctx, step)
		}
		t.Stop()
		if wait > 0 {
			t.Reset(wait)
		}
	}
}

// climb takes one rung, unless somebody has the modem: an eSIM operation is never
// disturbed. It returns when to ask the ladder again.
func (g *Gateway) climb(ctx context.Context, step recovery.Step) time.Duration {
	release, why := g.holdModem()
	if why != "" {
		g.ladder.HeldOff(step, why)
		return heldOffPoll
	}
	taken := false
	defer func() { release(taken) }()
	switch spec, up := g.bearer.Active(); {
	case step.Symptom != recovery.Silent && g.getDevice() == nil:
		g.ladder.HeldOff(step, "the modem, which is not there")
		return heldOffPoll
	case step.Symptom == recovery.SIMLost && g.noneEnabled(ctx):
		// What a modem takes for a lost card is an eUICC whose profile somebody
		// has disabled.
		g.ladder.Well(recovery.SIMLost)
		return time.Second
	case up && g.bearer.Probe(ctx, spec).State == status.Up:
		g.ladder.HeldOff(step, "the link, which carries traffic all the same")
		return trafficPoll
	}
	g.log.Warn("the modem fails", "symptom", step.Symptom, "rung", step.Rung, "reason", step.Reason)
	g.status.Log(fmt.Sprintf("recovery: %s, because of %s: %s", step.Rung, step.Symptom, step.Reason))
	limited, done := context.WithTimeout(ctx, climbTime)
	defer done()
	err := g.take(limited, step.Rung)
	if ctx.Err() != nil {
		return 0
	}
	if err != nil {
		g.log.Warn("the rung failed", "rung", step.Rung, "error", err)
	}
	g.ladder.Taken(step, err)
	taken = true
	return time.Second
}

// holdModem takes the modem from everybody else: the card's token keeps eSIM
// operations off, and the bearer is seized. Where a run or another
// user of the card has the modem, it says so and takes nothing.
func (g *Gateway) holdModem() (release func(restarted bool), why string) {
	const operation = "an eSIM operation"
	select {
	case g.cardToken <- struct{}{}:
	default:
		return nil, operation
	}
	if g.busy() && !g.waiting() {
		<-g.cardToken
		return nil, operation
	}
	bearer := g.bearer.Seize()
	return func(restarted bool) {
		bearer(restarted)
		<-g.cardToken
	}, ""
}

// take carries a rung out. The modem is held.
func (g *Gateway) take(ctx context.Context, r recovery.Rung) error {
	d := g.getDevice()
	switch part, ok := parts[r]; {
	case ok && d != nil:
		err := restartPart(ctx, d, part)
		if errors.Is(err, modem.ErrReopen) {
			return nil // as expected; keepModem opens it again
		}
		return err
	case ok:
		return g.restartMute(ctx, part)
	case r == recovery.Port && d != nil:
		return d.session.Close()
	case r == recovery.Port:
		return nil // keepModem opens it again and again
	case r == recovery.Power:
		cut := g.opts.PowerCycle
		switch {
		case g.board.Switch() != "": // it reaches modems that are not on USB, too
			cut = g.cycleBoard
		case cut == nil:
			cut = g.cutUSB
		}
		if err := cut(ctx); err != nil {
			return err
		}
		if d != nil { // a port that is not on USB does not go by itself
			return d.session.Close()
		}
		return nil
	}
	return fmt.Errorf("nothing is known of the rung %q", r)
}

// noneEnabled asks the card whether a profile is enabled. The modem is held.
func (g *Gateway) noneEnabled(ctx context.Context) bool {
	if c := g.status.Snapshot().Card; c == nil || c.EID == "" {
		return false
	}
	ctx, done := context.WithTimeout(ctx, climbTime)
	defer done()
	c, err := g.openCard(ctx, nil)
	if err != nil {
		return false
	}
	defer g.closeCard(c)
	if err := g.showCard(ctx, c); err != nil {
		return false
	}
	for _, p := range g.status.Snapshot().Card.Profiles {
		if p.State == euicc.Enabled.String() {
			return false
		}
	}
	return true
}

// restartMute sends the restart command to a modem that answers nothing: some
// carry it out all the same. keepModem has the port and does it.
func (g *Gateway) restartMute(ctx context.Context, part dialect.Part) error {
	ctx, done := context.WithTimeout(ctx, muteTime)
	defer done()
	answer := make(chan error, 1)
	select {
	case g.mute <- muteRestart{part, answer}:
		return <-answer
	case <-ctx.Done():
		return ctx.Err()
	}
}

type muteRestart struct {
	part   dialect.Part
	answer chan<- error
}

// writeRestart sends the commands and asks for no answer.
func (g *Gateway) writeRestart(ctx context.Context, path string, part dialect.Part) error {
	row := g.lastDialect().Reset(part)
	if row == nil || path == "" {
		return modem.ErrNoReset
	}
	ctx, done := context.WithTimeout(ctx, openTime)
	defer done()
	p, err := g.openLine(ctx, path)
	if err != nil {
		return err
	}
	s := atcmd.New(p, atcmd.Options{Logger: g.log, Trace: g.trace})
	defer s.Close()
	for _, step := range row.Steps {
		_, err := s.Do(ctx, atcmd.Command{Text: step.Send, Timeout: muteAnswer})
		if errors.Is(err, atcmd.ErrNotSent) {
			return err
		}
	}
	return nil
}

// noteCard tells the ladder how the card's channel could be opened.
func (g *Gateway) noteCard(err error) {
	e, ok := errors.AsType[*uicc.Error](err)
	switch {
	case err == nil:
		g.ladder.Well(recovery.NoChannel, recovery.CardSilent)
	case errors.Is(err, uicc.ErrNoChannel):
		g.ladder.Saw(recovery.NoChannel, err.Error())
	case ok && e.TimedOut:
		g.ladder.Saw(recovery.CardSilent, err.Error())
	}
}

// noteChannels counts what the card's transport does by itself.
func (g *Gateway) noteChannels(what string) {
	rung := recovery.Channel
	if what == uicc.Sweep {
		rung = recovery.Sweep
	}
	g.ladder.Count(rung, what)
}

// noteGone tells the ladder why the modem's port was lost.
func (g *Gateway) noteGone(err error) {
	if errors.Is(err, atcmd.ErrDesync) {
		g.ladder.Saw(recovery.Silent, err.Error())
		g.ladder.Count(recovery.Port, err.Error())
	}
}

// freeChannels starts the card again for a run that found all its channels
// taken: a run interrupts the link anyway. The card token is held.
func (g *Gateway) freeChannels(ctx context.Context, cause error) error {
	d, err := g.waitDevice(ctx, deviceWait)
	if err != nil {
		return err
	}
	defer g.bearer.Hold()()
	rung := recovery.Card
	if d.modem.Dialect().Reset(dialect.CardPart) == nil {
		rung = recovery.Radio
	}
	g.log.Warn("the card has no free channel", "rung", rung, "error", cause)
	g.ladder.Count(rung, cause.Error())
	if err := restartPart(ctx, d, parts[rung]); !errors.Is(err, modem.ErrReopen) {
		return err
	}
	return awaitGone(ctx, d)
}
