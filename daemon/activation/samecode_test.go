package activation

import (
	"slices"
	"testing"
	"testing/synctest"

	"dynamod/daemon/status"
	"dynamod/euicc"
)

// TestSameCodeAgain submits a code whose first run has not led to a link.
func TestSameCodeAgain(t *testing.T) {
	refusal := func(e *euicc.Error) func(*world) {
		return func(w *world) {
			w.fail = func(call string) error {
				if call == "authenticate" && !slices.Contains(w.log, "second") {
					return e
				}
				return nil
			}
		}
	}
	noLink := func(w *world) {
		w.fail = func(call string) error {
			if call == "up" && w.enabledNow() == newICCID && !slices.Contains(w.log, "second") {
				return &Fault{Code: "registration-denied", Text: "denied"}
			}
			return nil
		}
	}
	for _, tt := range []struct {
		name    string
		first   func(*world)
		between func(*world, *Request)
		outcome status.Outcome // of the second
		code    string
		asked   bool // the server, the second time
	}{
		{"rolled back: the profile is there, and enabled", noLink, nil, status.Committed, "", false},
		{"rolled back: the profile is there, and no way to a server", noLink, func(w *world, _ *Request) {
			fail := w.fail
			w.fail = func(call string) error {
				if call == "preflight" {
					return &Fault{Code: "no-way", Text: "no way to a server"}
				}
				return fail(call)
			}
		}, status.Committed, "", false},
		{"rolled back, and the profile was deleted since", noLink, func(w *world, _ *Request) { delete(w.profiles, newICCID) }, status.Committed, "", true},
		{"rolled back, and enabled by hand since", noLink, func(w *world, _ *Request) {
			w.profiles[oldICCID], w.profiles[newICCID] = euicc.Disabled, euicc.Enabled
		}, status.Committed, "", false},
		{"of the moment", refusal(&euicc.Error{Code: "network", Retry: euicc.RetryLater, Text: "no answer"}), nil, status.Committed, "", true},
		{"used up (8.2.6/3.8)", refusal(&euicc.Error{Code: "es9p-8.2.6-3.8", Subject: "8.2.6", Reason: "3.8", Retry: euicc.RetryNewCode, Text: "refused"}), nil, status.Failed, "es9p-8.2.6-3.8", false},
		{"used up, and asked for all the same", refusal(&euicc.Error{Code: "es9p-8.2.6-3.8", Subject: "8.2.6", Reason: "3.8", Retry: euicc.RetryNewCode, Text: "refused"}), func(_ *world, r *Request) { r.Again = true }, status.Committed, "", true},
		{"used up, and the profile came another way", refusal(&euicc.Error{Code: "es9p-8.2-3.7", Subject: "8.2", Reason: "3.7", Retry: euicc.RetryNewCode, Text: "refused"}), func(w *world, r *Request) {
			w.profiles[newICCID], r.Again = euicc.Disabled, true
		}, status.Committed, "", true},
		{"never, says the server (8.8.3/3.1)", refusal(&euicc.Error{Code: "es9p-8.8.3-3.1", Subject: "8.8.3", Reason: "3.1", Retry: euicc.RetryNever, Text: "refused"}), nil, status.Failed, "es9p-8.8.3-3.1", false},
		{"a card that did not do it", refusal(&euicc.Error{Code: "sw-6a82", SW: 0x6A82, Retry: euicc.RetryNever, Text: "no such application"}), nil, status.Committed, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, w, req := t.TempDir(), newWorld(t), request(t)
				w.profiles[oldICCID], w.class = euicc.Enabled, euicc.ClassOperational
				tt.first(w)
				o, shutdown := boot(t, dir, w)
				defer func() { shutdown() }()
				first, err := o.Submit(req)
				if err != nil {
					t.Fatal(err)
				}
				if first = ended(t, o, first.ID); first.Outcome == status.Committed {
					t.Fatalf("%+v", first)
				}
				synctest.Wait()
				shutdown() // what is known of the first run is in the journal
				w.log = []string{"second"}
				if tt.between != nil {
					tt.between(w, &req)
				}
				o, shutdown = boot(t, dir, w)
				rec, err := o.Submit(req)
				if err != nil || rec.ID == first.ID || rec.After != first.ID {
					t.Fatalf("%+v, %v", rec, err)
				}
				rec = ended(t, o, rec.ID)
				code := ""
				if rec.Error != nil {
					code = rec.Error.Code
				}
				if rec.Outcome != tt.outcome || code != tt.code || slices.Contains(w.log, "authenticate") != tt.asked {
					t.Errorf("%s with error %+v, want %s with %q, the server asked: %v; %v", rec.Outcome, rec.Error, tt.outcome, tt.code, tt.asked, w.log)
				}
				if !tt.asked && slices.Contains(w.log, "download") {
					t.Error("downloaded twice")
				}
				if tt.outcome == status.Committed && w.enabledNow() != newICCID {
					t.Errorf("%s enabled", w.enabledNow())
				}
			})
		})
	}
}

// A profile that is on the card is agreed to like any other, and one that is in use
// stays in use if its link does not come up.
func TestSameCodeOfEnabledProfile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, w, req := t.TempDir(), newWorld(t), request(t)
		w.profiles[newICCID], w.class = euicc.Enabled, euicc.ClassOperational
		w.linkFails[newICCID] = &Fault{Code: "registration-denied", Text: "denied"}
		req.Consent = false
		o, shutdown := boot(t, dir, w)
		defer shutdown()
		rec, err := o.Submit(req)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		yes := true
		if err := o.Answer(rec.ID, Answer{Consent: &yes}); err != nil {
			t.Fatal(err)
		}
		rec = ended(t, o, rec.ID)
		if rec.Outcome != status.Failed || w.enabledNow() != newICCID || slices.Contains(w.log, "disable") || rec.Error.Code != "registration-denied" {
			t.Errorf("%s, %+v, %v", rec.Outcome, rec.Error, w.log)
		}
	})
}
