package activation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"dynamod/daemon/status"
	"dynamod/euicc"
)

// run carries one activation out. Its record is changed by execute's goroutine
// only, under mu where others read it.
type run struct {
	o       *Orchestrator
	req     Request
	order   Order // held from authenticated to the installation result
	plan    Plan
	answers chan Answer
	fresh   bool           // begun in this process and journalled by Submit
	base    status.Figures // totals when the run began in this process

	agreed euicc.ICCID // the profile that the user has agreed to
	// boundTo is the profile that the user wants even though it can never be left.
	boundTo euicc.ICCID
	typed   bool  // the confirmation code is an answer, not the request's
	tries   int   // confirmation codes that the server has refused
	failed  error // why a further session was begun

	wayBack string // Previous, as the journal has it

	locked map[string]bool // ICCIDs whose card asked for a PIN or PUK on the way back

	there     *euicc.Profile // the profile, if it is on the card already
	recovered bool           // the card was reset for a session that nobody knows

	alive    context.Context // ends with the daemon
	switched time.Time       // when the deadline began, by the monotonic clock
	resumed  bool            // and an earlier process began it
	asked    time.Time       // when the question without a session was asked, by the monotonic clock
	held     func()          // lets the link go again, nil while it is not held
	enough   chan struct{}   // closed when somebody is tired of waiting for link or card

	writing sync.Mutex // keeps records in order
	mu      sync.Mutex
	rec     Record
	abort   context.CancelFunc // nil once the run cannot be cancelled any more
	aborted bool
	given   bool // enough is closed
}

func newRun(o *Orchestrator, rec Record) *run {
	return &run{o: o, rec: rec, wayBack: rec.Previous, answers: make(chan Answer, 1), enough: make(chan struct{})}
}

func (r *run) state() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rec.State
}

// change edits the record.
func (r *run) change(f func(*Record)) Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.rec)
	return r.rec
}

func (r *run) answer(a Answer) error {
	r.mu.Lock()
	state, question := r.rec.State, r.rec.Waiting
	r.mu.Unlock()
	switch {
	case state != Waiting:
		return ErrNotWaiting
	case !a.says(question):
		return &Fault{Code: "bad-answer", Text: "the answer has nothing to say to the question for " + question, Advice: "consent and no_way_back are true or false, the confirmation code came with the order", Retry: euicc.RetryNow}
	}
	select {
	case r.answers <- a:
		return nil
	default:
		return ErrNotWaiting // an answer is on its way already
	}
}

func (r *run) cancel() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch waits := r.rec.Waiting; {
	case waits == WaitLink && r.rec.State == Undoing, waits == WaitCard:
		if !r.given {
			r.given = true
			close(r.enough)
		}
		return nil
	case before(r.rec.State, Installed):
		r.aborted = true
		if r.abort != nil {
			r.abort()
		}
		return nil
	}
	return ErrTooLate
}

// hold keeps day-two work off the link until letGo.
func (r *run) hold() {
	if r.held == nil {
		r.held = r.o.Link.Hold()
	}
}

func (r *run) letGo() {
	if r.held != nil {
		r.held()
		r.held = nil
	}
}

// execute drives the run to its end and reports whether it got there.
func (r *run) execute(ctx context.Context) (ended bool) {
	defer func() {
		if r.order != nil {
			r.order.Close()
		}
		r.o.Card.Release()
	}()
	r.base = r.o.Card.Figures()
	state, req, err := r.begin()
	if err != nil {
		state = r.fail(state, err)
	}
	r.req, r.alive = req, ctx
	ctx, abort := context.WithCancel(ctx)
	defer abort()
	r.mu.Lock()
	r.abort = abort
	if r.aborted {
		abort()
	}
	r.mu.Unlock()

	defer r.letGo()
	for !state.Ended() {
		if r.fresh {
			r.fresh = false // Submit has journalled this state
		} else if err := r.enter(state); err != nil && (before(state, Installed) || state == Enabling && r.wayBack != r.rec.Previous) {
			// Nothing was switched yet. Of a profile that was on the card this is the
			// first record with the way back: after a power cut there would be none.
			if state == Enabling {
				state = Agreed
			}
			state = r.fail(state, stateFault(err))
			continue
		}
		if !before(state, Installed) {
			// From here on only the daemon's own end interrupts the run, also
			// when somebody cancelled it a moment too late.
			r.mu.Lock()
			r.abort = nil
			r.mu.Unlock()
			ctx = r.alive
		}
		row, known := table[state]
		if !known || row.do == nil {
			state = r.fail(state, unknownState(state))
			continue
		}
		limit := r.limit(state)
		perform := r.perform
		switch state {
		case Enabling, Attaching:
			limit, perform = r.left(), r.performCounted
			fallthrough
		case Undoing:
			r.hold()
		case Agreed, Waiting: // bound themselves: a person's answer takes its time
			limit = 0
			fallthrough
		default:
			r.letGo()
		}
		next, err := perform(ctx, row, limit)
		switch {
		case r.alive.Err() != nil:
			return false // shut down: the next start goes on from the record
		case err == nil:
		default:
			next = r.fail(state, err)
		}
		state = next
	}
	now := r.o.Now().UTC().Round(time.Millisecond)
	r.change(func(rec *Record) {
		rec.Ended = &now
		if rec.Outcome == "" {
			rec.Outcome = status.Failed
		}
		if rec.Figures == nil {
			rec.Figures = r.figures()
		}
	})
	if err := r.enter(state); err != nil {
		r.o.Log.Error("the end of an activation could not be journalled", "run", r.rec.ID, "error", err)
	}
	return true
}

// limit bounds the action of a state, 0 for none.
func (r *run) limit(s State) time.Duration {
	if l, ok := r.o.Limits[s]; ok {
		return max(l, time.Millisecond)
	}
	return table[s].limit
}

func (r *run) perform(ctx context.Context, row step, limit time.Duration) (State, error) {
	if limit > 0 {
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, limit)
		defer done()
	}
	return row.do(r, ctx)
}

// begin opens the request and finds the state to start from.
func (r *run) begin() (State, Request, error) {
	from := r.rec.State
	req, err := r.o.Vault.Get(r.rec.ID)
	row, known := table[from]
	if !known {
		return from, req, unknownState(from)
	}
	if !r.fresh {
		if !before(from, Enabling) && before(from, Committed) {
			r.resumeDeadline()
		}
		if from == Waiting { // which costs nothing, and keeps its question
			r.asked = time.Now().Add(-r.spentOf(r.rec.WaitedMS, r.answerTime()))
		} else {
			r.change(func(rec *Record) { rec.Resumes++; rec.Waiting = "" })
		}
		r.o.Log.Warn("activation goes on after an interruption", "run", r.rec.ID, "state", from, "resumes", r.rec.Resumes)
		if r.rec.Resumes > resumesIn(from) {
			return from, req, &Fault{
				Code: "interrupted", Text: fmt.Sprintf("interrupted %d times in state %s", r.rec.Resumes, from),
				Advice: "look for the cause of the restarts in `dynamod log`, then start it again", Retry: euicc.RetryLater,
			}
		}
		from = row.resume
	}
	if err != nil && before(from, Installed) && from != Downloading {
		return from, req, &Fault{Code: "request-lost", Text: "the request cannot be read any more", Advice: "submit the activation code again", Retry: euicc.RetryNow, Err: err}
	}
	return from, req, nil
}

// resumesIn is how many restarts a run may have had that goes on in this state. What
// became of a download, and the way back, are asked for ever: a run that is
// interrupted there too often rests instead of ending.
func resumesIn(s State) int {
	switch s {
	case Notifying:
		return 2 * maxResumes
	case Downloading, Undoing:
		return math.MaxInt
	}
	return maxResumes
}

// unknownState is for a journal that another dynamod wrote.
func unknownState(s State) error {
	return &Fault{
		Code: "unknown-state", Text: fmt.Sprintf("the journal has the run in a state %q that this dynamod does not know", s),
		Advice: "look at the card with `dynamod profiles`, then submit the activation code again", Retry: euicc.RetryNow,
	}
}

// enter journals a state before its action.
func (r *run) enter(s State) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	rec := r.change(func(rec *Record) { rec.State = s; r.spend(rec) })
	err := r.o.record(rec)
	if err != nil {
		r.o.Log.Error("cannot write the journal", "run", rec.ID, "state", s, "error", err)
		return err
	}
	r.wayBack = rec.Previous
	return nil
}

// fail records an error and names the state that it leads to.
func (r *run) fail(s State, err error) State {
	if r.wasAborted() && before(s, Installed) && faultCode(err) != codeOutcomeUnknown {
		err = &Fault{Code: "cancelled", Text: "cancelled on request", Retry: euicc.RetryNow, Advice: "begin it again when it is wanted; a server may count it as a refusal and want a new code"}
	}
	if errors.Is(err, context.DeadlineExceeded) && !errors.As(err, new(*Fault)) && !errors.As(err, new(*euicc.Error)) {
		err = &Fault{Code: "deadline", Text: fmt.Sprintf("%s took longer than allowed", s), Err: err, Advice: "see `dynamod diag` for what is slow", Retry: euicc.RetryLater}
	}
	next := cmp.Or(table[s].onError, Failed)
	if next == Done && !r.rec.Succeeded() {
		next = Failed
	}
	at := s
	if now := r.state(); s == Attaching && (now == Configuring || now == Probing) {
		at = now // one step does all three
	}
	r.o.Log.Warn("activation step failed", "run", r.rec.ID, "state", at, "next", next, "error", err)
	if s != Reporting && s != Notifying { // those are offered again later
		r.change(func(rec *Record) {
			if rec.Error == nil {
				rec.Error = Problem(at, err)
				if next == Undoing && rec.SMDP != "" {
					// Its code may be used up: the way on is the profile itself.
					rec.Error.Advice = strings.TrimPrefix(rec.Error.Advice+"; the profile stays on the card: `dynamod profiles enable "+rec.ICCID+"` tries it again", "; ")
				}
			}
		})
	}
	return next
}

func (r *run) wasAborted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.aborted
}

// figures are what this run has cost. After a restart they count from there.
func (r *run) figures() *status.Figures {
	f := r.o.Card.Figures()
	return &status.Figures{
		APDUs: f.APDUs - r.base.APDUs, APDUBytes: f.APDUBytes - r.base.APDUBytes,
		HTTPRequests: f.HTTPRequests - r.base.HTTPRequests, TLSHandshakes: f.TLSHandshakes - r.base.TLSHandshakes,
		ElapsedMS: r.o.Now().Sub(r.rec.Started).Milliseconds(),
	}
}

// order of the states for before.
var order = map[State]int{
	Accepted: 0, Authenticated: 1, Agreed: 2, Waiting: 3, Downloading: 4, Installed: 5, Reporting: 6,
	Enabling: 7, Attaching: 8, Configuring: 9, Probing: 10, Committed: 11, Undoing: 12, Notifying: 13, Done: 14, Failed: 14,
}

func before(a, b State) bool { return order[a] < order[b] }
