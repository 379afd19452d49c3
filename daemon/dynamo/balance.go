package dynamo

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"dynamod/daemon/dynamo/call"
	"dynamod/daemon/dynamo/moapi"
)

// Asker asks for a SIM's balances: *directory.Client, or *moapi.Client where the
// operator's record has credentials.
type Asker interface {
	Balances(ctx context.Context, iccid string, q moapi.BalanceQuery) ([]moapi.Balance, error)
}

// Pauses between two questions for one SIM. They are ours: none is published.
const (
	BalanceFloor   = time.Minute    // after an answer
	balanceTop     = time.Hour      // after failures, which double the floor
	balanceUnknown = 6 * time.Hour  // the operator does not know the SIM
	balanceOff     = 24 * time.Hour // the operator has no balance for it
	maxBalances    = 16             // SIMs that are remembered
)

// Reading is what is known of a SIM's balance.
type Reading struct {
	// Balances are those of At, the one that is in use first. Zero At: never known.
	Balances []moapi.Balance
	At       time.Time
	// Err is why there is nothing newer; the balance is stale then.
	Err error
	// Next is how long nobody will be asked.
	Next time.Duration
}

// Stale tells whether the last question came to nothing.
func (r Reading) Stale() bool { return r.Err != nil && !r.At.IsZero() }

// NotSupported tells whether the operator has no balance for this SIM, so that none
// is to be shown.
func (r Reading) NotSupported() bool {
	return len(r.Balances) > 0 && r.Balances[0].Type == moapi.TypeNotSupported
}

// Balances keeps the last balance of each SIM, and asks for a new one on demand but
// never more often than the operator allows. It is safe for concurrent use.
type Balances struct {
	ask Asker
	now func() time.Time

	ctx       context.Context // of the questions
	cancel    context.CancelFunc
	questions sync.WaitGroup

	mu   sync.Mutex
	sims map[string]*kept
}

type kept struct {
	Reading
	used     time.Time
	next     time.Time // by the monotonic clock: no change of the date opens it early
	failures int
	asking   chan struct{} // closed at the end of the question that is on its way
}

// NewBalances returns a keeper of what ask says. Close ends it.
func NewBalances(ask Asker, now func() time.Time) *Balances {
	b := &Balances{ask: ask, now: now, sims: map[string]*kept{}}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

// Close ends the questions that are on their way, and waits for them.
func (b *Balances) Close() error {
	b.cancel()
	b.questions.Wait()
	return nil
}

// Last is what is known, without asking anybody: it never waits.
func (b *Balances) Last(iccid string) Reading {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sim(iccid).reading()
}

// Get asks for the balance of a SIM where that may be done now, and returns what is
// known then. Callers at once share one question. When ctx ends it is what is known
// so far; the question goes on to its own end.
func (b *Balances) Get(ctx context.Context, iccid, location string) Reading {
	b.mu.Lock()
	s := b.sim(iccid)
	if s.asking == nil {
		if time.Now().Before(s.next) {
			defer b.mu.Unlock()
			return s.reading()
		}
		s.asking = make(chan struct{})
		b.questions.Go(func() { b.question(s, iccid, location) })
	}
	done := s.asking
	b.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	r := s.reading()
	if ctx.Err() != nil && s.asking != nil {
		r.Err = cmp.Or(r.Err, ctx.Err())
	}
	return r
}

func (b *Balances) question(s *kept, iccid, location string) {
	ctx, done := context.WithTimeout(b.ctx, call.Timeout)
	defer done()
	list, err := b.ask.Balances(ctx, iccid, moapi.BalanceQuery{Location: location, Limit: 1})
	if e, ok := errors.AsType[*call.Error](err); ok && e.Code == call.CodeBadRequest && location != "" {
		// An operator refuses places where it sells nothing, and a router may roam there.
		list, err = b.ask.Balances(ctx, iccid, moapi.BalanceQuery{Limit: 1})
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	close(s.asking)
	s.asking = nil
	wait := BalanceFloor
	if err == nil {
		s.Balances, s.At, s.Err, s.failures = list, b.now(), nil, 0
		if s.NotSupported() {
			wait = balanceOff
		}
	} else {
		s.Err = err
		wait = min(BalanceFloor<<min(s.failures, 10), balanceTop)
		s.failures++
		if e, ok := errors.AsType[*call.Error](err); ok {
			switch e.Code {
			case call.CodeUnknown:
				wait = balanceUnknown
			case call.CodeNoAPI, call.CodeBusy: // nobody was asked
				wait, s.failures = 0, 0
			}
			wait = max(wait, e.RetryAfter)
		}
	}
	s.next = time.Now().Add(wait)
}

// Event lets the next Get ask at once after an answer: a purchase, a message of the
// operator's or the end of its credit has changed the balance. What the operator
// said of waiting still holds, and so does the pause after a failure.
func (b *Balances) Event(iccid string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.sim(iccid); s.Err == nil && !s.NotSupported() {
		s.next = time.Time{}
	}
}

// sim is the entry of a SIM, a new one in place of that which was not used for the
// longest time. b.mu is held.
func (b *Balances) sim(iccid string) *kept {
	iccid = stripF(iccid)
	s := b.sims[iccid]
	if s == nil {
		if len(b.sims) >= maxBalances {
			var oldest string
			for id, o := range b.sims {
				if oldest == "" || o.used.Before(b.sims[oldest].used) {
					oldest = id
				}
			}
			delete(b.sims, oldest)
		}
		s = &kept{}
		b.sims[iccid] = s
	}
	s.used = time.Now()
	return s
}

func (s *kept) reading() Reading {
	r := s.Reading
	r.Balances = slices.Clone(r.Balances)
	r.Next = max(time.Until(s.next), 0)
	return r
}
