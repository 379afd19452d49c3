package recovery

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/status"
)

// fake is a modem that has some symptoms until a rung that heals them, and a
// keeper that looks at it and takes what is due.
type fake struct {
	*Ladder
	model *status.Model
	log   strings.Builder
	wrong map[Symptom]Rung // with what heals it, "" for nothing
	took  []string
	at    map[Rung][]time.Time // since it was well for Hold
	worst map[Rung]int         // most uses within Window
	sick  time.Time            // when it was so last
	up    bool
	every time.Duration // between looks
}

func newFake(change func(*Config)) *fake {
	f := &fake{model: status.New("test", time.Now), wrong: map[Symptom]Rung{}, at: map[Rung][]time.Time{}, worst: map[Rung]int{}, every: 30 * time.Second}
	c := Config{Limit: func() Rung { return Power }, Status: f.model, Log: slog.New(slog.NewTextHandler(&f.log, nil))}
	if change != nil {
		change(&c)
	}
	f.Ladder = New(c)
	return f
}

// live lets time pass.
func (f *fake) live(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, c := range classes {
			if _, ok := f.wrong[c.symptom]; ok {
				f.Saw(c.symptom, "as the test wants it")
			} else {
				f.Well(c.symptom)
			}
		}
		if len(f.wrong) > 0 {
			f.sick = time.Now()
		} else if time.Since(f.sick) >= Hold {
			clear(f.at)
		}
		if step, _, ok := f.Due(f.up); ok {
			f.took = append(f.took, string(step.Rung))
			f.at[step.Rung] = append(slices.DeleteFunc(f.at[step.Rung], func(t time.Time) bool { return time.Since(t) >= Window }), time.Now())
			f.worst[step.Rung] = max(f.worst[step.Rung], len(f.at[step.Rung]))
			for s, heals := range f.wrong {
				if heals != "" && slices.Index(Rungs, step.Rung) >= slices.Index(Rungs, heals) {
					delete(f.wrong, s)
				}
			}
			f.Taken(step, nil)
		}
		time.Sleep(f.every)
	}
}

func (f *fake) recovery() status.Recovery {
	if r := f.model.Snapshot().Recovery; r != nil {
		return *r
	}
	return status.Recovery{}
}

// TestClimb: each symptom begins at its own rung, climbs one after the other,
// and stops at the one that helps.
func TestClimb(t *testing.T) {
	noPower := func(c *Config) {
		c.Missing = func(r Rung) string {
			if r == Power {
				return "no power line is known"
			}
			return ""
		}
	}
	limit := func(r Rung) func(*Config) { return func(c *Config) { c.Limit = func() Rung { return r } } }
	for _, tt := range []struct {
		name    string
		symptom Symptom
		heals   Rung
		change  func(*Config)
		up      bool
		took    string
	}{
		{"AT dead until a restart", Silent, Modem, nil, false, "modem"},
		{"AT dead until the port is opened again", Silent, Port, nil, false, "modem port"},
		{"AT dead until power", Silent, Power, nil, false, "modem port power"},
		{"AT dead, no power line", Silent, Power, noPower, false, "modem port"},
		{"SIM gone until its power cycle", SIMLost, Card, nil, false, "card"},
		{"SIM gone until +CFUN=0 and 1", SIMLost, Radio, nil, false, "card radio"},
		{"SIM gone until power", SIMLost, Power, nil, false, "card radio modem power"},
		{"card mute until a restart", CardSilent, Modem, nil, false, "card radio modem"},
		{"no channel", NoChannel, Radio, nil, false, "card radio"},
		{"no channel never reaches for the power", NoChannel, Power, nil, false, "card radio modem"},
		{"contexts stick", NoContext, Radio, nil, false, "radio"},
		{"traffic sticks until a restart", NoTraffic, Modem, nil, false, "radio modem"},
		{"deaf radio", NotRegistered, Modem, nil, false, "radio modem"},
		{"a link that works is not touched", CardSilent, Card, nil, true, ""},
		{"switched off", SIMLost, Card, limit(""), false, ""},
		{"no further than the radio", SIMLost, Power, limit(Radio), false, "card radio"},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(tt.change)
			f.up = tt.up
			f.live(10 * time.Minute)
			f.wrong[tt.symptom] = tt.heals
			f.live(50 * time.Minute)
			if took := strings.Join(f.took, " "); took != tt.took {
				t.Errorf("%s: took %q, want %q", tt.name, took, tt.took)
			}
			r, healed := f.recovery(), len(f.wrong) == 0
			counted := 0
			for _, u := range r.Rungs {
				counted += u.Count
			}
			if counted != len(f.took) {
				t.Errorf("%s: %d counted, %d taken", tt.name, counted, len(f.took))
			}
			switch {
			case healed && r.State != "":
				t.Errorf("%s: healed, and the status says %+v", tt.name, r)
			case !healed && !tt.up && tt.change == nil && (r.State != status.GivenUp || r.Next == nil || r.Advice == "" || !strings.Contains(f.log.String(), "level=ERROR")):
				t.Errorf("%s: nothing helped, and the status says %+v", tt.name, r)
			}
		})
	}
}

// TestThreshold: what passes by itself is no reason for a rung.
func TestThreshold(t *testing.T) {
	for _, tt := range []struct {
		symptom Symptom
		lasts   time.Duration
		took    int
	}{
		{SIMLost, 10 * time.Second, 0},
		{SIMLost, 2 * time.Minute, 1},
		{NotRegistered, 14 * time.Minute, 0}, // a tunnel
		{NotRegistered, 17 * time.Minute, 1},
		{NoTraffic, 4 * time.Minute, 0},
		{NoTraffic, 6 * time.Minute, 1},
		{NoContext, time.Minute, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(nil)
			f.wrong[tt.symptom] = Card // so that the first rung heals
			f.live(tt.lasts)
			delete(f.wrong, tt.symptom)
			f.live(time.Hour)
			if len(f.took) != tt.took {
				t.Errorf("%s for %v: %q", tt.symptom, tt.lasts, f.took)
			}
		})
	}
}

// TestWeek: whatever a modem does for a week that is never well for Hold, no rung is taken more often than
// its budget allows, and a fault that nothing heals is met less and less often.
func TestWeek(t *testing.T) {
	const week = 7 * 24 * time.Hour
	t.Run("nothing heals", func(t *testing.T) {
		for _, c := range classes {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(nil)
				f.every = 2 * time.Minute
				f.wrong[c.symptom] = ""
				f.live(week)
				for _, r := range c.rungs {
					// Rounds begin at 0, 1, 3, 7, 15, 31 h and then once a day, and
					// each waits until the symptom is seen.
					n := 0
					for _, took := range f.took {
						if took == string(r) {
							n++
						}
					}
					if n < 8 || n > 12 || f.worst[r] > budgets[r].uses {
						t.Errorf("%s: %s was taken %d times in a week, %d in a day", c.symptom, r, n, f.worst[r])
					}
				}
				// It ends in the end, and the link is there without anybody's doing.
				clear(f.wrong)
				f.live(2 * time.Hour)
				if r := f.recovery(); r.State != "" || len(r.Rungs) != len(c.rungs) {
					t.Errorf("%s: after it passed the status says %+v", c.symptom, r)
				}
			})
		}
	})
	t.Run("all of it at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(nil)
			f.every = 5 * time.Minute
			for _, c := range classes {
				f.wrong[c.symptom] = ""
			}
			f.live(week)
			for r, b := range budgets {
				if n := f.worst[r]; n > b.uses {
					t.Errorf("%s: %d in a day, the budget is %d", r, n, b.uses)
				}
			}
		})
	})
	for _, gap := range []time.Duration{2 * time.Minute, 7 * time.Minute, 59 * time.Minute} {
		for _, c := range []*class{classOf(Silent), classOf(NoTraffic)} {
			t.Run(fmt.Sprintf("%s flaps, well for %v", c.symptom, gap), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFake(nil)
					f.every = 2 * time.Minute
					for end := time.Now().Add(week); time.Now().Before(end); {
						f.wrong[c.symptom] = c.rungs[0]
						if gap < 30*time.Minute {
							f.wrong[c.symptom] = "" // it ends by itself
						}
						f.live(20 * time.Minute)
						clear(f.wrong)
						f.live(gap)
					}
					for r, b := range budgets {
						if n := f.worst[r]; n > b.uses {
							t.Errorf("%s: %d in a day, the budget is %d", r, n, b.uses)
						}
					}
				})
			})
		}
	}
	t.Run("seeded storm", func(t *testing.T) {
		for seed := range uint64(5) {
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 1))
				f := newFake(nil)
				f.every = 2 * time.Minute
				for end := time.Now().Add(week); time.Now().Before(end); {
					for range rnd.IntN(3) + 1 {
						f.wrong[classes[rnd.IntN(len(classes))].symptom] = Rungs[rnd.IntN(len(Rungs))]
					}
					f.live(time.Duration(rnd.IntN(50)+1) * time.Minute)
					clear(f.wrong)
					f.live(time.Duration(rnd.IntN(50)) * time.Minute)
				}
				for r, b := range budgets {
					if n := f.worst[r]; n > b.uses {
						t.Errorf("seed %d: %s: %d in a day, the budget is %d", seed, r, n, b.uses)
					}
				}
			})
		}
	})
}

// TestBackForGood: a modem that was well for Hold has its budgets back and is
// begun with mildly again; one that was not goes on where it was.
func TestBackForGood(t *testing.T) {
	for _, tt := range []struct {
		well time.Duration
		took string
	}{
		{Hold + time.Minute, "card radio card radio"},
		{Hold - 10*time.Minute, "card radio radio"},
		{time.Minute, "card radio modem"}, // that was a flicker
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(nil)
			f.wrong[SIMLost] = Radio
			for range 1000 {
				if len(f.wrong) == 0 {
					break
				}
				f.live(f.every)
			}
			f.live(tt.well)
			f.wrong[SIMLost] = Radio
			f.live(20 * time.Minute)
			if took := strings.Join(f.took, " "); took != tt.took {
				t.Errorf("well for %v: took %q, want %q", tt.well, took, tt.took)
			}
		})
	}
}

// TestHeldOff: what waits for an eSIM operation says so, once, and is taken
// afterwards.
func TestHeldOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(nil)
		for range 3 {
			f.Saw(SIMLost, "gone")
			time.Sleep(30 * time.Second)
		}
		step, _, ok := f.Due(false)
		for range 10 {
			f.HeldOff(step, "an eSIM operation")
		}
		if r := f.recovery(); !ok || r.State != status.HeldOff || len(r.Rungs) != 0 || strings.Count(f.log.String(), "recovery waits") != 1 {
			t.Fatalf("%+v, %s", r, f.log.String())
		}
		if again, _, ok := f.Due(false); !ok || again != step {
			t.Errorf("%+v is due, then %+v", step, again)
		}
		f.Taken(step, fmt.Errorf("the command was refused"))
		if r := f.recovery(); r.State != status.Climbing || len(r.Rungs) != 1 || r.Rungs[0].Error == "" || r.Rungs[0].Reason != "gone" {
			t.Errorf("%+v", r)
		}
	})
}

// A nil ladder is one that nobody minds.
func TestNil(t *testing.T) {
	var l *Ladder
	l.Saw(Silent, "")
	l.Well(Silent)
	l.Count(Sweep, "")
	l.Taken(Step{}, nil)
}

// What a modem shows while it comes to rest after a rung says nothing about
// whether the rung has helped.
func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(nil)
		f.wrong[SIMLost] = ""
		for len(f.took) == 0 {
			f.live(f.every)
		}
		f.live(30 * time.Second) // less than the card's own settle
		clear(f.wrong)           // and nobody looks any more
		time.Sleep(10 * time.Minute)
		if step, _, ok := f.Due(false); ok {
			t.Errorf("%+v is due", step)
		}
		f.Saw(SIMLost, "gone")
		if step, _, ok := f.Due(false); !ok || step.Rung != Radio {
			t.Errorf("%+v is due, %v", step, ok)
		}
	})
}
