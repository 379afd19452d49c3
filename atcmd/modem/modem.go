// Package modem gives 3GPP TS 27.007 typed verbs: who the modem is, what the
// SIM says, where it is registered, which contexts are up and with which
// addresses. What vendors do differently comes from a dialect.Dialect; no
// vendor is named here.
//
// Start with Identify on a fresh session, find the dialect with the answer,
// make a Modem and call Init:
//
//	id, err := modem.Identify(ctx, session)
//	m := modem.New(session, dialect.Find(id.Identity), logger)
//	err = m.Init(ctx)
//
// Errors of the session come through wrapped, so that errors.Is finds
// atcmd.ErrTimeout and errors.As *atcmd.CMEError. No PIN, user name or password
// is in any error.
package modem

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/warthog618/sms"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

// Session runs AT commands; *atcmd.Session and *atcmd.Section do.
type Session interface {
	Do(ctx context.Context, cmd atcmd.Command) (atcmd.Reply, error)
}

// Modem is one modem. Its methods may be called from any goroutine.
type Modem struct {
	s   Session
	d   *dialect.Dialect
	log *slog.Logger

	ussd sync.Mutex // held by a USSD request

	mu sync.Mutex // guards what follows
	// absent are registration commands that this modem answered with an error.
	absent map[string]bool
	pins   *PINMemory
	smsRef *sms.Counter // of long messages
}

// New returns a Modem that speaks the dialect on s. A nil dialect is the
// generic one, a nil logger discards. It sends nothing.
func New(s Session, d *dialect.Dialect, log *slog.Logger) *Modem {
	if d == nil {
		d = dialect.ByName("generic")
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Modem{s: s, d: d, log: log, absent: map[string]bool{}, pins: &PINMemory{}}
}

// Dialect returns the dialect that the modem is spoken to in.
func (m *Modem) Dialect() *dialect.Dialect { return m.d }

// ErrAnswer means that the modem answered with something that is no answer to
// the command.
var ErrAnswer = errors.New("cannot understand the modem's answer")

// Init prepares a port: no echo, verbose results, numeric errors, then the
// dialect's own commands. It never sends ATZ, which resets a modem that may be
// carrying traffic. It fails only when the modem does not answer.
func (m *Modem) Init(ctx context.Context) error {
	if err := m.optional(ctx, "E0V1"); err != nil {
		return fmt.Errorf("cannot initialise modem: %w", err)
	}
	if err := m.optional(ctx, "+CMEE=1"); err != nil {
		return fmt.Errorf("cannot initialise modem: %w", err)
	}
	if _, err := m.run(ctx, m.d.Init, 0, nil); err != nil {
		return fmt.Errorf("cannot initialise modem: %w", err)
	}
	return nil
}

// Identity is what the modem says of itself.
type Identity struct {
	dialect.Identity
	IMEI string // 15 digits; empty when the modem does not tell
}

// Identify asks a modem of unknown kind who it is (27.007, 5.1 to 5.4).
func Identify(ctx context.Context, s Session) (Identity, error) {
	var id Identity
	for _, q := range []struct {
		cmd string
		to  *string
	}{
		{"+CGMI", &id.Manufacturer},
		{"+CGMM", &id.Model},
		{"+CGMR", &id.Revision},
		{"+CGSN", &id.IMEI},
	} {
		v, err := text(ctx, s, q.cmd)
		if err != nil && !answered(err) {
			return id, fmt.Errorf("cannot identify modem: %w", err)
		}
		*q.to = v
	}
	if len(id.IMEI) < 14 || len(id.IMEI) > 16 || !digits(id.IMEI) {
		id.IMEI = ""
	}
	if id.Manufacturer == "" && id.Model == "" && id.Revision == "" {
		return id, fmt.Errorf("cannot identify modem: %w: nothing after +CGMI, +CGMM and +CGMR", ErrAnswer)
	}
	return id, nil
}

// Identity is Identify on the modem's own session.
func (m *Modem) Identity(ctx context.Context) (Identity, error) { return Identify(ctx, m.s) }

// text runs an action command that answers with one line, with or without its
// tag.
func text(ctx context.Context, s Session, name string) (string, error) {
	reply, err := s.Do(ctx, atcmd.Command{Text: name, Tags: []string{name}, Bare: true})
	if err != nil {
		return "", err
	}
	for _, line := range reply.Lines {
		if rest, ok := atcmd.CutTag(line, name); ok {
			line = rest
		} else if strings.HasPrefix(line, "+") {
			continue
		}
		if line = strings.Trim(strings.TrimSpace(line), `"`); line != "" {
			return line, nil
		}
	}
	return "", fmt.Errorf("AT%s: %w", name, ErrAnswer)
}

// Functionality is the modem's power level (27.007, 8.2).
type Functionality int

const (
	Minimum  Functionality = 0 // radio and SIM off
	Full     Functionality = 1
	RadioOff Functionality = 4
)

// Functionality reads +CFUN.
func (m *Modem) Functionality(ctx context.Context) (Functionality, error) {
	reply, err := m.s.Do(ctx, atcmd.Command{Text: "+CFUN?"})
	if err != nil {
		return 0, err
	}
	f, _ := reply.Fields("+CFUN")
	if n, ok := number(at(f, 0), 127); ok {
		return Functionality(n), nil
	}
	return 0, fmt.Errorf("AT+CFUN?: %w", ErrAnswer)
}

// SetFunctionality sets +CFUN and waits for the modem to say so.
func (m *Modem) SetFunctionality(ctx context.Context, f Functionality) error {
	_, err := m.s.Do(ctx, atcmd.Command{Text: fmt.Sprintf("+CFUN=%d", f), Timeout: 30 * time.Second})
	return err
}

// optional runs a command whose error result does not matter.
func (m *Modem) optional(ctx context.Context, cmd string) error {
	_, err := m.s.Do(ctx, atcmd.Command{Text: cmd})
	if err != nil && answered(err) {
		m.log.Debug("modem does not take a command", "error", err)
		return nil
	}
	return err
}

// run sends a dialect's steps from the given one on. It returns the index of
// the step that failed.
func (m *Modem) run(ctx context.Context, steps []dialect.Step, from int, v dialect.Values) (int, error) {
	for i := from; i < len(steps); i++ {
		step := steps[i]
		if step.When != "" && (step.When == dialect.WithAuth) != (v["auth"] != "" && v["auth"] != "0") {
			continue
		}
		cmd, secret, err := dialect.Expand(step.Send, v)
		if err != nil {
			return i, err
		}
		_, err = m.s.Do(ctx, atcmd.Command{Text: cmd, Finals: step.Finals, Timeout: step.Timeout.Std(), Secret: secret})
		if err != nil && !(step.Optional && answered(err) && causeOfCME(cmeCode(err)) == CauseUnknown) {
			return i, err // what the network refused stays refused
		}
		if err := pause(ctx, step.Pause.Std()); err != nil {
			return i + 1, err
		}
	}
	return len(steps), nil
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answered reports whether the modem answered with an error result: the session
// works, the modem just does not do it.
func answered(err error) bool {
	var cmeErr *atcmd.CMEError
	var cmsErr *atcmd.CMSError
	var finalErr *atcmd.FinalError
	return errors.As(err, &cmeErr) || errors.As(err, &cmsErr) || errors.As(err, &finalErr) || errors.Is(err, ErrAnswer)
}

// NoAnswer reports whether an error of one of the methods means that the modem
// did not answer, and not that it answered with an error or knows no such thing.
func NoAnswer(err error) bool {
	return err != nil && !answered(err) && !errors.Is(err, ErrNoSlots) && !isStatus(err)
}

// cmeCode returns the code of the +CME ERROR in err, or -1.
func cmeCode(err error) int {
	var e *atcmd.CMEError
	if errors.As(err, &e) {
		return e.Code
	}
	return -1
}
