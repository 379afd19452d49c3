//go:build linux && !nodemo

package demo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/smdpsim"
)

// faultRow is one fault as `dynamod sim ctl` takes it, and how an activation ends
// that meets it.
type faultRow struct {
	name string
	ctl  []string             // command lines of sim ctl
	at   activation.State     // when they are given: in this state of the run; "" before it, see boot
	boot bool                 // before the daemon finds the modem
	pin  bool                 // the new profile's PIN is enabled
	only bool                 // the modem is the router's only way out
	set  func(*config.Config) // what else the daemon is told
	mend []string             // command lines that mend what clearing the fault does not

	end    status.Outcome // "" is committed
	code   string         // machine code of the error
	advice string         // part of its advice
	waits  bool           // the way back has no link either: the run waits until the fault is mended
	left   int            // channels that the modem itself keeps open
	check  func(*World) error
	busy   int64         // commands that the modem gets, at most; 0 means 300
	limit  time.Duration // until it has ended or waits; 0 means faultLimit
}

const (
	aSegment   = "command=+CGLA holds=80E21100FF86"        // of the profile
	theSwitch  = "command=+CGLA holds=BF3111A00C5A0A"      // EnableProfile with refreshFlag
	lastAnswer = "card set lost tag=86 block=last"         // the profile is installed, the modem says +CME ERROR: 13
	replug     = "modem unplug for=100ms"                  // a restart: the modem looks at its card again
	offAndOn   = "power the card off and on"               // advice for a modem that has lost its card
	another    = "`dynamod profiles enable 89001010000000" // tries the switch again
)

// The faults of the simulated modem, card and network. A firmware that answers
// nothing any more is not among them: it costs minutes, and a process of its own
// meets it in TestBadInput of the daemon.
var faultRows = []faultRow{
	{name: "none"},
	{name: "URC storm", ctl: []string{`modem set urc-storm times=20000 delay=1ms text=+QIND:_"csq",20,99`}},
	{name: "URC in mid-answer", ctl: []string{"modem set urc-mid-answer text=+QIND:_SMS_DONE"}},
	{name: "split echo", boot: true, ctl: []string{"modem set split-echo text=+CREG:_1"}},
	{name: "late answer", ctl: []string{"modem set late command=+CGLA after=8 times=1 delay=1s"}},
	{name: "late answer, after the limit", ctl: []string{"modem set late command=+CGLA after=8 times=1 delay=4s"}},
	{name: "late answer to a segment, after the limit", ctl: []string{"modem set late " + aSegment + " times=1 delay=4s"}},
	{name: "late answer to the switch, after the limit", ctl: []string{"modem set late " + theSwitch + " times=1 delay=4s"}},
	{name: "silence", ctl: []string{"modem set silent command=+CGLA after=8 times=1"}},
	{name: "silence at a segment", ctl: []string{"modem set silent " + aSegment + " times=1"}},
	{name: "silence at the switch", ctl: []string{"modem set silent " + theSwitch + " times=1"}},
	{name: "switched in silence", ctl: []string{"modem set mute " + theSwitch + " times=1"}},
	{name: "silence of the card", ctl: []string{"modem set card-hang " + aSegment}, end: status.Failed, code: "card-transport", advice: "try again with the same code"},
	{name: "lost while busy", ctl: []string{"modem set busy-drop", "modem set late " + aSegment + " times=1 delay=8s"}},
	{name: "garbage", ctl: []string{"modem set garbage"}},
	{name: "+CME at a card command", ctl: []string{"modem set cme command=+CGLA after=8 times=1 code=13"}},
	{name: "+CME at a segment", ctl: []string{"modem set cme " + aSegment + " times=1 code=13"}},
	{name: "+CME at the switch", ctl: []string{"modem set cme " + theSwitch + " times=1 code=13"}},
	{name: "+CME at the switch, always", ctl: []string{"modem set cme " + theSwitch + " code=13"}, end: status.RolledBack, code: "card-transport", advice: another},
	{name: "+CME after a segment that was taken", ctl: []string{"modem set error-after " + aSegment + " times=1 code=13"}},
	{name: "card gone in the session", at: activation.Authenticated, ctl: []string{"modem set card-gone"}, mend: []string{replug}, end: status.Failed, code: "card-transport", advice: "look at the slot"},
	{name: "card gone in the download", at: activation.Downloading, ctl: []string{"modem set card-gone"}, mend: []string{replug}, end: status.Failed, code: "card-transport", advice: "look at the slot"},
	{name: "card gone after the switch", at: activation.Attaching, ctl: []string{"modem set card-gone"}, mend: []string{replug}, end: status.RolledBack, code: "not-registered", advice: "check antenna and coverage", waits: true, limit: 90 * time.Second},
	{name: "no coverage after the switch", at: activation.Enabling, ctl: []string{"modem set no-service"}, end: status.RolledBack, code: "not-registered", advice: "check antenna and coverage", waits: true},
	{name: "+CME at the call", ctl: []string{"modem set cme command=+QNETDEVCTL code=30 times=1"}},
	{name: "SIM busy", ctl: []string{"modem set sim-busy times=5"}},
	{name: "SIM busy, always", ctl: []string{"modem set sim-busy"}, end: status.Failed, code: "card-transport", advice: "wait and try again"},
	{name: "answer of the card lost", ctl: []string{"modem set drop-answer after=12 times=1"}},
	{name: "status word", ctl: []string{"modem set sw after=12 times=1 code=0x6F00"}},
	{name: "channel leak", boot: true, ctl: []string{"modem set leak times=2"}, left: 2},
	{name: "channels used up by a leak", boot: true, ctl: []string{"modem set leak times=3"}, left: 3},
	{name: "no channel free", ctl: []string{"modem set channels"}, end: status.Failed, code: "card-transport", advice: offAndOn},
	{name: "error at the end of the package, profile installed", ctl: []string{lastAnswer}},
	{name: "catBusy", ctl: []string{"card set cat-busy"}, end: status.Committed},
	{name: "refresh refused", ctl: []string{"card set refuse-refresh"}, end: status.RolledBack, code: "es10-enableProfile-undefinedError", advice: "try without"},
	{name: "REFRESH not acted on", ctl: []string{"modem set no-refresh"}},
	{name: "REFRESH restarts the modem", ctl: []string{"modem set refresh-restart delay=500ms"}},
	{name: "stale carrier configuration", ctl: []string{"modem set stale-carrier"}, end: status.RolledBack, code: "not-registered", advice: `configuration "hVoLTE-Verizon"`, busy: 400},
	{name: "PIN locked, new profile", pin: true, end: status.RolledBack, code: "no-sim", advice: "pin_file"},
	{name: "PIN locked, new profile, PIN known", pin: true, set: pinFile},
	{name: "PIN locked", boot: true, ctl: []string{"card set pin-locked"}, mend: []string{replug}, end: status.RolledBack, code: "no-sim", advice: "pin_file", waits: true, busy: 400},
	{name: "PIN locked, PIN known", boot: true, ctl: []string{"card set pin-locked"}, set: pinFile},
	{name: "PIN locked, another PIN known", boot: true, ctl: []string{"card set pin-locked"}, mend: []string{replug}, set: wrongPIN, end: status.RolledBack, code: "no-sim", advice: "pin_file",
		waits: true, busy: 400, check: triedOnce},
	{name: "registration denied", ctl: []string{"modem set deny code=11"}, end: status.RolledBack, code: "registration-denied", advice: "whether the line is active", waits: true, busy: 400},
	{name: "registration denied after the switch", at: activation.Enabling, ctl: []string{"modem set deny code=11"}, end: status.RolledBack, code: "registration-denied", advice: "whether the line is active", waits: true, busy: 400},
	{name: "roaming", ctl: []string{"modem set roam"}},
	{name: "roaming, which is not allowed", ctl: []string{"modem set roam"}, set: func(c *config.Config) { c.Bearer.Roaming = config.RoamingDeny },
		end: status.RolledBack, code: "roaming-off", advice: "[bearer] roaming", waits: true},
	{name: "detach", at: activation.Downloading, ctl: []string{"modem set detach"}},
	{name: "detach in the attach", at: activation.Attaching, ctl: []string{"modem set detach"}},
	{name: "detach while the link is configured", at: activation.Configuring, ctl: []string{"modem set detach"}},
	{name: "detach while traffic is tried", at: activation.Probing, ctl: []string{"modem set detach"}},
	{name: "unplug in the session", at: activation.Authenticated, ctl: []string{"modem unplug for=500ms"}},
	{name: "unplug in the download", at: activation.Downloading, ctl: []string{"modem unplug for=500ms"}},
	{name: "unplug at the switch", at: activation.Enabling, ctl: []string{"modem unplug for=500ms"}},
	{name: "unplug in the attach", at: activation.Attaching, ctl: []string{"modem unplug for=500ms"}},
	{name: "unplug for good", at: activation.Downloading, ctl: []string{"modem unplug"}, mend: []string{"modem replug"}, end: status.Failed, code: "no-modem", advice: "check power and cable"},
	// The way to the server goes with the modem's link: it is waited for, and a switch
	// before the report has left would be to a line that is not active.
	{name: "only way: detach in the session", only: true, at: activation.Authenticated, ctl: []string{"modem set detach"}},
	{name: "only way, named: detach in the session", only: true, at: activation.Authenticated, ctl: []string{"modem set detach"}, set: byModem},
	{name: "only way, named: unplug in the session", only: true, at: activation.Authenticated, ctl: []string{"modem unplug for=5s"}, set: byModem},
	{name: "only way: detach in the download", only: true, at: activation.Downloading, ctl: []string{"modem set detach"}},
	{name: "only way: detach in the report", only: true, at: activation.Reporting, ctl: []string{"modem set detach"}},
	{name: "only way: detach in the session, no coverage", only: true, at: activation.Authenticated, ctl: []string{"modem set no-service", "modem set detach"}, set: authenticatedIn(30 * time.Second),
		end: status.Failed, code: "net-unreachable", advice: "check the uplink"},
	{name: "only way: detach in the report, no coverage", only: true, at: activation.Reporting, ctl: []string{"modem set no-service", "modem set detach"},
		end: status.RolledBack, code: "not-registered", advice: "check antenna and coverage", waits: true, busy: 800, limit: 3 * time.Minute},
	{name: "only way: detach while traffic is tried", only: true, at: activation.Probing, ctl: []string{"modem set detach"}},
	{name: "only way: unplug in the session", only: true, at: activation.Authenticated, ctl: []string{"modem unplug for=500ms"}},
	{name: "only way: unplug in the download", only: true, at: activation.Downloading, ctl: []string{"modem unplug for=500ms"}},
	{name: "only way: unplug before the report", only: true, at: activation.Installed, ctl: []string{"modem unplug for=500ms"}},
	{name: "only way: unplug in the report", only: true, at: activation.Reporting, ctl: []string{"modem unplug for=500ms"}},
	{name: "only way: unplug while traffic is tried", only: true, at: activation.Probing, ctl: []string{"modem unplug for=500ms"}},
	{name: "no data", ctl: []string{"modem set no-data"}, end: status.RolledBack, code: "no-data", advice: "check the APN with the operator", waits: true, busy: 400},
	{name: "no connection", ctl: []string{"network set no-data"}, end: status.RolledBack, code: "no-data", advice: "the operator refuses the connection", waits: true, busy: 400},
}

// pinFile tells the daemon the PIN of the lab's profiles.
func pinFile(c *config.Config) { writePIN(c, PIN) }

func byModem(c *config.Config) { c.LPA.Via = c.Uplink.Interface }

func authenticatedIn(d time.Duration) func(*config.Config) {
	return func(c *config.Config) { c.Activation.Limits.Authenticated = d }
}

func wrongPIN(c *config.Config) { writePIN(c, "9999") }

func writePIN(c *config.Config, pin string) {
	c.Modem.PINFile = filepath.Join(filepath.Dir(c.Operators.Dir), "pin")
	if err := os.WriteFile(c.Modem.PINFile, []byte(pin), 0o600); err != nil {
		panic(err)
	}
}

// triedOnce expects that the enabled profile has seen one wrong PIN, however often
// it came back.
func triedOnce(w *World) error {
	if err := w.Card.Set("pin-locked"); err != nil {
		return err
	}
	if got := w.Card.APDU([]byte{0x00, 0x20, 0x00, 0x01}); !bytes.Equal(got, []byte{0x63, 0xC2}) {
		return fmt.Errorf("VERIFY without a PIN is answered with %X, want 63C2: two tries left of three", got)
	}
	return nil
}

// faultLimit is what the configured limits add up to: 20 s from the switch to
// traffic, as long again for the way back, and the reset of a card that went silent.
const faultLimit = time.Minute

// faultTime bounds one row, in the time of its bubble.
const faultTime = 10 * time.Minute

// TestFaultTable gives an activation each fault that modem, card and network can
// have, and prints how it ends: up on the new profile, back on the earlier one or
// failed, with the reason and what to do; each fault has struck, by the simulator's
// own count; with no logical channel open on the
// card, no goroutine left (its bubble sees to that), and the link of the enabled
// profile back. Seconds are simulated. DYNAMOD_TEST_LOG=FAULT runs one alone, with
// the daemon's log.
func TestFaultTable(t *testing.T) {
	ends := make([]faultEnd, len(faultRows))
	var wg sync.WaitGroup
	room := make(chan struct{}, runtime.GOMAXPROCS(0))
	alone := os.Getenv("DYNAMOD_TEST_LOG")
	for i, f := range faultRows {
		if alone != "" && alone != f.name {
			continue
		}
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			ends[i] = f.run(t)
		})
	}
	wg.Wait()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FAULT\tEND\tCODE\tCOMMANDS\tSECONDS\tADVICE")
	for i, f := range faultRows {
		e := ends[i]
		if e.end == "" && e.errs == nil {
			continue
		}
		advice, _, _ := strings.Cut(e.advice, ";")
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%.1f\t%s\n", f.name, e.end, e.code, e.commands, e.took.Seconds(), advice)
		t.Run(f.name, func(t *testing.T) {
			for _, err := range e.errs {
				t.Error(err)
			}
			end := cmp.Or(f.end, status.Committed)
			if e.end != end || e.code != f.code || !strings.Contains(e.advice, f.advice) {
				t.Errorf("it ended as %s with %q (%s) and the advice %q, want %s with %q and %q", e.end, e.code, e.text, e.advice, end, f.code, f.advice)
			}
			if e.waited != f.waits {
				t.Errorf("it waited for the way back: %v, want %v", e.waited, f.waits)
			}
			if limit := cmp.Or(f.limit, faultLimit); e.took > limit {
				t.Errorf("it took %v, at most %v were expected", e.took, limit)
			}
			if limit := cmp.Or(f.busy, 300); e.commands > limit {
				t.Errorf("the modem got %d commands, at most %d were expected", e.commands, limit)
			}
			if len(e.spared) > 0 {
				t.Errorf("never struck: %s", strings.Join(e.spared, ", "))
			}
			if e.channels > f.left {
				t.Errorf("%d logical channels are open on the card", e.channels)
			}
		})
	}
	w.Flush()
	publish(t, "faults of the modem, card and network", b.String())
	for _, fault := range atsim.Faults() {
		name := fault[0]
		in := func(f faultRow) bool {
			return slices.ContainsFunc(f.ctl, func(line string) bool {
				return strings.HasPrefix(line+" ", "modem set "+name+" ") || line == "modem "+name
			})
		}
		if name != "hang" && !slices.ContainsFunc(faultRows, in) { // see faultRows
			t.Errorf("no row has the modem's fault %s", name)
		}
	}
}

// faultEnd is what became of a row.
type faultEnd struct {
	end                status.Outcome
	code, text, advice string
	waited             bool
	commands           int64
	took               time.Duration
	channels           int
	spared             []string // faults that never had an effect
	errs               []error
}

func (e *faultEnd) fail(format string, a ...any) { e.errs = append(e.errs, fmt.Errorf(format, a...)) }

// run is one activation in a lab of its own, on a card with an enabled profile.
func (f faultRow) run(t *testing.T) (e faultEnd) {
	story := crashStory{uplink: !f.only, set: func(c *config.Config) {
		c.Modem.APDUTimeout = 2 * time.Second
		c.Bearer.Deadline = 4 * time.Second
		c.Activation.Deadline = 20 * time.Second
		if f.set != nil {
			f.set(c)
		}
	}}
	inCrashWorld(t, story, func(t *testing.T, w *crashWorld) {
		if err := f.activate(t.Context(), w, &e); err != nil {
			e.fail("%w; it was %s: %s", err, e.end, e.text)
		}
	})
	return e
}

// ctl carries out lines of sim ctl.
func (w *crashWorld) ctl(ctx context.Context, lines ...string) error {
	for _, line := range lines {
		var err error
		switch args := strings.Fields(line); {
		case args[0] == "modem" && args[1] == "unplug":
			d := time.Duration(0)
			if len(args) > 2 {
				d, err = time.ParseDuration(strings.TrimPrefix(args[2], "for="))
			}
			err = errors.Join(err, w.unplug(d))
		case line == "modem replug":
			w.replug <- struct{}{}
		default:
			_, _, err = w.command(ctx, ctlRequest{Args: args})
		}
		if err != nil {
			return fmt.Errorf("sim ctl %s: %w", line, err)
		}
	}
	return nil
}

// spared are the row's faults that, by the counts of the simulators, never had an
// effect.
func (f faultRow) spared(w *crashWorld) (names []string) {
	want := []string{}
	for _, line := range f.ctl {
		switch args := strings.Fields(line); args[1] {
		case "set":
			want = append(want, args[0]+" "+args[2])
		case "unplug":
			want = append(want, args[0]+" "+args[1])
		}
	}
	if f.pin {
		want = append(want, "card pin-locked")
	}
	for _, name := range want {
		part, fault, _ := strings.Cut(name, " ")
		if w.struck(part)[fault] == 0 {
			names = append(names, name)
		}
	}
	return names
}

func (f faultRow) activate(ctx context.Context, w *crashWorld, e *faultEnd) error {
	ctx, cancel := context.WithTimeout(ctx, faultTime)
	defer cancel()
	order := w.Profiles[0]
	if f.pin {
		upp, err := w.newProfile(PIN)
		if err != nil {
			return err
		}
		if order, err = w.offer("", smdpsim.Order{UPP: upp, Metadata: smdpsim.Metadata{Provider: Operator, Name: "Lab profile", Owner: owner}}); err != nil {
			return err
		}
	}
	mend := func() error {
		return w.ctl(ctx, append([]string{"modem clear", "card clear", "network clear"}, f.mend...)...)
	}
	if f.boot {
		if err := w.ctl(ctx, f.ctl...); err != nil {
			return err
		}
		time.Sleep(restart)
	}
	r := w.newReaper(nil, false)
	var mu sync.Mutex
	struck, setErr := f.at == "", error(nil)
	r.Reach = func(state string) {
		mu.Lock()
		defer mu.Unlock()
		if !struck && state == string(f.at) {
			struck, setErr = true, w.ctl(ctx, f.ctl...)
		}
	}
	var rec activation.Record
	err := w.daemon(r, func(dctx context.Context, c *hook.Client) error {
		up := func() error { // the enabled profile has its link
			for {
				var snap status.Snapshot
				if err := c.Do(ctx, "GET", "/v1/status", nil, nil, &snap); err != nil {
					return err
				}
				if snap.State == status.Up && !w.away.Load() {
					return nil
				}
				if err := wait(ctx); err != nil {
					return fmt.Errorf("the link stays %s: %s: %w", snap.State, snap.Reason, err)
				}
			}
		}
		if !f.boot {
			if err := up(); err != nil {
				return err
			}
			if f.at == "" {
				if err := w.ctl(ctx, f.ctl...); err != nil {
					return err
				}
			}
		}
		begun, before := time.Now(), w.Modem.Stats().Commands
		if err := c.Do(ctx, "POST", "/v1/activations", nil, hook.ActivationRequest{Code: order.Code, Consent: true}, &rec); err != nil {
			return err
		}
		for rec.Ended == nil {
			if err := wait(ctx); err != nil {
				return err
			}
			if err := c.Do(ctx, "GET", "/v1/activations/"+rec.ID, nil, nil, &rec); err != nil {
				return err
			}
			if rec.Waiting == activation.WaitLink && !e.waited {
				e.waited = true
				e.took, e.commands, e.spared = time.Since(begun), w.Modem.Stats().Commands-before, f.spared(w)
				if err := mend(); err != nil {
					return err
				}
			}
			e.end = rec.Outcome
			if rec.Error != nil {
				e.code, e.text, e.advice = rec.Error.Code, rec.Error.Text, rec.Error.Advice
			}
		}
		mu.Lock()
		reached, err := struck, setErr
		mu.Unlock()
		if err != nil {
			return err
		}
		if !reached {
			return fmt.Errorf("the run was never in state %s", f.at)
		}
		if !e.waited {
			e.took, e.commands, e.spared = time.Since(begun), w.Modem.Stats().Commands-before, f.spared(w)
			if err := mend(); err != nil {
				return err
			}
		}
		return up()
	})
	e.channels = w.Card.Channels()
	if f.check != nil {
		err = errors.Join(err, f.check(w.World))
	}
	return err
}
