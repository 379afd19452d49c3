package activation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"dynamod/daemon/learned"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// world is a card, a server and a link without any protocol below them. It
// records what was done, and fails where fail says so.
type world struct {
	mu        sync.Mutex
	profiles  map[string]euicc.State
	pending   []euicc.PendingNotification
	delivered int
	abandoned []euicc.TransactionID
	cancelled []euicc.CancelReason
	log       []string
	held      int
	released  int
	dead      bool // the card does not answer
	beyond    bool // not even after a reset
	md        euicc.Metadata
	confirm   bool
	class     euicc.Class               // of the profiles on the card
	rules     euicc.PPR                 // of these, too
	metadata  map[string]euicc.Metadata // of one, in place of both
	planned   []string                  // APNs that Plan was asked for
	asked     []APN                     // the same, whole
	good      map[string]learned.APN    // what LastGood tells
	policy    error                     // what the card says to policy rules
	refusals  int
	located   euicc.ActivationCode
	sessions  int
	fail      func(call string) error // before the call has its effect
	lost      func(call string) error // after it
	block     func(ctx context.Context, call string)
	linkFails map[string]error  // by ICCID
	limited   map[string]string // the same: what Up says of it
	later     map[string]string // and Lasts
	worked    map[string]time.Time
	limits    map[State]time.Duration // of the configuration
	holds     time.Duration           // of it, too
	bootstrap string                  // ICCID that it names
	regains   int                     // how often the only link comes back
}

func newWorld(t *testing.T) *world {
	id, err := euicc.ParseICCID(newICCID)
	if err != nil {
		t.Fatal(err)
	}
	return &world{profiles: map[string]euicc.State{}, md: euicc.Metadata{ICCID: id, ServiceProvider: "Example", Name: "Data"}, linkFails: map[string]error{}}
}

func (w *world) do(ctx context.Context, call string, effect func() error) error {
	w.mu.Lock()
	w.log = append(w.log, call)
	fail, lost, block := w.fail, w.lost, w.block
	w.mu.Unlock()
	if block != nil {
		block(ctx, call)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.isDead() && call != "recover" {
		return errors.New("no answer")
	}
	if fail != nil {
		if err := fail(call); err != nil {
			return err
		}
	}
	w.mu.Lock()
	err := effect()
	w.mu.Unlock()
	if err == nil && lost != nil {
		err = lost(call)
	}
	return err
}

// calls are those so far.
func (w *world) calls() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.log)
}

func (w *world) isDead() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead
}

// dies makes the card stop answering at the call, once, carried out or not.
func (w *world) dies(at string, after bool) {
	struck := false
	strike := func(call string) error {
		if call != at || w.isDead() {
			return nil
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if struck {
			return nil
		}
		w.dead, struck = true, true
		return &euicc.Error{Stage: "install", Code: "transport", Unknown: true, Text: "no answer", Advice: "ask the card"}
	}
	if after {
		w.lost = strike
	} else {
		w.fail = strike
	}
}

func (w *world) enabled() string {
	for id, s := range w.profiles {
		if s == euicc.Enabled {
			return id
		}
	}
	return ""
}

func (w *world) Preflight(ctx context.Context, _ euicc.ActivationCode) error {
	return w.do(ctx, "preflight", func() error { return nil })
}

func (w *world) AwaitWay(ctx context.Context) error {
	return w.do(ctx, "way", func() error { return nil })
}

func (w *world) Regained(ctx context.Context) bool {
	back := false
	err := w.do(ctx, "regain", func() error { back = w.regains > 0; w.regains--; return nil })
	return err == nil && back
}

func (w *world) Locate(ctx context.Context, r Request, begin func(string, euicc.TransactionID) error) (c euicc.ActivationCode, err error) {
	if r.Discover {
		if err := begin("", "DD"); err != nil {
			return c, err
		}
	}
	err = w.do(ctx, fmt.Sprintf("locate %v %s %v", r.Discover, r.SMDS, r.DefaultSMDP), func() error { c = w.located; return nil })
	return c, err
}

func (w *world) CheckPolicy(ctx context.Context, md euicc.Metadata) (bool, error) {
	return md.PPR != 0, w.do(ctx, "policy", func() error { return w.policy })
}

func (w *world) Authenticate(ctx context.Context, code euicc.ActivationCode, begin func(string, euicc.TransactionID) error) (Order, error) {
	var o *worldOrder
	if err := begin(code.Address, euicc.TransactionID(fmt.Sprintf("%02X", w.sessions+1))); err != nil {
		return nil, err
	}
	err := w.do(ctx, "authenticate", func() error {
		w.sessions++
		o = &worldOrder{w, euicc.TransactionID(fmt.Sprintf("%02X", w.sessions))}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}

func (w *world) Abandon(ctx context.Context, _ string, id euicc.TransactionID) error {
	return w.do(ctx, "abandon", func() error { w.abandoned = append(w.abandoned, id); return nil })
}

func (w *world) Profiles(ctx context.Context) (ps []euicc.Profile, err error) {
	err = w.do(ctx, "profiles", func() error {
		for id, s := range w.profiles {
			iccid, err := euicc.ParseICCID(id)
			if err != nil {
				return err
			}
			p := euicc.Profile{ICCID: iccid, State: s, Metadata: euicc.Metadata{Class: w.class, PPR: w.rules}}
			if md, ok := w.metadata[id]; ok {
				p.Metadata = md
			}
			ps = append(ps, p)
		}
		return nil
	})
	return ps, err
}

func (w *world) Recover(ctx context.Context, _ string) error {
	return w.do(ctx, "recover", func() error {
		if w.held == 0 {
			return errors.New("day-two work was not held off")
		}
		w.dead = w.beyond
		return nil
	})
}

func (w *world) Enable(ctx context.Context, id euicc.ICCID) error {
	return w.do(ctx, "enable", func() error {
		if _, ok := w.profiles[id.String()]; !ok {
			return errors.New("no such profile")
		}
		for other := range w.profiles {
			w.profiles[other] = euicc.Disabled
		}
		w.profiles[id.String()] = euicc.Enabled
		return nil
	})
}

func (w *world) Disable(ctx context.Context, id euicc.ICCID) error {
	return w.do(ctx, "disable", func() error { w.profiles[id.String()] = euicc.Disabled; return nil })
}

func (w *world) Collect(ctx context.Context) (p []euicc.PendingNotification, err error) {
	err = w.do(ctx, "collect", func() error { p = slices.Clone(w.pending); return nil })
	return p, err
}

func (w *world) Deliver(ctx context.Context) error {
	return w.do(ctx, "deliver", func() error { w.delivered += len(w.pending); w.pending = nil; return nil })
}

func (w *world) Show(context.Context) error { return nil }

func (w *world) Unreported(string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pending) > 0
}

func (w *world) Release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.released++
}

func (w *world) Figures() status.Figures { return status.Figures{} }

type worldOrder struct {
	w  *world
	id euicc.TransactionID
}

func (o *worldOrder) TransactionID() euicc.TransactionID { return o.id }
func (o *worldOrder) Metadata() euicc.Metadata           { return o.w.md }
func (o *worldOrder) ConfirmationRequired() bool         { return o.w.confirm }
func (o *worldOrder) Close()                             {}

func (o *worldOrder) Download(ctx context.Context, cc euicc.ConfirmationCode, progress func(status.Progress)) (r euicc.InstallResult, err error) {
	err = o.w.do(ctx, "download", func() error {
		progress(status.Progress{Done: 1, Total: 2})
		if o.w.confirm && cc.Reveal() != "1234" {
			return &euicc.Error{Stage: "download", Code: "es9p-8.2.7-3.8", Retry: euicc.RetryNever, Text: "confirmation code refused"}
		}
		o.w.profiles[o.w.md.ICCID.String()] = euicc.Disabled
		r = euicc.InstallResult{TransactionID: o.id, Success: true}
		o.w.pending = append(o.w.pending, euicc.PendingNotification{Install: &r})
		return nil
	})
	return r, err
}

func (o *worldOrder) Cancel(_ context.Context, reason euicc.CancelReason) error {
	o.w.mu.Lock()
	defer o.w.mu.Unlock()
	o.w.cancelled = append(o.w.cancelled, reason)
	return nil
}

type worldPlan string

func (p worldPlan) First() (string, string) { return "lab.test", "test" }

func (w *world) Choose(ctx context.Context, md euicc.Metadata, _ *APN) (Plan, error) {
	return worldPlan(md.ICCID.String()), w.do(ctx, "choose", func() error { return nil })
}

func (w *world) Plan(ctx context.Context, iccid string, apn *APN) (Plan, error) {
	if apn != nil {
		w.planned, w.asked = append(w.planned, apn.APN), append(w.asked, *apn)
	}
	return worldPlan(iccid), w.do(ctx, "plan", func() error { return nil })
}

func (w *world) Up(ctx context.Context, p Plan, stage func(State)) (Up, error) {
	stage(Configuring)
	stage(Probing)
	limited := ""
	err := w.do(ctx, "up", func() error {
		if w.held == 0 {
			return errors.New("day-two work was not held off")
		}
		if w.enabled() != string(p.(worldPlan)) {
			return fmt.Errorf("profile %s is enabled", w.enabled())
		}
		limited = w.limited[w.enabled()]
		return w.linkFails[w.enabled()]
	})
	return Up{APN: "lab.test", Interface: "wwan0", Limited: limited}, err
}

func (w *world) Lasts(ctx context.Context) (limited string, err error) {
	err = w.do(ctx, "lasts", func() error { limited = w.later[w.enabled()]; return nil })
	return limited, err
}

func (w *world) Worked(iccid string) (string, time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.worked[iccid]
	return "old.test", at, ok
}

func (w *world) LastGood(iccid string) (learned.APN, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	good, ok := w.good[iccid]
	return good, ok
}

func (w *world) Recall(iccid string, good learned.APN) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.good == nil {
		w.good = map[string]learned.APN{}
	}
	if _, ok := w.good[iccid]; !ok {
		w.good[iccid] = good
	}
}

func (w *world) Hold() func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held++
	return func() { w.mu.Lock(); w.held--; w.mu.Unlock() }
}
