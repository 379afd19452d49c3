//go:build linux && !nodemo

package demo

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/port"
	"dynamod/daemon/bearer"
	"dynamod/daemon/config"
	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/demo/walk"
	"dynamod/daemon/dynamo/dynamosim"
	"dynamod/daemon/gateway"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
	"dynamod/netlink/reach"
	"dynamod/netlink/uplink"
)

// A crashStory is one activation on a router whose earlier profile carries its
// only link, and its end.
type crashStory struct {
	name     string
	prepare  func(*Lab)
	first    bool // the card is empty, and the router has another uplink
	uplink   bool // the router has another uplink
	set      func(*config.Config)
	power    bool              // modem and card lose their power with the daemon
	earlier  euiccsim.Metadata // of the earlier profile, where it is not one that makes no trouble
	standing bool              // another profile takes the place of one that dies
	outcome  status.Outcome
	stride   int // each how manieth stop is tried, but in the soak
}

// stops are the ways to stop at each point. A question to the modem or the card's
// files changes nothing, whether it was asked or not, and one that is asked in a
// state over and over is a stop only twice.
func (s crashStory) stops(points []walk.Point) [][]bool {
	list, seen, n := make([][]bool, len(points)), map[walk.Point]int{}, 0
	for at, p := range points {
		seen[p]++
		for _, after := range []bool{false, true} {
			if p.Asks() && (after || seen[p] > 2) && !soak() {
				continue
			}
			if n++; (n-1)%s.stride == 0 || soak() {
				list[at] = append(list[at], after)
			}
		}
	}
	return list
}

func soak() bool { return os.Getenv("DYNAMOD_SOAK") != "" }

// crashWorld is the whole lab in memory.
type crashWorld struct {
	*World
	t     *testing.T
	n     *netlab.Simulated
	dir   string
	story crashStory
	stops int    // of the daemon
	old   string // ICCID
	stop  context.CancelFunc
	away  atomic.Bool  // the modem is unplugged
	gone  atomic.Int64 // for how long, as a time.Duration; 0 means until it is plugged in
	ahead atomic.Int64 // by how much the daemon's clock is

	noSMDS atomic.Bool // nobody answers at its address

	shopOperator *dynamosim.Operator
}

func init() {
	// The first use of a signal starts a goroutine that must not be a bubble's.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	signal.Stop(hup)
}

// inCrashWorld calls f with a world in a bubble of its own time.
func inCrashWorld(t *testing.T, story crashStory, f func(*testing.T, *crashWorld)) {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "dynamod-crash-")
	if err != nil {
		dir = t.TempDir()
	}
	defer os.RemoveAll(dir)
	synctest.Test(t, func(t *testing.T) {
		w := newCrashWorld(t, story, dir)
		defer w.close()
		f(t, w)
	})
}

// newCrashWorld makes the world; dir has the identities.
func newCrashWorld(t *testing.T, story crashStory, dir string) *crashWorld {
	t.Helper()
	n, err := netlab.NewSimulated(netlab.Options{SingleUplink: !story.first && !story.uplink})
	if err != nil {
		t.Fatal(err)
	}
	var earlier []byte
	old := ""
	if !story.first {
		old = "8900101000000999992"
		if earlier, err = smdpsim.TestProfile(smdpsim.ProfileData{ICCID: old, IMSI: "001010000000099", MNCDigits: 2, SPN: Operator}); err != nil {
			t.Fatal(err)
		}
	}
	is := story.earlier
	if is.Name == "" {
		is.Name, is.Class = "Earlier profile", euiccsim.ClassOperational
	}
	is.Notify = SMDP
	log := slog.New(slog.DiscardHandler)
	lab, err := New(Options{Dir: dir, Dialect: "quectel", Earlier: earlier, EarlierIs: is, Carrier: carrier{n}, Lease: leaseOf(n.Options()), Hosts: []string{netlab.SMDPAddr.String()}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if story.prepare != nil {
		story.prepare(lab)
	}
	ctx, stop := context.WithCancel(t.Context())
	w := &crashWorld{World: &World{Lab: lab, net: n, stop: stop}, t: t, n: n, dir: dir, story: story, old: old, stop: stop}
	if err := lab.CI.ExportCertificate(filepath.Join(dir, "ci.pem")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "operators.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "operators.d", "lab.json"), operatorsFile(), 0o644); err != nil {
		t.Fatal(err)
	}
	if !story.power {
		w.gone.Store(int64(restart))
		w.keepOn(ctx)
	}
	return w
}

// close ends the world.
func (w *crashWorld) close() {
	w.Close()
	if err := w.n.Close(); err != nil {
		w.t.Error(err)
	}
}

// daemon runs one daemon in the world until f returns.
func (w *crashWorld) daemon(r *reaper, f func(ctx context.Context, c *hook.Client) error) error {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	serve := func(port uint16, s interface {
		Handler() http.Handler
		TLSConfig() *tls.Config
	}) (end func(), err error) {
		ln, err := w.n.ListenInternet("tcp", netip.AddrPortFrom(netlab.SMDPAddr, port).String())
		if err != nil {
			return nil, err
		}
		srv := &http.Server{Handler: walk.Server(r, s.Handler()), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
		served := make(chan struct{})
		go func() {
			defer close(served)
			srv.Serve(tlsListener(ln, s))
		}()
		return func() { srv.Close(); <-served }, nil
	}
	smdp, err := serve(smdpPort, w.Server)
	if err != nil {
		return err
	}
	defer smdp()
	smds, err := serve(smdsPort, w.SMDS)
	if err != nil {
		return err
	}
	defer smds()

	cfg := config.Default()
	run := filepath.Join(w.dir, "box")
	cfg.Modem.Port, cfg.Modem.Dialect = "memory", "quectel"
	cfg.LPA.CI = []string{filepath.Join(w.dir, "ci.pem")}
	cfg.LPA.Resolve = map[string]netip.AddrPort{SMDP: netip.AddrPortFrom(netlab.SMDPAddr, smdpPort), SMDS: netip.AddrPortFrom(netlab.SMDPAddr, smdsPort)}
	cfg.Uplink.Interface, cfg.Uplink.DNSFile = w.n.Options().Interface(), filepath.Join(run, "run", "resolv.conf")
	cfg.Reach.Targets = []string{netlab.ReachTarget}
	cfg.State.Dir, cfg.State.Run = filepath.Join(run, "state"), filepath.Join(run, "run")
	cfg.Operators.Dir = filepath.Join(w.dir, "operators.d")
	if w.story.set != nil {
		w.story.set(cfg)
	}
	logTo := slog.DiscardHandler
	if os.Getenv("DYNAMOD_TEST_LOG") != "" {
		logTo = slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})
	}
	opts := w.gatewayOptions(slog.New(walk.Log(r, logTo)), "crash walk", time.Time{}, cfg)
	opts.Now = func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }
	opts.Kernel = walk.Kernel(r, reapedKernel{opts.Kernel, r})
	dial, dhcp, probe := opts.Dial, opts.DHCP, opts.Probe
	opts.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if r.Dead() {
			return nil, walk.ErrDead
		}
		if w.noSMDS.Load() && address == netip.AddrPortFrom(netlab.SMDPAddr, smdsPort).String() {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		}
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return r.conn(c), nil
	}
	link := opts.DialLink
	opts.DialLink = func(spec uplink.Spec) reach.Dialer { return reapedDialer{link(spec), r} }
	opts.DHCP = func(ctx context.Context, ifname string) (bearer.Lease, error) {
		if r.Dead() {
			return bearer.Lease{}, walk.ErrDead
		}
		return dhcp(ctx, ifname)
	}
	opts.Probe = func(ctx context.Context, spec uplink.Spec) bearer.Reach {
		if r.Dead() {
			return bearer.Reach{State: status.Down, Reason: walk.ErrDead.Error()}
		}
		return probe(ctx, spec)
	}
	opts.OpenPort = func(context.Context, string) (atcmd.Port, error) {
		if r.Dead() {
			return nil, walk.ErrDead
		}
		if w.away.Load() {
			return nil, fmt.Errorf("memory: %w", syscall.ENODEV)
		}
		ours, theirs := net.Pipe()
		w.wg.Go(func() { w.Modem.Serve(ctx, walk.Line(r, theirs)) })
		return port.FromConn(r.conn(ours)), nil
	}
	opts.Standing = w.story.standing
	return gateway.Direct(ctx, cfg, opts, func(c *hook.Client) error { return f(ctx, c) })
}

const crashKey = "crash-walk"

// activate submits the order and waits for the run's end and a link.
func (w *crashWorld) activate(ctx context.Context, r *reaper, c *hook.Client) error {
	if err := w.submit(ctx, c); err != nil {
		if r.Dead() {
			return nil
		}
		return err
	}
	_, err := r.until(ctx, c, 2*time.Hour, func(s status.Snapshot) bool {
		return s.Run != nil && s.Run.Ended != nil && s.State == status.Up
	})
	return err
}

// submit gives the order to the daemon; a second time it is the same one.
func (w *crashWorld) submit(ctx context.Context, c *hook.Client) error {
	req := hook.ActivationRequest{Code: w.Profiles[0].Code, Consent: true}
	return c.Do(ctx, http.MethodPost, "/v1/activations", http.Header{"Idempotency-Key": {crashKey}}, req, nil)
}

// before brings the earlier profile's link up, and then begins the activation.
func (w *crashWorld) before(r *reaper) error {
	return w.daemon(r, func(ctx context.Context, c *hook.Client) error {
		if err := w.settled(ctx, r, c); err != nil {
			return err
		}
		r.Arm()
		return w.activate(ctx, r, c)
	})
}

// settled waits for the earlier profile's link, or for the modem where there is none.
func (w *crashWorld) settled(ctx context.Context, r *reaper, c *hook.Client) error {
	_, err := r.until(ctx, c, time.Hour, func(s status.Snapshot) bool { return s.State == status.Up || w.story.first && s.SIM != nil })
	return err
}

// afterwards is the next daemon, which has to come to the same end. It returns the
// time until there was a link.
func (w *crashWorld) afterwards() (toLink time.Duration, err error) {
	r := w.newReaper(nil, false)
	begin := time.Now()
	err = w.daemon(r, func(ctx context.Context, c *hook.Client) error {
		up := func(s status.Snapshot) bool { return s.State == status.Up }
		if w.story.first { // no link before the order is in
			up = func(s status.Snapshot) bool { return s.SIM != nil }
		}
		if _, err := r.until(ctx, c, 2*time.Hour, up); err != nil {
			return err
		}
		toLink = time.Since(begin)
		if err := w.activate(ctx, r, c); err != nil {
			return err
		}
		if w.story.first {
			toLink = time.Since(begin)
		}
		time.Sleep(20 * time.Minute) // for what is delivered later
		return w.check(ctx, c)
	})
	return toLink, err
}

// check compares the world with the story's end.
func (w *crashWorld) check(ctx context.Context, c *hook.Client) error {
	p := w.Profiles[0]
	e := walk.End{
		Card: w.Card, Server: w.Server, State: filepath.Join(w.dir, "box", "state"), Stops: w.stops,
		Key: crashKey, Outcome: w.story.outcome, Enabled: w.old, Profiles: 2, Order: p.ID, ICCID: p.ICCID, SHA256: p.SHA256,
	}
	if w.story.first {
		e.Profiles = 1
	}
	if w.story.outcome == status.Committed {
		e.Enabled = p.ICCID
	}
	return e.Check(ctx, c)
}

// crash tells the story with a stop at the point of which at says so, nil for none,
// and returns the points that it came by, whether that one was among them, and the
// time until there was a link. With again, which counts from the next start, that
// daemon is stopped, too.
func crash(t *testing.T, story crashStory, at func(int, walk.Point) bool, after bool, again func(int, walk.Point) bool) (points []walk.Point, met bool, toLink time.Duration, err error) {
	inCrashWorld(t, story, func(_ *testing.T, w *crashWorld) {
		r := w.newReaper(at, after)
		err = w.before(r)
		points, met = r.Points(), r.Met()
		if !r.Dead() && err != nil {
			err = fmt.Errorf("before the stop: %w", err)
			return
		}
		if met {
			r.Kill() // if its answer was waited for to the end
		}
		if err = w.stopped(r); err != nil {
			return
		}
		if again != nil {
			r := w.newReaper(again, after)
			r.Arm()
			if err = w.before(r); err != nil && !r.Dead() {
				err = fmt.Errorf("before the second stop: %w", err)
				return
			}
			if err = w.stopped(r); err != nil {
				return
			}
		}
		toLink, err = w.afterwards()
	})
	return points, met, toLink, err
}

// TestCrashWalk stops the daemon at every point of an activation with switch, once
// before the point had an effect and once after it, and starts it again: journal
// records (torn, and whole), AT commands and APDUs, requests to the server, changes
// in the kernel. The end has to be the same each time. Other stories are sampled,
// and walked through in the soak, where each stop is followed by a second one in
// what the next daemon does.
func TestCrashWalk(t *testing.T) {
	for _, story := range []crashStory{
		{name: "switch", outcome: status.Committed, stride: 1},
		{name: "first profile", first: true, stride: 4, outcome: status.Committed},
		{name: "switch, power cut", stride: 3, power: true, outcome: status.Committed},
		{name: "the network denies the new profile", stride: 4, prepare: denied, outcome: status.RolledBack},
		{name: "the network denies the new profile, power cut", stride: 4, power: true, prepare: denied, outcome: status.RolledBack},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			points, _, _, err := crash(t, story, nil, false, nil)
			if err != nil {
				t.Fatal(err)
			}
			if os.Getenv("DYNAMOD_POINTS") != "" {
				for i, p := range points {
					t.Log(i, p.Kind, p.State, p.What)
				}
			}
			var table walk.Table
			var missed, polls []string
			for i, stops := range story.stops(points) {
				for _, after := range stops {
					var (
						met  bool
						took time.Duration
						err  error
					)
					for telling := 0; telling < 3 && !met && err == nil; telling++ { // tasks beside the run take turns
						_, met, took, err = crash(t, story, walk.Like(points, i), after, nil)
					}
					if !met && err == nil {
						point := fmt.Sprintf("%d (%v), after %v", i, points[i], after)
						if points[i].Kind == walk.AT { // the look at the modem beside the run asks this or that
							polls = append(polls, point)
						} else {
							missed = append(missed, point)
						}
						continue
					}
					if err == nil && soak() { // and once more, somewhere in what the next daemon does
						n := (7*i + 3) % 40
						if _, _, _, err = crash(t, story, walk.Like(points, i), after, func(i int, _ walk.Point) bool { return i == n }); err != nil {
							err = fmt.Errorf("stopped again at point %d after the start: %w", n, err)
						}
					}
					table.Add(points[i].Kind, took, err)
					if err != nil {
						t.Errorf("point %d (%v), after %v: %v", i, points[i], after, err)
					}
				}
			}
			if len(missed) > 0 || len(polls) > lookLines {
				t.Errorf("not met again in three tellings: points %s", strings.Join(append(missed, polls...), "; "))
			}
			publish(t, "crash walk, "+story.name, fmt.Sprintf("in one process, simulated time: %d points, stopped before and after them, %d not met again, %v in real time\n%s",
				len(points), len(missed)+len(polls), time.Since(begin).Round(time.Second), table.Text(time.Second)))
		})
	}
}

// lookLines are the lines of one look at the modem, which falls elsewhere in a telling
// that takes another time.
const lookLines = 13

// publish tells people what was tried.
func publish(t *testing.T, name, text string) {
	t.Logf("%s\n%s", name, text)
	if err := walk.Publish(name, text); err != nil {
		t.Error(err)
	}
}
