package gateway

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/atcmd/port"
	"dynamod/atcmd/uicc"
	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/recovery"
	"dynamod/daemon/status"
	"dynamod/euicc"
	"dynamod/euicc/es10"
	"dynamod/euicc/lpa"
)

// device is a modem while its port is open.
type device struct {
	path    string
	session *atcmd.Session
	modem   *modem.Modem
	card    *uicc.Transport
	usb     string // the device that it is on USB, "1-2"; "" if it is elsewhere
	id      modem.Identity
	opened  time.Time
	slot    *int // the SIM slot, where the modem tells

	capabilities es10.Capabilities
}

const (
	openTime    = 30 * time.Second // for a modem to answer and be asked who it is
	firstReopen = time.Second
	lastReopen  = time.Minute
	settled     = 10 * time.Second // after which a modem counts as there to stay
	openLimit   = 15 * time.Minute // for all the ports that a box may have, and the pause
	answered    = 5 * time.Minute  // the same of one that has stopped answering before
)

// keepModem opens the modem and opens it again whenever it goes, until ctx ends.
func (g *Gateway) keepModem(ctx context.Context) error {
	defer func() { g.manager.Close() }()
	defer g.endLine()
	defer g.dropDevice()
	defer func() {
		if g.simLine != nil {
			g.simLine.Close()
			g.simLine = nil
		}
	}()
	wait := firstReopen
	for ctx.Err() == nil {
		g.modemPulse.Work("opening the modem", openLimit)
		g.endCut(ctx)
		d, err := g.openModem(ctx)
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			g.setDevice(nil, err)
			g.log.Warn("no modem", "error", err, "next", wait)
			wait = g.pauseModem(ctx, wait, false)
			continue
		}
		opened := time.Now()
		g.setDevice(d, nil)
		g.modemPulse.Rest()
		g.listen(ctx, d)
		if ctx.Err() != nil {
			<-g.link.Done()
		}
		g.modemPulse.Work("closing the modem", openLimit)
		if ctx.Err() == nil {
			g.log.Warn("the modem went away", "port", d.path, "error", d.session.Err())
			g.setDevice(nil, d.session.Err()) // the link went with it, for all that is known
			g.noteGone(d.session.Err())
		}
		g.bearer.SetRadio(nil)
		g.letCardEnd(d)
		g.retire(d)
		stays := settled
		if errors.Is(d.session.Err(), atcmd.ErrDesync) {
			stays = answered
		}
		if time.Since(opened) > stays {
			wait = firstReopen
		} else { // it opens and goes at once: not in a tight loop
			wait = g.pauseModem(ctx, wait, true)
		}
	}
	g.setDevice(nil, ctx.Err())
	return nil
}

// dropDevice closes the modem that a panic has left open: its port is locked.
func (g *Gateway) dropDevice() {
	g.modemPulse.Rest()
	g.mu.Lock()
	d := g.device
	g.mu.Unlock()
	if d != nil {
		g.setDevice(nil, nil)
		g.retire(d)
	}
}

// listen wakes the bearer when the modem announces that registration, context or
// SIM changed, until the modem goes or ctx ends.
func (g *Gateway) listen(ctx context.Context, d *device) {
	// What the card is has to be known to tell an eUICC without an enabled
	// profile from an empty slot.
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	beside := func(f func()) { wg.Go(func() { g.guard("modem", f) }) }
	beside(func() {
		defer g.bearer.Kick()
		defer g.cardWasRead()
		err := g.withCard(ctx, func(c *lpa.Card) error {
			err := g.showCard(ctx, c)
			if err == nil { // what a crash has left is delivered before anything new is begun
				_, err = g.collect(ctx, c)
			}
			return err
		})
		if err != nil && ctx.Err() == nil {
			g.log.Warn("the card is no eUICC, or cannot be read", "error", err)
		}
	})
	defer wg.Wait()
	defer stop()
	tags := []string{"+CEREG", "+C5GREG", "+CGREG", "+CGEV", "+CPIN"}
	for _, u := range d.modem.Dialect().URCs {
		if u.Event == dialect.EventSIM {
			tags = append(tags, u.Tag)
		}
	}
	for _, tag := range tags {
		s := d.session.Subscribe(tag)
		beside(func() {
			defer s.Close()
			for {
				select {
				case <-ctx.Done():
					return
				case <-d.session.Done():
					return
				case u := <-s.C():
					if e, ok := modem.ParseContextEvent(u.Line); ok && e.ByNetwork && (e.Kind == modem.ContextDown || e.Kind == modem.Detached) {
						g.bearer.TakenAway()
					}
					g.bearer.Kick()
				}
			}
		})
	}
	select {
	case <-ctx.Done():
	case <-d.session.Done():
	}
}

// cardEnds is how long the card's user may take at the daemon's end to close its
// logical channel, which would stay open on the card.
const cardEnds = 2 * time.Second

// letCardEnd waits for the card's user, who has the daemon's context too.
func (g *Gateway) letCardEnd(d *device) {
	ctx, done := context.WithTimeout(context.Background(), cardEnds)
	defer done()
	select {
	case g.cardToken <- struct{}{}:
		<-g.cardToken
	case <-d.session.Done():
	case <-ctx.Done():
	}
}

// retire closes a device and keeps its counters.
func (g *Gateway) retire(d *device) {
	s := d.card.Stats()
	g.mu.Lock()
	g.past.APDUs += int(s.APDUs)
	g.past.APDUBytes += int(s.Sent + s.Received)
	if g.device == d {
		g.device = nil
		g.changed()
	}
	g.mu.Unlock()
	if err := d.session.Close(); err != nil && !errors.Is(err, atcmd.ErrGone) && !errors.Is(err, atcmd.ErrClosed) {
		g.log.Debug("closing the modem's port", "error", err)
	}
}

func (g *Gateway) setDevice(d *device, err error) {
	g.mu.Lock()
	g.device, g.deviceErr = d, err
	if d != nil {
		g.openings++
		g.uncollected.Store(true) // of a card that was elsewhere, or a process that was killed
		g.cardToRead()            // by listen
	}
	g.changed()
	g.mu.Unlock()
	if d == nil {
		if err != nil && !errors.Is(err, context.Canceled) {
			g.tracer.tell(g.clock.now(), "note", "no modem: "+err.Error())
		}
		g.bearer.SetRadio(nil)
		g.status.Update(func(s *status.Snapshot) {
			if s.Modem == nil {
				s.Modem = &status.Modem{Port: g.config().Modem.Port}
			}
			s.Modem.Present, s.Modem.Error = false, ""
			s.State, s.Link, s.Reach, s.Registration, s.Signal, s.Cells = status.Down, nil, nil, nil, nil, nil
			s.Reason = "no modem is there"
			if err != nil && !errors.Is(err, context.Canceled) {
				s.Modem.Error, s.Reason = err.Error(), err.Error()
				s.Advice = hintOf(err)
			}
		})
		return
	}
	g.tracer.tell(g.clock.now(), "note", "modem on "+d.path)
	g.status.Update(func(s *status.Snapshot) {
		s.Modem = &status.Modem{
			Port: d.path, Present: true, Manufacturer: d.id.Manufacturer, Model: d.id.Model, Revision: d.id.Revision,
			IMEI: shortIMEI(d.id.IMEI), Dialect: d.modem.Dialect().Name, SIMSlot: d.slot,
		}
		if s.Reason == "no modem is there" || s.Reason == "starting" {
			s.Reason, s.Advice = "the link is being brought up", ""
		}
	})
	g.showFunction(d)
	g.bearer.SetRadio(g.radio(d))
}

// lost reports whether err came because the modem's port went. A write may fail
// before the reader has seen why, so that it waits for that.
func (d *device) lost(ctx context.Context, err error) bool {
	if !errors.Is(err, atcmd.ErrGone) && !errors.Is(err, atcmd.ErrClosed) {
		return false
	}
	ctx, done := context.WithTimeout(ctx, time.Second)
	defer done()
	select {
	case <-d.session.Done():
		return true
	case <-ctx.Done():
		return false
	}
}

// changed wakes whoever waits for a device. g.mu is held.
func (g *Gateway) changed() {
	close(g.deviceChange)
	g.deviceChange = make(chan struct{})
}

func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// waitDevice returns the modem, and waits for one that restarts.
func (g *Gateway) waitDevice(ctx context.Context, limit time.Duration) (*device, error) {
	t := time.NewTimer(limit)
	defer t.Stop()
	for {
		g.mu.Lock()
		d, err, change := g.device, g.deviceErr, g.deviceChange
		g.mu.Unlock()
		if d != nil {
			select {
			case <-d.session.Done(): // it is gone, and nobody has seen it yet
			default:
				return d, nil
			}
		}
		select {
		case <-change:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-t.C:
			f := &activation.Fault{Code: "no-modem", Text: "no modem is there", Advice: "check power and cable, and [modem] port; see `dynamod diag`", Retry: euicc.RetryLater, Err: err}
			if h := hintOf(err); h != "" {
				f.Advice = h
			}
			return nil, f
		}
	}
}

// openModem opens the first of the ports that answers as a modem.
func (g *Gateway) openModem(ctx context.Context) (*device, error) {
	names, err := g.portNames()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, name := range names {
		if g.opts.OpenPort == nil {
			g.askManager(ctx, name)
		}
		d, err := g.openPort(ctx, name)
		if err == nil {
			g.place = nil
			if place, ok := g.opts.Tree.Place(d.path); ok {
				g.place = &place
			}
			return d, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		errs = append(errs, err)
	}
	return nil, advised(errs)
}

// openLine opens the byte stream of a port.
func (g *Gateway) openLine(ctx context.Context, path string) (atcmd.Port, error) {
	if g.opts.OpenPort != nil {
		return g.opts.OpenPort(ctx, path)
	}
	return port.Open(ctx, path, port.Options{Baud: g.baud(path), Logger: g.log, Tree: g.opts.Tree})
}

func (g *Gateway) openPort(ctx context.Context, path string) (dev *device, err error) {
	whole := ctx
	ctx, done := context.WithTimeout(whole, openTime)
	defer done()
	// Who it is can only be asked after the session has begun, so that one knows
	// every family's URCs.
	families := g.dialects.All()
	var named *dialect.Dialect
	if name := g.config().Modem.Dialect; name != config.Auto {
		if named = g.dialects.ByName(name); named == nil {
			return nil, &activation.Fault{Code: "no-dialect", Text: fmt.Sprintf("unknown dialect %q", name), Advice: "one of " + strings.Join(g.dialects.Names(), ", ")}
		}
		families = []*dialect.Dialect{named}
	}
	p, err := g.openLine(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("modem: %w", err)
	}
	// An earlier process may have been killed in the middle of a command.
	opts := atcmd.Options{Logger: g.log, Trace: g.trace, Dirty: true}
	for _, d := range families {
		opts.URCs = append(opts.URCs, d.URCTags()...)
		opts.Finals = append(opts.Finals, d.Finals...)
	}
	s := atcmd.New(p, opts)
	opened := false
	defer func() {
		if !opened { // not err: a panic has none
			s.Close()
		}
	}()
	silent := func(err error) error {
		if errors.Is(err, atcmd.ErrTimeout) || errors.Is(err, atcmd.ErrDesync) || errors.Is(err, context.DeadlineExceeded) {
			if path == g.knownPort() {
				g.ladder.Saw(recovery.Silent, path+" does not answer AT commands")
			}
			return &activation.Fault{Code: "modem-silent", Text: fmt.Sprintf("modem: %s does not answer AT commands", path), Advice: "it may be another of the modem's ports: try the others in [modem] port, or restart the modem", Retry: euicc.RetryLater}
		}
		return fmt.Errorf("modem: %s: %w", path, err)
	}
	if err := modem.New(s, dialect.ByName("generic"), g.log).Init(ctx); err != nil {
		return nil, silent(err)
	}
	id, err := modem.Identify(ctx, s)
	if err != nil {
		return nil, silent(err)
	}
	id.USB = g.opts.Tree.USB(path)
	d := named
	if d == nil {
		d = g.dialects.Find(id.Identity)
	}
	m := modem.New(s, d, g.log)
	if err := m.Init(ctx); err != nil {
		return nil, silent(err)
	}
	m.SharePINs(&g.pins)
	slot, err := g.useSlot(whole, m, id)
	if err != nil {
		return nil, silent(err)
	}
	// Switching may have taken longer than opening.
	ctx, stop := context.WithTimeout(whole, openTime)
	defer stop()
	g.enterPIN(ctx, m)
	if err := m.EnableEvents(ctx); err != nil {
		g.log.Warn("cannot turn the modem's events on", "error", err)
	}
	dev = &device{path: path, session: s, modem: m, id: id, slot: slot, opened: g.clock.now(), capabilities: g.capabilities(ctx, m)}
	apdu := d.APDU
	if g.config().Modem.APDUTimeout > 0 {
		apdu.Transmit = dialect.Duration(g.config().Modem.APDUTimeout)
	}
	known, _ := g.learned.Firmware(modelKey(id))
	dev.card = uicc.New(s, apdu, uicc.Options{Logger: g.log, Prefer: known.Transport, Stale: g.staleSessions(), Remember: g.rememberSessions, Report: g.noteChannels})
	if place, ok := g.opts.Tree.Place(path); ok {
		dev.usb = place.Device
	}
	g.last.Store(dev)
	g.log.Info("modem", "port", path, "manufacturer", id.Manufacturer, "model", id.Model, "revision", id.Revision, "dialect", d.Name)
	opened = true
	return dev, nil
}

// knownPort is the port of the modem: the one that it was found at last, or the
// configured one. With "auto" and no modem yet it is "": a port that does not
// answer may be anything.
func (g *Gateway) knownPort() string {
	if d := g.last.Load(); d != nil {
		return d.path
	}
	if g.config().Modem.Port != config.Auto {
		return g.config().Modem.Port
	}
	return ""
}

// getDevice is the modem, nil if it is not there.
func (g *Gateway) getDevice() *device {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.device
}

// The card sessions that are open are noted in the run directory, so that the
// next process can close what a crash left open: cards have few channels.

func (g *Gateway) sessionsFile() string { return filepath.Join(g.config().State.Run, "card-sessions") }

func (g *Gateway) staleSessions() []string {
	b, err := os.ReadFile(g.sessionsFile())
	if err != nil {
		return nil
	}
	return strings.Fields(string(b))
}

func (g *Gateway) rememberSessions(open []string) {
	if err := os.WriteFile(g.sessionsFile(), []byte(strings.Join(open, "\n")), 0o600); err != nil {
		g.log.Debug("cannot note the open card sessions", "error", err)
	}
}

// modemID is the IMEI of the modem that is there.
func (g *Gateway) modemID() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.device == nil {
		return ""
	}
	return g.device.id.IMEI
}

func shortIMEI(imei string) string {
	if len(imei) < 12 {
		return imei
	}
	return imei[:8] + "..." + imei[len(imei)-2:] // the TAC names the model, not the unit
}
