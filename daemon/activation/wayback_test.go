package activation

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/learned"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

const (
	secondICCID = "8900000000000000034"
	thirdICCID  = "8900000000000000042"
)

// outage makes a call fail from the beginning for a time; of "up" it is the link
// of one profile.
type outage struct {
	call, iccid string
	lasts       time.Duration // 0 for ever
}

func (w *world) suffer(outages ...outage) {
	begin := time.Now()
	w.fail = func(call string) error {
		for _, o := range outages {
			if o.call == call && (o.iccid == "" || o.iccid == w.enabledNow()) && (o.lasts == 0 || time.Since(begin) < o.lasts) {
				return &Fault{Code: "outage", Text: fmt.Sprintf("%s of %s fails", call, o.iccid)}
			}
		}
		return nil
	}
}

func (w *world) has(iccid string, class euicc.Class, ppr euicc.PPR) {
	if w.metadata == nil {
		w.metadata = map[string]euicc.Metadata{}
	}
	w.profiles[iccid] = euicc.Disabled
	w.metadata[iccid] = euicc.Metadata{Class: class, PPR: ppr}
}

// TestWayBack has the new profile without a link, and more than that going wrong.
func TestWayBack(t *testing.T) {
	const day = 24 * time.Hour
	dead := func(iccid string) outage { return outage{"up", iccid, 0} }
	for _, tt := range []struct {
		name    string
		prepare func(*world, *Request)
		outages []outage
		outcome status.Outcome
		enabled string
		backTo  string
		within  time.Duration // of simulated time
	}{
		{"the previous profile's network is away for an hour", nil, []outage{dead(newICCID), {"up", oldICCID, time.Hour}}, status.RolledBack, oldICCID, "", 2 * time.Hour},
		{"everything is down for a week", nil, []outage{dead(newICCID), {"up", "", 7 * day}}, status.RolledBack, oldICCID, "", 7*day + 2*time.Hour},
		{"the modem is away for a day", nil, []outage{dead(newICCID), {"enable", newICCID, day}, {"profiles", newICCID, day}}, status.RolledBack, oldICCID, "", day + 2*time.Hour},
		{
			"the previous profile is dead, another one works", func(w *world, _ *Request) { w.has(secondICCID, euicc.ClassOperational, 0) },
			[]outage{dead(newICCID), dead(oldICCID)}, status.RolledBack, secondICCID, secondICCID, time.Hour,
		},
		{
			"of two others the one that worked last", func(w *world, _ *Request) {
				w.has(secondICCID, euicc.ClassOperational, 0)
				w.has(thirdICCID, euicc.ClassOperational, 0)
				w.worked = map[string]time.Time{secondICCID: time.Now().Add(-2 * day), thirdICCID: time.Now().Add(-day)}
			},
			[]outage{dead(newICCID), dead(oldICCID)}, status.RolledBack, thirdICCID, thirdICCID, time.Hour,
		},
		{
			"the one for provisioning last", func(w *world, _ *Request) {
				w.has(secondICCID, euicc.ClassProvisioning, 0)
				w.has(thirdICCID, euicc.ClassOperational, 0)
				w.worked = map[string]time.Time{secondICCID: time.Now().Add(-day)}
			},
			[]outage{dead(newICCID), dead(oldICCID)}, status.RolledBack, thirdICCID, thirdICCID, time.Hour,
		},
		{
			"the one that is configured for bootstrap last", func(w *world, _ *Request) {
				w.has(secondICCID, euicc.ClassOperational, 0)
				w.has(thirdICCID, euicc.ClassOperational, 0)
				w.bootstrap, w.worked = secondICCID, map[string]time.Time{secondICCID: time.Now().Add(-day)}
			},
			[]outage{dead(newICCID), dead(oldICCID)}, status.RolledBack, thirdICCID, thirdICCID, time.Hour,
		},
		{
			"the one for bootstrap behind the new one, whose line comes late", func(w *world, _ *Request) {
				w.has(secondICCID, euicc.ClassOperational, 0)
				w.bootstrap = secondICCID
			},
			[]outage{{"up", newICCID, 6 * time.Minute}, dead(oldICCID), {"up", secondICCID, 6 * time.Minute}}, status.Committed, newICCID, "", time.Hour,
		},
		{
			"the one for provisioning, when all others are dead", func(w *world, _ *Request) {
				w.has(secondICCID, euicc.ClassProvisioning, 0)
				w.has(thirdICCID, euicc.ClassOperational, 0)
			},
			[]outage{dead(newICCID), dead(oldICCID), dead(thirdICCID)}, status.RolledBack, secondICCID, secondICCID, time.Hour,
		},
		{
			"a test profile, and one that could not be left again (PPR1), are not tried", func(w *world, _ *Request) {
				w.has(secondICCID, euicc.ClassTest, 0)
				w.has(thirdICCID, euicc.ClassOperational, euicc.PPR1)
			},
			[]outage{dead(newICCID), {"up", oldICCID, day}}, status.RolledBack, oldICCID, "", day + 2*time.Hour,
		},
		{
			"the new line is activated half an hour late, the previous one is dead", nil,
			[]outage{{"up", newICCID, 30 * time.Minute}, dead(oldICCID)}, status.Committed, newICCID, "", 2 * time.Hour,
		},
		{
			"the previous profile has gone from the card, the new line comes late", func(w *world, _ *Request) {
				w.lost = func(call string) error {
					if call == "up" || call == "download" {
						delete(w.profiles, oldICCID)
					}
					return nil
				}
			},
			[]outage{{"up", newICCID, time.Hour}}, status.Committed, newICCID, "", 3 * time.Hour,
		},
		{
			"the new profile cannot be left again (PPR1)", func(w *world, r *Request) {
				w.md.PPR, r.NoWayBack = euicc.PPR1, true
				w.metadata = map[string]euicc.Metadata{newICCID: {Class: euicc.ClassOperational, PPR: euicc.PPR1}, oldICCID: {Class: euicc.ClassProvisioning}}
			},
			[]outage{dead(newICCID)}, status.Failed, newICCID, "", time.Hour,
		},
		{
			"the new profile cannot be left again (PPR1), and its installation cannot be reported", func(w *world, r *Request) {
				w.md.PPR, r.NoWayBack = euicc.PPR1, true
				w.metadata = map[string]euicc.Metadata{newICCID: {Class: euicc.ClassOperational, PPR: euicc.PPR1}, oldICCID: {Class: euicc.ClassProvisioning}}
			},
			[]outage{{"deliver", "", time.Minute}}, status.RolledBack, oldICCID, "", time.Hour,
		},
		{
			"a switch that the enabled profile forbids (PPR1)", func(w *world, _ *Request) {
				w.lost = func(call string) error { // its rule came with an update since the run agreed
					if call == "download" {
						w.has(oldICCID, euicc.ClassOperational, euicc.PPR1)
						w.profiles[oldICCID] = euicc.Enabled
					}
					return nil
				}
			},
			[]outage{{"enable", oldICCID, time.Second}}, status.RolledBack, oldICCID, "", time.Hour,
		},
		{
			"nothing was enabled before, and the card does not take the new one out of use for a day", func(w *world, _ *Request) { w.profiles[oldICCID] = euicc.Disabled },
			[]outage{dead(newICCID), {"disable", "", day}}, status.Failed, "", "", day + 2*time.Hour,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, w, req := t.TempDir(), newWorld(t), request(t)
				w.profiles[oldICCID] = euicc.Enabled
				w.class = euicc.ClassOperational
				if tt.prepare != nil {
					tt.prepare(w, &req)
				}
				had := len(w.profiles)
				w.suffer(tt.outages...)
				o, shutdown := boot(t, dir, w)
				defer shutdown()
				rec, err := o.Submit(req)
				if err != nil {
					t.Fatal(err)
				}
				rec = ended(t, o, rec.ID)
				if rec.Outcome != tt.outcome || w.enabledNow() != tt.enabled || rec.BackTo != tt.backTo {
					t.Errorf("%s, %q enabled, back to %q, want %s, %q, %q; calls %v", rec.Outcome, w.enabledNow(), rec.BackTo, tt.outcome, tt.enabled, tt.backTo, w.log)
				}
				if took := rec.Ended.Sub(rec.Started); took > tt.within {
					t.Errorf("it took %v", took)
				}
				if n := len(w.profiles); n < had && !strings.Contains(tt.name, "gone") {
					t.Errorf("%d profiles, %d before", n, had)
				}
				if w.held != 0 {
					t.Errorf("day-two work is held %d times", w.held)
				}
			})
		})
	}
}

// The rest between two rounds ends when somebody has had enough, and outlasts a
// restart; meanwhile the link is day-two work's.
func TestWayBackRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, w := t.TempDir(), newWorld(t)
		w.profiles[oldICCID], w.class = euicc.Enabled, euicc.ClassOperational
		w.suffer(outage{"up", "", 0})
		o, shutdown := boot(t, dir, w)
		rec, err := o.Submit(request(t))
		if err != nil {
			t.Fatal(err)
		}
		for restart := range maxResumes + 3 {
			time.Sleep(10 * time.Second)
			synctest.Wait()
			rec, err = o.Get(rec.ID)
			if err != nil || rec.State != Undoing || rec.Waiting != WaitLink || w.held != 0 || w.enabledNow() != oldICCID {
				t.Fatalf("restart %d: %+v, held %d times, %v", restart, rec, w.held, err)
			}
			if _, err := o.Submit(Request{DefaultSMDP: true}); !errors.Is(err, ErrBusy) {
				t.Errorf("another request meanwhile: %v", err)
			}
			shutdown()
			o, shutdown = boot(t, dir, w)
		}
		defer func() { shutdown() }()
		synctest.Wait()
		rounds := len(w.log)
		time.Sleep(restTimes[0] - time.Second)
		synctest.Wait()
		if len(w.log) != rounds {
			t.Errorf("a run that was interrupted often does not rest: %v", w.log[rounds:])
		}
		if err := o.Cancel(rec.ID); err != nil {
			t.Error(err)
		}
		rec = ended(t, o, rec.ID)
		if rec.Outcome != status.RolledBack || rec.State != Failed || w.enabledNow() != oldICCID {
			t.Errorf("%+v", rec)
		}
	})
}

// The link that comes up during a rest ends it, and so does a modem that is back.
func TestRestEndsEarly(t *testing.T) {
	for name, sign := range map[string]func(*status.Snapshot){
		"link up":    func(s *status.Snapshot) { s.State = status.Up },
		"modem back": func(s *status.Snapshot) { s.Modem = &status.Modem{Present: true} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, w := t.TempDir(), newWorld(t)
				w.profiles[oldICCID], w.class = euicc.Enabled, euicc.ClassOperational
				w.suffer(outage{"up", "", 24*time.Hour + 2*time.Minute}) // just after a round
				o, shutdown := boot(t, dir, w)
				defer shutdown()
				rec, err := o.Submit(request(t))
				if err != nil {
					t.Fatal(err)
				}
				for begin := time.Now(); time.Since(begin) < 24*time.Hour+3*time.Minute || o.Runs()[0].Waiting != WaitLink; {
					time.Sleep(time.Second)
				}
				before := time.Now()
				o.Status.Update(sign)
				rec = ended(t, o, rec.ID)
				if took := time.Since(before); rec.Outcome != status.RolledBack || took > time.Minute {
					t.Errorf("%s after %v", rec.Outcome, took)
				}
			})
		})
	}
}

// What the previous profile had its link with is in the journal before the switch.
func TestPreviousAPNIsJournalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, w := t.TempDir(), newWorld(t)
		w.profiles[oldICCID] = euicc.Enabled
		w.worked = map[string]time.Time{oldICCID: time.Now()}
		w.fail = func(call string) error {
			if call == "up" && (w.enabledNow() == newICCID || !slices.Contains(w.planned, "old.test")) {
				return &Fault{Code: "no-apn", Text: "nothing tells an APN"}
			}
			return nil
		}
		o, shutdown := boot(t, dir, w)
		defer shutdown()
		rec, err := o.Submit(request(t))
		if err != nil {
			t.Fatal(err)
		}
		if rec = ended(t, o, rec.ID); rec.Outcome != status.RolledBack || rec.PreviousAPN != "old.test" || rec.Ended.Sub(rec.Started) > time.Minute {
			t.Errorf("%+v", rec)
		}
	})
}

// The whole of that connection is, but for the password; the way back gives it back
// to a link that has forgotten it, and where nothing tells an APN any more it is
// asked for as it worked. A journal of an earlier version has the APN alone.
func TestPreviousLinkIsJournalled(t *testing.T) {
	good := learned.APN{Key: "old.test|me|with|bar|auto", IPType: "ipv6", Wanted: "ipv4v6", Auth: "pap", PLMN: "00101"}
	for _, tt := range []struct {
		name    string
		earlier bool // version, that wrote the journal
		lost    bool // learned.json
		nothing bool // tells an APN
		recalls bool
		asked   []APN
	}{
		{"all is known", false, false, false, true, nil},
		{"learned.json is lost", false, true, false, true, nil},
		{"nothing tells an APN", false, true, true, true, []APN{{APN: "old.test", IPType: "ipv6", Auth: "pap", Username: "me|with|bar"}}},
		{"an earlier version's journal", true, true, true, false, []APN{{APN: "old.test"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, w := t.TempDir(), newWorld(t)
				w.profiles[oldICCID] = euicc.Enabled
				w.worked = map[string]time.Time{oldICCID: time.Now()}
				w.good = map[string]learned.APN{oldICCID: good}
				if tt.earlier {
					w.good = nil
				}
				w.fail = func(call string) error {
					if call != "up" {
						return nil
					}
					switch {
					case w.enabledNow() == newICCID && tt.lost:
						w.mu.Lock()
						w.good = nil
						w.mu.Unlock()
						fallthrough
					case w.enabledNow() == newICCID, tt.nothing && len(w.asked) == 0:
						return &Fault{Code: "no-apn", Text: "nothing tells an APN"}
					}
					return nil
				}
				o, shutdown := boot(t, dir, w)
				defer shutdown()
				rec, err := o.Submit(request(t))
				if err != nil {
					t.Fatal(err)
				}
				rec = ended(t, o, rec.ID)
				if rec.Outcome != status.RolledBack || !slices.Equal(w.asked, tt.asked) {
					t.Errorf("%s, asked for %+v", rec.Outcome, w.asked)
				}
				if got, ok := w.good[oldICCID]; ok != tt.recalls || ok && got != good {
					t.Errorf("the link knows %+v", got)
				}
				text, err := os.ReadFile(filepath.Join(dir, "journal"))
				if err != nil || bytes.Contains(text, []byte("previous_link")) == tt.earlier {
					t.Errorf("journal: %v", err)
				}
			})
		})
	}
}

// A profile whose PIN nobody knows is enabled once a day on the way back, and again
// at once when the modem was away: the card may be another one. Between the rounds
// the previous profile is enabled all the same, where a PIN that is there by now is
// given to the card.
func TestWayBackLeavesLockedOut(t *testing.T) {
	for _, locked := range []string{oldICCID, secondICCID} {
		synctest.Test(t, func(t *testing.T) {
			dir, w := t.TempDir(), newWorld(t)
			w.profiles[oldICCID], w.class = euicc.Enabled, euicc.ClassOperational
			w.has(secondICCID, euicc.ClassOperational, 0)
			tries := map[string]int{}
			w.fail = func(call string) error {
				if call != "up" {
					return nil
				}
				tries[w.enabledNow()]++
				if w.enabledNow() == locked {
					return &Fault{Code: "no-sim", Text: "no SIM can be used: needs-pin"}
				}
				return &Fault{Code: "outage", Text: "no link"}
			}
			o, shutdown := boot(t, dir, w)
			defer shutdown()
			rec, err := o.Submit(request(t))
			if err != nil {
				t.Fatal(err)
			}
			const days = 7
			time.Sleep(days * 24 * time.Hour)
			synctest.Wait()
			if n := tries[locked]; n < days-1 || n > days+1 {
				t.Errorf("%s is locked and was tried %d times in %d days", locked, n, days)
			}
			for iccid, n := range tries {
				if iccid != locked && n < days*23 {
					t.Errorf("%s was tried %d times", iccid, n)
				}
			}
			if w.enabledNow() != oldICCID {
				t.Errorf("between the rounds %s is enabled", w.enabledNow())
			}
			before := tries[locked]
			o.Status.Update(func(s *status.Snapshot) { s.Modem = &status.Modem{Present: true} })
			time.Sleep(time.Minute)
			synctest.Wait()
			if tries[locked] != before+1 {
				t.Errorf("the modem was away, and %s was tried %d times since", locked, tries[locked]-before)
			}
			if err := o.Cancel(rec.ID); err != nil {
				t.Error(err)
			}
			ended(t, o, rec.ID)
		})
	}
}
