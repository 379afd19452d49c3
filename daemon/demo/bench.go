//go:build linux && !nodemo

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"

	"dynamod/atcmd/atsim"
	"dynamod/euicc/smdpsim"
)

// Bench says how to run a simulated modem alone for outside programs: with an
// eUICC that has an enabled profile in its slot, and an operator that knows it.
// There is no traffic behind it and no SM-DP+.
type Bench struct {
	Dialect  string
	PTY      string   // path of a link to the pty; "" for none
	Abstract string   // name of an abstract unix socket; "" for none
	Faults   []string // from the start, as sim ctl sets them: "modem late command=+CGLA delay=2s", "card pin-locked"
	Log      *slog.Logger
	Out      io.Writer
}

// Models describes the modems that can be simulated.
func Models() []atsim.Model { return atsim.Models() }

// noTraffic is a packet side without packets.
type noTraffic struct{}

func (noTraffic) Wall(bool, ...netip.Addr) error { return nil }
func (noTraffic) Traffic() (int64, error)        { return 0, nil }
func (noTraffic) Up(atsim.Lease) error           { return nil }
func (noTraffic) Down()                          {}
func (noTraffic) Swallow()                       {}
func (noTraffic) Portal(string)                  {}

// benchICCID is the profile on the card.
const benchICCID = "8900101000000000019"

// RunBench serves the modem until ctx ends.
func RunBench(ctx context.Context, b Bench) error {
	upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: benchICCID, IMSI: "001010000000017", MNCDigits: 2, SPN: Operator})
	if err != nil {
		return err
	}
	lab, err := New(Options{Dialect: b.Dialect, Earlier: upp, Carrier: noTraffic{}, Log: b.Log, Lease: atsim.Lease{
		Addr: netip.MustParsePrefix("10.64.3.6/30"), Gateway: netip.MustParseAddr("10.64.3.5"), DNS: []netip.Addr{netip.MustParseAddr("10.64.3.5")}, MTU: 1430,
	}})
	if err != nil {
		return err
	}
	for _, line := range b.Faults {
		if err := lab.setFault(line); err != nil {
			return err
		}
	}
	var l net.Listener
	if b.Abstract != "" {
		if l, err = net.Listen("unix", "@"+strings.TrimPrefix(b.Abstract, "@")); err != nil {
			return &ExitError{Code: exitImpossible, Err: fmt.Errorf("abstract socket: %w", err), Text: "another program may have the name: take another"}
		}
		defer l.Close()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	run := func(f func() error) {
		wg.Go(func() {
			if err := f(); err != nil && ctx.Err() == nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
				stop()
			}
		})
	}
	if l != nil {
		run(func() error { return serveSocket(ctx, lab.Modem, l) })
	}
	if b.PTY != "" {
		run(func() error { return lab.ServeModem(ctx, b.PTY) })
		if err := waitFile(ctx, b.PTY); err != nil {
			stop()
		}
	}
	if ctx.Err() == nil {
		b.announce(lab)
	}
	wg.Wait()
	return errors.Join(errs...)
}

// setFault sets a fault of the modem or its card.
func (l *Lab) setFault(line string) error {
	name, fault, _ := strings.Cut(line, " ")
	part, ok := (&World{Lab: l}).parts()[name]
	if !ok || name != "modem" && name != "card" {
		return &ExitError{Code: 2, Err: fmt.Errorf("fault %q is not of the modem or the card", line), Text: `as in --fault "modem late command=+CGLA delay=2s"`}
	}
	if what, _, _ := strings.Cut(fault, " "); name == "modem" && atsim.AtOnce(what) {
		return &ExitError{Code: 2, Err: fmt.Errorf("fault %q happens at once, and no client is there yet", line), Text: "run `dynamod sim --dir DIR` and set it with `dynamod sim ctl` while the client is there"}
	}
	if err := part.set(fault); err != nil {
		return &ExitError{Code: 2, Err: fmt.Errorf("fault of the %s: %w", name, err), Text: faultNamesOf(part)}
	}
	return nil
}

func faultNamesOf(c controlled) string {
	names := make([]string, len(c.faults))
	for i, f := range c.faults {
		names[i] = f[0]
	}
	return "it takes " + strings.Join(names, ", ")
}

// announce prints where the modem is.
func (b Bench) announce(lab *Lab) {
	for _, m := range Models() {
		if m.Name == b.Dialect {
			fmt.Fprintf(b.Out, "modem    %s; eUICC by AT: %s (%s)\n", m.Model, m.Path, m.Source)
		}
	}
	fmt.Fprintf(b.Out, "eUICC    EID %s; profile %s is enabled\n", lab.Card.EID(), benchICCID)
	if b.PTY != "" {
		fmt.Fprintf(b.Out, "pty      %s\n", b.PTY)
	}
	if b.Abstract != "" {
		fmt.Fprintf(b.Out, "socket   @%s\n", strings.TrimPrefix(b.Abstract, "@"))
	}
	fmt.Fprintln(b.Out, "ready")
}

// serveSocket gives each client a port of the modem of its own.
func serveSocket(ctx context.Context, m *atsim.Modem, l net.Listener) error {
	closed := context.AfterFunc(ctx, func() { l.Close() })
	defer closed()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		wg.Go(func() { _ = m.Serve(ctx, c) }) // one client's end is not the modem's
	}
}
