package activation

import (
	"context"
	"sync"
	"time"
)

// The deadline counts from the switch to traffic while the daemon runs, over
// restarts too: a box that is restarted every few minutes must come back as well.
// What was spent is in the journal, by the monotonic clock, and not older than a
// spentEvery-th of the deadline. For this part, and for it alone, the dates are
// asked: a box without a clock of its own may begin in the past, which counts for
// nothing, one that was off for a day has not spent the day, and a clock may have
// been set by years. The wait for an answer is counted the same way. All other limits
// begin anew with a restart, of which each run has only a few.

func (r *run) deadline() time.Duration {
	if r.req.Deadline > 0 {
		return r.req.Deadline
	}
	return r.o.Deadline
}

// resumeDeadline goes on with a deadline that an earlier process began.
func (r *run) resumeDeadline() {
	r.switched = time.Now().Add(-r.spentOf(r.rec.SpentMS, r.deadline()))
	r.resumed = true
}

// spentOf is what an earlier process has spent of a limit: what it has written, and
// what may have passed since, by the dates.
func (r *run) spentOf(ms int64, limit time.Duration) time.Duration {
	spent := time.Duration(min(max(ms, 0), maxWait.Milliseconds())) * time.Millisecond
	return spent + max(0, min(r.o.Now().Sub(r.rec.written), limit/spentEvery))
}

// left is what is left of the deadline. The first call begins it. After a restart
// there is time to register once more, but only once.
func (r *run) left() time.Duration {
	if r.switched.IsZero() {
		r.switched = time.Now()
	}
	left := time.Until(r.switched.Add(r.deadline()))
	if r.resumed {
		grace := min(graceTime, r.deadline())
		left = min(max(left, grace), left+grace)
	}
	return max(left, time.Millisecond)
}

// performCounted is perform while the deadline runs: from time to time it
// journals how much is spent, for a power cut in a step that takes minutes.
func (r *run) performCounted(ctx context.Context, row step, limit time.Duration) (State, error) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(r.deadline() / spentEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				r.count()
			}
		}
	})
	defer wg.Wait()
	defer close(stop)
	return r.perform(ctx, row, limit)
}

// count journals what is spent of the deadline.
func (r *run) count() {
	r.writing.Lock()
	defer r.writing.Unlock()
	if err := r.o.record(r.change(r.spend)); err != nil {
		r.o.Log.Error("cannot write the journal", "run", r.rec.ID, "error", err)
	}
}

// spend notes it in the record.
func (r *run) spend(rec *Record) {
	rec.SpentMS = 0
	if !r.switched.IsZero() && before(rec.State, Committed) {
		rec.SpentMS = min(time.Since(r.switched), maxDeadline).Milliseconds()
	}
	rec.WaitedMS = 0
	if !r.asked.IsZero() && rec.State == Waiting {
		rec.WaitedMS = min(time.Since(r.asked), maxWait).Milliseconds()
	}
}
