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
	"dynamod/daemon/bearer"
	"dynamod/daemon/config"
	"dynamod/daemon/hook"
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
	noProfile   bool // enabled on the card
	bootstrap   bool // its profile is for provisioning
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
	class := euiccsim.ClassOperational
	if o.bootstrap {
		class = euiccsim.ClassProvisioning
	}
	md, err := euiccsim.Metadata{ICCID: standingICCID, Provider: "Lab", Name: "Lab", Class: class}.Encode()
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
