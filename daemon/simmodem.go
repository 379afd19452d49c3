//go:build linux && !nodemo

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"

	"dynamod/daemon/demo"
)

func init() { extra = append(extra, simModemCommand) }

var simModemCommand = command{
	name:    "sim modem",
	summary: "run one simulated modem for outside programs, or list them",
	about: "The modem has an eUICC with an enabled profile in its slot and an operator who knows it; no traffic is behind it. " +
		"--list tells of each personality the model that it behaves as, its way to the eUICC (cgla, csim, blocked, none) and " +
		"where that is known from (documented, field, assumed); NOTE is what is not as on the model. ModemManager's test interface " +
		"(--test-enable, SetProfile) opens abstract sockets as abstract:NAME, and keeps that prefix in the name: give it here as well, " +
		"--abstract abstract:modem0. The modem runs until it is interrupted",
	example: "dynamod sim modem --list\ndynamod sim modem --pty /tmp/modem --dialect telit-le910\ndynamod sim modem --pty /tmp/modem --fault \"card pin-locked\"\ndynamod sim modem --abstract modem0 --dialect fibocom-fm350",
	setup: func(fs *flag.FlagSet) action {
		b := demo.Bench{}
		fs.StringVar(&b.PTY, "pty", "", "`PATH` of a link to the modem's pseudo-terminal")
		fs.StringVar(&b.Abstract, "abstract", "", "`NAME` of an abstract unix socket; each client gets a port of its own")
		fs.StringVar(&b.Dialect, "dialect", "generic", "`NAME` of the modem, one of --list")
		fs.Var((*list)(&b.Faults), "fault", "`LINE` with a fault that the modem or its card has from the start, as dynamod sim ctl sets it; may be repeated")
		show := fs.Bool("list", false, "list the modems that can be simulated")
		asJSON := fs.Bool("json", false, "with --list: print a JSON array")
		verbose := fs.Bool("verbose", false, "log everything to standard error")
		return func(ctx context.Context, args []string, o std) error {
			if err := noArgs("sim modem", args); err != nil {
				return err
			}
			switch {
			case *show && *asJSON:
				return printJSON(o.out, demo.Models())
			case *show:
				w := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "NAME\tMODEL\tPATH\tSOURCE\tNOTE")
				for _, m := range demo.Models() {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", m.Name, m.Model, m.Path, m.Source, m.Note)
				}
				return w.Flush()
			case *asJSON:
				return usageError{errors.New("--json goes with --list"), "dynamod sim modem --list --json"}
			case b.PTY == "" && b.Abstract == "":
				return usageError{errors.New("sim modem needs a place for its AT port"), "dynamod sim modem --pty PATH or --abstract NAME"}
			case !slices.Contains(demo.Dialects(), b.Dialect):
				return usageError{fmt.Errorf("unknown dialect %q", b.Dialect), "one of " + strings.Join(demo.Dialects(), ", ")}
			}
			b.Log, b.Out = slog.New(slog.DiscardHandler), o.out
			if *verbose {
				b.Log = slog.New(slog.NewTextHandler(o.err, &slog.HandlerOptions{Level: slog.LevelDebug}))
			}
			return demo.RunBench(ctx, b)
		}
	},
}
