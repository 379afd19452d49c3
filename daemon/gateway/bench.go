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
	"dynamod/daemon/bearer"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc"
	"dynamod/euicc/apdu"
)

const (
	benchWait   = 10 * time.Second // for the card or the modem to be free for an engineer
	benchDevice = 2 * time.Second  // for a modem that is just being opened
	statusTime  = time.Minute      // to ask the modem all that `dynamod modem status` shows
)

// operation says which eSIM operation uses the modem now, or "". A run that waits
// for an answer lets others at it, once it holds no session.
func (g *Gateway) operation() string {
	if g.waiting() {
		return ""
	}
	for _, r := range g.runs.Runs() {
		if !r.State.Ended() {
			return fmt.Sprintf("activation %s is in state %s", r.ID, r.State)
		}
	}
	return ""
}

// inUse says what uses the modem; errors.Is finds activation.ErrBusy in it.
type inUse string

func (e inUse) Error() string        { return string(e) }
func (e inUse) Is(target error) bool { return target == activation.ErrBusy }

func modemBusy(what, advice string) error {
	return &activation.Fault{Code: "busy", Text: "the modem is in use", Err: inUse(what), Advice: advice, Retry: euicc.RetryLater}
}

// endAdvice says how the activation that is under way comes to its end.
func (g *Gateway) endAdvice() string {
	select {
	case <-g.wanted:
		return "wait for its end, or give it up with `dynamod activate --cancel`"
	default:
		return "`dynamod run` takes it up again and ends it"
	}
}

// acquireBench takes modem and card for an engineer's own commands. It gives up at
// once while a run uses them, and soon if another operation does.
func (g *Gateway) acquireBench(ctx context.Context) (release func(), err error) {
	if what := g.operation(); what != "" {
		return nil, modemBusy(what, g.endAdvice())
	}
	limit := benchWait
	if g.waiting() {
		limit = time.Second // its session lasts for minutes
	}
	ctx, done := context.WithTimeout(ctx, limit)
	defer done()
	if release, err = g.acquireCard(ctx); err != nil {
		if g.waiting() {
			return nil, modemBusy("an activation waits for an answer, and holds a session for it", "answer it, give it up with `dynamod activate --cancel`, or try again in two minutes")
		}
		return nil, modemBusy("an operation has the card, such as the delivery of notifications", "try again in a moment; `dynamod modem trace` shows what goes on")
	}
	if what := g.operation(); what != "" {
		release()
		return nil, modemBusy(what, g.endAdvice())
	}
	return release, nil
}

// Modem tells everything about the modem. While an eSIM operation uses it, it is
// not asked, and what was last seen is told.
func (g *Gateway) Modem(ctx context.Context) (hook.Modem, error) {
	snap := g.status.Snapshot()
	out := hook.Modem{Rows: []hook.ModemRow{}, Contexts: []hook.ModemContext{}, Registration: snap.Registration, Cells: snap.Cells, Signal: snap.Signal, Recovery: snap.Recovery}
	if snap.Modem != nil {
		out.Modem = *snap.Modem
	}
	if snap.SIM != nil {
		out.SIM = &hook.ModemSIM{SIM: *snap.SIM}
	}
	d, err := g.waitDevice(ctx, benchDevice)
	if err != nil {
		if ctx.Err() != nil {
			return out, err
		}
		out.Present, out.Error, out.Advice = false, err.Error(), hintOf(err)
		out.SIM, out.Registration, out.Cells, out.Signal = nil, nil, nil, nil
		return out, nil
	}
	out.USB, out.Matched = d.id.USB, d.modem.Dialect().Why(d.id.Identity)
	if g.config().Modem.Dialect == d.modem.Dialect().Name {
		out.Matched = "[modem] dialect names it"
	}
	if place, ok := g.opts.Tree.Place(d.path); ok {
		out.Place = place.String()
	}
	if release, err := g.acquireBench(ctx); err != nil {
		if ctx.Err() != nil {
			return out, err
		}
		out.Busy = err.Error()
	} else {
		asking, done := context.WithTimeout(ctx, statusTime)
		g.askModem(asking, d, &out)
		done()
		release()
	}
	kind := out.Function
	if out.Data != nil { // the kernel knows best
		kind = out.Data.Kind
	}
	for _, u := range d.modem.Dialect().Uses(d.id.USB, dialect.Kind(kind)) {
		out.Rows = append(out.Rows, hook.ModemRow{What: u.What, Source: string(u.Source), Ref: u.Ref})
	}
	out.CardWay, out.Counters = g.cardWay(d, g.status.Snapshot().Card), g.counters(d)
	return out, nil
}

// askModem fills in what the modem tells now. What it does not tell is named in
// out.Errors; when it stops answering it is not asked on.
func (g *Gateway) askModem(ctx context.Context, d *device, out *hook.Modem) {
	m := d.modem
	lost := false
	ask := func(what string, f func() error) {
		if lost {
			return
		}
		if err := f(); err != nil {
			out.Errors = append(out.Errors, what+": "+err.Error())
			lost = ctx.Err() != nil || d.session.Err() != nil
		}
	}
	if d.card.Way() == "" && g.status.Snapshot().Card == nil {
		// Nobody has tried the card since the port was opened. What comes of it is in
		// the status, and tells an eUICC without a profile from an empty slot.
		if c, err := g.openCard(ctx, nil); err == nil {
			g.closeCard(c)
		}
	}
	ask("power", func() error {
		f, err := m.Functionality(ctx)
		if err == nil {
			out.Power = map[modem.Functionality]string{modem.Full: "full", modem.Minimum: "minimum", modem.RadioOff: "radio-off"}[f]
			if out.Power == "" {
				out.Power = fmt.Sprintf("+CFUN %d", f)
			}
		}
		return err
	})
	ask("data function", func() error {
		f, err := m.Function(ctx)
		out.Function = string(f)
		return err
	})
	ask("carrier configuration", func() error {
		c, err := m.CarrierConfig(ctx)
		if err == nil {
			out.Carrier = c.Name
			if c.Stale() {
				out.Carrier += " (chosen by hand)"
			}
		} else if errors.Is(err, modem.ErrNoCarrierConfig) {
			err = nil
		}
		return err
	})
	ask("SIM", func() error { return g.askSIM(ctx, m, out) })
	ask("registration", func() error {
		r, err := m.Registration(ctx)
		if err != nil {
			return err
		}
		out.Registration = &status.Registration{Status: r.State.String(), Cause: int(r.Cause)}
		if r.AcT != modem.AcTUnknown {
			out.Registration.AcT = r.AcT.String()
		}
		if r.Cause != 0 {
			out.CauseText = r.Cause.String()
		}
		if r.State.Registered() {
			op, err := m.Operator(ctx)
			if err != nil {
				return err
			}
			out.Registration.PLMN, out.Registration.Operator = op.PLMN, op.Name
		}
		out.Cells = bearer.ServingCells(ctx, m, r, out.Registration.PLMN)
		return nil
	})
	ask("signal", func() error {
		s, err := m.Signal(ctx)
		if err == nil {
			out.Signal = &status.Signal{RSSI: s.RSSI, RSRP: s.RSRP, RSRQ: s.RSRQ, SINR: s.SINR}
		}
		return err
	})
	ask("contexts", func() error { return askContexts(ctx, m, out) })
}

func (g *Gateway) askSIM(ctx context.Context, m *modem.Modem, out *hook.Modem) error {
	s, err := m.SIM(ctx)
	if err != nil {
		return err
	}
	sim := &hook.ModemSIM{Text: s.Text}
	if out.SIM != nil && s.State == modem.SIMReady {
		sim.SIM = out.SIM.SIM
	}
	sim.State = string(g.bearer.SIMState(s.State))
	out.SIM = sim
	if n, ok, err := m.PINTries(ctx); err != nil {
		return err
	} else if ok {
		sim.PINTries = &n
	}
	if n, err := m.Slot(ctx); err == nil {
		sim.Slot = &n
	}
	if sim.ICCID == "" && s.State != modem.SIMAbsent {
		if iccid, err := m.ICCID(ctx); err == nil {
			sim.ICCID = iccid
		}
	}
	return ctx.Err()
}

func askContexts(ctx context.Context, m *modem.Modem, out *hook.Modem) error {
	contexts, err := m.Contexts(ctx)
	if err != nil {
		return err
	}
	active, err := m.ActiveContexts(ctx)
	if err != nil {
		return err
	}
	for _, c := range contexts {
		view := hook.ModemContext{CID: c.CID, Type: string(c.Type), APN: c.APN, Active: active[c.CID], Attach: c.CID == m.AttachCID()}
		if view.Active {
			addrs, err := m.Addresses(ctx, c.CID)
			if err != nil {
				out.Errors = append(out.Errors, fmt.Sprintf("addresses of context %d: %v", c.CID, err))
			}
			for _, a := range addrs {
				view.Addresses = append(view.Addresses, a.String())
			}
		}
		out.Contexts = append(out.Contexts, view)
	}
	return nil
}

// cardWay tells how APDUs reach the card.
func (g *Gateway) cardWay(d *device, card *status.Card) *hook.ModemCardWay {
	a := d.modem.Dialect().APDU
	w := &hook.ModemCardWay{Order: slices.Concat([]string{}, a.Order), Way: d.card.Way(), Verdict: string(a.Verdict), BlockSize: a.BlockSize}
	f, _ := g.learned.Firmware(modelKey(d.id))
	w.Remembered = f.Transport != "" && f.Transport == w.Way
	if card != nil {
		w.Error = card.Error
		if eid, err := euicc.ParseEID(card.EID); err == nil {
			f, w.Learned = g.learned.Firmware(firmwareKey(d, eid))
			w.Learned = w.Learned && f.BlockSize > 0
			w.BlockSize = g.blockSize(d, eid)
		}
	}
	if w.BlockSize == 0 {
		w.BlockSize = apdu.DefaultBlockSize
	}
	return w
}

func (g *Gateway) counters(d *device) *hook.ModemCounters {
	s, c := d.session.Stats(), d.card.Stats()
	g.mu.Lock()
	openings := g.openings
	g.mu.Unlock()
	return &hook.ModemCounters{
		Since: d.opened, Opened: openings,
		Commands: s.Commands, GivenUp: s.GivenUp, Resyncs: s.Resyncs, Late: s.Late, URCs: s.URCs, Dropped: s.Dropped, TooLong: s.TooLong,
		APDUs: c.APDUs, APDUBytes: c.Sent + c.Received, Retries: c.Retries, Channels: c.Opened, Swept: c.Swept,
	}
}
