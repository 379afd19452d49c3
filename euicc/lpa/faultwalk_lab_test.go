package lpa

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"dynamod/euicc"
	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
	"dynamod/euicc/es10"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// part is a place within a function's exchange with the card.
type part int

const (
	firstBlock part = iota
	lastBlock
	getResponse // the first GET RESPONSE of the answer
)

// aim is the way to the card, with a fault that strikes at one place: the nth
// function that begins with tag.
type aim struct {
	*euiccsim.Card
	tag   bertlv.Tag
	nth   int // from 1; counted from the last one when not positive: 0 is the last
	part  part
	fault euiccsim.Fault

	counts map[bertlv.Tag]int // functions begun
	whole  map[bertlv.Tag]int // of a download in which nothing fails
	now    bertlv.Tag         // the function under way
	struck bool
}

func (a *aim) Transmit(ctx context.Context, session string, cmd []byte) ([]byte, error) {
	if c, err := apdu.ParseCommand(cmd); err == nil {
		place := getResponse
		switch {
		case c.INS == 0xE2 && c.P2 == 0:
			if a.now, _, _, err = bertlv.Header(c.Data); err != nil {
				a.now = 0
			}
			a.counts[a.now]++
			place = firstBlock
		case c.INS == 0xE2:
			place = -1
		}
		here := place == a.part || a.part == lastBlock && c.INS == 0xE2 && c.P1 == 0x91
		nth := a.nth
		if nth <= 0 {
			nth += a.whole[a.tag]
		}
		if here && a.fault.Kind != 0 && !a.struck && a.now == a.tag && a.counts[a.now] == nth {
			a.struck = true
			a.SetFault(a.fault)
		}
	}
	return a.Card.Transmit(ctx, session, cmd)
}

// walk is a lab for one row.
type walk struct {
	*lab
	aim  *aim
	code euicc.ActivationCode
	// giveUp makes the caller give up as soon as the fault acts.
	giveUp bool
	// afterOpen arms a fault that counts from the first function.
	afterOpen func()
	// struck reports whether the fault has acted.
	struck func() bool
	// deliver is armed before the result is delivered.
	deliver *smdpsim.Fault
	// cancelFaults counts the faults of ES9+ CancelSession.
	cancelFaults int

	// What a caller keeps on disk, see Config.Begin and Config.Cancelled.
	begun     euicc.TransactionID
	cancelled map[euicc.TransactionID]Cancellation
}

// none means that no server learned of a cancellation.
const none = -1

// outcome is where a row has to end.
type outcome struct {
	code    string // of the caller's error; "" is success
	retry   euicc.Retry
	unknown bool // the caller is told that only the card knows
	// installed says that the profile is on the card in the end, result that the
	// card gave a result, good or bad.
	installed, result bool
	reason            int // that the server was told, or none
	order             smdpsim.State
	again             string // what the same code brings then: again, notNeeded or an error's code
}

const (
	again     = "yes"
	notNeeded = "not needed"
)

func (o outcome) String() string {
	code, told, card := o.code, "-", "empty"
	if code == "" {
		code = "success"
	}
	if o.unknown {
		code += ", unknown"
	}
	if o.reason != none {
		told = fmt.Sprintf("%d %s", o.reason, euicc.CancelReason(o.reason))
	}
	if o.installed {
		card = "profile"
	}
	if o.result {
		card += ", result"
	}
	return strings.Join([]string{code, string(o.retry), card, told, string(o.order), o.again}, "\t")
}

// wholeDownload counts the functions of a download in which nothing fails.
func wholeDownload(t *testing.T) map[bertlv.Tag]int {
	w := newWalk(t, nil, smdpsim.RebindReuse)
	o, err := w.open().Authenticate(t.Context(), w.code)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := o.Download(t.Context(), "", nil); err != nil || !r.Success {
		t.Fatalf("without a fault: %v", err)
	}
	return w.aim.counts
}

func newWalk(t *testing.T, whole map[bertlv.Tag]int, rebind smdpsim.Rebind) *walk {
	t.Helper()
	// A card that hands out its answers by GET RESPONSE, and that shows a session
	// which was left open by refusing the next one.
	l := newLab(t, func(c *euiccsim.Config) { c.GetResponse = true })
	l.card.SetBehaviour(euiccsim.Behaviour{KeepSession: true})
	a := &aim{Card: l.card, counts: map[bertlv.Tag]int{}, whole: whole}
	l.cfg.Transport = a
	upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: testICCID, IMSI: "001010000000001", Filler: 6000})
	if err != nil {
		t.Fatal(err)
	}
	w := &walk{lab: l, aim: a, cancelled: map[euicc.TransactionID]Cancellation{}}
	w.code = l.order(smdpsim.Order{UPP: upp, Rebind: rebind})
	l.cfg.Begin = func(_ string, id euicc.TransactionID) error { w.begun = id; return nil }
	l.cfg.Cancelled = func(x Cancellation) { w.cancelled[x.TransactionID] = x }
	return w
}

// card arms a fault of the card.
func (w *walk) card(tag bertlv.Tag, nth int, p part, f euiccsim.Fault) {
	w.aim.tag, w.aim.nth, w.aim.part, w.aim.fault = tag, nth, p, f
	w.struck = func() bool { return w.aim.struck }
}

// serverFault arms faults of the server, each once.
func (w *walk) serverFault(faults ...smdpsim.Fault) {
	w.Helper()
	for _, f := range faults {
		f.Times = 1
		if f.Function == smdpsim.CancelSession {
			w.cancelFaults++
		}
		if err := w.server.SetFault(f); err != nil {
			w.Fatal(err)
		}
	}
	w.struck = func() bool { return len(w.server.FaultsSet()) == 0 }
}

// order is how the order of the walk's code stands.
func (w *walk) order() (st smdpsim.OrderStatus) {
	for _, o := range w.server.Orders() {
		if o.MatchingID == w.code.MatchingID.Reveal() {
			st = o
		}
	}
	return st
}

// attempt is one download as an LPA's caller runs it: to its end, or to an error.
func (w *walk) attempt(c *Card) (*euicc.InstallResult, *Order, error) {
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	if w.giveUp {
		done := make(chan struct{})
		defer func() { cancel(); <-done }()
		go func() {
			defer close(done)
			for ctx.Err() == nil && !w.struck() {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
	}
	o, err := c.Authenticate(ctx, w.code)
	if err != nil {
		return nil, nil, err
	}
	r, err := o.Download(ctx, "", nil)
	return r, o, err
}

// run goes one row to its end and returns where that was.
func (w *walk) run() (got outcome) {
	w.Helper()
	c := w.open()
	if w.afterOpen != nil {
		w.afterOpen()
	}
	r, o, err := w.attempt(c)
	got.fill(w, err)
	if w.struck != nil && !w.struck() {
		w.Error("the fault did not act")
	}
	w.server.ClearFaults()
	w.aim.SetFault()
	w.aim.SetBehaviour(euiccsim.Behaviour{KeepSession: true, NewKeyAlways: w.aim.Behaviour().NewKeyAlways})
	w.giveUp = false
	if err != nil && r == nil {
		c, r = w.settle(c, got)
	}
	got.installed, got.result = len(w.aim.Installed()) == 1, r != nil
	if n := len(w.aim.Pending()); (n > 0) != got.result {
		w.Errorf("%d reports on the card, result %+v", n, r)
	}
	if o != nil && r != nil && (o.Cancellation() != nil || len(w.cancelled) > 0) {
		w.Error("a session with a result was cancelled")
	}
	if r != nil {
		w.report(c, r, &got)
	}
	st := w.order()
	got.reason, got.order = none, st.State
	if st.Canceled {
		got.reason = st.CancelReason
	}
	if n := w.server.Stats().Requests[smdpsim.CancelSession]; n > 1+w.cancelFaults {
		w.Errorf("CancelSession was sent %d times", n)
	}
	if got.installed {
		got.again = notNeeded
		return got
	}
	r, _, err = w.attempt(c)
	if got.again = euicc.CodeOf(err); err == nil && r.Success && len(w.aim.Installed()) == 1 {
		got.again = again
	}
	return got
}

// fill notes what the caller is told.
func (got *outcome) fill(w *walk, err error) {
	w.Helper()
	if err == nil {
		return
	}
	e, ok := errors.AsType[*euicc.Error](err)
	if !ok {
		w.Fatalf("an error of another type: %v", err)
	}
	got.code, got.retry, got.unknown = e.Code, e.Retry, e.Unknown
	if strings.Contains(err.Error(), w.code.MatchingID.Reveal()) {
		w.Errorf("the matching ID is in %v", err)
	}
	if e.Advice == "" && e.Code != "cancelled" {
		w.Errorf("no advice with %v", err)
	}
}

// settle is what a caller does after an error without a result, as rule 2 of the
// architecture has it: a card that does not answer is reset, it is asked for a
// result where the outcome is unknown, a session that it still has is ended, and
// a server that was not told is told when the network is back.
func (w *walk) settle(c *Card, got outcome) (*Card, *euicc.InstallResult) {
	w.Helper()
	if got.unknown || got.code == "card-transport" {
		_ = c.Close() // it may not answer
		w.aim.Reset()
		c = w.open()
	}
	if got.unknown {
		r, err := c.FindResult(w.Context(), w.begun)
		if err != nil {
			w.Fatalf("the card is asked after its reset: %v", err)
		}
		if r != nil {
			return c, r
		}
	}
	if _, ended := w.cancelled[w.begun]; !ended && w.begun != "" {
		if _, err := c.CancelSession(w.Context(), testHost, w.begun, euicc.CancelPostponed); err != nil && !errors.Is(err, es10.ErrNotFound) {
			w.Errorf("ending what was left open: %v", err)
		}
	}
	for _, x := range w.cancelled {
		if err := c.DeliverCancellation(w.Context(), &x); err != nil && !x.Delivered {
			w.Errorf("the network is back, and the server is not told: %v", err)
		}
	}
	return c, nil
}

// report delivers the card's result; what does not arrive at first stays on the
// card and arrives later.
func (w *walk) report(c *Card, r *euicc.InstallResult, got *outcome) {
	w.Helper()
	p, err := euicc.ParsePendingNotification(r.Raw)
	if err != nil {
		w.Fatal(err)
	}
	if w.deliver != nil {
		w.serverFault(*w.deliver)
		got.fill(w, c.Deliver(w.Context(), &p))
		if !w.struck() {
			w.Error("the fault did not act")
		}
		w.server.ClearFaults()
		if got.code == "" {
			return // delivered, says the caller; the order tells
		}
	}
	err = c.Deliver(w.Context(), &p)
	if err != nil {
		// A connection that was cut behind the last byte may be found out by this
		// request only.
		err = c.Deliver(w.Context(), &p)
	}
	if err != nil {
		w.Errorf("delivering the result: %v", err)
	}
}

// walkTable prints the rows.
type walkTable struct{ *tabwriter.Writer }

// newWalkTable begins a table; columns, divided by tabs, are the outcome's.
func newWalkTable(out io.Writer, columns string) walkTable {
	t := walkTable{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	t.row("step", "fault", columns)
	return t
}

func (t walkTable) row(step, fault, rest string) {
	fmt.Fprintf(t, "%s\t%s\t%s\n", step, fault, rest)
}
