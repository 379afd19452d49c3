package gateway

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/hook"
	"dynamod/daemon/recovery"
	"dynamod/daemon/status"
	"dynamod/netlink/nlsim"
)

// TestRungs: a fault that one rung heals and no milder one does; afterwards the
// link is up again, without anybody's doing.
func TestRungs(t *testing.T) {
	contextError := atsim.Fault{Command: "+CGACT", Holds: "1"} // +CGACT=1
	until := func(f atsim.Fault, h atsim.Heal) atsim.Fault { f.Until = h; return f }
	for _, tt := range []struct {
		name  string
		o     standingOptions
		spoil func(s *standing)
		rungs string
		limit time.Duration
	}{
		{"SIM gone until its power cycle (Telit)", standingOptions{personality: "telit-le910", ethernet: true}, func(s *standing) { s.fault("card-gone", atsim.Fault{Until: atsim.HealCard}) }, "sweep, card", 15 * time.Minute},
		{"SIM gone until +CFUN=0 and 1 (Telit)", standingOptions{personality: "telit-le910", ethernet: true}, func(s *standing) { s.fault("card-gone", atsim.Fault{Until: atsim.HealRadio}) }, "sweep, card, radio", 20 * time.Minute},
		{"SIM gone until +CFUN=0 and 1", standingOptions{}, func(s *standing) { s.fault("card-gone", atsim.Fault{Until: atsim.HealRadio}) }, "sweep, radio", 15 * time.Minute},
		{"SIM gone until a restart", standingOptions{}, func(s *standing) { s.fault("card-gone", atsim.Fault{Until: atsim.HealRestart}) }, "sweep, radio, modem", 20 * time.Minute},
		{"card hangs", standingOptions{}, func(s *standing) { s.fault("card-hang", atsim.Fault{}); s.loseContext() }, "radio", 20 * time.Minute},
		{"context sticks until +CFUN=0 and 1", standingOptions{}, func(s *standing) { s.fault("cme", until(contextError, atsim.HealRadio)); s.loseContext() }, "radio", 30 * time.Minute},
		{"context sticks until a restart", standingOptions{}, func(s *standing) { s.fault("cme", until(contextError, atsim.HealRestart)); s.loseContext() }, "radio, modem", 40 * time.Minute},
		{"deaf until a restart", standingOptions{}, func(s *standing) { s.fault("no-service", atsim.Fault{Until: atsim.HealRestart}) }, "radio, modem", 90 * time.Minute},
		{"AT dead until the port is opened again", standingOptions{}, func(s *standing) { s.fault("hang", atsim.Fault{Until: atsim.HealPort}); s.loseContext() }, "port", 20 * time.Minute},
		{"AT dead until a restart", standingOptions{}, func(s *standing) { s.fault("hang", atsim.Fault{Until: atsim.HealRestart}); s.loseContext() }, "modem, port", 20 * time.Minute},
		{"AT dead until power", standingOptions{power: true}, func(s *standing) { s.fault("hang", atsim.Fault{Until: atsim.HealPower}); s.loseContext() }, "modem, port 2, power", 40 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stand(t, tt.o, func(s *standing) {
				s.await(status.Up, time.Minute)
				time.Sleep(time.Hour)
				if r := s.status().Recovery; r != nil {
					t.Fatalf("before anything was wrong: %+v", r)
				}
				tt.spoil(s)
				s.awaitMended(tt.limit)
				if got := s.rungs(); got != tt.rungs {
					t.Errorf("took %q, want %q", got, tt.rungs)
				}
				time.Sleep(10 * time.Minute)
				if now := s.status(); now.State != status.Up || now.Recovery == nil || now.Recovery.State != "" {
					t.Errorf("the link is %s, %+v", now.State, now.Recovery)
				}
				// What the modem announces is heard as before.
				lost := time.Now()
				s.loseContext()
				time.Sleep(30 * time.Second)
				if now := s.status(); now.Link == nil || now.Link.Since.Before(lost) {
					t.Errorf("the end of the context was not heard: %+v", now.Link)
				}
				// A card has few channels: one that a rung had lost would be missing.
				for range 24 {
					if err := s.client.Do(s.t.Context(), "GET", "/v1/profiles", nil, nil, nil); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

// TestNoRung: what no reset mends is not met with one, for a simulated day.
func TestNoRung(t *testing.T) {
	for _, tt := range []struct {
		name  string
		o     standingOptions
		spoil func(s *standing)
		state status.State
	}{
		{"no enabled profile", standingOptions{noProfile: true}, func(*standing) {}, status.Down},
		{"no enabled profile (Telit: the modem says SIM failure)", standingOptions{noProfile: true, personality: "telit-le910", ethernet: true}, func(*standing) {}, status.Down},
		{"registration denied, #8", standingOptions{}, func(s *standing) { s.fault("deny", atsim.Fault{Code: 8}) }, status.Down},
		{"APN not subscribed, #33", standingOptions{}, func(s *standing) {
			s.core.Set(func(c *atsim.Core) { c.APNs[0].NotSubscribed = true })
			s.loseContext()
		}, status.Down},
		{"AT answers nothing and traffic crosses the link", standingOptions{power: true}, func(s *standing) { s.fault("hang", atsim.Fault{}) }, status.Down},
		{"switched off", standingOptions{config: func(c *config.Config) { c.Bearer.Recovery = "off" }}, func(s *standing) { s.fault("card-gone", atsim.Fault{Until: atsim.HealCard}) }, status.Down},
		{"the profile was disabled", standingOptions{}, func(s *standing) {
			if err := s.client.Do(s.t.Context(), "POST", "/v1/profiles/"+standingICCID+"/disable?force=true", nil, nil, nil); err != nil {
				s.t.Fatal(err)
			}
		}, status.Down},
		{"nothing is wrong", standingOptions{}, func(*standing) {}, status.Up},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stand(t, tt.o, func(s *standing) {
				if !tt.o.noProfile {
					s.await(status.Up, time.Minute)
				}
				time.Sleep(time.Minute)
				tt.spoil(s)
				resets := s.sim.Stats().CardResets
				time.Sleep(24 * time.Hour)
				now := s.status()
				if now.State != tt.state || now.State == status.Down && now.Reason == "" {
					t.Errorf("the link is %s: %s", now.State, now.Reason)
				}
				if r := now.Recovery; r != nil && len(r.Rungs) > 0 && s.rungs() != "port" && s.rungs() != "sweep" {
					t.Errorf("took %q: %+v", s.rungs(), r)
				}
				if n := s.sim.Stats().CardResets; n != resets {
					t.Errorf("the card was reset %d times", n-resets)
				}
			})
		})
	}
}

// TestGivesUpLoudly: nothing helps for a day and a half; then it passes by itself, and the
// link comes back without anybody's doing.
func TestGivesUpLoudly(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(s *standing)
		fault string
		lasts time.Duration
	}{
		{"SIM gone", func(s *standing) { s.fault("card-gone", atsim.Fault{}) }, "card-gone", 36 * time.Hour},
		{"AT dead", func(s *standing) { s.fault("hang", atsim.Fault{}); s.loseContext() }, "hang", 36 * time.Hour},
		{"deaf", func(s *standing) { s.fault("no-service", atsim.Fault{}) }, "no-service", 4 * time.Hour},
		{"context sticks", func(s *standing) { s.fault("cme", atsim.Fault{Command: "+CGACT", Holds: "1"}); s.loseContext() }, "cme", 36 * time.Hour},
		{"traffic sticks", func(s *standing) { s.ether.set(func() { s.ether.stuck = true }) }, "", 36 * time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stand(t, standingOptions{power: true}, func(s *standing) {
				s.await(status.Up, time.Minute)
				tt.spoil(s)
				time.Sleep(tt.lasts)
				now := s.status()
				// It may be on a climb just then, which ends within the hour.
				for range 12 {
					if r := now.Recovery; r == nil || r.State == status.GivenUp {
						break
					}
					time.Sleep(5 * time.Minute)
					now = s.status()
				}
				r := now.Recovery
				if r == nil || r.State != status.GivenUp || r.Advice == "" || r.Symptom == "" {
					t.Fatalf("the link is %s, %+v", now.State, r)
				}
				if log := s.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "gives up") {
					t.Error("nothing loud in the log")
				}
				for _, u := range r.Rungs {
					if u.Count > 7 && u.Rung != "port" && u.Rung != "sweep" { // rounds at 0, 1, 3, 7, 15 and 31 h
						t.Errorf("%s was taken %d times in 36 hours", u.Rung, u.Count)
					}
				}
				t.Logf("in %v: %s", tt.lasts, s.rungs())
				s.ether.set(func() { s.ether.stuck = false })
				s.sim.ClearFault(tt.fault)
				// At the latest with the next look, or the next climb.
				s.await(status.Up, 25*time.Hour)
			})
		})
	}
}

// A run, and whoever else uses the card, holds the ladder off.
func TestRecoveryWaits(t *testing.T) {
	cfg := labConfig(t)
	for _, dir := range []string{cfg.State.Dir, cfg.State.Run} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	taken := 0
	g, closeAll, err := build(cfg, Options{Kernel: nlsim.New(), PowerCycle: func(context.Context) error { taken++; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	step := recovery.Step{Rung: recovery.Power, Symptom: recovery.Silent, Reason: "test"}
	release, err := g.acquireCard(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if wait := g.climb(t.Context(), step); wait < 30*time.Second || taken != 0 {
		t.Errorf("with the card in use the power was cut %d times; next in %v", taken, wait)
	}
	release()
	if _, err := g.runs.Switch(activation.Switching{ICCID: standingICCID}); err != nil {
		t.Fatal(err)
	}
	if wait := g.climb(t.Context(), step); wait < 30*time.Second || taken != 0 {
		t.Errorf("during a run the power was cut %d times; next in %v", taken, wait)
	}
	if len(g.cardToken) != 0 {
		t.Error("the card is still held")
	}
}

// TestActivationFreesChannels: a run that finds all channels of the card taken
// starts the card again, once, and goes on.
func TestActivationFreesChannels(t *testing.T) {
	for _, tt := range []struct {
		name  string
		until atsim.Heal
		freed bool
	}{
		{"leaked channels", atsim.HealRadio, true},
		{"a card that has none", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stand(t, standingOptions{personality: "foxconn-t77w968"}, func(s *standing) {
				s.await(status.Up, time.Minute)
				s.fault("channels", atsim.Fault{Until: tt.until})
				var rec activation.Record
				req := hook.ActivationRequest{Code: "LPA:1$smdp.lab.test$TEST-1", Consent: true}
				if err := s.client.Do(s.t.Context(), "POST", "/v1/activations", nil, req, &rec); err != nil {
					s.t.Fatal(err)
				}
				for range 3600 {
					if rec.Ended != nil {
						break
					}
					time.Sleep(time.Second)
					if err := s.client.Do(s.t.Context(), "GET", "/v1/activations/"+rec.ID, nil, nil, &rec); err != nil {
						s.t.Fatal(err)
					}
				}
				// No issuer of the test card's is known here, which is only found out
				// over a channel.
				if rec.Error == nil || strings.Contains(rec.Error.Text, "no free logical channel") == tt.freed {
					t.Errorf("the run ended as %s: %+v", rec.State, rec.Error)
				}
				radio := 0
				if r := s.status().Recovery; r != nil {
					for _, u := range r.Rungs {
						if u.Rung == string(recovery.Radio) {
							radio = u.Count
						}
					}
				}
				if radio != 1 {
					t.Errorf("the radio was switched off and on %d times: %s", radio, s.rungs())
				}
				s.await(status.Up, 5*time.Minute)
			})
		})
	}
}
