package activation

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/status"
	"dynamod/euicc"
)

// What a session that failed is followed by: at most one new one, and only when
// it may go better.
func TestRetry(t *testing.T) {
	of := func(code string, retry euicc.Retry) *euicc.Error {
		return &euicc.Error{Stage: euicc.StageLoadBPP, Code: code, Retry: retry, Text: code}
	}
	install := func(reason euicc.BPPReason) error {
		e := &euicc.Error{Install: true, BPPReason: reason, Code: "install"}
		_, d := euicc.DiagnoseInstall(reason)
		d.Apply(e)
		return e
	}
	refusal := &euicc.Error{Code: "es9p-8.2.6-3.8", Subject: "8.2.6", Reason: "3.8", Retry: euicc.RetryNewCode}
	for _, tt := range []struct {
		name     string
		errs     map[string][]error // of the calls, one after another
		sessions int                // begun
		code     string             // "" for success
		log      []string           // what follows the first download
		regains  int                // times that the only link comes back
		retries  int                // of the sessions, those that were begun for another reason
	}{
		{name: "the line broke", errs: map[string][]error{"download": {of("body-truncated", euicc.RetryNow)}}, sessions: 2, retries: 1,
			log: []string{"authenticate", "profiles", "policy", "choose", "download"}},
		{name: "twice", errs: map[string][]error{"download": {of("body-truncated", euicc.RetryNow), of("sw-6F00", euicc.RetryNow)}}, sessions: 2, retries: 1, code: "sw-6F00"},
		{name: "the answer of the server broke off", errs: map[string][]error{"authenticate": {of("body-truncated", euicc.RetryNow)}}, sessions: 2, retries: 1},
		{name: "the network is away", errs: map[string][]error{"download": {of("net-unreachable", euicc.RetryLater)}}, sessions: 1, code: "net-unreachable",
			log: []string{"regain"}},
		{name: "the only link is back", errs: map[string][]error{"download": {of("net-unreachable", euicc.RetryLater)}}, sessions: 2, regains: 1,
			log: []string{"regain", "authenticate", "profiles", "policy", "choose", "download"}},
		{name: "the only link is back in the session", errs: map[string][]error{"authenticate": {of("net-dns", euicc.RetryLater), of("net-timeout", euicc.RetryLater)}}, sessions: 3, regains: 2},
		{name: "the line broke, and the only link was away then", errs: map[string][]error{"download": {of("body-truncated", euicc.RetryNow)}, "authenticate": {nil, of("net-unreachable", euicc.RetryLater)}},
			sessions: 3, regains: 1, retries: 1},
		{name: "the only link goes all the time", errs: map[string][]error{"authenticate": {of("net-unreachable", euicc.RetryLater), of("net-unreachable", euicc.RetryLater), of("net-unreachable", euicc.RetryLater), of("net-unreachable", euicc.RetryLater)}},
			sessions: 1 + maxRegained, regains: 10, code: "net-unreachable"},
		{name: "a private address is no link that went", errs: map[string][]error{"authenticate": {of("net-private", euicc.RetryAsk)}}, sessions: 1, regains: 1, code: "net-private"},
		{name: "the package is malformed", errs: map[string][]error{"download": {of("bpp-malformed", euicc.RetryNever)}}, sessions: 1, code: "bpp-malformed"},
		{name: "no error of the card or the server", errs: map[string][]error{"download": {errors.New("disk full")}}, sessions: 1, code: "failed"},
		{name: "the server does not begin again", errs: map[string][]error{"download": {of("sw-6700", euicc.RetryNow)}, "authenticate": {nil, refusal}}, sessions: 2, retries: 1, code: "sw-6700"},
		{name: "installation interrupted: its result goes first", errs: map[string][]error{"download": {install(euicc.ReasonInterruption)}}, sessions: 2, retries: 1,
			log: []string{"collect", "deliver", "authenticate", "profiles", "policy", "choose", "download"}},
		{name: "its result cannot be delivered", errs: map[string][]error{"download": {install(euicc.ReasonInterruption)}, "deliver": {errors.New("away")}}, sessions: 1, code: "install"},
		{name: "its result goes when the only link is back", errs: map[string][]error{"download": {install(euicc.ReasonInterruption)}, "deliver": {errors.New("away")}}, sessions: 2, retries: 1, regains: 1,
			log: []string{"collect", "deliver", "regain", "collect", "deliver", "authenticate"}},
		{name: "installation failed otherwise", errs: map[string][]error{"download": {install(euicc.ReasonSCP03tSecurity)}}, sessions: 1, code: "install",
			log: []string{"collect", "deliver"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.regains = tt.regains
				calls := map[string]int{}
				w.fail = func(call string) error {
					n := calls[call]
					calls[call]++
					if n < len(tt.errs[call]) {
						return tt.errs[call][n]
					}
					return nil
				}
				dir := t.TempDir()
				o, shutdown := boot(t, dir, w)
				defer shutdown()
				rec, err := o.Submit(request(t))
				if err != nil {
					t.Fatal(err)
				}
				rec = ended(t, o, rec.ID)
				code := ""
				if rec.Error != nil {
					code = rec.Error.Code
				}
				if code != tt.code || (rec.Outcome == status.Committed) != (tt.code == "") || calls["authenticate"] != tt.sessions || rec.Retries != tt.retries {
					t.Errorf("%s, error %+v, %d sessions, %d retries, %d times regained", rec.Outcome, rec.Error, calls["authenticate"], rec.Retries, rec.Regained)
				}
				first := slices.Index(w.log, "download") + 1
				if tt.log != nil && !slices.Equal(w.log[first:first+len(tt.log)], tt.log) {
					t.Errorf("after the first download %v, want %v", w.log[first:], tt.log)
				}
				noSecret(t, dir)
			})
		})
	}
}

// The only link goes when the installation is to be reported: nothing is switched
// before it is back and the report was offered, or the time for that is over.
func TestReportWaitsForTheOnlyLink(t *testing.T) {
	for _, tt := range []struct {
		name    string
		lost    map[string]int // calls that fail
		regains int
		limits  map[State]time.Duration
		log     []string // from the download to the switch
		regain  int      // in the record
	}{
		{name: "lost and back", lost: map[string]int{"deliver": 1}, regains: 1, regain: 1, log: []string{"collect", "deliver", "regain", "collect", "deliver", "enable"}},
		{name: "lost twice", lost: map[string]int{"deliver": 2}, regains: 2, regain: 2, log: []string{"collect", "deliver", "regain", "collect", "deliver", "regain", "collect", "deliver", "enable"}},
		{name: "before the report was off the card", lost: map[string]int{"collect": 1, "deliver": 1}, regains: 1, regain: 1, log: []string{"collect", "deliver", "regain", "collect", "deliver", "enable"}},
		{name: "not back", lost: map[string]int{"deliver": 1}, log: []string{"collect", "deliver", "regain", "enable"}},
		{name: "no time is to be spent on it", lost: map[string]int{"deliver": 1}, regains: 1, limits: map[State]time.Duration{Reporting: 0}, log: []string{"collect", "deliver", "enable"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.profiles[oldICCID] = euicc.Enabled
				w.regains, w.limits = tt.regains, tt.limits
				calls := map[string]int{}
				w.fail = func(call string) error {
					if calls[call]++; calls[call] <= tt.lost[call] {
						return errors.New("away")
					}
					return nil
				}
				o, shutdown := boot(t, t.TempDir(), w)
				defer shutdown()
				rec, err := o.Submit(request(t))
				if err != nil {
					t.Fatal(err)
				}
				rec = ended(t, o, rec.ID)
				first := slices.Index(w.log, "download") + 1
				if got := w.log[first : slices.Index(w.log, "enable")+1]; !slices.Equal(got, tt.log) || rec.Regained != tt.regain || rec.Outcome != status.Committed {
					t.Errorf("%s, %v, %d times regained, want %v", rec.Outcome, got, rec.Regained, tt.log)
				}
			})
		})
	}
}

// A link that does not come back holds a switch up for a bounded time.
func TestReportWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.profiles[oldICCID] = euicc.Enabled
		w.fail = func(call string) error {
			if call == "deliver" {
				return errors.New("away")
			}
			return nil
		}
		var begun, switched time.Time
		w.block = func(ctx context.Context, call string) {
			switch call {
			case "regain":
				begun = time.Now()
				<-ctx.Done()
			case "enable":
				switched = time.Now()
			}
		}
		o, shutdown := boot(t, t.TempDir(), w)
		defer shutdown()
		rec, err := o.Submit(request(t))
		if err != nil {
			t.Fatal(err)
		}
		if rec = ended(t, o, rec.ID); rec.Outcome != status.Committed || switched.Sub(begun) != linkTime {
			t.Errorf("%s, the switch came %v after the wait had begun", rec.Outcome, switched.Sub(begun))
		}
	})
}

// A power cut gives no further try.
func TestRetriesAreJournalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, w := t.TempDir(), newWorld(t)
		downloads, cut := 0, make(chan struct{})
		w.fail = func(call string) error {
			if call != "download" {
				return nil
			}
			downloads++
			return &euicc.Error{Code: "body-truncated", Retry: euicc.RetryNow, Text: "broken"}
		}
		w.block = func(ctx context.Context, call string) {
			if call == "choose" && downloads == 1 && ctx.Err() == nil {
				select {
				case <-cut:
				default:
					close(cut)
					<-ctx.Done()
				}
			}
		}
		o, shutdown := boot(t, dir, w)
		rec, err := o.Submit(request(t))
		if err != nil {
			t.Fatal(err)
		}
		<-cut
		shutdown()
		o, shutdown = boot(t, dir, w)
		defer shutdown()
		rec = ended(t, o, rec.ID)
		if rec.Retries != 1 || rec.Resumes != 1 || downloads != 2 || rec.Outcome != status.Failed || rec.Error.Code != "body-truncated" {
			t.Errorf("%d downloads, %+v", downloads, rec)
		}
	})
}

// The server's last word tells what is left to do; what was wrong first stays.
func TestFinalRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n := newWorld(t), 0
		w.fail = func(call string) error {
			switch {
			case call == "download":
				return &euicc.Error{Code: "sw-6700", Retry: euicc.RetryNow, Text: "bad length", Advice: "try again"}
			case call == "authenticate":
				if n++; n == 2 {
					return &euicc.Error{Code: "es9p-8.2-3.7", Subject: "8.2", Reason: "3.7", Retry: euicc.RetryNewCode, Advice: "ask for a new code"}
				}
			}
			return nil
		}
		o, shutdown := boot(t, t.TempDir(), w)
		defer shutdown()
		rec, err := o.Submit(request(t))
		if err != nil {
			t.Fatal(err)
		}
		e := ended(t, o, rec.ID).Error
		if e == nil || e.Code != "sw-6700" || e.Retry != string(euicc.RetryNewCode) || e.Advice != "ask for a new code" {
			t.Errorf("got %+v", e)
		}
	})
}

// A discovery gets a second session as a code does.
func TestDiscoveryRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n := newWorld(t), 0
		w.located = euicc.ActivationCode{Address: "found.example.com", MatchingID: "EVENT"}
		w.fail = func(call string) error {
			if call != "locate true  false" {
				return nil
			}
			if n++; n == 1 {
				return &euicc.Error{Code: "body-truncated", Retry: euicc.RetryNow, Text: "broken"}
			}
			return nil
		}
		o, shutdown := boot(t, t.TempDir(), w)
		defer shutdown()
		rec, err := o.Submit(Request{Discover: true, Consent: true})
		if err != nil {
			t.Fatal(err)
		}
		if rec = ended(t, o, rec.ID); rec.Outcome != status.Committed || rec.Retries != 1 || n != 2 {
			t.Errorf("%s, %d retries, asked %d times, %+v", rec.Outcome, rec.Retries, n, rec.Error)
		}
	})
}

// What is on the card already decides, before or after the offer is known.
func TestEnabledProfileStays(t *testing.T) {
	w := newWorld(t)
	id, err := euicc.ParseICCID(oldICCID)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		code    string
		p       euicc.Metadata
		offered euicc.Class
	}{
		{"ppr1-enabled", euicc.Metadata{Class: euicc.ClassOperational, PPR: euicc.PPR1}, euicc.ClassOperational},
		{"test-profile-enabled", euicc.Metadata{Class: euicc.ClassTest}, euicc.ClassOperational},
		{"", euicc.Metadata{Class: euicc.ClassTest}, euicc.ClassTest},
	} {
		md := w.md
		md.Class = tt.offered
		reason, err := new(run).checkProfiles(md, []euicc.Profile{{ICCID: id, State: euicc.Enabled, Metadata: tt.p}})
		var f *Fault
		if tt.code == "" {
			if err != nil {
				t.Errorf("test after test: %v", err)
			}
		} else if !errors.As(err, &f) || f.Code != tt.code || reason != euicc.CancelPostponed || f.Advice == "" {
			t.Errorf("%s: reason %v, %v", tt.code, reason, err)
		}
	}
	// PPR1 is seen before an attempt is spent.
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.profiles[oldICCID], w.rules = euicc.Enabled, euicc.PPR1
		o, shutdown := boot(t, t.TempDir(), w)
		defer shutdown()
		rec, err := o.Submit(request(t))
		if err != nil {
			t.Fatal(err)
		}
		if rec = ended(t, o, rec.ID); rec.Error == nil || rec.Error.Code != "ppr1-enabled" || w.sessions != 0 {
			t.Errorf("%+v after %d sessions", rec.Error, w.sessions)
		}
	})
}
