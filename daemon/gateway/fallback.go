package gateway

import (
	"context"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/fallback"
	"dynamod/daemon/status"
)

// newWatch makes the standing watch. What it asks is built after it.
func (g *Gateway) newWatch() *fallback.Watch {
	return fallback.New(fallback.Config{
		Policy:   func() config.Fallback { return g.config().Fallback },
		Learned:  g.learned,
		Status:   g.status,
		Runs:     func() []activation.Record { return g.runs.Runs() },
		Worked:   func(iccid string) (string, time.Time, bool) { return g.bearer.Worked(iccid) },
		Profiles: func(ctx context.Context) ([]status.Profile, error) { return g.Profiles(ctx) },
		Switch: func(iccid, previous string, f activation.Fallback) (activation.Record, error) {
			return g.runs.FallBack(iccid, previous, f)
		},
		Changed: g.simChanged,
		Now:     g.clock.now,
		Log:     g.log,
	})
}

// simChanged journals a change of the SIM that nobody here has made. Whoever made
// it may have left notifications on the card.
func (g *Gateway) simChanged(c status.SIMChange) {
	g.uncollected.Store(true)
	g.mu.Lock()
	g.cardToRead() // by the watch, which has told it
	g.mu.Unlock()
	if _, err := g.journal.Append(status.SIMChangeKind, c); err != nil {
		g.log.Error("cannot journal the change of the SIM", "error", err)
	}
}
