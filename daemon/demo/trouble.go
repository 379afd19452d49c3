//go:build linux && !nodemo

package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/smdpsim"
	"dynamod/netlink/uplink"
)

// The stories of trouble are told on a box that can be reached by its modem alone:
// an earlier profile is enabled on the card and carries the only link. Somebody
// activates another one from afar, and something goes wrong.

// Stories are the names that Story.Name takes beside "", each with what it tells.
func Stories() [][2]string {
	var out [][2]string
	for _, t := range troubles {
		out = append(out, [2]string{t.name, t.about})
	}
	return append(out, [2]string{"dynamo", dynamoAbout})
}

type trouble struct {
	name, about string
	tell        func(*teller, context.Context) error
	new         bool // the new profile has the link at the end, else the earlier one
}

var troubles = []trouble{
	{"rollback", "the new profile never finds a network; the box goes back to the earlier one", (*teller).rollback, false},
	{"powercut", "the power is cut in mid-download, and once more just after the switch; the activation goes on each time", (*teller).powercut, true},
	{"unplug", "the modem is pulled off in mid-download, and once more at the switch; the activation goes on each time", (*teller).unplug, true},
}

// Ending is the last word of a story of trouble.
type Ending struct {
	Story     string          `json:"story"`
	State     status.State    `json:"state"`
	Run       string          `json:"run"`
	Outcome   status.Outcome  `json:"outcome"`
	ICCID     string          `json:"iccid"` // of the enabled profile
	Profiles  int             `json:"profiles"`
	Downloads int             `json:"downloads"` // of the new one from its server
	Down      int             `json:"down"`      // how often the link was down
	DownMS    int64           `json:"down_ms"`   // the longest time
	Kernel    string          `json:"kernel"`    // real or simulated
	Error     *status.Problem `json:"error,omitempty"`
}

const earlierICCID = "8900101000009999991"

// storyDeadline is minutes on a router.
const storyDeadline = 6 * time.Second

// teller follows the daemon and tells what happens.
type teller struct {
	*stage
	begun time.Time
	order Profile
	id    string // of the run

	last  string // state of the run
	up    bool
	since time.Time // that the link is down
	now   status.Snapshot
	end   Ending
}

func (s Story) trouble(ctx context.Context) error {
	var story trouble
	for _, t := range troubles {
		if t.name == s.Name {
			story = t
		}
	}
	if story.tell == nil {
		return &ExitError{Code: 2, Err: fmt.Errorf("unknown story %q", s.Name), Text: "`dynamod demo --help` lists the stories"}
	}
	earlier, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: earlierICCID, IMSI: "001010000009999", MNCDigits: 2, SPN: Operator})
	if err != nil {
		return err
	}
	// A slow card, so that nothing is over before it was seen.
	lo := Options{Earlier: earlier, APDUDelay: 10 * time.Millisecond}
	return s.open(ctx, netlab.Options{SingleUplink: true}, lo, func(st *stage) error {
		t := &teller{stage: st, begun: time.Now(), order: st.w.Profiles[0]}
		t.end = Ending{Story: s.Name, Kernel: st.kernel}
		t.say("the box    a router with a %s modem and no other way in; profile %s carries its link", s.Dialect, earlierICCID)
		t.say("the order  profile %s waits at %s", t.order.ICCID, SMDP)
		t.say("the story  %s", story.about)
		if err := story.tell(t, ctx); err != nil {
			return err
		}
		return t.conclude(story)
	})
}

// did tells what is done to the box.
func (t *teller) did(format string, args ...any) {
	t.say("%6.2f s > %s", time.Since(t.begun).Seconds(), fmt.Sprintf(format, args...))
}

// line tells what the box does.
func (t *teller) line(what, meaning string) {
	t.say("%6.2f s   %-14s %s", time.Since(t.begun).Seconds(), what, meaning)
}

// look tells what is new in the daemon's state.
func (t *teller) look() {
	if run := t.now.Run; run != nil && run.ID == t.id && run.State != t.last {
		t.last = run.State
		t.line(run.State, meaning[activation.State(run.State)])
	}
	if up := t.now.State == status.Up && t.now.Link != nil; up != t.up {
		if t.up = up; up {
			who := ""
			if t.now.SIM != nil {
				who = "profile " + t.now.SIM.ICCID + ", "
			}
			t.line("link up", fmt.Sprintf("%s%s %s", who, t.now.Link.Interface, strings.Join(t.now.Link.Addresses, " ")))
			t.back()
		} else {
			t.gone("")
		}
	}
}

// gone notes that the link is down.
func (t *teller) gone(why string) {
	t.up = false
	if t.since.IsZero() {
		t.since = time.Now()
		t.end.Down++
		t.line("link down", why)
	}
}

// back notes that it is up.
func (t *teller) back() {
	if !t.since.IsZero() {
		t.end.DownMS = max(t.end.DownMS, time.Since(t.since).Milliseconds())
		t.since = time.Time{}
	}
}

// follow tells what the daemon does until that is what is waited for.
func (t *teller) follow(ctx context.Context, c *hook.Client, until func(*teller) bool) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	return c.Events(ctx, func(kind string, data []byte) bool {
		switch kind {
		case "status":
			t.now = status.Snapshot{}
			if json.Unmarshal(data, &t.now) != nil {
				return true
			}
		case "run":
			var run status.Run
			if json.Unmarshal(data, &run) != nil {
				return true
			}
			t.now.Run = &run
		default:
			return true
		}
		t.look()
		return !until(t)
	})
}

func linkUp(t *teller) bool { return t.up }

// switching are the states from the switch on, of which the first may be over
// before it was seen.
func switching(t *teller) bool {
	switch activation.State(t.last) {
	case activation.Enabling, activation.Attaching, activation.Configuring, activation.Probing:
		return true
	}
	return ended(t)
}

// loading is the middle of a download, or what follows it.
func loading(t *teller) bool {
	run := t.now.Run
	switch {
	case activation.State(t.last) == activation.Downloading:
		return run != nil && run.Progress != nil && run.Progress.Done > run.Progress.Total/3
	case t.last == string(activation.Installed), t.last == string(activation.Reporting):
		return true
	}
	return switching(t)
}

// ended is the run's end, with a link.
func ended(t *teller) bool {
	return t.now.Run != nil && t.now.Run.ID == t.id && t.now.Run.Ended != nil && t.up
}

// activate gives the code to the daemon.
func (t *teller) activate(ctx context.Context, c *hook.Client) error {
	t.did("somebody activates the new profile, over the link of the earlier one")
	var rec activation.Record
	req := hook.ActivationRequest{Code: t.order.Code, Consent: true}
	if err := c.Do(ctx, "POST", "/v1/activations", nil, req, &rec); err != nil {
		return err
	}
	t.id = rec.ID
	return nil
}

// note keeps what came of it.
func (t *teller) note(ctx context.Context, c *hook.Client) error {
	var rec activation.Record
	if err := c.Do(ctx, "GET", "/v1/activations/"+t.id, nil, nil, &rec); err != nil {
		return err
	}
	t.end.State, t.end.Run, t.end.Outcome, t.end.Error = t.now.State, string(rec.State), rec.Outcome, rec.Error
	for _, p := range t.w.Card.Installed() {
		t.end.Profiles++
		if p.Enabled {
			t.end.ICCID = p.ICCID
		}
	}
	for _, o := range t.w.Server.Orders() {
		if o.MatchingID == t.order.ID {
			t.end.Downloads = o.Downloads
		}
	}
	return nil
}

func (t *teller) rollback(ctx context.Context) error {
	t.cfg.Activation.Deadline = storyDeadline
	return t.daemon(ctx, func(c *hook.Client) error {
		if err := t.follow(ctx, c, linkUp); err != nil {
			return err
		}
		t.did("the operator has forgotten the new line: no network will answer it; the deadline is %v here, %v on a router", storyDeadline, config.Default().Activation.Deadline)
		t.w.Operator.SetLine(t.order.ICCID, Line{Unseen: true})
		if err := t.activate(ctx, c); err != nil {
			return err
		}
		if err := t.follow(ctx, c, ended); err != nil {
			return err
		}
		return t.note(ctx, c)
	})
}

func (t *teller) unplug(ctx context.Context) error {
	const away = time.Second
	return t.daemon(ctx, func(c *hook.Client) error {
		if err := t.follow(ctx, c, linkUp); err != nil {
			return err
		}
		if err := t.activate(ctx, c); err != nil {
			return err
		}
		for _, at := range []struct {
			when  string
			until func(*teller) bool
		}{{"in mid-download", loading}, {"at the switch", switching}} {
			if err := t.follow(ctx, c, at.until); err != nil {
				return err
			}
			t.did("the modem is pulled off %s, for %v", at.when, away)
			if err := t.w.unplug(ctx, []string{"for=" + away.String()}); err != nil {
				return err
			}
		}
		if err := t.follow(ctx, c, ended); err != nil {
			return err
		}
		return t.note(ctx, c)
	})
}

// powercut runs the daemon as a process of its own, which is killed.
func (t *teller) powercut(ctx context.Context) error {
	n, ok := t.n.(interface {
		Start(context.Context, *exec.Cmd) (<-chan error, error)
	})
	if !ok {
		return &ExitError{Code: exitImpossible, Err: errors.New("the daemon that is killed needs a network namespace, which is forbidden here"), Text: "run as root, or `dynamod demo --story rollback`"}
	}
	c := hook.Dial(t.cfg.Hook.Socket)
	var log bytes.Buffer // read when the daemon has ended
	var done <-chan error
	var cmd *exec.Cmd
	start := func() error {
		log.Reset()
		cmd = exec.Command("/proc/self/exe", "run", "--config", t.configPath())
		cmd.Args[0] = os.Args[0]
		cmd.Stderr = &log
		if t.Verbose {
			cmd.Stderr = t.Err
		}
		var err error
		if done, err = n.Start(ctx, cmd); err != nil {
			return err
		}
		for c.Do(ctx, "GET", "/healthz", nil, nil, nil) != nil {
			select {
			case err := <-done:
				return fmt.Errorf("the daemon ended: %w: %s", err, log.String())
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(10 * time.Millisecond):
			}
		}
		return nil
	}
	kill := func() error {
		if err := cmd.Process.Kill(); err != nil {
			return err
		}
		<-done
		return nil
	}
	cut := func(when string) error {
		t.did("the power of router and modem is cut %s: kill -9, and all that was in memory is gone", when)
		if err := kill(); err != nil {
			return err
		}
		t.w.Modem.PowerCycle(500 * time.Millisecond)
		t.gone("")
		// What a router's kernel and its /run forget.
		spec := uplink.Spec{Interface: t.n.Options().Interface(), Table: uint32(t.cfg.Uplink.Table)}
		_, err := uplink.Down(ctx, t.n.Kernel(), spec)
		err = errors.Join(err, os.RemoveAll(t.cfg.State.Run), os.MkdirAll(filepath.Dir(t.cfg.Hook.Socket), 0o755))
		t.did("the power is back, and the daemon is started")
		t.last = ""
		return errors.Join(err, start())
	}
	if err := start(); err != nil {
		return err
	}
	// Whatever happens, no daemon outlives its lab: Close of the network ends it.
	if err := t.follow(ctx, c, linkUp); err != nil {
		return err
	}
	if err := t.activate(ctx, c); err != nil {
		return err
	}
	if err := t.follow(ctx, c, loading); err != nil {
		return err
	}
	if err := cut("in mid-download"); err != nil {
		return err
	}
	if err := t.follow(ctx, c, switching); err != nil {
		return err
	}
	if err := t.switched(ctx); err != nil {
		return err
	}
	if err := cut("just after the switch, before anybody knows of it"); err != nil {
		return err
	}
	if err := t.follow(ctx, c, ended); err != nil {
		return err
	}
	if err := t.note(ctx, c); err != nil {
		return err
	}
	return kill()
}

// switched waits until the card has the new profile enabled.
func (t *teller) switched(ctx context.Context) error {
	for {
		for _, p := range t.w.Card.Installed() {
			if p.ICCID == t.order.ICCID && p.Enabled {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// conclude tells the end, and whether it is the right one.
func (t *teller) conclude(story trouble) error {
	iccid, outcome := earlierICCID, status.RolledBack
	if story.new {
		iccid, outcome = t.order.ICCID, status.Committed
	}
	e := t.end
	var bad error
	switch {
	case e.State != status.Up:
		bad = fmt.Errorf("the link is %s", e.State)
	case e.ICCID != iccid:
		bad = fmt.Errorf("profile %s is enabled, not %s", e.ICCID, iccid)
	case e.Outcome != outcome:
		bad = fmt.Errorf("the activation ended as %s", e.Outcome)
	case e.Profiles != 2:
		bad = fmt.Errorf("%d profiles are on the card", e.Profiles)
	}
	if t.JSON {
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.Out, "%s\n", b)
	} else if bad == nil {
		if e.Error != nil {
			t.say("the reason: %s\n%s", e.Error.Text, e.Error.Advice)
		}
		times := map[int]string{1: "once", 2: "twice"}[e.Down]
		if times == "" {
			times = fmt.Sprintf("%d times", e.Down)
		}
		t.say("%s, and the box can be reached over profile %s; the link was down %s, for %.1f s at most", e.Outcome, e.ICCID, times, float64(e.DownMS)/1000)
	}
	if bad != nil {
		x := &ExitError{Code: 5, Err: bad}
		if e.Error != nil {
			x.Err, x.Text = fmt.Errorf("%w: %s", bad, e.Error.Text), e.Error.Advice
		}
		return x
	}
	return nil
}
