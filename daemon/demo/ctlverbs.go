//go:build linux && !nodemo

package demo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

const ctlHelp = "`dynamod sim ctl --help` lists the commands"

// controlled is a part of the lab that can be told to misbehave.
type controlled struct {
	faults [][2]string // what set takes, with what it does
	set    func(line string) error
	clear  func(name string) error
	active func() []string
}

// parts are the parts by their names.
func (w *World) parts() map[string]controlled {
	form := [2]string{"form", "write answers as odd servers do: first=FIELD,... slash=\\/ lines=76 padding=missing surplus=true nulls=true spaces=true gzip=true chunked=1000"}
	server := func(s interface {
		SetFault(smdpsim.Fault) error
		SetForm(smdpsim.Form) error
		ClearFault(smdpsim.FaultKind)
		ClearFaults()
		FaultsSet() []smdpsim.Fault
		Form() smdpsim.Form
	}, faults [][2]string) controlled {
		return controlled{
			faults: append(slices.Clip(faults), form),
			set: func(line string) error {
				if strings.HasPrefix(line, "form") {
					f, err := smdpsim.ParseForm(line)
					if err != nil {
						return err
					}
					return s.SetForm(f)
				}
				f, err := smdpsim.ParseFault(line)
				if err != nil {
					return err
				}
				return s.SetFault(f)
			},
			clear: func(name string) error {
				if name == "" || name == "form" {
					if err := s.SetForm(smdpsim.Form{}); err != nil || name != "" {
						return err
					}
					s.ClearFaults()
					return nil
				}
				s.ClearFault(smdpsim.FaultKind(name))
				return nil
			},
			active: func() []string {
				out := []string{}
				for _, f := range s.FaultsSet() {
					out = append(out, f.String())
				}
				if f := s.Form().String(); f != "form" {
					out = append(out, f)
				}
				return out
			},
		}
	}
	return map[string]controlled{
		"modem": {
			faults: atsim.Faults(),
			set: func(line string) error {
				name, f, err := atsim.ParseFault(line)
				if err != nil {
					return errors.New(strings.TrimPrefix(err.Error(), "atsim: "))
				}
				return w.Modem.SetFault(name, f)
			},
			clear:  func(name string) error { w.Modem.ClearFault(name); return nil },
			active: w.Modem.Active,
		},
		"card":   {euiccsim.Controls(), w.Card.Set, w.Card.Clear, w.Card.Active},
		"server": server(w.Server, smdpsim.Faults()),
		"smds":   server(w.SMDS, smdpsim.SMDSFaults()),
		"network": {
			faults: [][2]string{{"no-data", "the network refuses data connections"}},
			set: func(line string) error {
				if line != "no-data" {
					return fmt.Errorf("unknown fault %q", line)
				}
				w.Operator.SetNoData(true)
				return nil
			},
			clear: func(string) error { w.Operator.SetNoData(false); return nil },
			active: func() []string {
				if w.Operator.NoData() {
					return []string{"no-data"}
				}
				return []string{}
			},
		},
	}
}

var partNames = []string{"modem", "card", "server", "smds", "network"}

// command carries out one command line.
func (w *World) command(ctx context.Context, req ctlRequest) (result any, text string, err error) {
	args := req.Args
	if len(args) == 0 {
		return nil, "", &ctlError{"no command is given", ctlHelp}
	}
	rest := args[1:]
	switch args[0] {
	case "state":
		if len(rest) > 0 {
			return nil, "", &ctlError{"state takes nothing", ctlHelp}
		}
		return w.state(), "", nil
	case "faults":
		return w.listFaults(rest)
	case "order":
		return w.orderCommand(req.Dir, rest)
	}
	if len(rest) == 0 {
		return nil, "", &ctlError{fmt.Sprintf("unknown command %q", args[0]), ctlHelp}
	}
	switch args[0] + " " + rest[0] {
	case "modem unplug":
		return nil, "", w.unplug(ctx, rest[1:])
	case "modem replug":
		return nil, "", w.plugIn(ctx)
	case "card reset":
		w.Card.Reset()
		return nil, "", nil
	case "network credit":
		return nil, "", w.giveCredit(rest[1:])
	case "network garden":
		return nil, "", w.plantGarden(rest[1:])
	}
	part, ok := w.parts()[args[0]]
	if !ok || rest[0] != "set" && rest[0] != "clear" {
		return nil, "", &ctlError{fmt.Sprintf("unknown command %q", args[0]+" "+rest[0]), ctlHelp}
	}
	if rest[0] == "clear" {
		return nil, "", w.clearFaults(args[0], part, rest[1:])
	}
	line := strings.Join(rest[1:], " ")
	if err := part.set(line); err != nil {
		return nil, "", &ctlError{err.Error(), fmt.Sprintf("`dynamod sim ctl faults %s` lists what it takes", args[0])}
	}
	return nil, "", nil
}

// giveCredit has a line's traffic counted, from so many megabytes on.
func (w *World) giveCredit(args []string) error {
	if len(args) != 2 {
		return &ctlError{"network credit wants ICCID and MB", "0 is used up; `off` ends the counting"}
	}
	if strings.Trim(args[0], "0123456789") != "" {
		return &ctlError{fmt.Sprintf("%q is no ICCID", args[0]), ctlHelp}
	}
	if args[1] == "off" {
		w.Operator.Meter(args[0], nil)
		return nil
	}
	mb, err := strconv.ParseFloat(args[1], 64)
	if err != nil || !(mb >= 0 && mb <= 1e9) {
		return &ctlError{fmt.Sprintf("%q is no number of megabytes", args[1]), "0 is used up; `off` ends the counting"}
	}
	w.Operator.SetCredit(args[0], mb)
	return nil
}

// plantGarden says where lines without credit are sent on to, and what they reach.
func (w *World) plantGarden(args []string) error {
	var g Garden
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		switch name {
		case "portal":
			g.Portal = value
		case "open":
			for s := range strings.SplitSeq(value, ",") {
				addr, err := netip.ParseAddr(s)
				if err != nil || !addr.Is4() {
					return &ctlError{fmt.Sprintf("network garden: %q is no IPv4 address", s), ctlHelp}
				}
				g.Open = append(g.Open, addr)
			}
		default:
			return &ctlError{fmt.Sprintf("network garden: %q is neither portal=URL nor open=ADDRESS,ADDRESS", a), ctlHelp}
		}
	}
	if g.Portal == "" {
		return &ctlError{"network garden wants portal=URL", ctlHelp}
	}
	w.Operator.SetGarden(g)
	return nil
}

func (w *World) clearFaults(name string, part controlled, names []string) error {
	if len(names) == 0 {
		return part.clear("")
	}
	for _, n := range names {
		if !slices.ContainsFunc(part.faults, func(f [2]string) bool { return f[0] == n }) {
			return &ctlError{fmt.Sprintf("the %s has no fault %q", name, n), fmt.Sprintf("`dynamod sim ctl faults %s` lists them", name)}
		}
		if err := part.clear(n); err != nil {
			return err
		}
	}
	return nil
}

// listFaults tells what can be set, of all parts or of some.
func (w *World) listFaults(names []string) (any, string, error) {
	if len(names) == 0 {
		names = partNames
	}
	parts := w.parts()
	out := map[string]map[string]string{}
	var text strings.Builder
	for _, name := range names {
		part, ok := parts[name]
		if !ok {
			return nil, "", &ctlError{fmt.Sprintf("the lab has no part %q", name), "the parts are " + strings.Join(partNames, ", ")}
		}
		out[name] = map[string]string{}
		for _, f := range part.faults {
			out[name][f[0]] = f[1]
			fmt.Fprintf(&text, "%-8s %-18s %s\n", name, f[0], f[1])
		}
	}
	return out, text.String(), nil
}

// modemPath is the link to the AT port.
func (w *World) modemPath() string { return filepath.Join(w.opts.Dir, "modem") }

func (w *World) plugged() bool {
	_, err := os.Lstat(w.modemPath())
	return err == nil
}

// unplug takes the AT port away, for a while or until it is plugged in again.
func (w *World) unplug(ctx context.Context, args []string) error {
	var d time.Duration
	for _, a := range args {
		value, ok := strings.CutPrefix(a, "for=")
		var err error
		if d, err = time.ParseDuration(value); !ok || err != nil || d <= 0 {
			return &ctlError{fmt.Sprintf("modem unplug: %q is not for=TIME", a), ctlHelp}
		}
	}
	if !w.plugged() {
		return errors.New("the modem is unplugged already")
	}
	if err := w.Modem.SetFault("unplug", atsim.Fault{Delay: d}); err != nil {
		return err
	}
	return w.await(ctx, false)
}

func (w *World) plugIn(ctx context.Context) error {
	if w.plugged() {
		return errors.New("the modem is plugged in already")
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := w.Replug(ctx); err != nil {
		return errors.New("the modem comes back by itself")
	}
	return w.await(ctx, true)
}

// await waits for the port to come or go.
func (w *World) await(ctx context.Context, there bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for w.plugged() != there {
		select {
		case <-ctx.Done():
			return errors.New("the modem does not do it")
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// orderCommand adds an order or changes one.
func (w *World) orderCommand(dir string, args []string) (any, string, error) {
	if len(args) > 0 && args[0] == "add" {
		return w.addOrder(dir, args[1:])
	}
	if len(args) != 2 || args[0] != "release" && args[0] != "expire" {
		return nil, "", &ctlError{"order wants add, release NUMBER or expire NUMBER", ctlHelp}
	}
	orders := w.Server.Orders()
	n, err := strconv.Atoi(args[1])
	if err != nil || n < 1 || n > len(orders) {
		return nil, "", &ctlError{fmt.Sprintf("there is no order %q", args[1]), "`dynamod sim ctl state` numbers them"}
	}
	if args[0] == "release" {
		return nil, "", w.Server.Release(orders[n-1].MatchingID)
	}
	return nil, "", w.Server.Expire(orders[n-1].MatchingID)
}
