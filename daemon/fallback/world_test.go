package fallback

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/journal"
	"dynamod/daemon/learned"
	"dynamod/daemon/status"
	"dynamod/daemon/task"
	"dynamod/euicc"
)

// The profiles of the card.
const (
	profileA = "8900000000000000018"
	profileB = "8900000000000000026"
	profileC = "8900000000000000034"
	boots    = "8900000000000000042" // for provisioning
	tests    = "8900000000000000059" // for tests
)

// world is a card, its lines and a modem, which outlive the daemons that run on
// them. Above it everything is real: the watch, the orchestrator and its journal.
type world struct {
	t        *testing.T
	dir      string
	began    time.Time
	policy   config.Fallback
	deadline time.Duration

	mu      sync.Mutex
	enabled string
	rules   map[string]euicc.PPR
	class   map[string]euicc.Class
	missing bool                                              // the modem is away
	line    func(iccid string, at time.Duration) status.State // since the world began
	visits  []string                                          // profiles that were enabled, in turn
	cut     func(ctx context.Context, call string)            // called before each call to card and link
	changes []status.SIMChange
}

func newWorld(t *testing.T) *world {
	p := config.Default().Fallback
	p.Order = []string{config.LastSuccess}
	return &world{
		t: t, dir: stateDir(t), began: time.Now(), policy: p, deadline: 5 * time.Minute, enabled: profileA,
		rules: map[string]euicc.PPR{}, class: map[string]euicc.Class{profileA: euicc.ClassOperational, profileB: euicc.ClassOperational},
		line: func(string, time.Duration) status.State { return status.Up },
	}
}

// stateDir is in memory where that is possible: a week's journal is synced some
// thousand times, and no disk is pulled from under it here.
func stateDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "dynamod-fallback")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (w *world) state() status.State {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.enabled == "" {
		return status.Down
	}
	return w.line(w.enabled, time.Since(w.began))
}

func (w *world) now() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.enabled
}

// applet is the card that enables a profile by itself.
func (w *world) applet(iccid string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.enabled = iccid
}

func (w *world) call(ctx context.Context, name string) error {
	w.mu.Lock()
	cut := w.cut
	w.mu.Unlock()
	if cut != nil {
		cut(ctx, name)
	}
	return ctx.Err()
}

// daemon is one process in the world.
type daemon struct {
	*world
	activation.Card // nil: nothing is downloaded here
	o               *activation.Orchestrator
	watch           *Watch
	status          *status.Model
	mu              sync.Mutex
	held            int
	kick            chan struct{}
	stop            func() // ends it; what it was at stays as it is
}

// boot starts a daemon, whose clock shows now.
func (w *world) boot(now func() time.Time) *daemon {
	t := w.t
	t.Helper()
	j, err := journal.Open(filepath.Join(w.dir, "journal"), 0, now)
	if err != nil {
		t.Fatal(err)
	}
	l, err := learned.Open(filepath.Join(w.dir, "learned.json"), now)
	if err != nil {
		t.Fatal(err)
	}
	v, err := activation.OpenVault(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{world: w, status: status.New("test", now), kick: make(chan struct{}, 1)}
	d.o, err = activation.New(activation.Config{Card: d, Link: d, Journal: j, Vault: v, Status: d.status, Deadline: w.deadline, LinkHolds: 30 * time.Second, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	d.watch = New(Config{
		Policy: func() config.Fallback { return w.policy }, Learned: l, Status: d.status, Runs: d.o.Runs, Worked: d.Worked,
		Profiles: d.shown, Switch: d.o.FallBack, Now: now,
		Changed: func(c status.SIMChange) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.changes = append(w.changes, c)
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		var tasks task.Group
		ended <- tasks.Run(ctx, task.Task{Name: d.o.String(), Run: d.o.Run}, task.Task{Name: d.watch.String(), Run: d.watch.Run}, task.Task{Name: "bearer", Run: d.bearer})
	}()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		j.Close()
	})
	t.Cleanup(d.stop)
	return d
}

// bearer is day-two work: it looks at the link every minute.
func (d *daemon) bearer(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		d.look()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-d.kick:
		}
	}
}

// look is one of them; Hold waits for its end, as the real one does.
func (d *daemon) look() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held > 0 {
		return
	}
	if d.missing {
		d.status.Update(func(s *status.Snapshot) { s.State, s.Modem = status.Down, &status.Modem{} })
		return
	}
	iccid := d.now()
	sim := &status.SIM{State: "ready", ICCID: iccid}
	if iccid == "" {
		sim.State = "no-profile"
	} else {
		d.watch.Saw(iccid)
	}
	state := d.state()
	d.status.Update(func(s *status.Snapshot) { s.SIM, s.State, s.Modem = sim, state, &status.Modem{Present: true} })
}

func (d *daemon) shown(ctx context.Context) (list []status.Profile, err error) {
	profiles, err := d.Profiles(ctx)
	for _, p := range profiles {
		list = append(list, status.Profile{ICCID: p.ICCID.String(), State: p.State.String(), Class: p.Class.String(), PolicyRules: p.PPR.String()})
	}
	d.status.Update(func(s *status.Snapshot) { s.Card = &status.Card{Profiles: list} })
	return list, err
}

// What follows is the card and the link of activation.

func (d *daemon) Profiles(ctx context.Context) (list []euicc.Profile, err error) {
	if err := d.call(ctx, "profiles"); err != nil {
		return nil, err
	}
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	for iccid, class := range d.class {
		id, err := euicc.ParseICCID(iccid)
		if err != nil {
			return nil, err
		}
		p := euicc.Profile{ICCID: id, State: euicc.Disabled, Metadata: euicc.Metadata{Class: class, PPR: d.rules[iccid]}}
		if iccid == d.enabled {
			p.State = euicc.Enabled
		}
		list = append(list, p)
	}
	return list, nil
}

func (d *daemon) Enable(ctx context.Context, id euicc.ICCID) error {
	if err := d.call(ctx, "enable"); err != nil {
		return err
	}
	d.world.mu.Lock()
	if d.enabled != id.String() {
		if d.rules[d.enabled].Has(euicc.PPR1) {
			d.t.Errorf("profile %s, which must not be disabled, was", d.enabled)
		}
		d.enabled = id.String()
		d.visits = append(d.visits, d.enabled)
	}
	d.world.mu.Unlock()
	return d.call(ctx, "enabled")
}

func (d *daemon) Up(ctx context.Context, p activation.Plan, stage func(activation.State)) (activation.Up, error) {
	stage(activation.Configuring)
	stage(activation.Probing)
	if got := d.now(); got != string(p.(plan)) {
		return activation.Up{}, fmt.Errorf("profile %s is enabled", got)
	}
	for {
		if err := d.call(ctx, "up"); err != nil {
			return activation.Up{}, err
		}
		state := d.state()
		d.status.Update(func(s *status.Snapshot) { s.State = state })
		if state != status.Down {
			limited := ""
			if state == status.Limited {
				limited = "only a portal answers"
			}
			return activation.Up{APN: "lab.test", Limited: limited}, nil
		}
		select {
		case <-ctx.Done():
			return activation.Up{}, ctx.Err()
		case <-time.After(10 * time.Second):
		}
	}
}

func (d *daemon) Lasts(ctx context.Context) (limited string, err error) {
	switch d.state() {
	case status.Down:
		return "", errors.New("the link broke")
	case status.Limited:
		limited = "only a portal answers"
	}
	return limited, d.call(ctx, "lasts")
}

func (d *daemon) Hold() func() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held++
	return sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.held--
		select {
		case d.kick <- struct{}{}:
		default:
		}
	})
}

type plan string

func (plan) First() (string, string) { return "lab.test", "test" }

func (d *daemon) Plan(_ context.Context, iccid string, _ *activation.APN) (activation.Plan, error) {
	return plan(iccid), nil
}

func (d *daemon) Choose(_ context.Context, md euicc.Metadata, _ *activation.APN) (activation.Plan, error) {
	return plan(md.ICCID.String()), nil
}

// Worked has B younger than C.
func (d *daemon) Worked(iccid string) (string, time.Time, bool) {
	i := slices.Index([]string{boots, profileC, profileB, profileA}, iccid)
	return "lab.test", d.began.Add(time.Duration(i) * time.Hour), i >= 0
}

func (d *daemon) LastGood(string) (learned.APN, bool) { return learned.APN{}, false }
func (d *daemon) Recall(string, learned.APN)          {}

func (d *daemon) Recover(context.Context, string) error { return nil }
func (d *daemon) Release()                              {}
func (d *daemon) Figures() (f status.Figures)           { return f }
func (d *daemon) Deliver(ctx context.Context) error     { return d.call(ctx, "deliver") }

func (d *daemon) Collect(ctx context.Context) ([]euicc.PendingNotification, error) {
	return nil, d.call(ctx, "collect")
}
