package atcmd

import (
	"context"
	"fmt"
	"slices"
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
	s.log.Info("looking for the modem's step", "given_up", name, "before_us", given.unknown)
	if given.unknown {
		if s.searchUnknown() {
			s.settle()
		} else {
			s.fail(fmt.Errorf("%w: answers to an earlier user of the port keep coming, or none comes", ErrDesync))
		}
		return
	}
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
	before := s.lateAnswers()
	var asked []*exchange
	for _, query := range s.questions(given.cmd.Text) {
		x, answered := s.question(query)
		if answered {
			s.mu.Lock()
			s.knows = true
			s.mu.Unlock()
			s.settle()
			return
		}
		if s.ctx.Err() != nil {
			return
		}
		asked = append(asked, x)
	}
	if s.ignorant(asked, before) {
		s.settle()
		return
	}
	s.fail(fmt.Errorf("%w after AT%s: no question was answered", ErrDesync, name))
}

// ignorant reports whether the modem is in step and only does not know some
// questions: each was answered, if not by its name then by one result code, no
// other came, and then the modem is quiet for as long as a late one may take. A
// modem that is known to know them has no such excuse.
func (s *Session) ignorant(asked []*exchange, before uint64) bool {
	s.mu.Lock()
	for _, x := range asked {
		if !x.named {
			if before++; x.finals != 1 || s.knows {
				s.mu.Unlock()
				return false
			}
		}
	}
	s.mu.Unlock()
	return s.lateAnswers() == before && s.wait(s.opts.Resync.Late, nil) && s.lateAnswers() == before
}

// lateAnswers counts what certainly answers somebody else's command: result
// codes, and lines that name a command of ours. Lines with a tag that nobody
// knows do not count: a modem with many URCs would never be in step, and where
// they are an answer, its result code follows.
func (s *Session) lateAnswers() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats.Late - s.maybeURC
}

// settle lets commands run again.
func (s *Session) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = nil
	close(s.settled)
}

// searchRounds bounds searchUnknown, and with it the answers that an earlier
// user can have left: a modem queues few commands, most none.
const searchRounds = 6

// searchUnknown finds the step of a modem that somebody else talked to, who may
// have asked the same questions. Two different ones have to be answered with
// nothing else in between. Whatever else is heard belongs to the earlier user;
// then it has to become quiet first.
func (s *Session) searchUnknown() bool {
	// Backwards: who was interrupted in a search of his own began at the front.
	ask := slices.Clone(s.opts.Resync.Queries)
	slices.Reverse(ask)
	for round := range searchRounds {
		before := s.lateAnswers()
		one, ok1 := s.question(ask[(2*round)%len(ask)])
		two, ok2 := s.question(ask[(2*round+1)%len(ask)])
		if ok1 && ok2 && s.lateAnswers() == before {
			return true
		}
		if s.ignorant([]*exchange{one, two}, before) {
			return true
		}
		if !ok1 && !ok2 && s.lateAnswers() == before {
			continue // it is quiet already
		}
		heard := s.Stats().Late
		for range 2 * searchRounds {
			if !s.wait(s.opts.Resync.Late, nil) {
				return false
			}
			now := s.Stats().Late
			if now == heard {
				break
			}
			heard = now
		}
	}
	return false
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

// question asks one query and reports whether it was answered by its name. A
// question that was not is never repeated in the same search: its late answer
// would pass for that of its repetition.
func (s *Session) question(text string) (*exchange, bool) {
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
		return x, false
	}
	select {
	case <-x.over:
		return x, true
	case <-ctx.Done():
		return x, s.ctx.Err() == nil && s.giveUp(x) == nil
	}
}

// wait waits for d or until early, which may be nil, is closed. It reports false when the session
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
