package gateway

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/dynamo"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

func (g *Gateway) dynamoDir() string { return filepath.Join(g.config().State.Dir, "dynamo") }

// buildVisits opens what is known of visits to operators' portals.
func (g *Gateway) buildVisits() {
	var err error
	if g.visits, err = dynamo.OpenTransactions(filepath.Join(g.dynamoDir(), "visits.json"), g.vault.Portals, g.clock.now); err != nil {
		g.log.Error("what was bought, and was to be downloaded later, may be lost", "error", err)
	}
	if list := g.visits.Visits(); len(list) > 0 {
		v := list[len(list)-1]
		g.showVisit(v.ID, func(s *status.Visit) { *s = g.viewVisit(v) })
	}
}

func (g *Gateway) viewVisit(v dynamo.Visit) status.Visit {
	out := status.Visit{Transaction: v.ID, Operator: v.Operator, State: status.VisitOpen, Begun: v.Begun, Plan: v.Plan, Run: v.Run}
	if op := g.seller(v.Operator); op != nil {
		out.Brand = dynamo.Brand(op)
	}
	switch {
	case v.Kind == dynamo.KindCancel:
		out.State = status.VisitNoChange
	case v.Held || v.Run != "":
		out.State = status.VisitBusy
	case v.Kind != "":
		out.State = status.VisitDone
	}
	return out
}

// showVisit changes what is shown of the last visit, if it is this one.
func (g *Gateway) showVisit(id string, change func(*status.Visit)) {
	g.status.Update(func(s *status.Snapshot) {
		v := status.Visit{Transaction: id}
		if s.Visit != nil {
			if v = *s.Visit; v.Transaction != id {
				return
			}
		}
		change(&v)
		s.Visit = &v
	})
}

// buyer is what can be bought for: the eUICC, or the SIM where there is none.
func (g *Gateway) buyer(ctx context.Context) (dynamo.Card, error) {
	snap := g.status.Snapshot()
	var c dynamo.Card
	if snap.SIM != nil {
		c.SIM = snap.SIM.ICCID
	}
	if snap.Card == nil || snap.Card.EID == "" {
		_, err := g.Profiles(ctx)
		if e, ok := errors.AsType[*euicc.Error](err); ok && e.Code == "not-euicc" && c.SIM != "" {
			return c, nil
		}
		if err != nil {
			return c, err
		}
		snap = g.status.Snapshot()
	}
	c.EID = snap.Card.EID
	for _, p := range snap.Card.Profiles {
		c.Profiles = append(c.Profiles, p.ICCID)
	}
	return c, nil
}

// BeginVisit begins a visit to an operator's portal.
func (g *Gateway) BeginVisit(ctx context.Context, r hook.VisitRequest) (hook.PortalVisit, error) {
	op := g.seller(r.Operator)
	if op == nil {
		return hook.PortalVisit{}, &activation.Fault{Code: "no-such-operator", Text: "no operator with a portal has this ID", Advice: "`dynamod operators list` has them", Retry: euicc.RetryNever}
	}
	if why := dynamo.CheckReturnURL(r.ReturnURL); why != "" {
		return hook.PortalVisit{}, &activation.Fault{Code: "bad-return-url", Text: "the return URL " + why, Advice: "the https address of this router's page, or none", Retry: euicc.RetryNever}
	}
	card, err := g.buyer(ctx)
	if err != nil {
		return hook.PortalVisit{}, err
	}
	if err := errors.Join(g.vault.KeepKey(), os.MkdirAll(g.dynamoDir(), 0o700)); err != nil {
		return hook.PortalVisit{}, visitFault(err)
	}
	where := cmp.Or(g.country(), strings.ToUpper(op.Country))
	l := dynamo.Launch{Operator: op, Device: dynamo.Device{EID: card.EID, Profiles: card.Profiles, SIM: card.SIM, IMEI: g.imei(), Location: where, Market: g.config().Dynamo.Country}, ReturnURL: r.ReturnURL}
	if l.TransactionID, l.State, l.Failures, err = g.visits.Begin(op, card.EID); err != nil {
		return hook.PortalVisit{}, visitFault(err)
	}
	url, err := l.BrowserURL()
	if err != nil {
		return hook.PortalVisit{}, &activation.Fault{Code: "no-launch", Text: "the portal cannot be opened", Err: err, Advice: "`dynamod operators show` shows the record; the modem has to be registered, or the record to name its country", Retry: euicc.RetryAsk}
	}
	g.log.Info("a visit to a portal has begun", "operator", op.ID, "transaction", l.TransactionID)
	g.status.Update(func(s *status.Snapshot) {
		s.Visit = &status.Visit{Transaction: l.TransactionID, Operator: op.ID, Brand: dynamo.Brand(op), State: status.VisitOpen, Begun: g.clock.now().UTC()}
	})
	v := hook.PortalVisit{Transaction: l.TransactionID, Brand: dynamo.Brand(op), URL: url, CallbackHosts: append([]string{}, op.Portal.CallbackHosts...)}
	if r.ReturnURL == "" {
		g.expect(ctx, &v)
	} else if len(v.CallbackHosts) > 0 {
		v.Way = dynamo.WayOpener
	}
	return v, nil
}

func visitFault(err error) error {
	return &activation.Fault{
		Code: "state-unwritable", Text: "what is bought now could not survive a power cut", Err: err, Retry: euicc.RetryLater,
		Advice: "make room on, or remount, the file system of the state directory",
	}
}

// imei is the modem's, "" while there is none.
func (g *Gateway) imei() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.device == nil {
		return ""
	}
	return fullIMEI(g.device.id.IMEI)
}

// TakeCallback takes what a portal sent back, and begins what it asks for.
func (g *Gateway) TakeCallback(ctx context.Context, r hook.CallbackRequest) (hook.CallbackAnswer, error) {
	from := dynamo.Arrival{Way: r.Way, Origin: r.Origin, Top: r.Top}
	if r.Way == dynamo.WayReturn && !r.Top {
		from.Dest = "iframe"
	}
	return g.accept(ctx, []byte(r.Envelope), from)
}

func (g *Gateway) accept(ctx context.Context, data []byte, from dynamo.Arrival) (hook.CallbackAnswer, error) {
	card, err := g.buyer(ctx)
	if err != nil {
		return hook.CallbackAnswer{}, err
	}
	c, err := g.visits.Accept(data, from, card, g.seller)
	if err != nil {
		level := g.log.Warn
		if !errors.As(err, new(*dynamo.Refusal)) && !errors.As(err, new(*dynamo.CallbackError)) {
			level, err = g.log.Error, visitFault(err)
		}
		level("a portal's callback is dropped", "way", from.Way, "origin", from.Origin, "error", err)
		return hook.CallbackAnswer{}, err
	}
	g.log.Info("a portal's callback is taken", "way", from.Way, "kind", c.Kind, "transaction", c.TransactionID)
	a := hook.CallbackAnswer{Kind: c.Kind}
	switch c.Kind {
	case dynamo.KindNoPurchase:
		a.Text = "nothing was bought, and nothing changes"
		g.showVisit(c.TransactionID, func(v *status.Visit) { v.State = status.VisitNoChange })
	case dynamo.KindCancel:
		a.Text = "the download is not wanted any more"
		g.showVisit(c.TransactionID, func(v *status.Visit) { v.State, v.Due = status.VisitNoChange, nil })
	case dynamo.KindBalance:
		a.Text = "the line was topped up"
		g.balances.Event(card.SIM)
		g.bearer.Kick() // it may be out of the walled garden now
		g.showVisit(c.TransactionID, func(v *status.Visit) { v.State, v.Plan = status.VisitTopUp, c.Metadata.PlanName })
	default:
		g.showVisit(c.TransactionID, func(v *status.Visit) { v.State, v.Plan = status.VisitBusy, c.Metadata.PlanName })
		g.carryOut(ctx)
		select {
		case g.bought <- struct{}{}:
		default:
		}
		a.Text = "it is being carried out"
		for _, v := range g.visits.Visits() {
			if v.ID == c.TransactionID {
				a.Run = v.Run
			}
		}
		if c.Delay > 0 {
			a.Text = "the download begins later"
		}
	}
	return a, nil
}

// CancelVisit forgets a delayed download that has not begun. It reports whether there
// was one.
func (g *Gateway) CancelVisit(transaction string) (bool, error) {
	g.carrying.Lock()
	defer g.carrying.Unlock()
	there, err := g.visits.Cancel(transaction)
	if err != nil {
		return there, visitFault(err)
	}
	if there {
		g.showVisit(transaction, func(v *status.Visit) { v.State, v.Due = status.VisitNoChange, nil })
	}
	return there, nil
}

// Pauses of keepVisits.
const (
	visitLook  = 30 * time.Second // between two looks at what could not begin
	visitSleep = time.Hour        // a clock that was set is noticed after that
)

// keepVisits carries out what was bought in portals, at its time, until ctx ends.
func (g *Gateway) keepVisits(ctx context.Context) error {
	for {
		if !g.visits.Busy() {
			select {
			case <-ctx.Done():
				return nil
			case <-g.bought:
			}
		}
		sub := g.status.Subscribe(0)
		next := g.carryOut(ctx)
		timer := time.NewTimer(next)
		for again := false; !again; {
			select {
			case <-ctx.Done():
			case <-timer.C:
			case <-g.bought:
			case e := <-sub.Events():
				if e.Type != "run" && e.Type != "status" {
					continue
				}
				g.tellVisit()
				if !g.visitEnds() {
					continue
				}
			}
			again = true
		}
		timer.Stop()
		sub.Close()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// visitEnds reports whether a run that a visit has led to has ended.
func (g *Gateway) visitEnds() bool {
	return slices.ContainsFunc(g.visits.Visits(), func(v dynamo.Visit) bool {
		if v.Run == "" {
			return false
		}
		rec, err := g.runs.Get(v.Run)
		return err != nil || rec.Ended != nil && !(v.Held && rec.Succeeded())
	})
}

// carryOut begins what is due and notes what has ended. It returns when to look again.
func (g *Gateway) carryOut(ctx context.Context) time.Duration {
	g.carrying.Lock()
	defer g.carrying.Unlock()
	for _, v := range g.visits.Visits() {
		if v.Run != "" {
			g.noteEnd(v)
		}
	}
	next := visitSleep
	list, err := g.visits.Pending()
	if err != nil {
		g.log.Error("what was bought cannot be carried out", "error", err)
	}
	for _, p := range list {
		switch {
		case p.Run != "" && !g.installed(p.Run):
			next = min(next, visitLook)
			continue
		case p.Wait > 0:
			due := g.clock.now().Add(p.Wait).UTC().Truncate(time.Second)
			g.showVisit(p.TransactionID, func(v *status.Visit) {
				if v.State = status.VisitWaiting; v.Due == nil || due.Sub(*v.Due).Abs() > time.Minute {
					v.Due = &due
				}
			})
			next = min(next, p.Wait)
			continue
		}
		if !g.begin(ctx, p) {
			next = min(next, visitLook)
		}
	}
	return next
}

// installed reports whether a run has put its profile on the card, disabled.
func (g *Gateway) installed(run string) bool {
	rec, err := g.runs.Get(run)
	return err == nil && rec.Ended != nil && rec.Outcome == status.Installed
}

// begin begins what a callback asks for. False is that it has to be tried later.
func (g *Gateway) begin(ctx context.Context, p dynamo.Pending) bool {
	var rec activation.Record
	var err error
	iccid := p.ICCID
	switch {
	case p.Kind == dynamo.KindUseProfile:
		var card dynamo.Card // which may not be read yet, just after a start
		if card, err = g.buyer(ctx); err == nil && card.EID != "" {
			rec, err = g.beginSwitch(ctx, iccid, hook.EnableOptions{})
		} else if err == nil { // a SIM that is no eUICC: the plan is on the line that is in use
			g.balances.Event(iccid)
		}
	case p.Run != "":
		if rec, err = g.runs.Get(p.Run); err == nil {
			iccid = rec.ICCID
			rec, err = g.beginSwitch(ctx, iccid, hook.EnableOptions{})
		}
	default:
		r := activation.Request{Key: p.TransactionID, Code: p.Code, Consent: true, InstallOnly: p.RegisterAfter > 0}
		if p.SMDP != "" {
			r.Code = euicc.ActivationCode{Address: p.SMDP}
		}
		rec, err = g.Submit(r)
	}
	hold := p.RegisterAfter > 0 && p.Run == ""
	switch {
	case err != nil && later(err):
		g.log.Info("what was bought is carried out later", "transaction", p.TransactionID, "error", err)
		return false
	case err != nil:
		g.endVisit(p.TransactionID, iccid, activation.Problem("", err))
	case rec.ID == "":
		g.endVisit(p.TransactionID, iccid, nil)
	default:
		if err := g.visits.Started(p.TransactionID, rec.ID, hold); err != nil {
			g.log.Error("a portal's callback", "error", err) // the same key finds the same run
			return false
		}
		g.showVisit(p.TransactionID, func(v *status.Visit) { v.State, v.Run, v.Due = status.VisitBusy, rec.ID, nil })
	}
	return true
}

// embedded reports whether the card is an eUICC, for all that is known.
func (g *Gateway) embedded() bool {
	card := g.status.Snapshot().Card
	return card != nil && card.EID != ""
}

// later reports whether an error may pass by itself: all but a no to what is asked for.
func later(err error) bool {
	f, ok := errors.AsType[*activation.Fault](err)
	if !ok || f.Code == "no-modem" {
		return true
	}
	return f.Code != activation.NoWayBack().Code && (f.Retry == euicc.RetryLater || f.Retry == euicc.RetryNow)
}

// noteEnd notes the end of a run, if it has ended.
func (g *Gateway) noteEnd(v dynamo.Visit) {
	rec, err := g.runs.Get(v.Run)
	switch {
	case err != nil: // the journal has forgotten it
		g.endVisit(v.ID, "", nil)
	case rec.Ended == nil:
	case rec.Succeeded() && v.Held: // its profile is still to be enabled
	case rec.Succeeded():
		g.endVisit(v.ID, rec.ICCID, nil)
	default:
		g.endVisit(v.ID, rec.ICCID, cmp.Or(rec.Error, &status.Problem{Code: string(rec.Outcome), Text: "the reason is not known"}))
	}
}

// endVisit notes what became of a visit; problem is nil where it went well.
func (g *Gateway) endVisit(id, iccid string, problem *status.Problem) {
	f := dynamo.Failure{Status: dynamo.StatusOf(problem), Time: g.clock.now(), ICCID: iccid}
	if err := g.visits.Ended(id, f); err != nil {
		g.log.Error("what became of a visit to a portal is not on the disk", "error", err)
	}
	g.log.Info("a visit to a portal has come to its end", "transaction", id, "status", f.Status)
	g.showVisit(id, func(v *status.Visit) {
		v.State, v.Error, v.Due = status.VisitDone, problem, nil
		if problem != nil {
			v.State = status.VisitFailed
		}
		v.Activation = &status.VisitActivation{Result: string(dynamo.ResultOf(problem)), ICCID: iccid}
	})
	g.tellVisit()
}

// tellVisit brings what the portal's listeners are told up to date.
func (g *Gateway) tellVisit() {
	g.status.Update(func(s *status.Snapshot) {
		if s.Visit == nil || s.Visit.Run == "" || s.Run == nil || s.Run.ID != s.Visit.Run || s.Run.ICCID == "" {
			return
		}
		v := *s.Visit
		switch activation.State(s.Run.State) {
		case activation.Attaching, activation.Configuring, activation.Probing, activation.Committed:
			v.Activation = &status.VisitActivation{Result: string(dynamo.ResultOf(nil)), ICCID: s.Run.ICCID}
		}
		if v.Activation != nil && s.Registration != nil && s.SIM != nil && s.SIM.ICCID == s.Run.ICCID {
			v.Registration = &status.VisitRegistration{State: string(dynamo.RegistrationOf(s.Registration.Status)), ICCID: s.Run.ICCID}
		}
		s.Visit = &v
	})
}
