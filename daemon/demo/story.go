//go:build linux && !nodemo

package demo

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/gateway"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

// Story says how to run the demo.
type Story struct {
	Name    string // one of Stories, "" for the main one
	JSON    bool
	UPP     []string // the first one is activated
	Dialect string
	RawIP   bool
	Verbose bool
	Version string
	Floor   time.Time
	Out     io.Writer
	Err     io.Writer
	Args    []string // to run the program again with, in a user namespace
}

// Result is the demo's last word.
type Result struct {
	State     status.State    `json:"state"`
	Run       string          `json:"run"`
	Outcome   status.Outcome  `json:"outcome"`
	ICCID     string          `json:"iccid"`
	IMSI      string          `json:"imsi"` // shortened
	APN       string          `json:"apn"`
	APNReason string          `json:"apn_reason"`
	Interface string          `json:"interface"`
	Address   string          `json:"address"`
	Reached   int64           `json:"reached"` // requests that crossed the link and were answered
	SHA256    string          `json:"profile_sha256"`
	Kernel    string          `json:"kernel"` // real or simulated
	Error     *status.Problem `json:"error,omitempty"`
	status.Figures
}

// ExitError ends the program with a given exit code.
type ExitError struct {
	Code int
	Err  error // nil prints nothing
	Text string
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *ExitError) Unwrap() error { return e.Err }

// ExitCode is the program's exit code.
func (e *ExitError) ExitCode() int { return e.Code }

// Hint is what to do about it.
func (e *ExitError) Hint() string { return e.Text }

// exitImpossible is the exit code of what cannot be done on this machine.
const exitImpossible = 3

// network makes the lab's network: with the kernel's own namespaces, if need be
// in a user namespace, else in memory. again is the exit status of the program's
// second run, if there was one.
func network(ctx context.Context, o netlab.Options, args []string) (n netlab.Network, again *int, err error) {
	why := netlab.Permitted()
	if why == nil {
		n, err = netlab.New(ctx, o)
		if errors.Is(err, netlab.ErrNoTUN) {
			err = &ExitError{Code: exitImpossible, Err: err, Text: "run without --raw-ip, or make the device available"}
		}
		return n, nil, err
	}
	if !errors.Is(why, netlab.ErrForbidden) {
		return nil, nil, why
	}
	code, err := netlab.Reexec(ctx, args...)
	if err == nil {
		return nil, &code, nil
	}
	if !errors.Is(err, netlab.ErrForbidden) {
		return nil, nil, err
	}
	if o.RawIP {
		return nil, nil, &ExitError{Code: exitImpossible, Err: err, Text: "raw IP needs a network namespace with /dev/net/tun: run as root, or without --raw-ip"}
	}
	n, serr := netlab.NewSimulated(o)
	if serr != nil {
		return nil, nil, serr
	}
	return n, nil, nil
}

// stage is a lab that runs, with a configuration for the daemon in it.
type stage struct {
	Story
	w      *World
	n      netlab.Network
	cfg    *config.Config
	log    *slog.Logger
	kernel string // real or simulated
	dir    string
}

// open makes a lab, calls f, and takes the lab apart.
func (s Story) open(ctx context.Context, o netlab.Options, lo Options, f func(*stage) error) (err error) {
	log := slog.New(slog.DiscardHandler)
	if s.Verbose {
		log = slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	o.RawIP, o.Log = s.RawIP, log
	n, again, err := network(ctx, o, s.Args)
	if err != nil {
		return err
	}
	if again != nil {
		if *again != 0 {
			return &ExitError{Code: *again}
		}
		return nil
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	st := &stage{Story: s, n: n, log: log, kernel: "real"}
	if _, simulated := n.(*netlab.Simulated); simulated {
		st.kernel = "simulated"
		s.say("network namespaces are forbidden here, so the kernel's part is simulated: links, addresses and routes are in memory")
	}
	if st.dir, err = os.MkdirTemp("", "dynamod-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(st.dir)
	lo.Dir, lo.UPP, lo.Dialect, lo.RawIP, lo.Log = st.dir, s.UPP, s.Dialect, s.RawIP, log
	if st.w, err = Open(ctx, n, lo); err != nil {
		return err
	}
	defer st.w.Close()
	if st.cfg, err = config.Load(st.configPath()); err != nil {
		return err
	}
	return f(st)
}

func (s *stage) configPath() string { return filepath.Join(s.dir, "dynamod.toml") }

// daemon runs a daemon in this process for as long as f takes.
func (s *stage) daemon(ctx context.Context, f func(*hook.Client) error) error {
	err := gateway.Direct(ctx, s.cfg, s.w.gatewayOptions(s.log, s.Version, s.Floor, s.cfg), f)
	if err != nil {
		return errors.Join(append([]error{err}, s.w.failures()...)...)
	}
	return nil
}

// Run tells a story: the one of Name, or from an activation code to traffic.
func Run(ctx context.Context, s Story) error {
	if s.Name == "dynamo" {
		return s.dynamo(ctx)
	}
	if s.Name != "" {
		return s.trouble(ctx)
	}
	return s.open(ctx, netlab.Options{}, Options{}, func(st *stage) error {
		w, order := st.w, st.w.Profiles[0]
		s.say("modem      %s on %s", s.Dialect, filepath.Join(st.dir, "modem"))
		s.say("eUICC      EID %s, empty", w.Card.EID())
		s.say("SM-DP+     %s at %s, with a profile of %d bytes for code LPA:1$%s$...", SMDP, netlab.SMDPAddr, order.Size, SMDP)
		var r Result
		if err := st.daemon(ctx, func(c *hook.Client) error { return s.activate(ctx, c, order, &r) }); err != nil {
			return err
		}
		counters, err := st.n.Counters()
		if err != nil {
			return err
		}
		r.Reached, r.Kernel = counters.Reached, st.kernel
		for _, p := range w.Card.Installed() {
			if p.ICCID == r.ICCID {
				r.SHA256 = hex.EncodeToString(p.SHA256[:])
			}
		}
		return s.conclude(r, order)
	})
}

// conclude prints the result and judges it.
func (s Story) conclude(r Result, order Profile) error {
	var bad error
	switch {
	case r.Outcome != status.Committed:
		bad = fmt.Errorf("the activation ended as %s", r.Outcome)
		if r.Error != nil {
			bad = fmt.Errorf("%w: %s", bad, r.Error.Text)
		}
	case r.SHA256 != order.SHA256:
		bad = errors.New("the card holds other bytes than the server bound")
	case r.Reached == 0 || r.State != status.Up:
		bad = errors.New("no traffic crossed the link")
	}
	if s.JSON {
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.Out, "%s\n", b)
	} else if bad == nil {
		fmt.Fprintf(s.Out, "up: profile %s, APN %q (%s), %s %s, %.1f s from code to traffic\n",
			r.ICCID, r.APN, r.APNReason, r.Interface, r.Address, float64(r.ElapsedMS)/1000)
	}
	if bad != nil {
		e := &ExitError{Code: 5, Err: bad}
		if r.Error != nil {
			e.Text = r.Error.Advice
		}
		return e
	}
	return nil
}

func (s Story) say(format string, args ...any) {
	if !s.JSON {
		fmt.Fprintf(s.Out, format+"\n", args...)
	}
}

// activate submits the code and follows the run to its end.
func (s Story) activate(ctx context.Context, c *hook.Client, order Profile, r *Result) error {
	var rec activation.Record
	err := c.Do(ctx, "POST", "/v1/activations", nil, hook.ActivationRequest{Code: order.Code, Consent: true}, &rec)
	if err != nil {
		return err
	}
	begun, last := time.Now(), ""
	follow, stop := context.WithCancel(ctx)
	defer stop()
	err = c.Events(follow, func(kind string, data []byte) bool {
		var run status.Run
		switch kind {
		case "status":
			var snap status.Snapshot
			if json.Unmarshal(data, &snap) != nil || snap.Run == nil {
				return true
			}
			run = *snap.Run
		case "run":
			if json.Unmarshal(data, &run) != nil {
				return true
			}
		default:
			return true
		}
		if run.ID != rec.ID {
			return true
		}
		if run.State != last {
			last = run.State
			s.say("%6.2f s   %-14s %s", time.Since(begun).Seconds(), run.State, meaning[activation.State(run.State)])
		}
		return run.Ended == nil
	})
	if err != nil {
		return err
	}
	if err := c.Do(ctx, "GET", "/v1/activations/"+rec.ID, nil, nil, &rec); err != nil {
		return err
	}
	var snap status.Snapshot
	if err := c.Do(ctx, "GET", "/v1/status", nil, nil, &snap); err != nil {
		return err
	}
	*r = Result{State: snap.State, Run: string(rec.State), Outcome: rec.Outcome, ICCID: rec.ICCID, APN: rec.APN, APNReason: rec.APNReason, Error: rec.Error}
	if snap.SIM != nil {
		r.IMSI = snap.SIM.IMSI
	}
	if snap.Link != nil {
		r.Interface, r.Address = snap.Link.Interface, strings.Join(snap.Link.Addresses, " ")
	}
	if rec.Figures != nil {
		r.Figures = *rec.Figures
	}
	return nil
}

// meaning says what happens in a state, for people.
var meaning = map[activation.State]string{
	activation.Accepted:      "the code is on the medium; is there a way, a clock, a card?",
	activation.Authenticated: "card and SM-DP+ prove who they are",
	activation.Agreed:        "the profile is known; an APN is there for it",
	activation.Downloading:   "the package is bound to this card and loaded, APDU by APDU",
	activation.Installed:     "the card says so, signed",
	activation.Reporting:     "the SM-DP+ hears it before anything is switched",
	activation.Enabling:      "the profile is enabled; the modem reads the card again",
	activation.Attaching:     "the network takes the new subscriber",
	activation.Configuring:   "link, address, routes",
	activation.Probing:       "does traffic cross this link?",
	activation.Committed:     "it does",
	activation.Undoing:       "back to what worked",
	activation.Notifying:     "what is left to report",
	activation.Done:          "",
	activation.Failed:        "",
}
