package activation

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/journal"
	"dynamod/daemon/status"
	"dynamod/daemon/task"
	"dynamod/euicc"
)

const (
	codeText = "LPA:1$smdp.example.com$SECRET-MATCHING-ID"
	newICCID = "8900000000000000018"
	oldICCID = "8900000000000000026"
)

// boot starts an orchestrator on the state in dir and returns it with a
// function that shuts it down.
func boot(t *testing.T, dir string, w *world) (*Orchestrator, func()) {
	return bootAt(t, dir, w, time.Now)
}

// bootAt is boot with another clock on the wall.
func bootAt(t *testing.T, dir string, w *world, now func() time.Time) (*Orchestrator, func()) {
	t.Helper()
	j, err := journal.Open(filepath.Join(dir, "journal"), 0, now)
	if err != nil {
		t.Fatal(err)
	}
	v, err := OpenVault(dir)
	if err != nil {
		t.Fatal(err)
	}
	o, err := New(Config{Card: w, Link: w, Journal: j, Vault: v, Status: status.New("test", now), Deadline: 5 * time.Minute, LinkHolds: w.holds, Limits: w.limits, Bootstrap: func(iccid string) bool { return iccid == w.bootstrap }, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		var tasks task.Group
		if err := tasks.Run(ctx, task.Task{Name: o.String(), Run: o.Run}); err != nil {
			t.Error(err)
		}
	}()
	return o, func() { cancel(); <-done; j.Close() }
}

func request(t *testing.T) Request {
	t.Helper()
	code, err := euicc.ParseActivationCode(codeText)
	if err != nil {
		t.Fatal(err)
	}
	return Request{Code: code, Consent: true}
}

// ended waits for a run's end; inside a bubble that costs no time.
func ended(t *testing.T, o *Orchestrator, id string) Record {
	t.Helper()
	for i := range 20000 {
		rec, err := o.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		if rec.State.Ended() && rec.Ended != nil {
			return rec
		}
		switch { // a question stays a day, a way back may take weeks
		case i < 1000:
			time.Sleep(10 * time.Millisecond)
		case i < 10000:
			time.Sleep(time.Second)
		default:
			time.Sleep(5 * time.Minute)
		}
	}
	t.Fatal("the run does not end")
	return Record{}
}

// story is an activation and how it has to end.
type story struct {
	name    string
	prepare func(*world, *Request)
	outcome status.Outcome
	code    string // of the error
	enabled string
	check   func(*testing.T, *world)
}

func (tt story) tell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, w, req := t.TempDir(), newWorld(t), request(t)
		if tt.prepare != nil {
			tt.prepare(w, &req)
		}
		o, shutdown := boot(t, dir, w)
		defer shutdown()
		rec, err := o.Submit(req)
		if err != nil {
			t.Fatal(err)
		}
		rec = ended(t, o, rec.ID)
		if rec.Outcome != tt.outcome || w.enabledNow() != tt.enabled {
			t.Errorf("outcome %s with %q enabled, want %s with %q (error %+v, calls %v)", rec.Outcome, w.enabledNow(), tt.outcome, tt.enabled, rec.Error, w.log)
		}
		code := ""
		if rec.Error != nil {
			code = rec.Error.Code
		}
		if code != tt.code {
			t.Errorf("error %+v, want code %q", rec.Error, tt.code)
		}
		if tt.check != nil {
			tt.check(t, w)
		}
		if w.held != 0 {
			t.Errorf("day-two work is held %d times", w.held)
		}
		noSecret(t, dir)
	})
}

func TestActivation(t *testing.T) {
	noData := errors.New("registration denied")
	for _, tt := range []story{
		{name: "first profile", outcome: status.Committed, enabled: newICCID},
		{name: "switch", prepare: func(w *world, _ *Request) { w.profiles[oldICCID] = euicc.Enabled }, outcome: status.Committed, enabled: newICCID},
		{
			name: "no data, back to the previous profile",
			prepare: func(w *world, _ *Request) {
				w.profiles[oldICCID] = euicc.Enabled
				w.linkFails[newICCID] = noData
			},
			outcome: status.RolledBack, code: "failed", enabled: oldICCID,
		},
		{
			name:    "no data, nothing to go back to",
			prepare: func(w *world, _ *Request) { w.linkFails[newICCID] = noData },
			outcome: status.Failed, code: "failed", enabled: "",
		},
		{
			name:    "no data, keep trying",
			prepare: func(w *world, r *Request) { w.linkFails[newICCID] = noData; r.KeepTrying = true },
			outcome: status.Failed, code: "failed", enabled: newICCID,
		},
		{
			name: "never up before the deadline",
			prepare: func(w *world, _ *Request) {
				w.profiles[oldICCID] = euicc.Enabled
				w.block = func(ctx context.Context, call string) {
					if call == "up" && w.enabledNow() == newICCID {
						<-ctx.Done()
					}
				}
			},
			outcome: status.RolledBack, code: "deadline", enabled: oldICCID,
		},
		{
			name: "profile is on the card already",
			prepare: func(w *world, _ *Request) {
				w.profiles[newICCID] = euicc.Disabled
			},
			outcome: status.Committed, enabled: newICCID,
			check: func(t *testing.T, w *world) {
				if len(w.cancelled) != 1 || w.cancelled[0] != euicc.CancelPostponed || slices.Contains(w.log, "download") {
					t.Errorf("cancelled %v, calls %v", w.cancelled, w.log)
				}
			},
		},
		{
			name: "the new profile forbids the way back (PPR1)",
			prepare: func(w *world, _ *Request) {
				w.profiles[oldICCID] = euicc.Enabled
				w.md.PPR = euicc.PPR1
			},
			outcome: status.Failed, code: "no-answer", enabled: oldICCID, check: cancelledWith(euicc.CancelTimeout),
		},
		{
			name: "PPR1 with consent of its own",
			prepare: func(w *world, r *Request) {
				w.profiles[oldICCID] = euicc.Enabled
				w.md.PPR, r.NoWayBack = euicc.PPR1, true
			},
			outcome: status.Committed, enabled: newICCID,
		},
		{
			name: "PPR1 beside another operational profile",
			prepare: func(w *world, r *Request) {
				w.profiles[oldICCID], w.class = euicc.Disabled, euicc.ClassOperational
				w.md.PPR, r.NoWayBack = euicc.PPR1, true
			},
			outcome: status.Failed, code: "ppr1-not-alone", enabled: "", check: cancelledWith(euicc.CancelPPRNotAllowed),
		},
		{
			name: "the card does not authorise the policy rules",
			prepare: func(w *world, _ *Request) {
				w.md.PPR, w.policy = euicc.PPR2, &euicc.Error{Stage: euicc.StageAuthenticateClient, Code: "ppr-not-allowed", Text: "not allowed"}
			},
			outcome: status.Failed, code: "ppr-not-allowed", enabled: "", check: cancelledWith(euicc.CancelPPRNotAllowed),
		},
		{
			name: "the card does not tell its policy",
			prepare: func(w *world, _ *Request) {
				w.md.PPR, w.policy = euicc.PPR2, &euicc.Error{Stage: euicc.StageInfo, Code: "card-transport", Text: "no answer"}
			},
			outcome: status.Failed, code: "card-transport", enabled: "", check: cancelledWith(euicc.CancelPostponed),
		},
		{
			name: "discovered",
			prepare: func(w *world, r *Request) {
				w.located = euicc.ActivationCode{Address: "found.example.com", MatchingID: "EVENT"}
				r.Code, r.Discover, r.SMDS = euicc.ActivationCode{}, true, "smds.example.com"
			},
			outcome: status.Committed, enabled: newICCID,
			check: func(t *testing.T, w *world) {
				if !slices.Contains(w.log, "locate true smds.example.com false") {
					t.Errorf("calls %v", w.log)
				}
			},
		},
		{
			name: "nothing to discover",
			prepare: func(w *world, r *Request) {
				r.Code, r.DefaultSMDP = euicc.ActivationCode{}, true
				w.fail = func(call string) error {
					if strings.HasPrefix(call, "locate") {
						return &Fault{Code: "no-default-smdp", Text: "none"}
					}
					return nil
				}
			},
			outcome: status.Failed, code: "no-default-smdp", enabled: "",
		},
		{
			name:    "PPR1 with nothing to go back to",
			prepare: func(w *world, _ *Request) { w.md.PPR = euicc.PPR1 },
			outcome: status.Committed, enabled: newICCID,
		},
		{
			name: "no connection known",
			prepare: func(w *world, _ *Request) {
				w.fail = func(call string) error {
					if call == "choose" {
						return &Fault{Code: "no-apn", Text: "no connection is known"}
					}
					return nil
				}
			},
			outcome: status.Failed, code: "no-apn",
			check: func(t *testing.T, w *world) {
				if len(w.cancelled) != 1 || slices.Contains(w.log, "download") {
					t.Errorf("cancelled %v after %v", w.cancelled, w.log)
				}
			},
		},
		{
			name:    "receiver of the installation result is dead",
			prepare: func(w *world, _ *Request) { w.fail = failOn("deliver") },
			outcome: status.Committed, enabled: newICCID,
		},
		{
			name:    "nobody gives consent",
			prepare: func(_ *world, r *Request) { r.Consent = false },
			outcome: status.Failed, code: "no-answer",
			check: func(t *testing.T, w *world) {
				if len(w.cancelled) != 1 || w.cancelled[0] != euicc.CancelTimeout {
					t.Errorf("cancelled %v", w.cancelled)
				}
			},
		},
		{
			name:    "confirmation code with the request",
			prepare: func(w *world, r *Request) { w.confirm, r.ConfirmationCode = true, "1234" },
			outcome: status.Committed, enabled: newICCID,
		},
	} {
		t.Run(tt.name, tt.tell)
	}
}

func failOn(call string) func(string) error {
	return func(c string) error {
		if c == call {
			return errors.New(call + " failed")
		}
		return nil
	}
}

func (w *world) enabledNow() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.enabled()
}

// noSecret searches everything on disk for the matching ID, and expects no
// request to be left.
func noSecret(t *testing.T, dir string) {
	t.Helper()
	synctest.Wait()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), "SECRET") {
			t.Errorf("%s holds the matching ID", path)
		}
		if filepath.Base(filepath.Dir(path)) == "requests" {
			t.Errorf("request %s is left", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestPowerCut stops the daemon in each call of a switch, before and after the
// call's effect, starts it again and expects the run to end as it should.
func TestPowerCut(t *testing.T) {
	calls := []string{"preflight", "authenticate", "profiles", "choose", "download", "collect", "deliver", "enable", "up"}
	for _, call := range calls {
		for _, when := range []string{"before", "after"} {
			t.Run(call+"/"+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					dir, w := t.TempDir(), newWorld(t)
					w.profiles[oldICCID] = euicc.Enabled
					cut := make(chan struct{})
					var once sync.Once
					strike := func(c string) error {
						var err error
						if c == call {
							once.Do(func() { close(cut); err = context.Canceled; time.Sleep(time.Second) })
						}
						return err
					}
					if when == "before" {
						w.fail = strike
					} else {
						w.lost = strike
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
					if rec.Outcome != status.Committed || w.enabledNow() != newICCID {
						t.Errorf("outcome %s, %q enabled, error %+v, calls %v", rec.Outcome, w.enabledNow(), rec.Error, w.log)
					}
					if len(w.profiles) != 2 || w.sessions > 2 {
						t.Errorf("profiles %v, %d sessions", w.profiles, w.sessions)
					}
					noSecret(t, dir)
				})
			})
		}
	}
}

func TestIdempotency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o, shutdown := boot(t, t.TempDir(), w)
		defer shutdown()
		req := request(t)
		req.Key = "k1"
		first, err := o.Submit(req)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if again, err := o.Submit(req); err != nil || again.ID != first.ID {
				t.Errorf("same key: run %s, %v", again.ID, err)
			}
		}
		other := req
		other.Key, other.Code.MatchingID = "k2", "ANOTHER"
		if _, err := o.Submit(other); !errors.Is(err, ErrBusy) {
			t.Errorf("second request while one runs: %v", err)
		}
		ended(t, o, first.ID)
		other = req
		other.Key = "k3"
		if again, err := o.Submit(other); err != nil || again.ID != first.ID {
			t.Errorf("same code after success: run %s, %v", again.ID, err)
		}
		if w.sessions != 1 {
			t.Errorf("%d sessions", w.sessions)
		}

		// The profile is deleted: the code may give it once more.
		if err := o.Forget(first.ICCID); err != nil {
			t.Error(err)
		}
		if err := o.Forget(newICCID); err != nil {
			t.Error(err)
		}
		again, err := o.Submit(other)
		if err != nil || again.ID == first.ID {
			t.Errorf("same code after the profile was deleted: run %s, %v", again.ID, err)
		}
		ended(t, o, again.ID)
		if kept, err := o.Get(first.ID); err != nil || kept.Outcome != status.Committed {
			t.Errorf("the first run is %+v, %v", kept, err)
		}
	})
}

func cancelledWith(reason euicc.CancelReason) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		if !slices.Equal(w.cancelled, []euicc.CancelReason{reason}) || slices.Contains(w.log, "download") {
			t.Errorf("cancelled %v after %v", w.cancelled, w.log)
		}
	}
}

func TestRestartLoopEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, w := t.TempDir(), newWorld(t)
		w.profiles[oldICCID] = euicc.Enabled
		id := ""
		w.block = func(ctx context.Context, call string) {
			if call == "up" && w.enabledNow() == newICCID {
				<-ctx.Done()
			}
		}
		for i := range maxResumes + 2 {
			o, shutdown := boot(t, dir, w)
			if i == 0 {
				rec, err := o.Submit(request(t))
				if err != nil {
					t.Fatal(err)
				}
				id = rec.ID
			}
			synctest.Wait()
			if i == maxResumes+1 {
				rec := ended(t, o, id)
				if rec.Outcome != status.RolledBack || rec.Error.Code != "interrupted" || w.enabledNow() != oldICCID {
					t.Errorf("%s %+v, %s enabled", rec.Outcome, rec.Error, w.enabledNow())
				}
			}
			shutdown()
		}
	})
}
