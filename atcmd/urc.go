package atcmd

import (
	"strings"
	"sync/atomic"
)

// URC is one unsolicited result code.
type URC struct {
	Line string // with its tag, without CR and LF
	Data string // the line that belongs to it: the PDU of +CMT; else empty
}

// Fields is Fields of the URC's line.
func (u URC) Fields(tag string) ([]string, bool) { return Fields(u.Line, tag) }

// Subscription receives the URCs that begin with its prefix, in order.
type Subscription struct {
	s       *Session
	prefix  string
	queue   chan URC
	dropped atomic.Uint64
	closed  bool // guarded by the session's mutex
}

// Subscribe starts to collect URCs that begin with prefix, whatever its case;
// an empty prefix means all of them. When the queue is full, the oldest URC
// makes room: what is the case now matters more than what was.
//
// A prefix that is a whole tag also tells the session that it names a URC, so
// that set commands of that name do not own it.
func (s *Session) Subscribe(prefix string) *Subscription {
	u := &Subscription{s: s, prefix: prefix, queue: make(chan URC, s.opts.Queue)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		u.closeLocked()
		return u
	}
	s.subs = append(s.subs, u)
	return u
}

// C is the queue. It is closed when the subscription or the session ends.
func (u *Subscription) C() <-chan URC { return u.queue }

// Dropped is the number of URCs that were thrown away because the queue was full.
func (u *Subscription) Dropped() uint64 { return u.dropped.Load() }

// Close ends the subscription. It may be called more than once.
func (u *Subscription) Close() {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	u.closeLocked()
	for i, other := range u.s.subs {
		if other == u {
			u.s.subs = append(u.s.subs[:i:i], u.s.subs[i+1:]...)
			break
		}
	}
}

func (u *Subscription) closeLocked() {
	if !u.closed {
		u.closed = true
		close(u.queue)
	}
}

// deliver hands a URC to those who asked for it. The session's mutex is held,
// so that there is one sender and the order stays.
func (s *Session) deliver(urc URC) {
	s.stats.URCs++
	for _, u := range s.subs {
		if len(urc.Line) < len(u.prefix) || !strings.EqualFold(urc.Line[:len(u.prefix)], u.prefix) {
			continue
		}
		for sent := false; !sent; {
			select {
			case u.queue <- urc:
				sent = true
			default:
				select {
				case <-u.queue:
					u.dropped.Add(1)
					s.stats.Dropped++
				default:
				}
			}
		}
	}
}

// isURC reports whether a tag, or a whole line without one, names a URC.
func (s *Session) isURC(name string) bool {
	if s.urcs[strings.ToUpper(name)] {
		return true
	}
	for _, u := range s.subs {
		if u.prefix != "" && strings.EqualFold(strings.TrimRight(u.prefix, ": "), name) {
			return true
		}
	}
	return false
}
