package activation

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/status"
	"dynamod/euicc"
)

func TestAnswerAndCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.confirm = true
		o, shutdown := boot(t, t.TempDir(), w)
		defer shutdown()
		req := request(t)
		req.Consent = false
		rec, err := o.Submit(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Answer("nobody", Answer{}); !errors.Is(err, ErrNoRun) {
			t.Error(err)
		}
		synctest.Wait()
		yes := true
		if err := o.Answer(rec.ID, Answer{Consent: &yes, ConfirmationCode: "1234"}); err != nil {
			t.Fatal(err)
		}
		if rec = ended(t, o, rec.ID); rec.Outcome != status.Committed {
			t.Errorf("%+v", rec.Error)
		}
		if err := o.Cancel(rec.ID); err == nil {
			t.Error("an ended run was cancelled")
		}

		w.md.ICCID[9] ^= 0x10 // another profile
		req.Code.MatchingID = "SECOND"
		if rec, err = o.Submit(req); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := o.Cancel(rec.ID); err != nil {
			t.Fatal(err)
		}
		rec = ended(t, o, rec.ID)
		if rec.Error == nil || rec.Error.Code != "cancelled" || !slices.Equal(w.cancelled, []euicc.CancelReason{euicc.CancelEndUserRejection}) {
			t.Errorf("%+v, cancelled %v", rec.Error, w.cancelled)
		}
	})
}

// A confirmation code that was typed wrong is asked for again, in a new session
// and not endlessly; one that came with the request is not.
func TestConfirmationCodeRefused(t *testing.T) {
	for _, tt := range []struct {
		name     string
		request  euicc.ConfirmationCode
		answers  []euicc.ConfirmationCode
		outcome  status.Outcome
		code     string
		sessions int
	}{
		{"right the second time", "", []euicc.ConfirmationCode{"4321", "1234"}, status.Committed, "", 2},
		{"never right", "", []euicc.ConfirmationCode{"1", "2", "3"}, status.Failed, "es9p-8.2.7-3.8", 3},
		{"nobody answers any more", "", []euicc.ConfirmationCode{"1"}, status.Failed, "es9p-8.2.7-3.8", 1},
		{"with the request", "4321", nil, status.Failed, "es9p-8.2.7-3.8", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.confirm = true
				o, shutdown := boot(t, t.TempDir(), w)
				defer shutdown()
				req := request(t)
				req.Consent, req.ConfirmationCode = tt.request != "", tt.request
				rec, err := o.Submit(req)
				if err != nil {
					t.Fatal(err)
				}
				for i, cc := range tt.answers {
					synctest.Wait()
					a := Answer{ConfirmationCode: cc}
					if i == 0 { // consent is asked for once
						yes := true
						a.Consent = &yes
					}
					if err := o.Answer(rec.ID, a); err != nil {
						t.Fatalf("answer %d: %v", i+1, err)
					}
				}
				rec = ended(t, o, rec.ID)
				code := ""
				if rec.Error != nil {
					code = rec.Error.Code
				}
				if rec.Outcome != tt.outcome || code != tt.code || w.sessions != tt.sessions {
					t.Errorf("outcome %s, error %q after %d sessions", rec.Outcome, code, w.sessions)
				}
			})
		})
	}
}

// A request has one way to its profile, and never another one by itself.
func TestValidateWay(t *testing.T) {
	code := request(t).Code
	for _, tt := range []struct {
		name string
		req  Request
		code string
	}{
		{"code", Request{Code: code}, ""},
		{"address alone", Request{Code: euicc.ActivationCode{Address: "smdp.example.com"}}, ""},
		{"discovery", Request{Discover: true}, ""},
		{"discovery elsewhere", Request{Discover: true, SMDS: "smds.example.com"}, ""},
		{"default SM-DP+", Request{DefaultSMDP: true}, ""},
		{"nothing", Request{}, "no-code"},
		{"matching ID with the fields behind it", Request{Code: euicc.ActivationCode{Address: "smdp.example.com", MatchingID: "ABC$1.2.3"}}, "bad-activation-code"},
		{"matching ID with a $", Request{Code: euicc.ActivationCode{Address: "smdp.example.com", MatchingID: "a$b"}}, "bad-activation-code"},
		{"matching ID beyond ASCII", Request{Code: euicc.ActivationCode{Address: "smdp.example.com", MatchingID: "é"}}, "bad-activation-code"},
		{"matching ID of blanks", Request{Code: euicc.ActivationCode{Address: "smdp.example.com", MatchingID: "a "}}, "bad-activation-code"},
		{"matching ID that is encoded", Request{Code: euicc.ActivationCode{Address: "smdp.example.com", MatchingID: "a%24b"}}, "bad-activation-code"},
		{"matching ID too long", Request{Code: euicc.ActivationCode{Address: "smdp.example.com", MatchingID: euicc.MatchingID(strings.Repeat("A", 250))}}, "bad-activation-code"},
		{"code and discovery", Request{Code: code, Discover: true}, "bad-way"},
		{"discovery and default SM-DP+", Request{Discover: true, DefaultSMDP: true}, "bad-way"},
		{"SM-DS without discovery", Request{Code: code, SMDS: "smds.example.com"}, "bad-way"},
		{"SM-DS that is no name", Request{Discover: true, SMDS: "x y"}, "bad-address"},
	} {
		err := tt.req.Validate()
		f, _ := errors.AsType[*Fault](err)
		if (err == nil) != (tt.code == "") || f != nil && f.Code != tt.code {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err != nil {
			continue
		}
		v, err := OpenVault(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Put("x", tt.req); err != nil {
			t.Fatal(err)
		}
		if got, err := v.Get("x"); err != nil || got != tt.req {
			t.Errorf("%s: sealed and opened %+v, %v", tt.name, got, err)
		}
	}
}

// An answer after the session was given up begins one new session, also after a
// restart; the question costs the order nothing meanwhile.
func TestLateAnswer(t *testing.T) {
	for _, tt := range []struct {
		name    string
		restart bool
		yes     bool
		outcome status.Outcome
		code    string
	}{
		{"an hour later", false, true, status.Committed, ""},
		{"after a restart", true, true, status.Committed, ""},
		{"no, an hour later", false, false, status.Failed, "rejected"},
		{"no, after a restart", true, false, status.Failed, "rejected"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, w := t.TempDir(), newWorld(t)
				w.confirm = true
				o, shutdown := boot(t, dir, w)
				req := request(t)
				req.Consent = false
				rec, err := o.Submit(req)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				if tt.restart {
					shutdown()
					o, shutdown = boot(t, dir, w)
					time.Sleep(time.Hour)
				}
				defer func() { shutdown() }()
				if rec, err = o.Get(rec.ID); err != nil || rec.State != Waiting || rec.Waiting != "consent" || rec.Resumes != 0 {
					t.Fatalf("%+v, %v", rec, err)
				}
				if !slices.Equal(w.cancelled, []euicc.CancelReason{euicc.CancelTimeout}) || w.sessions != 1 {
					t.Errorf("cancelled %v, %d sessions", w.cancelled, w.sessions)
				}
				if err := o.Answer(rec.ID, Answer{Consent: &tt.yes, ConfirmationCode: "1234"}); err != nil {
					t.Fatal(err)
				}
				rec = ended(t, o, rec.ID)
				code := ""
				if rec.Error != nil {
					code = rec.Error.Code
				}
				sessions := 1
				if tt.yes {
					sessions = 2
				}
				if rec.Outcome != tt.outcome || code != tt.code || w.sessions != sessions {
					t.Errorf("outcome %s, error %q, %d sessions", rec.Outcome, code, w.sessions)
				}
			})
		})
	}
}

// A run that waits without a session can be cancelled, and a daemon that ends
// while the session is held puts the order off.
func TestCancelWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, w := t.TempDir(), newWorld(t)
		o, shutdown := boot(t, dir, w)
		req := request(t)
		req.Consent = false
		rec, err := o.Submit(req)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		shutdown()
		if !slices.Equal(w.cancelled, []euicc.CancelReason{euicc.CancelPostponed}) {
			t.Errorf("at the daemon's end: cancelled %v", w.cancelled)
		}
		o, shutdown = boot(t, dir, w)
		defer func() { shutdown() }()
		synctest.Wait()
		if err := o.Cancel(rec.ID); err != nil {
			t.Fatal(err)
		}
		if rec = ended(t, o, rec.ID); rec.Error == nil || rec.Error.Code != "cancelled" || w.sessions != 1 {
			t.Errorf("%+v, %d sessions", rec.Error, w.sessions)
		}
	})
}

// A profile that could never be left again (PPR1) wants a consent of its own, for
// which the session is held as for any question.
func TestNoWayBackIsAsked(t *testing.T) {
	no, yes := false, true
	for _, tt := range []struct {
		name      string
		prepare   func(*world, *Request)
		later     time.Duration // until the answer
		restart   bool          // in that time
		answer    *Answer       // nil for none
		outcome   status.Outcome
		code      string
		sessions  int
		cancelled []euicc.CancelReason
	}{
		{"yes", nil, time.Minute, false, &Answer{NoWayBack: &yes}, status.Committed, "", 1, nil},
		{"yes, an hour later", nil, time.Hour, false, &Answer{NoWayBack: &yes}, status.Committed, "", 2, []euicc.CancelReason{euicc.CancelTimeout}},
		{"yes, after a restart", nil, time.Hour, true, &Answer{NoWayBack: &yes}, status.Committed, "", 2, []euicc.CancelReason{euicc.CancelTimeout}},
		{"yes, after a restart, where consent was asked, too", func(_ *world, r *Request) { r.Consent = false }, time.Hour, true, &Answer{NoWayBack: &yes}, status.Committed, "", 2, []euicc.CancelReason{euicc.CancelTimeout}},
		{"yes, after a restart with the session held", nil, time.Second, true, &Answer{NoWayBack: &yes}, status.Committed, "", 2, []euicc.CancelReason{euicc.CancelPostponed}},
		{"no", nil, time.Minute, false, &Answer{NoWayBack: &no}, status.Failed, "rejected", 1, []euicc.CancelReason{euicc.CancelEndUserRejection}},
		{"no to the profile", nil, time.Minute, false, &Answer{Consent: &no}, status.Failed, "rejected", 1, []euicc.CancelReason{euicc.CancelEndUserRejection}},
		{"no, an hour later", nil, time.Hour, false, &Answer{NoWayBack: &no}, status.Failed, "rejected", 1, []euicc.CancelReason{euicc.CancelTimeout}},
		{"nobody answers", nil, time.Hour, false, nil, status.Failed, "no-answer", 1, []euicc.CancelReason{euicc.CancelTimeout}},
		{"said beforehand", func(_ *world, r *Request) { r.NoWayBack = true }, 0, false, nil, status.Committed, "", 1, nil},
		{"nothing to go back to", func(w *world, _ *Request) { w.profiles = map[string]euicc.State{} }, 0, false, nil, status.Committed, "", 1, nil},
		{"installed only, which leaves all ways open", func(_ *world, r *Request) { r.InstallOnly = true }, 0, false, nil, status.Installed, "", 1, nil},
		{"on the card already", func(w *world, _ *Request) { w.profiles[newICCID] = euicc.Disabled }, time.Minute, false, &Answer{NoWayBack: &yes}, status.Committed, "", 1, []euicc.CancelReason{euicc.CancelPostponed}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, w, req := t.TempDir(), newWorld(t), request(t)
				w.profiles[oldICCID], w.md.PPR = euicc.Enabled, euicc.PPR1
				if tt.prepare != nil {
					tt.prepare(w, &req)
				}
				o, shutdown := boot(t, dir, w)
				rec, err := o.Submit(req)
				if err != nil {
					t.Fatal(err)
				}
				if !req.Consent {
					synctest.Wait()
					if err := o.Answer(rec.ID, Answer{Consent: &yes}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(tt.later)
				if tt.restart {
					shutdown()
					o, shutdown = boot(t, dir, w)
					time.Sleep(tt.later)
				}
				defer func() { shutdown() }()
				if tt.later > 0 {
					rec, err := o.Get(rec.ID)
					if err != nil || rec.State != Waiting || rec.Waiting != WaitNoWayBack || slices.Contains(w.calls(), "download") {
						t.Fatalf("%+v, %v, calls %v", rec, err, w.calls())
					}
					// Consent alone is no answer to this.
					if f, ok := errors.AsType[*Fault](o.Answer(rec.ID, Answer{Consent: &yes, ConfirmationCode: "1"})); !ok || f.Code != "bad-answer" {
						t.Errorf("consent is taken for an answer: %v", f)
					}
				}
				if tt.answer != nil {
					if err := o.Answer(rec.ID, *tt.answer); err != nil {
						t.Fatal(err)
					}
				}
				rec = ended(t, o, rec.ID)
				code := ""
				if rec.Error != nil {
					code = rec.Error.Code
				}
				if rec.Outcome != tt.outcome || code != tt.code || w.sessions != tt.sessions || !slices.Equal(w.cancelled, tt.cancelled) {
					t.Errorf("%s, %q after %d sessions, cancelled %v; want %s, %q, %d, %v", rec.Outcome, code, w.sessions, w.cancelled, tt.outcome, tt.code, tt.sessions, tt.cancelled)
				}
				if want := map[bool]string{true: newICCID, false: oldICCID}[tt.outcome == status.Committed]; w.enabledNow() != want {
					t.Errorf("%q is enabled", w.enabledNow())
				}
			})
		})
	}
}
