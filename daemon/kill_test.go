//go:build linux && !nodemo

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dynamod/daemon/activation"
	link "dynamod/daemon/bearer" // another test has that name
	"dynamod/daemon/demo"
	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/demo/walk"
	"dynamod/daemon/gateway"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
	"dynamod/netlink"
	"dynamod/netlink/ra"
)

func init() { programs["dynamod-gated"] = gated }

// gated is main with a gate before the journal and the kernel of what `dynamod run`
// starts: at each record and each change it asks its parent, by descriptor 3, and
// waits. Modem and servers are the parent's, which stands before them itself.
func gated() {
	syscall.CloseOnExec(3)
	gate := walk.NewRemote(os.NewFile(3, "gate"))
	beforeRun = func(opts *gateway.Options) {
		opts.Log = slog.New(walk.Log(gate, opts.Log.Handler()))
		kernel, err := netlink.Dial(netlink.Config{})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(exitFailed)
		}
		opts.Kernel = walk.Kernel(gate, kernel)
		opts.Advertised = func(ctx context.Context, ifname string, identifier netip.Addr, changed func(link.Lease)) error {
			return ra.Keep(ctx, ra.Config{Interface: ifname, IID: identifier, Log: opts.Log}, func(l ra.Link) { changed(gateway.SixOf(l)) })
		}
	}
	main()
}

// TestKill kills a real daemon with SIGKILL in an activation on a router whose
// earlier profile carries its only link: at journal records, APDUs and other AT
// commands, requests and changes in the kernel, before the point has its effect and
// after it had it and before the daemon knows. It is started again, and has to come
// to the same end each time. In the soak it is every point, else a sample of all
// kinds.
func TestKill(t *testing.T) {
	begin := time.Now()
	plain := tellKill(t, nil, false)
	if errors.Is(plain.err, netlab.ErrForbidden) {
		t.Skip(plain.err)
	}
	if plain.err != nil {
		t.Fatalf("killed at the end: %v", plain.err)
	}
	if os.Getenv("DYNAMOD_POINTS") != "" {
		for i, p := range plain.points {
			t.Log(i, p)
		}
	}
	type stop struct {
		point int
		after bool
		killEnd
	}
	var stops []*stop
	for kind, n := range map[string]int{walk.Journal: 16, walk.APDU: 24, walk.HTTP: 10, walk.Netlink: 14, walk.AT: 8} {
		var of []int
		for i, p := range plain.points {
			if p.Kind == kind {
				of = append(of, i)
			}
		}
		all := 2 * len(of)
		if n = min(n, all); os.Getenv("DYNAMOD_SOAK") != "" {
			n = all
		}
		for k := range n {
			at := k * all / n // spread over the run: before the first point, after the second, and so on, then the other way round
			stops = append(stops, &stop{point: of[at%len(of)], after: (at%len(of)+at/len(of))%2 == 1})
		}
	}
	var wg sync.WaitGroup
	room := make(chan struct{}, 3) // most of it is waiting
	for _, s := range stops {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			for range 3 { // a question that was asked beside the run may not come in the next telling
				if s.killEnd = tellKill(t, walk.Like(plain.points, s.point), s.after); s.met || s.err != nil {
					break
				}
			}
		})
	}
	wg.Wait()
	var table walk.Table
	missed := 0
	for _, s := range stops {
		p := plain.points[s.point]
		if !s.met && s.err == nil {
			missed++
			what := fmt.Sprintf("point %d (%v), after %v: not met again in three tellings", s.point, p, s.after)
			if p.Asks() {
				t.Log(what)
			} else {
				t.Error(what)
			}
			continue
		}
		table.Add(p.Kind, s.toLink, s.err)
		if s.err != nil {
			t.Errorf("point %d (%v), after %v: %v", s.point, p, s.after, s.err)
		}
	}
	if tried := table.Tried(""); tried < 60 {
		t.Errorf("only %d points were tried", tried)
	}
	text := fmt.Sprintf("SIGKILL of a process, real time: %d points, %d stops before and after them, %d not met again, %v in all\n%s",
		len(plain.points), len(stops), missed, time.Since(begin).Round(time.Second), table.Text(10*time.Millisecond))
	t.Log(text)
	if err := walk.Publish("kill walk", text); err != nil {
		t.Error(err)
	}
}

// killEnd is what one telling came to.
type killEnd struct {
	points []walk.Point
	met    bool
	toLink time.Duration
	err    error
}

// killKey makes the order one and the same, however often it is given.
const killKey = "kill-walk"

// tellKill tells the story with a kill at the point of which at says so; without one
// the daemon is killed at the end.
func tellKill(t *testing.T, at func(int, walk.Point) bool, after bool) (e killEnd) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	n, err := netlab.New(ctx, netlab.Options{SingleUplink: true})
	if err != nil {
		return killEnd{err: err}
	}
	defer n.Close()
	dir, err := os.MkdirTemp("", "dynamod") // a socket's path is short
	if err != nil {
		return killEnd{err: err}
	}
	defer os.RemoveAll(dir)
	k := &killWorld{ctx: ctx, n: n, dir: dir, client: hook.Dial(filepath.Join(dir, "run", "dynamod.sock")), hungUp: make(chan struct{}, 16)}
	defer k.kill()
	if e.err = k.open(); e.err != nil {
		return e
	}
	defer k.w.Close()
	if e = k.tell(at, after); e.err != nil {
		var logs string
		for _, p := range k.daemons {
			logs += "the daemon's log:\n" + p.log.String()
		}
		e.err = fmt.Errorf("%w\n%s", e.err, logs)
	}
	return e
}

// killWorld is a lab in this process, and the daemons that are killed in it.
type killWorld struct {
	ctx     context.Context
	n       *netlab.Lab
	w       *demo.World
	dir     string
	client  *hook.Client
	daemons []*daemonProcess
	reaper  atomic.Pointer[walk.Reaper] // of the present daemon
	hungUp  chan struct{}               // the modem's client has gone
}

// hangingUp tells when a client has gone.
type hangingUp struct {
	io.ReadWriteCloser
	gone func()
}

func (h hangingUp) Close() error {
	defer h.gone()
	return h.ReadWriteCloser.Close()
}

func (k *killWorld) open() error {
	k.reaper.Store(walk.NewReaper(nil, false, nil))
	earlier, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: earlierICCID, IMSI: "001010000000025"})
	if err != nil {
		return err
	}
	if k.w, err = demo.Open(k.ctx, k.n, demo.Options{
		Dir: k.dir, Dialect: "quectel", Earlier: earlier, Log: slog.New(slog.DiscardHandler),
		EarlierIs: euiccsim.Metadata{Name: "Earlier profile", Class: euiccsim.ClassOperational, Notify: demo.SMDP},
		Wrap: func(port io.ReadWriteCloser) io.ReadWriteCloser {
			return hangingUp{walk.Line(k.reaper.Load(), port), sync.OnceFunc(func() { k.hungUp <- struct{}{} })}
		},
		Front: func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				walk.Server(k.reaper.Load(), h).ServeHTTP(w, req)
			})
		},
	}); err != nil {
		return err
	}
	b, err := os.ReadFile(k.config())
	if err != nil {
		return err
	}
	short := bytes.Replace(b, []byte(`hold = "1s"`), []byte(`hold = "100ms"`), 1)
	if bytes.Equal(short, b) {
		return errors.New("the configuration has no hold")
	}
	return os.WriteFile(k.config(), short, 0o644)
}

func (k *killWorld) config() string { return filepath.Join(k.dir, "dynamod.toml") }

// start starts a daemon and waits until it answers.
func (k *killWorld) start(cmd *exec.Cmd) error {
	p, err := startDaemon(k.ctx, k.n, k.client, cmd)
	if err == nil {
		k.daemons = append(k.daemons, p)
	}
	return err
}

// kill kills the present daemon.
func (k *killWorld) kill() {
	if len(k.daemons) > 0 {
		k.daemons[len(k.daemons)-1].kill()
	}
}

// until waits until the daemon's status is as wanted, or the daemon was killed.
func (k *killWorld) until(what string, is func(status.Snapshot) bool) error {
	r := k.reaper.Load()
	for {
		var snap status.Snapshot
		if err := k.client.Do(k.ctx, http.MethodGet, "/v1/status", nil, nil, &snap); err == nil && is(snap) || r.Dead() {
			return nil
		}
		select {
		case <-r.Died():
			return nil
		case <-k.ctx.Done():
			return fmt.Errorf("%s: link %s (%s), run %+v, outbox %+v: %w", what, snap.State, snap.Reason, snap.Run, snap.Outbox, k.ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (k *killWorld) activate() error {
	req := hook.ActivationRequest{Code: k.w.Profiles[0].Code, Consent: true}
	err := k.client.Do(k.ctx, http.MethodPost, "/v1/activations", http.Header{"Idempotency-Key": {killKey}}, req, new(activation.Record))
	if k.reaper.Load().Dead() {
		return nil
	}
	return err
}

// tell is the story.
func (k *killWorld) tell(at func(int, walk.Point) bool, after bool) (e killEnd) {
	ours, theirs, err := socketPair()
	if err != nil {
		return killEnd{err: err}
	}
	defer ours.Close()
	state := filepath.Join(k.dir, "state")
	var tear error
	first := walk.NewReaper(at, after, func(torn bool) {
		if k.kill(); torn {
			tear = walk.Tear(state)
		}
	})
	k.reaper.Store(first)
	gated := exec.Command("dynamod-gated", "run", "--config", k.config())
	gated.ExtraFiles = []*os.File{theirs}
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		walk.Serve(first, ours)
	}()
	err = k.start(gated)
	theirs.Close()
	if err != nil {
		return killEnd{err: err}
	}
	p := k.w.Profiles[0]
	end := walk.End{
		Card: k.w.Card, Server: k.w.Server, State: state, Stops: 1,
		Key: killKey, Outcome: status.Committed, Enabled: p.ICCID, Profiles: 2, Order: p.ID, ICCID: p.ICCID, SHA256: p.SHA256,
	}
	up := func(s status.Snapshot) bool { return s.State == status.Up }
	over := func(s status.Snapshot) bool { return up(s) && s.Run != nil && s.Run.Ended != nil && end.Quiet(s) }
	if err := k.until("before the story", up); err != nil {
		return killEnd{err: err}
	}
	first.Arm()
	err = errors.Join(k.activate(), k.until("the run's end", over))
	e.points, e.met = first.Points(), first.Met()
	if err != nil {
		e.err = fmt.Errorf("before the kill: %w", err)
		return e
	}
	first.Kill()
	<-asked
	if e.err = tear; e.err != nil {
		return e
	}
	select { // else the modem takes the next daemon for the same client
	case <-k.hungUp:
	case <-k.ctx.Done():
		e.err = errors.New("the modem did not hear of the daemon's end")
		return e
	}

	k.reaper.Store(walk.NewReaper(nil, false, nil))
	crossed, err := k.n.Counters()
	if err != nil {
		e.err = err
		return e
	}
	begin := time.Now()
	if e.err = errors.Join(k.start(exec.Command("dynamod", "run", "--config", k.config())), k.until("a link", up)); e.err != nil {
		return e
	}
	e.toLink = time.Since(begin)
	if now, err := k.n.Counters(); err != nil || now.Reached == crossed.Reached {
		e.err = errors.Join(err, errors.New("the link is up, and nothing crossed it"))
		return e
	}
	if e.err = errors.Join(k.activate(), k.until("the run's end", over)); e.err != nil {
		return e
	}
	e.err = end.Check(k.ctx, k.client)
	return e
}

// socketPair is a stream between this process and a child.
func socketPair() (ours net.Conn, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	f := os.NewFile(uintptr(fds[0]), "gate")
	defer f.Close()
	theirs = os.NewFile(uintptr(fds[1]), "gate")
	if ours, err = net.FileConn(f); err != nil {
		theirs.Close()
	}
	return ours, theirs, err
}
