package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"dynamod/atcmd/uicc"
	"dynamod/daemon/activation"
	"dynamod/daemon/outbox"
	"dynamod/daemon/status"
	"dynamod/euicc"
	"dynamod/euicc/es10"
	"dynamod/euicc/lpa"
)

// The eUICC has one user at a time: an RSP session and a profile switch must
// not be interleaved. The token of g.cardToken is held by that user.

// acquireCard waits for the card to be free.
func (g *Gateway) acquireCard(ctx context.Context) (release func(), err error) {
	select {
	case g.cardToken <- struct{}{}:
		return func() { <-g.cardToken }, nil
	case <-ctx.Done():
		return nil, &activation.Fault{Code: "card-busy", Text: "the card is in use by a running operation", Advice: "try again when the activation has ended", Retry: euicc.RetryLater, Err: ctx.Err()}
	}
}

// acquireIdle is acquireCard for a person's changes of the card, which a run
// must not meet: its way back could go with them.
func (g *Gateway) acquireIdle(ctx context.Context) (release func(), err error) {
	if g.busy() {
		return nil, g.errRunning() // at once, not after the run's present step
	}
	release, err = g.acquireCard(ctx)
	if err != nil {
		return nil, err
	}
	if g.busy() {
		release()
		return nil, g.errRunning()
	}
	return release, nil
}

func (g *Gateway) errRunning() error {
	what := cmp.Or(g.operation(), "it waits for an answer")
	return &activation.Fault{Code: "busy", Text: "an activation is under way", Err: inUse(what), Advice: g.endAdvice(), Retry: euicc.RetryLater}
}

// openCard opens the ISD-R, which can be repeated: it waits for a modem that goes
// meanwhile, once. The card token is held.
func (g *Gateway) openCard(ctx context.Context, begin func(server string, id euicc.TransactionID) error) (*lpa.Card, error) {
	for again := true; ; again = false {
		d, err := g.waitDevice(ctx, deviceWait)
		if err != nil {
			return nil, err
		}
		c, err := g.openCardOf(ctx, d, begin)
		if err == nil || !again || !d.lost(ctx, err) {
			return c, err
		}
		g.log.Warn("the modem went away while its card was opened", "error", err)
	}
}

func (g *Gateway) openCardOf(ctx context.Context, d *device, begin func(server string, id euicc.TransactionID) error) (*lpa.Card, error) {
	cfg, err := g.serverConfig()
	if err != nil {
		return nil, err
	}
	var c *lpa.Card
	cfg.Transport = d.card
	cfg.AIDs = append(slices.Clone(lpa.DefaultAIDs), g.config().LPA.AIDs...)
	cfg.TryNext = uicc.TryNext
	cfg.KnownBlockSize = func(eid euicc.EID) int { return g.blockSize(d, eid) }
	cfg.IMEI = fullIMEI(d.id.IMEI)
	cfg.Capabilities = d.capabilities
	cfg.Memory = &g.memory
	cfg.Sequential = !g.config().LPA.Overlap
	cfg.Begin = begin
	cfg.Cancelled = func(x lpa.Cancellation) { g.keepCancelled(c.EID(), x) }
	c, err = lpa.Open(ctx, cfg)
	g.learnWay(d)
	g.noteCard(err)
	if err != nil {
		err = tellCard(ctx, d, err)
		g.status.Update(func(s *status.Snapshot) { s.Card = &status.Card{Error: err.Error(), Profiles: []status.Profile{}} })
		return nil, err
	}
	return c, nil
}

// deviceWait is how long an operation waits for a modem that restarts.
const deviceWait = 30 * time.Second

// closeCard closes the channel and keeps the counters.
func (g *Gateway) closeCard(c *lpa.Card) {
	g.countHTTP(c.Stats().HTTP)
	g.learnBlockSize(c.EID(), c.BlockSize())
	if err := c.Close(); err != nil {
		g.log.Debug("closing the card's channel", "error", err)
	}
}

// withCard runs f with an open ISD-R.
func (g *Gateway) withCard(ctx context.Context, f func(*lpa.Card) error) error {
	release, err := g.acquireCard(ctx)
	if err != nil {
		return err
	}
	defer release()
	c, err := g.openCard(ctx, nil)
	if err != nil {
		return err
	}
	defer g.closeCard(c)
	return f(c)
}

// showCard puts what the card says into the status.
func (g *Gateway) showCard(ctx context.Context, c *lpa.Card) error {
	_, err := g.readCard(ctx, c)
	return err
}

// readCard is showCard for who wants to know it, too.
func (g *Gateway) readCard(ctx context.Context, c *lpa.Card) (*lpa.Info, error) {
	info, err := c.Info(ctx)
	if err != nil {
		return nil, err
	}
	profiles, err := c.Profiles(ctx)
	if err != nil {
		return nil, err
	}
	g.noteClasses(profiles)
	g.status.Update(func(s *status.Snapshot) {
		s.Card = &status.Card{EID: info.EID.String(), SVN: info.Info2.SVN.String(), FreeMemory: int(info.Info2.FreeNVM), Default: info.DefaultSMDP, Profiles: viewProfiles(profiles)}
	})
	g.cardWasRead()
	return info, nil
}

// showChange puts what an installed, switched or deleted profile changes into the
// status: the rest of the card stays as it was shown.
func (g *Gateway) showChange(ctx context.Context, c *lpa.Card) error {
	shown := g.status.Snapshot().Card
	if shown == nil || shown.EID != c.EID().String() {
		return g.showCard(ctx, c)
	}
	info2, err := c.Info2(ctx)
	if err != nil {
		return err
	}
	profiles, err := c.Profiles(ctx)
	if err != nil {
		return err
	}
	g.noteClasses(profiles)
	g.status.Update(func(s *status.Snapshot) {
		now := *shown
		now.FreeMemory, now.Profiles = int(info2.FreeNVM), viewProfiles(profiles)
		s.Card = &now
	})
	return nil
}

func viewProfiles(profiles []euicc.Profile) []status.Profile {
	out := []status.Profile{}
	for _, p := range profiles {
		out = append(out, viewProfile(p))
	}
	return out
}

// runCard is the card as one activation uses it: from Preflight until the new
// profile is enabled the same channel and the same connection to the server serve
// every call, so that nothing about the card is asked twice.
type runCard struct {
	g       *Gateway
	card    *lpa.Card // open until the profile is switched, or something failed
	release func()
	begin   func(server string, id euicc.TransactionID) error // of the session that begins

	freed      bool      // all channels were taken, and the card was started again for this run
	discovered bool      // the code is an event of a discovery server
	info       *lpa.Info // what Preflight has read, for a card that had to be opened again
	link       uint64    // the only way to servers, 0 where there are others
}

var _ activation.Card = (*runCard)(nil)

// use runs f with the session's card, or with one opened for it.
func (r *runCard) use(ctx context.Context, f func(*lpa.Card) error) error {
	if r.card != nil {
		return f(r.card)
	}
	return r.g.withCard(ctx, f)
}

// hold returns the run's card and opens it if it is not.
func (r *runCard) hold(ctx context.Context) (*lpa.Card, error) {
	if r.card != nil {
		return r.card, nil
	}
	release, err := r.g.acquireCard(ctx)
	if err != nil {
		return nil, err
	}
	begin := func(server string, id euicc.TransactionID) error { return r.begin(server, id) }
	c, err := r.g.openCard(ctx, begin)
	if errors.Is(err, uicc.ErrNoChannel) && !r.freed {
		r.freed = true
		if err = r.g.freeChannels(ctx, err); err == nil {
			c, err = r.g.openCard(ctx, begin)
		}
	}
	if err != nil {
		release()
		return nil, err
	}
	c.UseInfo(r.info)
	r.card, r.release = c, release
	return c, nil
}

// Release closes the run's card.
func (r *runCard) Release() { r.end() }

// end closes the run's card.
func (r *runCard) end() {
	if r.card != nil {
		r.g.closeCard(r.card)
		r.release()
		r.card, r.release = nil, nil
	}
}

func (r *runCard) Preflight(ctx context.Context, code euicc.ActivationCode) error {
	r.end()
	r.discovered, r.freed = false, false
	g := r.g
	d, err := g.waitDevice(ctx, deviceWait)
	if err != nil {
		return err
	}
	// A profile that can only be rolled back is not worth its order.
	if f, err := g.netFunction(d); err != nil && !d.dials(f.Kind) && f.Kind != "" {
		return err
	}
	if err := r.AwaitWay(ctx); err != nil {
		return err
	}
	if err := g.setClock(ctx); err != nil {
		return err
	}
	c, err := r.hold(ctx)
	if err != nil {
		return err
	}
	info, err := g.readCard(ctx, c)
	if err == nil {
		_, err = c.Client(ctx) // no root for this card's issuers?
	}
	if err != nil {
		r.end()
		return err
	}
	r.info = info
	if free := info.Info2.FreeNVM; free >= 0 && free < int64(g.config().LPA.MinFree) {
		g.log.Warn("the card has little memory left", "free", free, "min_free", g.config().LPA.MinFree)
		g.status.Log(fmt.Sprintf("the card has %d bytes left, less than [lpa] min_free", free))
	}
	return nil
}

func (r *runCard) AwaitWay(ctx context.Context) error {
	err := r.g.awaitWay(ctx)
	r.link = r.g.onlyLink(ctx)
	return err
}

func (r *runCard) Regained(ctx context.Context) bool {
	if r.link == 0 {
		return false
	}
	r.end() // of a modem that may have gone, too
	ok := r.g.regain(ctx, r.link)
	r.link = r.g.onlyLink(ctx)
	if ok {
		r.g.outbox.Retry() // what failed has failed for want of it
	}
	return ok
}

// Locate finds server and order of a request without activation code.
func (r *runCard) Locate(ctx context.Context, req activation.Request, begin func(server string, id euicc.TransactionID) error) (code euicc.ActivationCode, err error) {
	c, err := r.hold(ctx)
	if err != nil {
		return code, err
	}
	r.begin = begin
	code, err = r.g.locate(ctx, c, r.info, req)
	r.discovered = err == nil && req.Discover
	return code, err
}

func (r *runCard) CheckPolicy(ctx context.Context, md euicc.Metadata) (consent bool, err error) {
	err = r.use(ctx, func(c *lpa.Card) error {
		consent, err = c.CheckPolicy(ctx, md)
		return err
	})
	return consent, err
}

func (r *runCard) Authenticate(ctx context.Context, code euicc.ActivationCode, begin func(server string, id euicc.TransactionID) error) (activation.Order, error) {
	c, err := r.hold(ctx)
	if err != nil {
		return nil, err
	}
	r.begin = begin
	authenticate := c.Authenticate
	if r.discovered {
		// The event may lead to a further discovery server.
		authenticate = func(ctx context.Context, code euicc.ActivationCode) (*lpa.Order, error) {
			return c.AuthenticateEvent(ctx, lpa.Event{Address: code.Address, ID: code.MatchingID})
		}
	}
	o, err := authenticate(ctx, code)
	if err != nil {
		r.end()
		return nil, err
	}
	return &runOrder{Order: o, r: r}, nil
}

func (r *runCard) Abandon(ctx context.Context, smdp string, id euicc.TransactionID) error {
	defer r.end()
	return r.use(ctx, func(c *lpa.Card) error {
		x, err := c.CancelSession(ctx, smdp, id, euicc.CancelPostponed)
		if errors.Is(err, es10.ErrNotFound) {
			return nil // it went with a reset
		}
		return r.g.toldLater(x, err)
	})
}

func (r *runCard) Profiles(ctx context.Context) (profiles []euicc.Profile, err error) {
	err = r.use(ctx, func(c *lpa.Card) error {
		profiles, err = c.Profiles(ctx)
		return err
	})
	return profiles, err
}

// Recover is recoverSIM for a run.
func (r *runCard) Recover(ctx context.Context, enabled string) error {
	r.end()
	release, err := r.g.acquireCard(ctx)
	if err != nil {
		return err
	}
	defer release()
	return r.g.recoverSIM(ctx, enabled)
}

// take hands the run's card and the card token over; the card is nil when it was
// not open.
func (r *runCard) take(ctx context.Context) (c *lpa.Card, release func(), err error) {
	if r.card == nil {
		release, err = r.g.acquireCard(ctx)
		return nil, release, err
	}
	c, release = r.card, r.release
	r.card, r.release = nil, nil
	return c, release, nil
}

func (r *runCard) Enable(ctx context.Context, iccid euicc.ICCID) error {
	c, release, err := r.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	return r.g.switchTo(ctx, c, iccid)
}

func (r *runCard) Disable(ctx context.Context, iccid euicc.ICCID) error {
	c, release, err := r.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	return r.g.switchOff(ctx, c, iccid)
}

func (r *runCard) Collect(ctx context.Context) ([]euicc.PendingNotification, error) {
	c, err := r.hold(ctx) // Deliver follows, or Release
	if err != nil {
		return nil, err
	}
	return r.g.collect(ctx, c)
}

func (r *runCard) Show(ctx context.Context) error {
	return r.use(ctx, func(c *lpa.Card) error { return r.g.showChange(ctx, c) })
}

func (r *runCard) Deliver(ctx context.Context) error {
	return r.use(ctx, func(c *lpa.Card) error { return r.g.send(ctx, c, nil) })
}

func (r *runCard) Unreported(iccid string) bool {
	return r.g.uncollected.Load() || slices.ContainsFunc(r.g.outbox.Entries(), func(e outbox.Entry) bool {
		return !e.Delivered && e.ICCID == iccid && e.Operation == euicc.EventInstall.String()
	})
}

func (r *runCard) Figures() status.Figures {
	g := r.g
	g.mu.Lock()
	f := g.past
	d := g.device
	g.mu.Unlock()
	if d != nil {
		s := d.card.Stats()
		f.APDUs += int(s.APDUs)
		f.APDUBytes += int(s.Sent + s.Received)
	}
	if r.card != nil {
		h := r.card.Stats().HTTP
		f.HTTPRequests += h.Requests
		f.TLSHandshakes += h.Handshakes
	}
	return f
}

// runOrder is an lpa.Order whose card stays open until its result is reported.
type runOrder struct {
	*lpa.Order
	r         *runCard
	installed bool
}

func (o *runOrder) TransactionID() euicc.TransactionID { return o.Order.TransactionID }
func (o *runOrder) Metadata() euicc.Metadata           { return o.Order.Metadata }
func (o *runOrder) ConfirmationRequired() bool         { return o.Order.ConfirmationRequired }

func (o *runOrder) Download(ctx context.Context, cc euicc.ConfirmationCode, progress func(status.Progress)) (euicc.InstallResult, error) {
	result, err := o.Order.Download(ctx, cc, func(p lpa.Progress) {
		if p.Stage == euicc.StageLoadBPP {
			progress(status.Progress{Done: p.Bytes, Total: p.TotalBytes, Segments: p.Segments, TotalSegments: p.TotalSegments})
		}
	})
	if result == nil {
		return euicc.InstallResult{}, err
	}
	o.installed = err == nil && result.Success
	return *result, err
}

// Cancel ends the session. A server that cannot be reached is told later.
func (o *runOrder) Cancel(ctx context.Context, reason euicc.CancelReason) error {
	err := o.Order.Cancel(ctx, reason)
	return o.r.g.toldLater(o.Order.Cancellation(), err)
}

func (o *runOrder) Close() {
	if !o.installed {
		o.r.end()
	}
}
