package activation

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"dynamod/daemon/status"
	"dynamod/euicc"
)

// A key is its caller's, and names one run for ever: while that is under way, after its
// end, after a restart, and where a younger run is of the same code.
func TestSameKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, w := t.TempDir(), newWorld(t)
		w.profiles[oldICCID] = euicc.Enabled
		fails := true
		w.fail = func(call string) error {
			if call == "up" && w.enabledNow() == newICCID && fails {
				return &Fault{Code: "registration-denied", Text: "denied"}
			}
			return nil
		}
		o, shutdown := boot(t, dir, w)
		defer func() { shutdown() }()
		req := request(t)
		req.Key, req.Caller = "k", "ansible"
		same := func(when string, r Request, want string) {
			t.Helper()
			if rec, err := o.Submit(r); err != nil || rec.ID != want {
				t.Errorf("%s: %s, %v, want %s", when, rec.ID, err, want)
			}
		}
		first, err := o.Submit(req)
		if err != nil {
			t.Fatal(err)
		}
		same("under way", req, first.ID)
		noKey := req
		noKey.Key = ""
		same("the same code under way", noKey, first.ID)
		if first = ended(t, o, first.ID); first.Outcome != status.RolledBack || first.Caller != "ansible" {
			t.Fatalf("%+v", first)
		}
		same("rolled back", req, first.ID)

		fails = false
		second, err := o.Submit(noKey)
		if err != nil || second.ID == first.ID || second.After != first.ID {
			t.Fatalf("%+v, %v", second, err)
		}
		if second = ended(t, o, second.ID); second.Outcome != status.Committed {
			t.Fatalf("%+v", second)
		}
		same("the code, committed", noKey, second.ID)
		same("the key, with a younger run of its code", req, first.ID)

		shutdown()
		o, shutdown = boot(t, dir, w)
		same("restarted", req, first.ID)
		same("the code, restarted", noKey, second.ID)

		// Of another order, and of other callers.
		other := req
		other.Code.MatchingID = "ANOTHER"
		_, err = o.Submit(other)
		if f, ok := errors.AsType[*Fault](err); !ok || f.Code != "key-reused" || !errors.Is(err, ErrKeyReused) || !strings.Contains(f.Text, first.ID) || f.Advice == "" {
			t.Errorf("another order: %v", err)
		}
		if strings.Contains(err.Error(), "ANOTHER") {
			t.Errorf("the order is told: %v", err)
		}
		for _, caller := range []string{"", "portal"} {
			other.Caller = caller
			rec, err := o.Submit(other)
			if err != nil || rec.ID == first.ID || rec.Caller != caller {
				t.Errorf("caller %q: %+v, %v", caller, rec, err)
			}
			ended(t, o, rec.ID)
			synctest.Wait()
			other.Code.MatchingID = "A-THIRD"
		}

		// The profile is deleted: its code begins anew, the key does not.
		if err := o.Forget(newICCID); err != nil {
			t.Fatal(err)
		}
		same("the profile is deleted", req, first.ID)
		other = req
		other.Code.MatchingID = "A-FOURTH"
		if _, err := o.Submit(other); !errors.Is(err, ErrKeyReused) {
			t.Errorf("the profile is deleted, another order: %v", err)
		}
		third, err := o.Submit(noKey)
		if err != nil || third.ID == second.ID {
			t.Errorf("the code of a profile that was deleted: %+v, %v", third, err)
		}
		ended(t, o, third.ID)
	})
}

// Without a code, the way to find one is the order.
func TestSameKeyWithoutCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, shutdown := boot(t, t.TempDir(), newWorld(t))
		defer shutdown()
		ways := []Request{{Discover: true}, {Discover: true, SMDS: "smds.example.com"}, {DefaultSMDP: true}}
		for i, way := range ways {
			way.Key, way.Consent = "k"+string(rune('0'+i)), true
			rec, err := o.Submit(way)
			if err != nil {
				t.Fatal(err)
			}
			ended(t, o, rec.ID)
			synctest.Wait()
			if again, err := o.Submit(way); err != nil || again.ID != rec.ID {
				t.Errorf("way %d again: %+v, %v", i, again, err)
			}
			other := ways[(i+1)%len(ways)]
			other.Key, other.Consent = way.Key, true
			if _, err := o.Submit(other); !errors.Is(err, ErrKeyReused) {
				t.Errorf("another way under the key of %d: %v", i, err)
			}
		}
	})
}

// Of two at once one is told to wait, or both are the same run.
func TestTwoAtOnce(t *testing.T) {
	for name, differ := range map[string]bool{"the same": false, "another order": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, shutdown := boot(t, t.TempDir(), newWorld(t))
				defer shutdown()
				var wg sync.WaitGroup
				var mu sync.Mutex
				ids, busy := map[string]bool{}, 0
				for i := range 8 {
					req := request(t)
					if differ {
						req.Code.MatchingID = euicc.MatchingID("M" + string(rune('A'+i)))
					}
					wg.Go(func() {
						rec, err := o.Submit(req)
						mu.Lock()
						defer mu.Unlock()
						f, ok := errors.AsType[*Fault](err)
						switch {
						case err == nil:
							ids[rec.ID] = true
						case ok && f.Code == "busy" && errors.Is(err, ErrBusy) && f.Advice != "":
							busy++
						default:
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if want := map[bool]int{false: 0, true: 7}[differ]; len(ids) != 1 || busy != want {
					t.Errorf("%d runs, %d times busy, want %d", len(ids), busy, want)
				}
				for id := range ids {
					ended(t, o, id)
				}
			})
		})
	}
}
