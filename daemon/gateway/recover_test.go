package gateway

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/atsim"
	"dynamod/atcmd/port"
	"dynamod/daemon/activation"
	"dynamod/daemon/bearer"
	"dynamod/daemon/config"
	"dynamod/daemon/hook"
	"dynamod/daemon/recovery"
	"dynamod/daemon/status"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/sgp26"
	"dynamod/euicc/smdpsim"
	"dynamod/netlink"
	"dynamod/netlink/nlsim"
	"dynamod/netlink/uplink"
)

// The gateway's own tasks on a simulated modem with an eUICC, in the time of a
// bubble: hours of day two pass in a moment.

// ether is the modem's end of the cable.
type ether struct {
	mu       sync.Mutex
	carrying bool
	stuck    bool // a context comes up and carries nothing
	gone     bool // the modem is without power
	openings int
	probes   int
}

func (e *ether) set(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

// standing is a running daemon.
type standing struct {
	t      *testing.T
	sim    *atsim.Modem
	card   *euiccsim.Card
	core   *atsim.Core
	kernel *nlsim.Kernel
	ether  *ether
	client *hook.Client
	log    *safeLog
}

type standingOptions struct {
	personality string
	noProfile   bool // on the card
	power       bool // the board has a power line
	ethernet    bool // the modem plays a network card
	config      func(*config.Config)
	before      func(*standing) // the daemon starts
}

const standingICCID = "8900101000000000018"

// safeLog is a log that tasks may write while the test reads.
type safeLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeLog) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *safeLog) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if os.Getenv("DYNAMOD_TEST_LOG") != "" {
		os.Stderr.Write(p)
	}
	return s.b.Write(p)
}

// stand runs f while a daemon runs.
func stand(t *testing.T, o standingOptions, f func(s *standing)) {
	// The runtime's own goroutine for signals must not be the bubble's.
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	defer signal.Stop(c)
	synctest.Test(t, func(t *testing.T) { standInBubble(t, o, f) })
}

func standInBubble(t *testing.T, o standingOptions, f func(s *standing)) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s := &standing{t: t, ether: &ether{}, log: &safeLog{}}
	const eid = "89049032000001000000000000000017"
	root, err := sgp26.NewCI(time.Now())
	must(err)
	eum, err := sgp26.NewEUM(root, time.Now())
	must(err)
	id, err := sgp26.NewEUICC(eum, eid, time.Now())
	must(err)
	s.card, err = euiccsim.New(euiccsim.Config{EID: eid, EUICC: id, EUM: eum.Cert, CI: []*x509.Certificate{root.Cert}})
	must(err)
	upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: standingICCID, IMSI: "001010000000001", MNCDigits: 2})
	must(err)
	md, err := euiccsim.Metadata{ICCID: standingICCID, Provider: "Lab", Name: "Lab", Class: euiccsim.ClassOperational}.Encode()
	must(err)
	must(s.card.Preload(upp, md, !o.noProfile))

	k := nlsim.New()
	s.kernel = k
	link := netlink.Link{Name: "wwan0", Type: netlink.TypeNone, NoARP: true}
	if o.ethernet {
		link.Type, link.HWAddr, link.NoARP = netlink.TypeEthernet, net.HardwareAddr{2, 0, 0, 0, 0, 1}, false
	}
	k.AddLink(link)
	lease := atsim.Lease{Addr: netip.MustParsePrefix("10.64.0.2/32"), DNS: []netip.Addr{netip.MustParseAddr("9.9.9.9")}}
	s.core = &atsim.Core{Home: "00101", Cell: atsim.Registration{AcT: 7, PLMN: "00101", Operator: "Lab", TAC: "0001", CellID: "01"}, APNs: []atsim.APN{{Name: "lab.test", Lease: lease}}}
	s.sim, err = atsim.New(atsim.Config{
		Personality: o.personality, Card: s.card.APDU, Network: s.core, RawIP: !o.ethernet, RegisterEvery: time.Minute,
		DataUp: func(int, atsim.Lease) error {
			s.ether.set(func() { s.ether.carrying = true })
			k.SetCarrier("wwan0", true)
			return nil
		},
		DataDown: func(int) {
			s.ether.set(func() { s.ether.carrying = false })
			k.SetCarrier("wwan0", false)
		},
	})
	must(err)

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	plug := func(rw net.Conn) { wg.Go(func() { s.sim.Serve(ctx, rw) }) }
	// A second port that nobody uses keeps the modem powered, as USB does.
	keep := func() {
		ours, theirs := net.Pipe()
		plug(theirs)
		wg.Go(func() {
			for b := make([]byte, 256); ; {
				if _, err := ours.Read(b); err != nil {
					return
				}
			}
		})
	}
	keep()
	cfg := config.Default()
	dir := t.TempDir()
	cfg.State.Dir, cfg.State.Run = filepath.Join(dir, "state"), filepath.Join(dir, "run")
	cfg.Operators.Dir, cfg.Modem.Dialects = filepath.Join(dir, "operators.d"), filepath.Join(dir, "dialects.d")
	cfg.Uplink.DNSFile, cfg.Uplink.Interface = "", "wwan0"
	cfg.Modem.Port = "sim"
	cfg.APN = config.APN{Set: true, Name: "lab.test"}
	if o.config != nil {
		o.config(cfg)
	}
	opts := Options{
		Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelInfo})), Version: "test", Kernel: k,
		OpenPort: func(context.Context, string) (atcmd.Port, error) {
			var gone bool
			s.ether.set(func() { gone = s.ether.gone; s.ether.openings++ })
			if gone {
				return nil, errors.New("no such device")
			}
			ours, theirs := net.Pipe()
			plug(theirs)
			return port.FromConn(ours), nil
		},
		Probe: func(ctx context.Context, spec uplink.Spec) bearer.Reach {
			st, err := uplink.Read(ctx, k, spec)
			s.ether.mu.Lock()
			defer s.ether.mu.Unlock()
			s.ether.probes++
			if err != nil || !st.Usable() || !s.ether.carrying || s.ether.stuck {
				return bearer.Reach{State: status.Down, Reason: "no answer"}
			}
			return bearer.Reach{State: status.Up}
		},
		DHCP: func(context.Context, string) (bearer.Lease, error) {
			s.ether.mu.Lock()
			defer s.ether.mu.Unlock()
			if !s.ether.carrying {
				return bearer.Lease{}, errors.New("no server")
			}
			return bearer.Lease{Addrs: []netip.Prefix{lease.Addr}, DNS: lease.DNS}, nil
		},
		Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no way") },
	}
	if o.power {
		opts.PowerCycle = func(context.Context) error {
			s.ether.set(func() { s.ether.gone = true })
			s.sim.PowerCycle(0)
			time.Sleep(5 * time.Second)
			s.ether.set(func() { s.ether.gone = false })
			keep()
			return nil
		}
	}
	if o.before != nil {
		o.before(s)
	}
	err = Direct(ctx, cfg, opts, func(c *hook.Client) error {
		s.client = c
		f(s)
		return nil
	})
	must(err)
	cancel()
	wg.Wait()
}

func (s *standing) status() status.Snapshot {
	s.t.Helper()
	var now status.Snapshot
	if err := s.client.Do(s.t.Context(), "GET", "/v1/status", nil, nil, &now); err != nil {
		s.t.Fatal(err)
	}
	return now
}

// await waits for a state of the link.
func (s *standing) await(want status.State, limit time.Duration) {
	s.t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(time.Second) {
		now := s.status()
		if now.State == want {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("after %v the link is %s (%s), want %s; %+v", limit, now.State, now.Reason, want, now.Recovery)
		}
	}
}

// awaitMended waits until a rung has helped. The link may be up for a while after
// something went wrong, and down for less than a look.
func (s *standing) awaitMended(limit time.Duration) {
	s.t.Helper()
	mended := func(now status.Snapshot) bool {
		r := now.Recovery
		return now.State == status.Up && r != nil && r.State == "" && len(r.Rungs) > 0
	}
	for begin := time.Now(); ; time.Sleep(time.Second) {
		now := s.status()
		if mended(now) {
			return
		}
		if time.Since(begin) > limit {
			s.t.Fatalf("after %v the link is %s (%s), %+v", limit, now.State, now.Reason, now.Recovery)
		}
	}
}

func (s *standing) fault(name string, f atsim.Fault) {
	s.t.Helper()
	if err := s.sim.SetFault(name, f); err != nil {
		s.t.Fatal(err)
	}
}

// rungs tells what was taken: "card 1, radio 2".
func (s *standing) rungs() string {
	var out []string
	if r := s.status().Recovery; r != nil {
		for _, u := range r.Rungs {
			out = append(out, u.Rung)
			if u.Count > 1 {
				out[len(out)-1] += " " + string(rune('0'+min(u.Count, 9)))
			}
		}
	}
	return strings.Join(out, ", ")
}

// loseContext makes the network end the context, so that the bearer has to bring
// it up again.
func (s *standing) loseContext() {
	for _, cid := range []int{1, 2} {
		if err := s.sim.Drop(s.t.Context(), cid); err != nil {
			s.t.Fatal(err)
		}
	}
}

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
	if _, err := g.runs.Switch(standingICCID, ""); err != nil {
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
