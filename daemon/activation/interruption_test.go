package activation

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/journal"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// cutAt starts a run, cuts the power in the given call and returns the run's ID.
func cutAt(t *testing.T, dir string, w *world, call string) string {
	t.Helper()
	reached := make(chan struct{})
	w.block = func(ctx context.Context, c string) {
		if c == call {
			close(reached)
			<-ctx.Done()
		}
	}
	o, shutdown := boot(t, dir, w)
	rec, err := o.Submit(request(t))
	if err != nil {
		t.Fatal(err)
	}
	<-reached
	shutdown()
	w.block = nil
	return rec.ID
}

func TestRequestLostInDownload(t *testing.T) {
	for _, tt := range []struct {
		name      string
		installed bool
		outcome   status.Outcome
		code      string
	}{
		{"nothing on the card", false, status.Failed, "request-lost"},
		{"profile on the card", true, status.Committed, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, w := t.TempDir(), newWorld(t)
				id := cutAt(t, dir, w, "download")
				if err := os.WriteFile(filepath.Join(dir, "requests", id), nil, 0o600); err != nil {
					t.Fatal(err)
				}
				if tt.installed {
					w.profiles[newICCID] = euicc.Disabled
				}
				for range 2 { // the second start has nothing to do
					o, shutdown := boot(t, dir, w)
					rec := ended(t, o, id)
					code := ""
					if rec.Error != nil {
						code = rec.Error.Code
					}
					if rec.Outcome != tt.outcome || code != tt.code {
						t.Errorf("%s, %+v", rec.Outcome, rec.Error)
					}
					shutdown()
				}
			})
		})
	}
}

// A journal of another dynamod, or one that was tampered with.
func TestUnknownState(t *testing.T) {
	for _, state := range []State{"", "teleporting", Waiting + "s"} {
		synctest.Test(t, func(t *testing.T) {
			dir, w := t.TempDir(), newWorld(t)
			j, err := journal.Open(filepath.Join(dir, "journal"), 0, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := j.Append(Kind, Record{ID: "X", State: state, ICCID: newICCID, Started: time.Now()}); err != nil {
				t.Fatal(err)
			}
			j.Close()
			o, shutdown := boot(t, dir, w)
			defer shutdown()
			if rec := ended(t, o, "X"); rec.Outcome != status.Failed || rec.Error == nil || rec.Error.Code != "unknown-state" {
				t.Errorf("state %q: %s, %+v", state, rec.Outcome, rec.Error)
			}
		})
	}
}

// The download's last answer is on its way when somebody cancels: what is on the
// card is reported, and stays out of use.
func TestCancelComesTooLate(t *testing.T) {
	for _, powerCut := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			dir, w := t.TempDir(), newWorld(t)
			w.profiles[oldICCID] = euicc.Enabled
			o, shutdown := boot(t, dir, w)
			w.lost = func(call string) error {
				if call == "download" {
					if err := o.Cancel(o.Runs()[0].ID); err != nil {
						t.Error(err)
					}
				}
				return nil
			}
			reached := make(chan struct{})
			if powerCut {
				w.block = func(ctx context.Context, call string) {
					if call == "deliver" {
						close(reached)
						<-ctx.Done()
					}
				}
			}
			rec, err := o.Submit(request(t))
			if err != nil {
				t.Fatal(err)
			}
			if powerCut {
				<-reached
				shutdown()
				w.block = nil
				o, shutdown = boot(t, dir, w)
			}
			defer func() { shutdown() }()
			rec = ended(t, o, rec.ID)
			if rec.Outcome != status.Failed || rec.Error == nil || rec.Error.Code != "cancelled-late" || !strings.Contains(rec.Error.Advice, newICCID) {
				t.Errorf("%s, %+v", rec.Outcome, rec.Error)
			}
			if w.enabledNow() != oldICCID || w.profiles[newICCID] != euicc.Disabled || w.delivered != 1 || slices.Contains(w.log, "enable") {
				t.Errorf("%s enabled, %d reports delivered, calls %v", w.enabledNow(), w.delivered, w.log)
			}
			noSecret(t, dir)
		})
	}
}

// A download that takes longer than its state may is settled as one whose answer
// was lost.
func TestSlowDownloadIsSettled(t *testing.T) {
	for name, limits := range map[string]map[State]time.Duration{"table": nil, "configured": {Downloading: 2 * time.Minute}} {
		t.Run(name, func(t *testing.T) { slowDownload(t, limits, cmp.Or(limits[Downloading], table[Downloading].limit)) })
	}
}

func slowDownload(t *testing.T, limits map[State]time.Duration, limit time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		dir, w := t.TempDir(), newWorld(t)
		w.limits = limits
		w.block = func(ctx context.Context, call string) {
			if call == "download" {
				w.mu.Lock()
				w.profiles[newICCID] = euicc.Disabled
				w.mu.Unlock()
				<-ctx.Done()
			}
		}
		o, shutdown := boot(t, dir, w)
		defer shutdown()
		rec, err := o.Submit(request(t))
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if rec = ended(t, o, rec.ID); rec.Outcome != status.Committed || w.enabledNow() != newICCID {
			t.Errorf("%s, %+v, calls %v", rec.Outcome, rec.Error, w.log)
		}
		if took := time.Since(begun); took < limit || took > limit+time.Minute {
			t.Errorf("settled after %v, want %v", took, limit)
		}
	})
}

// However often a download was interrupted: whether the profile came is asked.
func TestInterruptedDownloadIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, w := t.TempDir(), newWorld(t)
		id := cutAt(t, dir, w, "download")
		w.profiles[newICCID] = euicc.Disabled
		w.block = func(ctx context.Context, call string) {
			if call == "profiles" {
				<-ctx.Done()
			}
		}
		for range maxResumes + 1 {
			_, shutdown := boot(t, dir, w)
			synctest.Wait()
			shutdown()
		}
		w.block = nil
		o, shutdown := boot(t, dir, w)
		defer shutdown()
		// It is known to be on the card, and then the loop has its end.
		rec := ended(t, o, id)
		if rec.Outcome == "" || !slices.Contains(w.log, "collect") {
			t.Errorf("%s, %+v, calls %v", rec.Outcome, rec.Error, w.log)
		}
	})
}

func TestNothingBeforeIsTakenOutOfUseInsistently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.linkFails[newICCID] = errors.New("no data")
		busy := 2
		w.fail = func(call string) error {
			if call == "disable" && busy > 0 {
				busy--
				return errors.New("card toolkit is busy")
			}
			return nil
		}
		o, shutdown := boot(t, t.TempDir(), w)
		defer shutdown()
		rec, err := o.Submit(request(t))
		if err != nil {
			t.Fatal(err)
		}
		if rec = ended(t, o, rec.ID); rec.Outcome != status.Failed || w.enabledNow() != "" {
			t.Errorf("%s, %q enabled", rec.Outcome, w.enabledNow())
		}
		if rec.Error == nil || rec.Error.Stage != string(Probing) {
			t.Errorf("the error's stage: %+v", rec.Error)
		}
	})
}

func TestAnswersThatSayNothing(t *testing.T) {
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
		yes := true
		for _, step := range []struct{ empty, full Answer }{
			{Answer{ConfirmationCode: ""}, Answer{Consent: &yes}},
			{Answer{Consent: &yes}, Answer{ConfirmationCode: "1234"}},
		} {
			synctest.Wait()
			var f *Fault
			if err := o.Answer(rec.ID, step.empty); !errors.As(err, &f) || f.Code != "bad-answer" {
				t.Errorf("an answer that says nothing: %v", err)
			}
			if err := o.Answer(rec.ID, step.full); err != nil {
				t.Error(err)
			}
		}
		if rec = ended(t, o, rec.ID); rec.Outcome != status.Committed {
			t.Errorf("%+v", rec.Error)
		}
	})
}

// A power cut in a discovery: the next start ends its session on the card.
func TestDiscoveryInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, w := t.TempDir(), newWorld(t)
		w.located = euicc.ActivationCode{Address: "found.example.com", MatchingID: "EVENT"}
		reached := make(chan struct{})
		w.block = func(ctx context.Context, call string) {
			if strings.HasPrefix(call, "locate") {
				close(reached)
				<-ctx.Done()
			}
		}
		o, shutdown := boot(t, dir, w)
		rec, err := o.Submit(Request{Discover: true, Consent: true})
		if err != nil {
			t.Fatal(err)
		}
		<-reached
		shutdown()
		w.block = nil
		o, shutdown = boot(t, dir, w)
		defer shutdown()
		rec = ended(t, o, rec.ID)
		if rec.Outcome != status.Committed || !slices.Equal(w.abandoned, []euicc.TransactionID{"DD"}) {
			t.Errorf("%s, %+v, abandoned %v", rec.Outcome, rec.Error, w.abandoned)
		}
	})
}

// A card that refuses a challenge for a session that nobody knows is reset, once.
func TestForgottenSession(t *testing.T) {
	for _, at := range []string{"authenticate", "locate true  false"} {
		for _, cured := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				dir, w := t.TempDir(), newWorld(t)
				w.profiles[oldICCID] = euicc.Enabled
				w.located = euicc.ActivationCode{Address: "found.example.com", MatchingID: "EVENT"}
				resets := 0
				w.fail = func(call string) error {
					if call == "recover" {
						resets++
					}
					if call == at && (resets == 0 || !cured) {
						return &euicc.Error{Stage: euicc.StageGetEUICCChallenge, Code: "sw-6985", SW: 0x6985, Retry: euicc.RetryNever, Text: "refused"}
					}
					return nil
				}
				req := request(t)
				if at != "authenticate" {
					req = Request{Discover: true, Consent: true}
				}
				o, shutdown := boot(t, dir, w)
				defer shutdown()
				rec, err := o.Submit(req)
				if err != nil {
					t.Fatal(err)
				}
				rec = ended(t, o, rec.ID)
				if (rec.Outcome == status.Committed) != cured || resets != 1 || w.held != 0 {
					t.Errorf("%s, cured %v: %s after %d resets, %+v", at, cured, rec.Outcome, resets, rec.Error)
				}
			})
		}
	}
}

// A run that is taken up before its installation is reported waits for the link: an
// operator may activate the line with the report, and the link may be on its way up.
func TestReportWaitsForTheWay(t *testing.T) {
	for _, at := range []string{"collect", "deliver"} {
		t.Run(at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, w := t.TempDir(), newWorld(t)
				w.profiles[oldICCID] = euicc.Enabled
				id := cutAt(t, dir, w, at)
				w.log = nil
				o, shutdown := boot(t, dir, w)
				defer shutdown()
				if rec := ended(t, o, id); rec.Outcome != status.Committed {
					t.Errorf("%+v", rec)
				}
				if want := []string{"way", "collect", "deliver", "enable"}; len(w.log) < len(want) || !slices.Equal(w.log[:len(want)], want) {
					t.Errorf("%v, want %v first", w.log, want)
				}
			})
		})
	}
}
