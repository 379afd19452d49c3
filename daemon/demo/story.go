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

// Run tells the whole story, from an activation code to traffic.
func Run(ctx context.Context, s Story) (err error) {
	log := slog.New(slog.DiscardHandler)
	if s.Verbose {
		log = slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	n, again, err := network(ctx, netlab.Options{RawIP: s.RawIP, Log: log}, s.Args)
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
	kernel := "real"
	if _, simulated := n.(*netlab.Simulated); simulated {
		kernel = "simulated"
		s.say("network namespaces are forbidden here, so the kernel's part is simulated: links, addresses and routes are in memory")
	}
	dir, err := os.MkdirTemp("", "dynamod-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	w, err := Open(ctx, n, Options{Dir: dir, UPP: s.UPP, Dialect: s.Dialect, RawIP: s.RawIP, Log: log})
	if err != nil {
		return err
	}
	defer w.Close()
	cfg, err := config.Load(filepath.Join(dir, "dynamod.toml"))
	if err != nil {
		return err
	}
	order := w.Profiles[0]
	s.say("modem      %s on %s", s.Dialect, filepath.Join(dir, "modem"))
	s.say("eUICC      EID %s, empty", w.Card.EID())
	s.say("SM-DP+     %s at %s, with a profile of %d bytes for code LPA:1$%s$...", SMDP, netlab.SMDPAddr, order.Size, SMDP)
	var r Result
	err = gateway.Direct(ctx, cfg, w.gatewayOptions(log, s.Version, s.Floor, cfg), func(c *hook.Client) error {
		return s.activate(ctx, c, order, &r)
	})
	if err != nil {
		return errors.Join(append([]error{err}, w.failures()...)...)
	}
	counters, err := n.Counters()
	if err != nil {
		return err
	}
	r.Reached, r.Kernel = counters.Reached, kernel
	for _, p := range w.Card.Installed() {
		if p.ICCID == r.ICCID {
			r.SHA256 = hex.EncodeToString(p.SHA256[:])
		}
	}
	return s.conclude(r, order)
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
