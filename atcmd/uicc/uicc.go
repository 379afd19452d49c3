// Package uicc carries command APDUs to the card in a modem over AT commands:
// through +CCHO, +CGLA and +CCHC, where the modem manages the logical channel,
// or through +CSIM, where this package does.
//
// A Transport satisfies the Transport interface of euicc/apdu. Which way works
// is found by doing: it opens the application that is asked for, and never
// sends a test command (`=?`), because firmwares answer those wrongly in both
// directions (lpac#139, lpac#300). GET RESPONSE after 61xx is the caller's; a
// modem that fetches the response itself gives the whole of it at once, and
// that passes through unchanged.
//
// Nothing here keeps other commands off the modem: between two APDUs other AT
// traffic goes on. Commands that make the modem itself use the card, +CRSM for
// one, belong outside an eSIM operation; the arbiter sees to that.
package uicc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

// Session runs AT commands; *atcmd.Session does.
type Session interface {
	Do(ctx context.Context, cmd atcmd.Command) (atcmd.Reply, error)
}

// Options are the settings of a Transport. The zero value works.
type Options struct {
	Logger *slog.Logger // nil discards
	// Prefer is a way that worked before with this modem, see Transport.Way.
	Prefer string
	// Stale are sessions that an earlier process left open, as its Remember
	// was told. They are closed before the first channel is opened.
	Stale []string
	// Remember is told the open sessions after each change, so that the next
	// process can close them. It must not call the Transport.
	Remember func(open []string)
	// Report, if not nil, is told of channels that had to be closed: Leftover
	// ones, or in a Sweep after an error. It must not call the Transport.
	Report func(what string)
}

// What Options.Report is told.
const (
	Leftover = "left-over channels"
	Sweep    = "sweep"
)

// Stats counts what went to the card. Bytes are those of APDUs, not of AT
// command lines.
type Stats struct {
	APDUs    uint64 // command APDUs sent, those of opening and closing by +CSIM included
	Sent     uint64 // bytes of command APDUs
	Received uint64 // bytes of response APDUs with their status words
	Opened   uint64 // logical channels opened
	Retries  uint64 // commands repeated because the card was busy
	Swept    uint64 // commands sent to close leaked channels
}

// Transport reaches the card. Its methods may be called from any goroutine; one
// of them runs at a time.
type Transport struct {
	s        Session
	apdu     dialect.APDU
	log      *slog.Logger
	prefer   string
	remember func([]string)
	report   func(string)

	gate chan struct{} // holds one token: the right to use what follows
	// stale are sessions to close before the next channel is opened.
	stale []string
	// clean says that no channel of ours can have leaked since the last sweep.
	clean bool
	// used says that a channel was opened since the last sweep, so that others
	// may have leaked some meanwhile: there is reason to look again.
	used bool
	// capability says that TERMINAL CAPABILITY was sent since the last reset.
	capability bool

	mu    sync.Mutex // guards what follows
	way   string
	open  map[string]struct{}
	stats Stats
}

// New returns a Transport for the modem behind s. It sends nothing.
func New(s Session, profile dialect.APDU, opts Options) *Transport {
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if opts.Report == nil {
		opts.Report = func(string) {}
	}
	return &Transport{
		s: s, apdu: profile, log: log,
		prefer:   opts.Prefer,
		remember: opts.Remember,
		report:   opts.Report,
		gate:     make(chan struct{}, 1),
		stale:    slices.Clone(opts.Stale),
		open:     map[string]struct{}{},
	}
}

// Way returns the way that reached the card last, "cgla" or "csim", or "" when
// none did yet.
func (t *Transport) Way() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.way
}

// Stats returns the counters since New.
func (t *Transport) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}

// Invalidate forgets all sessions without closing them. Call it when the card
// or the modem was reset: its logical channels are gone.
func (t *Transport) Invalidate() {
	t.gate <- struct{}{}
	defer func() { <-t.gate }()
	t.stale, t.clean, t.used, t.capability = nil, true, false, false
	t.setOpen(func(open map[string]struct{}) { clear(open) })
}

// Open opens a logical channel and selects the application with the given AID
// on it. The session that it returns is opaque; it goes to Transmit and Close.
// Its errors are *Error; see there.
func (t *Transport) Open(ctx context.Context, aid []byte) (session string, err error) {
	if len(aid) < 5 || len(aid) > 16 {
		return "", &Error{Op: "open", CME: -1, Err: fmt.Errorf("AID of %d bytes; ISO/IEC 7816-4 has 5 to 16", len(aid))}
	}
	if err := t.enter(ctx); err != nil {
		return "", wrap("open", "", err, false)
	}
	defer func() { <-t.gate }()

	order := t.order()
	if len(order) == 0 {
		return "", t.judge(&Error{Op: "open", CME: -1, Kind: ErrBlocked, Err: errors.New("this firmware has no AT command for it")})
	}
	t.closeStale(ctx)
	var tried []*Error
	for _, way := range order {
		handle, e := t.openBy(ctx, way, aid)
		if e == nil {
			session = way + ":" + handle
			t.mu.Lock()
			t.way = way
			t.stats.Opened++
			t.mu.Unlock()
			t.used = true
			t.setOpen(func(open map[string]struct{}) { open[session] = struct{}{} })
			return session, nil
		}
		t.log.Debug("way to the card failed", "way", way, "error", e)
		if final(ctx, e) {
			return "", t.judge(e)
		}
		tried = append(tried, e)
	}
	if len(tried) == 1 {
		return "", t.judge(tried[0])
	}
	return "", t.judge(joined(tried))
}

// judge says what a failure to open means on a firmware that is known to have
// no way. That the card is missing, or that nothing was answered at all, is
// another matter.
func (t *Transport) judge(e *Error) *Error {
	if t.apdu.Verdict == "" || e.Kind == ErrNoCard || e.Kind == ErrBusy || e.Err != nil && !e.TimedOut && len(t.apdu.Order) > 0 && !answered(e.Err) && e.SW == 0 {
		return e
	}
	e.Kind, e.Advice = ErrFirmware, t.apdu.Advice
	if t.apdu.Verdict == dialect.NoHost {
		e.Kind = ErrNoHost
	}
	return e
}

// Transmit sends a command APDU and returns response data and status word as
// they came. cmd has channel bits 0 in CLA. Its errors are *Error; Unknown says
// whether the card may have carried the command out.
func (t *Transport) Transmit(ctx context.Context, session string, cmd []byte) ([]byte, error) {
	way, handle, ok := split(session)
	if !ok || !t.isOpen(session) {
		return nil, &Error{Op: "transmit", CME: -1, Kind: ErrSession}
	}
	if len(cmd) < 4 || len(cmd) > 261 {
		return nil, &Error{Op: "transmit", Way: way, CME: -1, Err: fmt.Errorf("command APDU of %d bytes; a short one has 4 to 261", len(cmd))}
	}
	if err := t.enter(ctx); err != nil {
		return nil, wrap("transmit", way, err, false)
	}
	defer func() { <-t.gate }()
	// It may have been closed while another caller was inside.
	if !t.isOpen(session) {
		return nil, &Error{Op: "transmit", CME: -1, Kind: ErrSession}
	}
	var resp []byte
	e := t.whileBusy(ctx, repeatable(cmd), func() (e *Error) {
		if way == dialect.CGLA {
			resp, e = t.cgla(ctx, handle, cmd)
		} else {
			resp, e = t.csimOn(ctx, "transmit", channelOf(handle), cmd)
		}
		return e
	})
	if e != nil {
		if e.Unknown {
			t.clean = false // the modem may have lost what it knew of its channels
		}
		return nil, e
	}
	return resp, nil
}

// Close closes the session's logical channel. The session is gone whether or
// not that succeeds; a channel that could not be closed is closed before the
// next one is opened.
func (t *Transport) Close(ctx context.Context, session string) error {
	way, handle, ok := split(session)
	if !ok || !t.isOpen(session) {
		return &Error{Op: "close", CME: -1, Kind: ErrSession}
	}
	if err := t.enter(ctx); err != nil {
		return wrap("close", way, err, false)
	}
	defer func() { <-t.gate }()
	if !t.isOpen(session) {
		return &Error{Op: "close", CME: -1, Kind: ErrSession}
	}
	e := t.closeBy(ctx, way, handle)
	if e != nil && !errors.Is(e, ErrNoCard) {
		t.stale, t.clean = append(t.stale, session), false
	}
	t.setOpen(func(open map[string]struct{}) { delete(open, session) })
	if e != nil {
		return e
	}
	return nil
}

func (t *Transport) openBy(ctx context.Context, way string, aid []byte) (string, *Error) {
	if way == dialect.CGLA {
		return t.openCGLA(ctx, aid)
	}
	return t.openCSIM(ctx, aid)
}

func (t *Transport) closeBy(ctx context.Context, way, handle string) *Error {
	if way == dialect.CGLA {
		_, err := t.s.Do(ctx, atcmd.Command{Text: "+CCHC=" + handle, Timeout: t.apdu.Close.Std()})
		if err != nil {
			return wrap("close", way, err, true)
		}
		return nil
	}
	return t.closeChannel(ctx, channelOf(handle))
}

// order returns the ways to try: the one that worked last, the one that worked
// for an earlier process, then the dialect's.
func (t *Transport) order() []string {
	var order []string
	for _, way := range append([]string{t.Way(), t.prefer}, t.apdu.Order...) {
		if slices.Contains(t.apdu.Order, way) && !slices.Contains(order, way) {
			order = append(order, way)
		}
	}
	return order
}

// closeStale closes sessions that were left open. That they are gone already is
// as good.
func (t *Transport) closeStale(ctx context.Context) {
	if len(t.stale) > 0 && ctx.Err() == nil {
		t.report(Leftover)
	}
	for _, session := range t.stale {
		if way, handle, ok := split(session); ok && ctx.Err() == nil {
			if e := t.closeBy(ctx, way, handle); e != nil {
				t.log.Debug("left-over card session", "error", e)
			}
			t.mu.Lock()
			t.stats.Swept++
			t.mu.Unlock()
		}
	}
	if ctx.Err() == nil && t.stale != nil {
		t.stale = nil
		t.tell()
	}
}

// whileBusy repeats f while the modem says "SIM busy", if that is allowed.
func (t *Transport) whileBusy(ctx context.Context, allowed bool, f func() *Error) *Error {
	for try := 0; ; try++ {
		e := f()
		if e == nil || e.CME != cmeBusy || !allowed || try >= t.apdu.BusyTries {
			return e
		}
		select {
		case <-ctx.Done():
			return e
		case <-time.After(t.apdu.BusyPause.Std()):
		}
		t.mu.Lock()
		t.stats.Retries++
		t.mu.Unlock()
	}
}

// repeatable reports whether the command may be sent again after "SIM busy".
// The modem says by that code that the card did not get it; STORE DATA and
// everything else that changes the card is not worth the bet.
func repeatable(cmd []byte) bool {
	switch cmd[1] {
	case 0xA4, 0xC0, 0xCA, 0xF2: // SELECT, GET RESPONSE, GET DATA, STATUS
		return true
	}
	return false
}

// final reports whether a failure to open ends the search for a way: the answer
// is known, or trying on is pointless.
func final(ctx context.Context, e *Error) bool {
	if ctx.Err() != nil || e.Err != nil && !answered(e.Err) && !e.TimedOut && !errors.Is(e, ErrAnswer) && e.SW == 0 {
		return true // cancelled, or the port is gone
	}
	switch e.Kind {
	case ErrNotEUICC, ErrBlocked, ErrBusy:
		return true
	}
	return false
}

// joined makes one error of a failure by each way.
func joined(tried []*Error) *Error {
	e := &Error{Op: "open", CME: tried[0].CME, Kind: ErrUnreachable}
	var errs []error
	for _, one := range tried {
		errs = append(errs, fmt.Errorf("%s: %w", one.Way, detail(one)))
		e.TimedOut = e.TimedOut || one.TimedOut
		if one.Kind == ErrNoCard || one.Kind == ErrNoChannel {
			e.Kind = one.Kind
		}
	}
	e.Err = &several{errs}
	return e
}

func detail(e *Error) error {
	switch {
	case e.Err != nil:
		return e.Err
	case e.SW != 0:
		return fmt.Errorf("status word %04X", e.SW)
	}
	return e.Kind
}

// several is errors.Join on one line.
type several struct{ errs []error }

func (s *several) Error() string {
	var texts []string
	for _, err := range s.errs {
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, "; ")
}

func (s *several) Unwrap() []error { return s.errs }

func (t *Transport) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case t.gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *Transport) isOpen(session string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.open[session]
	return ok
}

func (t *Transport) setOpen(change func(map[string]struct{})) {
	t.mu.Lock()
	change(t.open)
	t.mu.Unlock()
	t.tell()
}

// tell hands the sessions that are open, or may be, to Options.Remember.
func (t *Transport) tell() {
	if t.remember == nil {
		return
	}
	t.mu.Lock()
	list := slices.Clone(t.stale)
	for s := range t.open {
		list = append(list, s)
	}
	t.mu.Unlock()
	slices.Sort(list)
	t.remember(slices.Compact(list))
}

func (t *Transport) count(sent, received int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.APDUs++
	t.stats.Sent += uint64(sent)
	t.stats.Received += uint64(received)
}

// split takes a session apart and checks it, since Options.Stale comes from a
// file.
func split(session string) (way, handle string, ok bool) {
	way, handle, ok = strings.Cut(session, ":")
	if !ok {
		return "", "", false
	}
	switch way {
	case dialect.CGLA:
		_, err := parseHandle([]string{handle})
		return way, handle, err == nil
	case dialect.CSIM:
		return way, handle, channelOf(handle) > 0
	}
	return "", "", false
}
