package activation

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"dynamod/daemon/journal"
	"dynamod/daemon/learned"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// Card is the eUICC and the SM-DP+ behind it, as a run needs them.
type Card interface {
	// Preflight checks, before anything is spent, that there is a way to the
	// server, a sane clock and a reachable eUICC with some memory.
	Preflight(ctx context.Context, code euicc.ActivationCode) error
	// AwaitWay waits for the link that may be on its way up after a restart, so
	// that servers can be reached. Its error is that there is no way to them.
	AwaitWay(ctx context.Context) error
	// Regained waits, until ctx ends, for a way to servers that were lost with the
	// only link. False says that there is nothing new to try: no way has come back,
	// or the link was not lost and something else keeps the servers out of reach.
	Regained(ctx context.Context) bool
	// Locate finds the server and the order of a request without activation
	// code: by discovery, or as the card's default SM-DP+. Discovery has sessions
	// of its own, for which begin is called as by Authenticate, with no server.
	Locate(ctx context.Context, r Request, begin func(server string, id euicc.TransactionID) error) (euicc.ActivationCode, error)
	// Authenticate begins an RSP session. The order holds one logical channel
	// until it is closed. begin is called when the server has named the session
	// and before the card opens it; its error ends Authenticate.
	Authenticate(ctx context.Context, code euicc.ActivationCode, begin func(server string, id euicc.TransactionID) error) (Order, error)
	// Abandon ends the stranded session of an order that a crash has lost, on
	// the card and, when it can be reached, at the server. There is none, "", when
	// it was a discovery server's.
	Abandon(ctx context.Context, smdp string, id euicc.TransactionID) error
	Profiles(ctx context.Context) ([]euicc.Profile, error)
	// Recover brings back a card that does not answer: it waits for a modem that
	// restarts and makes it power the card off and on. enabled is the ICCID of
	// the profile that is in use, "" for none. The link is lost with it.
	Recover(ctx context.Context, enabled string) error
	// CheckPolicy asks the card whether the offered profile may have its policy
	// rules. A refusal has the code "ppr-not-allowed". consent says that the card
	// wants the user's own consent to them.
	CheckPolicy(ctx context.Context, md euicc.Metadata) (consent bool, err error)
	// Enable enables a profile and returns when the modem shows its ICCID. An
	// unknown outcome is settled by reading the card; enabling the profile that
	// is enabled already only waits for the modem.
	Enable(ctx context.Context, iccid euicc.ICCID) error
	Disable(ctx context.Context, iccid euicc.ICCID) error
	// Collect copies the card's notifications to the outbox.
	Collect(ctx context.Context) ([]euicc.PendingNotification, error)
	// Deliver offers what the outbox holds to its receivers, and removes what
	// they took from the card.
	Deliver(ctx context.Context) error
	// Show has the status tell the card's profiles, where no switch does.
	Show(ctx context.Context) error
	// Unreported reports whether the server of a profile may not know yet that it
	// is installed.
	Unreported(iccid string) bool
	// Release gives back the card that Preflight took: it is held over several
	// calls, so that nothing is asked twice, until a profile is switched.
	Release()
	// Figures are the running totals of what card and servers were asked.
	Figures() status.Figures
}

// Order is one RSP session from AuthenticateServer on.
type Order interface {
	TransactionID() euicc.TransactionID
	Metadata() euicc.Metadata
	ConfirmationRequired() bool
	// Download installs the profile; see lpa.Order.
	Download(ctx context.Context, cc euicc.ConfirmationCode, progress func(status.Progress)) (euicc.InstallResult, error)
	Cancel(ctx context.Context, reason euicc.CancelReason) error
	Close()
}

// Link is the data link, as a run needs it.
type Link interface {
	// Choose finds the connections to try for a profile that is not enabled
	// yet. It fails when there is none, so that nothing is switched in vain.
	Choose(ctx context.Context, md euicc.Metadata, apn *APN) (Plan, error)
	// Plan finds them again for the profile that is enabled: after a restart,
	// and for the way back.
	Plan(ctx context.Context, iccid string, apn *APN) (Plan, error)
	// Up registers, activates, configures and probes. It calls stage when it
	// begins Configuring and Probing, and returns when traffic flows.
	Up(ctx context.Context, plan Plan, stage func(State)) (Up, error)
	// Lasts probes the link that Up brought up once more. limited is as in Up; the
	// error is that nothing crosses it any more.
	Lasts(ctx context.Context) (limited string, err error)
	// Worked tells with which APN a profile last gave a link, and when; ok is
	// false if it never did.
	Worked(iccid string) (apn string, last time.Time, ok bool)
	// LastGood tells that connection whole, but for the password; Recall gives it
	// back to a Link that has forgotten it.
	LastGood(iccid string) (learned.APN, bool)
	Recall(iccid string, good learned.APN)
	// Hold keeps the day-two work (renewal, retries, recovery) off the modem
	// until the returned function is called.
	Hold() (release func())
}

// Plan is a list of connections to try, made and read by the Link.
type Plan interface {
	First() (apn, reason string)
}

// Up is a link that carries traffic, if only to a portal.
type Up struct {
	APN       string
	APNReason string
	Interface string
	Address   string
	Limited   string // why there is no more than a portal or a wall, "" where there is
}

// Config is what an Orchestrator is made of. All fields but LinkHolds, Bootstrap, Log and Limits
// are needed.
type Config struct {
	Card      Card
	Link      Link
	Journal   *journal.Journal
	Vault     *Vault
	Status    *status.Model
	Deadline  time.Duration           // from the switch to traffic
	LinkHolds time.Duration           // that a new link has to last where there is a way back
	Limits    map[State]time.Duration // in place of the table's; Waiting is for an answer
	Bootstrap func(iccid string) bool // of a profile that is the last resort beside those for provisioning; nil for none
	Log       *slog.Logger
	Now       func() time.Time
}

// Orchestrator runs one activation at a time.
type Orchestrator struct {
	Config
	wake chan struct{}

	mu      sync.Mutex
	runs    []Record // last record of each run, oldest first
	current *run
	// executing stays true where a panic has ended Run.
	executing bool
	closed    bool
	// unwritten are the IDs of runs whose last record is not in the journal.
	unwritten map[string]bool
	// compactions of the journal that runs accounts for
	compactions int
}

// New reads the journal. Run takes up an unfinished run.
func New(c Config) (*Orchestrator, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	o := &Orchestrator{Config: c, wake: make(chan struct{}, 1), runs: Runs(c.Journal.Records()), unwritten: map[string]bool{}}
	c.Journal.WhenFull(o.makeRoom)
	o.endOrphans()
	keep := ""
	if n := len(o.runs); n > 0 {
		last := o.runs[n-1]
		c.Status.Update(func(s *status.Snapshot) { s.Run = last.View() })
		if !last.State.Ended() {
			keep = last.ID
			o.current = newRun(o, last)
			o.wake <- struct{}{}
		}
	}
	if err := c.Vault.Sweep(keep); err != nil {
		c.Log.Warn("cannot remove the requests of ended runs", "error", err)
	}
	return o, nil
}

// Submit accepts a request and returns its run. A key that its caller has used
// returns the run that it was used for, whatever became of it; with another order
// it is refused. A code whose run goes on or was committed returns that run. A code whose run
// has failed, was rolled back or only installed begins a new one, which names the old one and
// does not ask a server for what it has refused for good. The run is on the medium
// when Submit returns.
func (o *Orchestrator) Submit(r Request) (Record, error) {
	if err := r.Validate(); err != nil {
		return Record{}, err
	}
	mark, after := o.Vault.Mark(r), ""
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return Record{}, ErrClosed
	}
	// The key first: a younger run may be of the same code, and is another one.
	for _, rec := range slices.Backward(o.runs) {
		if r.Key == "" || rec.Key != r.Key || rec.Caller != r.Caller {
			continue
		}
		if rec.Mark != mark && rec.Mark != "" { // "" is of records of before that one was kept
			return Record{}, keyReused(rec)
		}
		return rec, nil
	}
	for _, rec := range slices.Backward(o.runs) {
		if rec.Mark != mark || rec.Forgotten {
			continue
		}
		sameCode := !rec.State.Ended() || rec.Outcome == status.Committed || rec.Outcome == status.Installed && r.InstallOnly
		// Without a matching ID the code names a server, not an order.
		order := r.Code.MatchingID.Reveal() != ""
		if sameCode && order {
			return rec, nil
		}
		if after == "" && order {
			after = rec.ID
		}
	}
	if o.taken() {
		return Record{}, o.busy()
	}
	id := rand.Text()[:13]
	if err := o.Vault.Put(id, r); err != nil {
		return Record{}, stateFault(err)
	}
	rec := Record{ID: id, State: Accepted, Key: r.Key, Caller: r.Caller, Mark: mark, After: after, SMDP: r.Code.Address, AcceptLimited: r.AcceptLimited, InstallOnly: r.InstallOnly, Started: o.Now().UTC().Round(time.Millisecond)}
	if err := o.append(rec); err != nil {
		o.Vault.Remove(id)
		return Record{}, stateFault(err)
	}
	o.current = newRun(o, rec)
	o.current.fresh = true
	o.wake <- struct{}{}
	o.publish(rec)
	return rec, nil
}

// Forget lets the code of a profile that was deleted begin a new run: what its
// order gave before is not there any more.
func (o *Orchestrator) Forget(iccid string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, rec := range slices.Clone(o.runs) {
		if rec.ICCID != iccid || !rec.Succeeded() || !rec.State.Ended() || rec.Mark == "" || rec.Forgotten {
			continue
		}
		rec.Forgotten = true
		if err := o.append(rec); err != nil {
			return err
		}
	}
	return nil
}

// A Switching asks for a profile that is on the card.
type Switching struct {
	ICCID         string
	PolicyRules   string // of it, as in Record
	Previous      string // ICCID of the profile that is enabled now, or ""
	AcceptLimited bool   // as in Request
}

// Switch begins a run that only enables a profile which is on the card. It has
// the same way back as an activation.
func (o *Orchestrator) Switch(s Switching) (Record, error) {
	return o.switchTo(Record{ICCID: s.ICCID, PolicyRules: s.PolicyRules, Previous: s.Previous, AcceptLimited: s.AcceptLimited})
}

func (o *Orchestrator) switchTo(rec Record) (Record, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return Record{}, ErrClosed
	}
	if o.taken() {
		return Record{}, o.busy()
	}
	rec.ID, rec.State, rec.Started = rand.Text()[:13], Enabling, o.Now().UTC().Round(time.Millisecond)
	o.notePrevious(&rec)
	if err := o.append(rec); err != nil {
		return Record{}, stateFault(err)
	}
	o.current = newRun(o, rec)
	o.current.fresh = true
	o.wake <- struct{}{}
	o.publish(rec)
	return rec, nil
}

// taken reports whether a run goes on. One whose end is told already, and which
// only has to be let go, holds up nobody: a script that saw the end begins the
// next one at once. The lock is held.
func (o *Orchestrator) taken() bool { return o.current != nil && !o.current.state().Ended() }

// busy is the error of a second request. The lock is held.
func (o *Orchestrator) busy() error {
	return &Fault{Code: "busy", Text: fmt.Sprintf("another activation is in state %s", o.current.state()), Advice: "wait for its end, or cancel it", Retry: euicc.RetryLater, Err: ErrBusy}
}

func keyReused(rec Record) error {
	return &Fault{
		Code: "key-reused", Text: "the idempotency key was used for another order, in activation " + rec.ID, Err: ErrKeyReused, Retry: euicc.RetryNow,
		Advice: "each order has a key of its own; the same one is for asking again whether the first was accepted",
	}
}

func stateFault(err error) error {
	return &Fault{
		Code: "state-unwritable", Text: "the activation is refused, because it could not survive a power cut", Err: err,
		Advice: "make room on, or remount, the file system of the state directory; the link is not affected", Retry: euicc.RetryLater,
	}
}

// Runs returns the last record of each known run, oldest first.
func (o *Orchestrator) Runs() []Record {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.runs)
}

// Get returns the last record of a run.
func (o *Orchestrator) Get(id string) (Record, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.IndexFunc(o.runs, func(r Record) bool { return r.ID == id })
	if i < 0 {
		return Record{}, ErrNoRun
	}
	return o.runs[i], nil
}

// Answer answers what a run is waiting for.
func (o *Orchestrator) Answer(id string, a Answer) error {
	r, err := o.find(id)
	if err != nil {
		return err
	}
	return r.answer(a)
}

// Cancel ends a run as long as nothing of it is on the card, and one that waits
// for a link on its way back.
func (o *Orchestrator) Cancel(id string) error {
	r, err := o.find(id)
	if err != nil {
		return err
	}
	return r.cancel()
}

func (o *Orchestrator) find(id string) (*run, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current != nil && o.current.rec.ID == id {
		return o.current, nil
	}
	if slices.ContainsFunc(o.runs, func(r Record) bool { return r.ID == id }) {
		return nil, ErrNotWaiting
	}
	return nil, ErrNoRun
}

// String names the task.
func (o *Orchestrator) String() string { return "activation" }

// Run carries runs out until ctx ends. A run that is interrupted by that goes
// on at the next start.
func (o *Orchestrator) Run(ctx context.Context) error {
	defer func() {
		o.mu.Lock()
		o.closed = true
		o.mu.Unlock()
	}()
	o.reopen()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-o.wake:
		}
		o.mu.Lock()
		r := o.current
		o.executing = r != nil
		o.mu.Unlock()
		if r == nil {
			continue
		}
		ended := r.execute(ctx)
		if !ended {
			return nil
		}
		o.mu.Lock()
		if o.executing = false; o.current == r { // else the next one is in already
			o.current = nil
		}
		o.mu.Unlock()
		if err := o.Vault.Remove(r.rec.ID); err != nil {
			o.Log.Warn("cannot remove the request of an ended run", "run", r.rec.ID, "error", err)
		}
	}
}

// reopen makes ready for a Run after one that ended in a panic: the run that it
// was at goes on from its last record, as after a restart.
func (o *Orchestrator) reopen() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = false
	if !o.executing {
		return
	}
	o.executing = false
	o.current = newRun(o, o.runs[slices.IndexFunc(o.runs, func(r Record) bool { return r.ID == o.current.rec.ID })])
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *Orchestrator) publish(rec Record) {
	o.Status.Update(func(s *status.Snapshot) {
		view := rec.View()
		if s.Run != nil && s.Run.ID == rec.ID && rec.State == Downloading {
			view.Progress = s.Run.Progress
		}
		s.Run = view
	})
	o.Log.Info("activation", "run", rec.ID, "state", rec.State, "outcome", cmp.Or(string(rec.Outcome), "-"))
}
