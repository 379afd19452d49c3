package atcmd

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// unsettle starts to bring commands and answers back into step after x was
// given up. It goes on when the caller is gone. The mutex is held.
func (s *Session) unsettle(x *exchange) {
	s.late = append(s.late, x)
	if x.query {
		return // the search goes on
	}
	s.stats.Resyncs++
	s.settled = make(chan struct{})
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		s.resync(x)
	}()
}

// resync finds the modem's step. Waiting for one OK does not: it may be the OK
// of the command that was given up, and from then on each answer would go to
// the command after its own. So the modem is asked a question whose answer
// names itself, and no final result code counts before that name came.
func (s *Session) resync(given *exchange) {
	name := given.cmd.Name()
	s.log.Info("modem command given up, looking for the modem's step", "command", name)
	if given.text {
		s.raw(escape)
	}
	late := given.cmd.Late
	if late <= 0 {
		late = s.opts.Resync.Late
	}
	if !s.wait(late, given.over) {
		return
	}
	if given.call {
		s.mu.Lock()
		final := given.final
		s.mu.Unlock()
		if matchesAny(final, []string{"CONNECT"}) {
			// The call came up after all, and the port carries data.
			s.hangUp()
		}
	}
	for _, query := range s.questions(given.cmd.Text) {
		if s.question(query) {
			s.mu.Lock()
			s.late = nil
			close(s.settled)
			s.mu.Unlock()
			return
		}
		if s.ctx.Err() != nil {
			return
		}
	}
	s.fail(fmt.Errorf("%w after AT%s: no question was answered", ErrDesync, name))
}

// questions returns the queries to ask, in order: none that the given-up
// command line holds, because its late answer would name itself too, and the
// one asked last only at the end.
func (s *Session) questions(text string) []string {
	s.mu.Lock()
	last := s.lastAsk
	s.mu.Unlock()
	var ask, end []string
	for _, q := range s.opts.Resync.Queries {
		name := Command{Text: q}.Name()
		switch {
		case strings.Contains(strings.ToUpper(text), strings.ToUpper(name)):
		case q == last:
			end = append(end, q)
		default:
			ask = append(ask, q)
		}
	}
	return append(ask, end...)
}

// question asks one query and reports whether it was answered. A question that
// was not is never repeated in the same search: its late answer would pass for
// that of its repetition.
func (s *Session) question(text string) bool {
	ctx, cancel := context.WithTimeoutCause(s.ctx, s.opts.Resync.Step, ErrTimeout)
	defer cancel()
	x := newExchange(ctx, Command{Text: text})
	x.query = true
	s.mu.Lock()
	s.lastAsk = text
	s.mu.Unlock()
	if err := s.send(x, "AT"+text+s.opts.Terminator); err != nil {
		s.log.Debug("asking the modem for its step", "query", text, "err", err)
		// A port that takes nothing shall not use the questions up at once.
		s.wait(s.opts.Resync.Step, ctx.Done())
		return false
	}
	select {
	case <-x.over:
		return true
	case <-ctx.Done():
		return s.ctx.Err() == nil && s.giveUp(x) == nil
	}
}

// wait waits for d or until early is closed. It reports false when the session
// ended before.
func (s *Session) wait(d time.Duration, early <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-early:
	case <-s.ctx.Done():
		return false
	}
	return true
}

// raw writes something that is not a command line, within a step's time.
func (s *Session) raw(text string) {
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.Resync.Step)
	defer cancel()
	if err := s.port.WriteContext(ctx, []byte(text)); err != nil {
		s.log.Debug("writing to the modem port", "err", err)
	}
}
