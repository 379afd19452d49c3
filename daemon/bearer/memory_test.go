package bearer

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/atcmd/modem"
	"dynamod/configs/cosa"
	"dynamod/daemon/activation"
	"dynamod/daemon/learned"
	"dynamod/daemon/status"
)

// ambiguous are two operators that share all that the SIM tells.
const ambiguous = `[
	{"id": "a", "name": "A", "targets": [{"mccmnc": ["00101"]}], "connections": [{"apn": "a1.test"}, {"apn": "a2.test"}]},
	{"id": "b", "name": "B", "targets": [{"mccmnc": ["00101"]}], "connections": [{"apn": "b.test"}]}]`

// Where the SIM does not tell two operators apart all their APNs are tried, and
// what worked goes first the next time; for this ICCID, not for another.
func TestWhatWorkedGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSimBench(t, simOptions{records: ambiguous, core: func(c *atsim.Core) { c.APNs = apns("b.test", "a2.test") }})
		b.answer("a2.test", status.Down)
		up, err := b.up()
		if err != nil || !strings.Contains(up.APNReason, "does not tell apart") {
			t.Errorf("%+v %v", up, err)
		}
		if asked := b.asked(); asked != "a1.test IPV4V6, a2.test IPV4V6, b.test IPV4V6" {
			t.Errorf("asked for %q", asked)
		}
		b.Down(t.Context())
		if up, err = b.up(); err != nil || up.APN != "b.test" || !strings.Contains(up.APNReason, "worked last") {
			t.Errorf("%+v %v", up, err)
		}
		if asked := b.asked(); asked != "b.test IPV4V6" {
			t.Errorf("the second time: asked for %q", asked)
		}
		b.Down(t.Context())
		b.swapSIM(newSIM(otherICCID, otherIMSI, 2))
		if _, err = b.up(); err != nil {
			t.Error(err)
		}
		if asked := b.asked(); asked != "a1.test IPV4V6, a2.test IPV4V6, b.test IPV4V6" {
			t.Errorf("another SIM: asked for %q", asked)
		}
	})
}

// What the network granted after a refusal is asked for at once the next time,
// but another network is asked anew.
func TestWhatWasGrantedIsAskedForFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSimBench(t, simOptions{
			records: record(`{"apn": "data.test", "username": "me", "password": "secret"}`),
			core: func(c *atsim.Core) {
				c.APNs = []atsim.APN{{Name: "data.test", User: "me", Password: "secret", Methods: []int{1}, Types: []string{"IP"}, DualCause: 28, Lease: simLease}}
			},
		})
		for _, want := range []string{"data.test IPV4V6 chap, data.test IPV4V6 pap, data.test IP pap", "data.test IP pap"} {
			if _, err := b.up(); err != nil {
				t.Fatal(err)
			}
			if asked := b.asked(); asked != want {
				t.Errorf("asked for %q, want %q", asked, want)
			}
			b.Down(t.Context())
		}
		b.core.Set(func(c *atsim.Core) {
			c.Cell.PLMN = "26201"
			c.APNs[0].Types, c.APNs[0].Methods = nil, nil
		})
		time.Sleep(time.Minute) // the modem finds out
		if _, err := b.up(); err != nil || b.asked() != "data.test IPV4V6 chap" || b.link() != "data.test v4+v6" {
			t.Errorf("abroad: %s %v", b.link(), err)
		}
	})
}

// What the journal of a run has is as good as what was learned, when that is lost:
// network's choice of type and method, and the password where it came from.
func TestRecall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSimBench(t, simOptions{
			records: record(`{"apn": "first.test"}, {"apn": "data.test", "username": "me", "password": "secret"}`),
			core: func(c *atsim.Core) {
				c.APNs = []atsim.APN{{Name: "data.test", User: "me", Password: "secret", Methods: []int{1}, Types: []string{"IP"}, DualCause: 28, Lease: simLease}}
			},
		})
		if _, err := b.up(); err != nil {
			t.Fatal(err)
		}
		b.Down(t.Context())
		b.asked()
		good, ok := b.LastGood(simICCID)
		if !ok {
			t.Fatal("nothing was learned")
		}
		lost, err := learned.Open(filepath.Join(t.TempDir(), "learned.json"), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		b.Learned = lost
		for range 2 {
			b.Recall(simICCID, good)
			b.Recall(simICCID, learned.APN{Key: "first.test"}) // what is known stays
		}
		if _, err := b.up(); err != nil {
			t.Fatal(err)
		}
		if asked := b.asked(); asked != "data.test IP pap" {
			t.Errorf("asked for %q", asked)
		}
	})
}

// Where a record knows the SIM, the empty APN stays the last try although it is
// what worked: the record may be mended at any time.
func TestAssignedAPNStaysTheLastTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSimBench(t, simOptions{records: record(`{"apn": "old.test"}`), core: func(c *atsim.Core) { c.APNs, c.Default = apns("given.test"), "given.test" }})
		for _, want := range []string{"old.test IPV4V6, IPV4V6", "old.test IPV4V6, IPV4V6"} {
			if _, err := b.up(); err != nil {
				t.Fatal(err)
			}
			if asked := b.asked(); asked != want {
				t.Errorf("asked for %q, want %q", asked, want)
			}
			b.Down(t.Context())
		}
	})
}

// refused is what a network that takes no password of ours is asked for while f
// passes, with everything that happens on the way.
func TestPace(t *testing.T) {
	const wrong = `{"apn": "login.test", "auth": "pap", "username": "me", "password": "wrong"}`
	core := func(c *atsim.Core) {
		c.APNs = []atsim.APN{{Name: "login.test", User: "me", Password: "secret", Lease: simLease}}
	}
	bench := func(t *testing.T) *simBench {
		return newSimBench(t, simOptions{records: record(wrong), core: core, bearer: func(c *Config) { c.NetworkAssigned = false }})
	}
	count := func(b *simBench) int { return len(b.core.Asked()) }

	t.Run("wrong credentials do not lock the line", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := bench(t)
			b.run(func() {
				end := time.Now().Add(24 * time.Hour)
				for time.Now().Before(end) { // the modem reports cells and events all day
					b.Kick()
					time.Sleep(20 * time.Second)
				}
			})
			// At 0, 5, 20, 65, 200, 605 and 1820 minutes.
			if n := count(b); n != 6 {
				t.Errorf("asked %d times in a day, want 6", n)
			}
			if s := b.model.Snapshot(); s.State != status.Down || !strings.Contains(s.Reason, "authentication failed") || !strings.Contains(s.Advice, "credentials") {
				t.Errorf("status %s: %s; %s", s.State, s.Reason, s.Advice)
			}
		})
	})
	t.Run("no traffic is looked for at least hourly", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newSimBench(t, simOptions{records: record(`{"apn": "data.test"}`), core: func(c *atsim.Core) { c.APNs = apns("data.test") }, bearer: func(c *Config) { c.NetworkAssigned = false }})
			b.run(func() {
				time.Sleep(time.Minute)
				count(b)
				b.answer("data.test", status.Down)
				time.Sleep(24 * time.Hour)
				if n := count(b); n < 24 || n > 34 {
					t.Errorf("asked %d times in a day", n)
				}
				b.answer("data.test", status.Up)
				time.Sleep(lastBackoff + time.Minute)
				if b.state() != status.Up {
					t.Error("not up an hour after the network carries traffic again")
				}
			})
		})
	})
	const other = `{"apn": "login.test", "auth": "pap", "username": "me", "password": "other"}`
	unsubscribed := func(c *atsim.Core) { core(c); c.APNs[0].User, c.APNs[0].NotSubscribed = "", true }
	newNetwork := func(b *simBench) { b.core.Set(func(c *atsim.Core) { c.Cell.PLMN = "26201" }) }
	readAgain := func(b *simBench) { b.setRecords(record(wrong)); b.Kick() }
	modemBack := func(b *simBench) {
		r, _ := b.getRadio()
		b.SetRadio(nil)
		b.SetRadio(modem.New(b.session, r.(*modem.Modem).Dialect(), nil))
	}
	for _, event := range []struct {
		name string
		core func(*atsim.Core)
		do   func(b *simBench)
		want int
	}{
		{"new network, service not subscribed", unsubscribed, newNetwork, 1},
		{"operators.d read again, service not subscribed", unsubscribed, readAgain, 1},
		{"the modem comes back, service not subscribed", unsubscribed, modemBack, 1},
		{"new network, password rejected", core, newNetwork, 0},
		{"operators.d read again, password rejected", core, readAgain, 0},
		{"the modem comes back, password rejected", core, modemBack, 0},
		{"another password", core, func(b *simBench) { b.setRecords(record(other)); b.Kick() }, 1},
		{"the password goes and comes back", core, func(b *simBench) {
			b.setRecords("")
			b.Kick()
			time.Sleep(20 * time.Second)
			readAgain(b)
		}, 0},
		{"new SIM", core, func(b *simBench) { b.swapSIM(newSIM(otherICCID, otherIMSI, 2)) }, 1},
		{"same card, another IMSI", core, func(b *simBench) { b.swapSIM(newSIM(simICCID, "001010000000099", 2)) }, 1},
	} {
		t.Run("what ends a back-off: "+event.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newSimBench(t, simOptions{records: record(wrong), core: event.core, bearer: func(c *Config) { c.NetworkAssigned = false }})
				b.run(func() {
					time.Sleep(10 * time.Minute)
					if n := count(b); n != 2 { // at 0 and 5 minutes
						t.Errorf("asked %d times at first", n)
					}
					event.do(b)
					time.Sleep(time.Minute)
					if n := count(b); n != event.want {
						t.Errorf("asked %d times after it, want %d", n, event.want)
					}
				})
			})
		})
	}
	t.Run("one that is refused holds up no other", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newSimBench(t, simOptions{
				records: record(wrong + `, {"apn": "data.test"}`), bearer: func(c *Config) { c.NetworkAssigned = false },
				core: func(c *atsim.Core) { core(c); c.APNs = append(c.APNs, apns("data.test")...) },
			})
			b.answer("data.test", status.Down)
			b.run(func() {
				time.Sleep(4 * time.Minute)
				if asked := b.asked(); strings.Count(asked, "login.test") != 1 || strings.Count(asked, "data.test") < 4 {
					t.Errorf("asked for %q", asked)
				}
			})
		})
	})
}

// A fact of the SIM that arrives late changes the link only if it changes the
// choice.
func TestLateFacts(t *testing.T) {
	mvno := func(gid string) string {
		return `[` + record(`{"apn": "data.test"}`) + `, {"id": "mvno", "name": "MVNO", "targets": [{"mccmnc": ["00101"], "gid1": [{"value": "` + gid + `", "mode": "prefix"}]}], "connections": [{"apn": "mvno.test"}]}]`
	}
	for _, tt := range []struct {
		name, gid, link string
		ups             int
	}{
		{"the host's network, and an MVNO's SIM", "2AC9", "mvno.test v4+v6", 2},
		{"nothing new", "6D38", "data.test v4+v6", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newSimBench(t, simOptions{records: mvno(tt.gid), core: func(c *atsim.Core) { c.APNs = apns("data.test", "mvno.test") }, card: func(c *simCard) { c.set("6f3e", "2AC901FF") }})
				b.card.setBusy("6f3e")
				b.run(func() {
					time.Sleep(time.Minute)
					if b.link() != "data.test v4+v6" {
						t.Errorf("with what is known: %s", b.link())
					}
					b.card.setBusy("")
					time.Sleep(20 * time.Minute)
					if b.link() != tt.link || b.state() != status.Up {
						t.Errorf("later: %s, %s", b.link(), b.state())
					}
				})
				if n := len(b.core.Asked()); n != tt.ups {
					t.Errorf("%d contexts, want %d", n, tt.ups)
				}
			})
		})
	}
}

// Records that are read again change a link only if it is none of theirs.
func TestRecordsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSimBench(t, simOptions{records: record(`{"apn": "data.test"}`), core: func(c *atsim.Core) { c.APNs = apns("data.test", "new.test") }})
		b.run(func() {
			time.Sleep(time.Minute)
			for _, step := range []struct{ records, link, asked string }{
				{record(`{"apn": "new.test"}, {"apn": "data.test"}`), "data.test v4+v6", "data.test IPV4V6"},
				{record(`{"apn": "new.test"}`), "new.test v4+v6", "new.test IPV4V6"},
				{record(`{"apn": "new.test"}`), "new.test v4+v6", ""},
			} {
				b.setRecords(step.records)
				b.Kick()
				time.Sleep(time.Minute)
				if asked := b.asked(); b.link() != step.link || asked != step.asked {
					t.Errorf("%s: link %s, asked for %q", step.records, b.link(), asked)
				}
			}
		})
	})
}

// A link is not used where its owner or its operator does not want it, and comes
// back at home.
func TestRoamingWhileUp(t *testing.T) {
	home := func(c *Config) { c.Roaming = func(s cosa.RoamState) bool { return s == cosa.Home } }
	for _, tt := range []struct {
		name, records string
		bearer        func(*Config)
		there         string // the link abroad
	}{
		{"[bearer] roaming", record(`{"apn": "data.test"}`), home, "down"},
		{"the record's rule", record(`{"apn": "data.test", "roaming": 0}, {"apn": "far.test", "roaming": 5}`), nil, "far.test v4+v6"},
		{"allowed", record(`{"apn": "data.test"}`), nil, "data.test v4+v6"},
		{"another type", record(`{"apn": "data.test", "roamingIpType": "ipv4"}`), nil, "data.test v4"},
		{"a better one", record(`{"apn": "far.test", "roaming": 5, "order": 1}, {"apn": "data.test", "order": 2}`), nil, "far.test v4+v6"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newSimBench(t, simOptions{records: tt.records, bearer: tt.bearer, core: func(c *atsim.Core) { c.APNs = apns("data.test", "far.test") }})
				b.run(func() {
					for _, step := range []struct{ plmn, link string }{{"00101", "data.test v4+v6"}, {"26201", tt.there}, {"00101", "data.test v4+v6"}} {
						b.core.Set(func(c *atsim.Core) { c.Cell.PLMN = step.plmn })
						time.Sleep(10 * time.Minute)
						if b.link() != step.link {
							t.Errorf("in %s: %s, want %s (%s)", step.plmn, b.link(), step.link, b.model.Snapshot().Reason)
						}
					}
				})
			})
		})
	}
}

// What the time did not suffice for hides nothing of what failed before.
func TestOutOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSimBench(t, simOptions{records: record(`{"apn": "old.test"}, {"apn": "dead.test"}`), core: func(c *atsim.Core) { c.APNs = apns("dead.test") }})
		b.answer("dead.test", status.Down)
		ctx, done := context.WithTimeout(t.Context(), 2*time.Second)
		defer done()
		p, err := b.Plan(ctx, simICCID, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Up(ctx, p, func(activation.State) {})
		if f, ok := errors.AsType[*activation.Fault](err); !ok || f.Code != "no-data" || !strings.Contains(f.Text, "unknown APN") || !strings.Contains(f.Text, `"dead.test": the time is over`) {
			t.Errorf("%v", err)
		}
	})
}

// A modem that does not tell its network for a moment is where it was: no link
// goes for it, and no refused connection is asked for again.
func TestServingNetworkIsNotTold(t *testing.T) {
	fails := atsim.Fault{Command: "+COPS"}
	t.Run("roaming in the home country", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newSimBench(t, simOptions{
				records: record(`{"apn": "data.test"}`), core: func(c *atsim.Core) { c.APNs = apns("data.test"); c.Cell.PLMN = "00102" },
				bearer: func(c *Config) { c.Roaming = func(s cosa.RoamState) bool { return s < cosa.International } },
			})
			b.run(func() {
				time.Sleep(time.Minute)
				if err := b.sim.SetFault("cme", fails); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					b.Kick()
					time.Sleep(time.Minute)
				}
				if asked := b.asked(); b.link() != "data.test v4+v6" || asked != "data.test IPV4V6" {
					t.Errorf("link %s, asked for %q: %s", b.link(), asked, b.model.Snapshot().Reason)
				}
				b.sim.ClearFault("")
				b.core.Set(func(c *atsim.Core) { c.Cell.PLMN = "26201" })
				time.Sleep(10 * time.Minute)
				if b.link() != "down" {
					t.Errorf("abroad: %s", b.link())
				}
			})
		})
	})
	t.Run("refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newSimBench(t, simOptions{
				records: record(`{"apn": "data.test"}`), core: func(c *atsim.Core) { c.APNs = apns("data.test"); c.APNs[0].NotSubscribed = true },
				bearer: func(c *Config) { c.NetworkAssigned = false },
			})
			b.run(func() {
				for range 6 {
					if err := b.sim.SetFault("cme", fails); err != nil {
						t.Fatal(err)
					}
					b.Kick()
					time.Sleep(20 * time.Second)
					b.sim.ClearFault("")
					b.Kick()
					time.Sleep(20 * time.Second)
				}
				// Once before the network is known, and once when it is.
				if n := len(b.core.Asked()); n > 2 {
					t.Errorf("asked %d times in 4 minutes", n)
				}
			})
		})
	})
}

// Where no APN is known the error says what to do, and where to look.
func TestNoAPNSaysWhatToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSimBench(t, simOptions{
			records: `{"id": "n", "name": "Neighbour", "country": "de", "targets": [{"mccmnc": ["00102"]}], "connections": [{"apn": "n.test"}]}`,
			core:    func(c *atsim.Core) { c.APNs = apns("data.test") },
		})
		_, err := b.up()
		f, ok := errors.AsType[*activation.Fault](err)
		if !ok || f.Code != "no-apn" || !strings.Contains(f.Text, "home network 00101") || !strings.Contains(f.Text, "unknown APN (#27)") {
			t.Fatalf("%v", err)
		}
		for _, want := range []string{"[apn] apn", "operators.d", "`dynamod apn list --country de`"} {
			if !strings.Contains(f.Advice, want) {
				t.Errorf("advice %q lacks %s", f.Advice, want)
			}
		}
	})
}
