package gateway

import (
	"context"
	"slices"
	"time"

	"dynamod/euicc"
)

// isBootstrap reports whether a profile is the last resort, and its link for what is
// dynamod's own: it is configured so, or of the class provisioning.
func (g *Gateway) isBootstrap(iccid string) bool {
	class, _ := g.learned.Class(iccid)
	return class == euicc.ClassProvisioning.String() || slices.Contains(g.config().Fallback.Bootstrap, iccid)
}

// noteClasses remembers what the card's profiles are for. A link that is up has to
// heed it at once.
func (g *Gateway) noteClasses(profiles []euicc.Profile) {
	enabled, was := "", false
	classes := map[string]string{}
	for _, p := range profiles {
		if p.State == euicc.Enabled {
			enabled = p.ICCID.String()
			was = g.isBootstrap(enabled)
		}
		classes[p.ICCID.String()] = p.Class.String()
	}
	if err := g.learned.SetClasses(classes); err != nil {
		g.log.Warn("cannot remember what the profiles are for", "error", err)
	}
	if enabled != "" && g.isBootstrap(enabled) != was {
		g.bearer.Kick()
	}
}

// cardTime is how long a link is held back for the class of its profile: more than
// a card needs that answers, by a slow port too. The link of one that does not
// answer is not worth losing.
const cardTime = 10 * time.Second

// awaitCard waits until it is known what a profile is for, or with "" what is on the
// card: a link of a bootstrap profile that the router's own programs find for a
// second may use up its megabytes, and a modem that has no profile to use says that
// the card fails. It ends as well when no reading of the card is under way that would
// tell, when the card cannot be read, and after cardTime.
func (g *Gateway) awaitCard(ctx context.Context, iccid string) {
	if _, known := g.learned.Class(iccid); known || g.isBootstrap(iccid) {
		return
	}
	g.mu.Lock()
	reading := g.cardReading
	g.mu.Unlock()
	if reading == nil {
		return
	}
	limit := time.NewTimer(cardTime)
	defer limit.Stop()
	select {
	case <-reading:
	case <-ctx.Done():
	case <-limit.C:
		g.log.Warn("the card takes too long to be read: the link does not wait for what it says")
		g.cardWasRead() // nor does the next connection that is tried
	}
}

// cardToRead says that a reading of the card is about to begin, whose end is told by
// cardWasRead. g.mu is held.
func (g *Gateway) cardToRead() {
	if g.cardReading == nil {
		g.cardReading = make(chan struct{})
	}
}

// cardWasRead says that the card was read, or could not be.
func (g *Gateway) cardWasRead() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cardReading != nil {
		close(g.cardReading)
		g.cardReading = nil
	}
}
