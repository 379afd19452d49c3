package activation

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"dynamod/daemon/status"
	"dynamod/euicc"
)

// A request may ask for the profile alone: nothing is switched, whatever happens on
// the way, and the same code enables it later.
func TestInstallOnly(t *testing.T) {
	for _, row := range []struct {
		name  string
		set   func(*world)
		fails string // code of the error, "" for none
	}{
		{"beside an enabled profile", func(*world) {}, ""},
		{"on an empty card", func(w *world) { clear(w.profiles) }, ""},
		{"the report cannot be delivered", func(w *world) {
			w.fail = func(call string) error {
				if call == "deliver" {
					return &euicc.Error{Code: "network", Text: "no answer"}
				}
				return nil
			}
		}, ""},
		{"the enabled profile must stay (PPR1)", func(w *world) { w.rules = euicc.PPR1 }, ""},
		{"a test profile is enabled", func(w *world) { w.class, w.md.Class = euicc.ClassTest, euicc.ClassOperational }, ""},
		{"no APN is known", func(w *world) {
			w.fail = func(call string) error {
				if call == "choose" {
					return &Fault{Code: "no-apn", Text: "no APN"}
				}
				return nil
			}
		}, ""},
		{"the server refuses", func(w *world) {
			w.fail = func(call string) error {
				if call == "authenticate" {
					return &euicc.Error{Code: "es9p-8.2.6-3.8", Text: "refused"}
				}
				return nil
			}
		}, "es9p-8.2.6-3.8"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, w, req := t.TempDir(), newWorld(t), request(t)
				w.profiles[oldICCID], w.class = euicc.Enabled, euicc.ClassOperational
				row.set(w)
				before := w.enabledNow()
				o, shutdown := boot(t, dir, w)
				defer shutdown()
				req.InstallOnly, req.APN = true, &APN{APN: "kept.example"}
				rec, err := o.Submit(req)
				if err != nil {
					t.Fatal(err)
				}
				rec = ended(t, o, rec.ID)
				if slices.Contains(w.log, "enable") || w.enabledNow() != before {
					t.Errorf("%q is enabled, %q was: %v", w.enabledNow(), before, w.log)
				}
				if row.fails != "" {
					if rec.Outcome != status.Failed || rec.Error == nil || rec.Error.Code != row.fails || rec.State != Failed {
						t.Errorf("%+v", rec)
					}
					return
				}
				if rec.Outcome != status.Installed || rec.State != Done || rec.Error != nil || NewEndError(rec) != nil || w.profiles[newICCID] != euicc.Disabled {
					t.Errorf("%+v %+v", rec, rec.Error)
				}
				if apn, ok := o.Vault.KeptAPN(newICCID); !ok || apn.APN != "kept.example" {
					t.Errorf("the APN is not kept: %+v", apn)
				}
				if same, err := o.Submit(req); err != nil || same.ID != rec.ID {
					t.Errorf("once more: %+v, %v", same, err)
				}
			})
		})
	}
}

// Also a run that is taken up again switches nothing.
func TestInstallOnlyInterrupted(t *testing.T) {
	for _, at := range []string{"authenticate", "download", "collect", "deliver"} {
		t.Run(at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, w, req := t.TempDir(), newWorld(t), request(t)
				w.profiles[oldICCID], w.class = euicc.Enabled, euicc.ClassOperational
				req.InstallOnly = true
				o, shutdown := boot(t, dir, w)
				w.block = func(ctx context.Context, call string) {
					if call == at {
						<-ctx.Done()
					}
				}
				rec, err := o.Submit(req)
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				shutdown()
				w.block = nil
				o, shutdown = boot(t, dir, w)
				defer shutdown()
				if rec = ended(t, o, rec.ID); rec.Outcome != status.Installed || rec.Resumes != 1 || w.enabledNow() != oldICCID || slices.Contains(w.log, "enable") {
					t.Errorf("%s, %+v: %v", rec.Outcome, rec.Error, w.log)
				}
			})
		})
	}
}

// The code of a profile that was only installed enables it, and asks no server.
func TestInstallOnlyThenEnable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, w, req := t.TempDir(), newWorld(t), request(t)
		w.profiles[oldICCID], w.class = euicc.Enabled, euicc.ClassOperational
		o, shutdown := boot(t, dir, w)
		defer shutdown()
		req.InstallOnly = true
		first, err := o.Submit(req)
		if err != nil {
			t.Fatal(err)
		}
		ended(t, o, first.ID)
		w.log = nil
		req.InstallOnly = false
		rec, err := o.Submit(req)
		if err != nil || rec.After != first.ID {
			t.Fatalf("%+v, %v", rec, err)
		}
		if rec = ended(t, o, rec.ID); rec.Outcome != status.Committed || w.enabledNow() != newICCID || slices.Contains(w.log, "authenticate") {
			t.Errorf("%s, %+v: %v", rec.Outcome, rec.Error, w.log)
		}
	})
}
