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
	"time"

	"dynamod/daemon/demo"
	"dynamod/euicc"
)

func init() { extra = append(extra, demoCommand, simCommand, simDynamoCommand, simCtlCommand) }

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

var demoCommand = command{
	name:    "demo",
	summary: "run the whole story on the built-in simulators",
	about: "A simulated modem, eUICC, SM-DP+ and operator's network are started, an activation code is given to the daemon, " +
		"and the demo succeeds when traffic has crossed the new link. Root is not needed where user namespaces are allowed. " +
		"The other stories are told on a box whose earlier profile carries its only link; they succeed when the box can be reached in the end. " + stories(),
	example: "dynamod demo\ndynamod demo --story dynamo\ndynamod demo --story rollback\ndynamod demo --raw-ip --dialect generic --json",
	setup: func(fs *flag.FlagSet) action {
		s := demo.Story{}
		var upp list
		fs.StringVar(&s.Name, "story", "", "`NAME` of another story: rollback, powercut, unplug, dynamo")
		fs.BoolVar(&s.JSON, "json", false, "print one JSON object at the end and nothing else")
		fs.Var(&upp, "upp", "`FILE` with an unprotected profile package (DER), in place of the built-in one")
		fs.StringVar(&s.Dialect, "dialect", "", dialectUsage())
		fs.BoolVar(&s.RawIP, "raw-ip", false, "the modem's interface is raw IP (TUN) with addresses from +CGCONTRDP, not Ethernet with DHCP")
		fs.BoolVar(&s.Verbose, "verbose", false, "log everything to standard error, AT commands included")
		return func(ctx context.Context, args []string, o std) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("demo takes no arguments, got %q", args[0]), "dynamod demo --help"}
			}
			if err := pickDialect(&s.Dialect, s.RawIP); err != nil {
				return err
			}
			s.UPP, s.Version, s.Floor, s.Out, s.Err = upp, version, floor(), o.out, o.err
			s.Args = again("demo", fs)
			ctx, done := context.WithTimeout(ctx, 10*time.Minute)
			defer done()
			return demo.Run(ctx, s)
		}
	},
}

// stories lists what demo tells beside its main story.
func stories() string {
	var out []string
	for _, s := range demo.Stories() {
		out = append(out, s[0]+": "+s[1])
	}
	return strings.Join(out, ". ")
}

var simCommand = command{
	name:    "sim",
	summary: "keep the simulators running for outside clients",
	about: "DIR gets modem (the AT port), ci.pem, dynamod.toml (a ready configuration), lab.json (addresses, activation codes, " +
		"and `enter`, a command that runs a program on the lab's router) and ctl.sock, see `dynamod sim ctl`. " +
		"It runs until it is interrupted",
	example: "dynamod sim --dir /tmp/lab",
	setup: func(fs *flag.FlagSet) action {
		s := demo.Sim{}
		var upp list
		fs.StringVar(&s.Dir, "dir", "", "`DIR` for the lab's files")
		fs.Var(&upp, "upp", "`FILE` with an unprotected profile package (DER); may be repeated")
		fs.StringVar(&s.Dialect, "dialect", "", dialectUsage())
		fs.BoolVar(&s.RawIP, "raw-ip", false, "the modem's interface is raw IP (TUN)")
		fs.StringVar(&s.SMDP, "smdp", "", "`HOST:PORT` of the SM-DP+ for clients on this machine (default: a free port on 127.0.0.1)")
		fs.StringVar(&s.SMDS, "smds", "", "`HOST:PORT` of the SM-DS for clients on this machine (default: a free port on 127.0.0.1)")
		fs.StringVar(&s.CI, "ci", "", "`FILE` with the certificate issuer's certificate (PEM), in place of a new one")
		fs.StringVar(&s.CIKey, "ci-key", "", "`FILE` with the certificate issuer's private key (PEM)")
		fs.BoolVar(&s.Keep, "keep", false, "keep the card's memory in DIR/card.json and all certificates and keys in DIR/identities for the next run; files that are there already, also somebody else's, are used")
		fs.Var((*list)(&s.CardOptions), "card", "`KEY=VALUE` of the card; may be repeated: version=2.2, nvm=BYTES, max-lc=N, get-response=yes, strict-segments=yes, forbidden=1+2 (policy rules)")
		fs.BoolVar(&s.SingleUplink, "single-uplink", false, "the router has no other uplink than the modem")
		fs.IntVar(&s.Baud, "baud", 0, "slow the AT port down to `N` bit/s")
		fs.DurationVar(&s.APDUDelay, "apdu-delay", 0, "`TIME` that the card takes for each APDU")
		fs.DurationVar(&s.RTT, "rtt", 0, "round trip `TIME` to the SM-DP+")
		fs.IntVar(&s.Bandwidth, "bandwidth", 0, "`BITS` per second to and from the SM-DP+")
		verbose := fs.Bool("verbose", false, "log everything to standard error")
		return func(ctx context.Context, args []string, o std) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("sim takes no arguments, got %q", args[0]), "dynamod sim --help, or dynamod sim ctl --help"}
			}
			if err := pickDialect(&s.Dialect, s.RawIP); err != nil {
				return err
			}
			if (s.CI == "") != (s.CIKey == "") {
				return usageError{fmt.Errorf("--ci and --ci-key go together"), "dynamod sim --help"}
			}
			if s.Keep && s.CI != "" {
				return usageError{errors.New("--ci and --keep exclude each other"), "put the issuer's files into DIR/identities as ci.pem and ci.key.pem"}
			}
			if *verbose {
				s.Log = slog.New(slog.NewTextHandler(o.err, &slog.HandlerOptions{Level: slog.LevelDebug}))
			}
			s.UPP, s.Out, s.Err, s.Args = upp, o.out, o.err, again("sim", fs)
			return demo.RunSim(ctx, s)
		}
	},
}

var simDynamoCommand = command{
	name:    "sim dynamo",
	summary: "keep an operator's API and portal running, and the directory service in front",
	about: "DIR gets dynamo.json (addresses), dynamo-ca.pem and token; what a router's configuration needs for `dynamod balance` is printed. " +
		"The operator's API wants the service's client certificate, as operators do. The portal sells to the lines that are there; " +
		"it orders no new profiles. It runs until it is interrupted",
	example: "dynamod sim dynamo --dir /tmp/dynamo --iccid 8900101000000000019 --mb 100",
	setup: func(fs *flag.FlagSet) action {
		s := demo.DynamoSim{}
		var iccids list
		fs.StringVar(&s.Dir, "dir", "", "`DIR` for the files")
		fs.StringVar(&s.Listen, "listen", "", "`HOST:PORT` of the directory service (default: a free port on 127.0.0.1)")
		fs.Var(&iccids, "iccid", "`ICCID` of a line of the operator; may be repeated")
		fs.Float64Var(&s.MB, "mb", 1024, "`MEGABYTES` that each line has left")
		fs.BoolVar(&s.Postpaid, "postpaid", false, "the lines have contracts, and no number to count")
		verbose := fs.Bool("verbose", false, "log everything to standard error")
		return func(ctx context.Context, args []string, o std) error {
			if err := noArgs("sim dynamo", args); err != nil {
				return err
			}
			for _, text := range iccids {
				iccid, err := euicc.ParseICCID(text)
				if err != nil {
					return usageError{err, "18 to 20 digits"}
				}
				s.ICCIDs = append(s.ICCIDs, iccid.String())
			}
			if len(s.ICCIDs) == 0 {
				return usageError{errors.New("sim dynamo needs a line"), "dynamod sim dynamo --dir DIR --iccid ICCID"}
			}
			if *verbose {
				s.Log = slog.New(slog.NewTextHandler(o.err, &slog.HandlerOptions{Level: slog.LevelDebug}))
			}
			s.Out = o.out
			return demo.RunDynamo(ctx, s)
		}
	},
}

var simCtlCommand = command{
	name:    "sim ctl",
	args:    "COMMAND",
	summary: "tell a running lab how to behave, and look at it",
	about: "`faults` lists what modem, card, server (SM-DP+), smds and network can do wrong. A fault of modem or server acts until it is cleared, " +
		"or as often as `times` says; one of the card acts once, or as often as `times` says, from the command on that `at` counts. " +
		"`tag` aims it at a function of the card (its first block; with block=last the one that executes it), `function` at one of a server, `command` at an AT command. " +
		"`network credit` has a line's traffic counted from so many megabytes on: without any it is in the walled garden of `network garden`, its session as it was. " +
		"`until` lets a fault of the modem end by itself: card, radio, restart or power, whatever starts so much of it again, or port, when one is opened. " +
		"`order add` takes upp=FILE, icon=FILE, name=, eid=card or EID, discover=inside or outside (an event at the SM-DS), confirm=yes, held=yes, " +
		"oid=yes, session-keys=yes, pin=yes (1234), rebind=reuse, new, same-key or final, attempts=, confirmations=, expires=TIME, class= and ppr=1,2",
	example: `dynamod sim ctl --dir /tmp/lab state
dynamod sim ctl --dir /tmp/lab faults card
dynamod sim ctl --dir /tmp/lab card set status sw=6985 tag=BF38
dynamod sim ctl --dir /tmp/lab card set lost tag=BF38 block=last times=2
dynamod sim ctl --dir /tmp/lab card set no-memory
dynamod sim ctl --dir /tmp/lab card clear no-memory
dynamod sim ctl --dir /tmp/lab card reset
dynamod sim ctl --dir /tmp/lab server set drop-answer after=3000 times=1
dynamod sim ctl --dir /tmp/lab server set form 'slash=\/' lines=76 gzip=true
dynamod sim ctl --dir /tmp/lab server clear
dynamod sim ctl --dir /tmp/lab modem set late command=+CGLA delay=2s times=1
dynamod sim ctl --dir /tmp/lab modem set card-gone until=radio
dynamod sim ctl --dir /tmp/lab modem unplug for=5s
dynamod sim ctl --dir /tmp/lab modem replug
dynamod sim ctl --dir /tmp/lab network set no-data
dynamod sim ctl --dir /tmp/lab network credit 8900101000000000016 1.5
dynamod sim ctl --dir /tmp/lab network garden portal=http://pay.test/
dynamod sim ctl --dir /tmp/lab order add discover=inside held=yes
dynamod sim ctl --dir /tmp/lab order release 2
dynamod sim ctl --dir /tmp/lab order expire 2`,
	setup: func(fs *flag.FlagSet) action {
		dir := fs.String("dir", "", "`DIR` of the lab")
		asJSON := fs.Bool("json", false, "print the answer as JSON")
		return func(ctx context.Context, args []string, o std) error {
			switch {
			case *dir == "":
				return usageError{errors.New("sim ctl needs the lab's directory"), "dynamod sim ctl --dir DIR state"}
			case len(args) == 0:
				return usageError{errors.New("no command is given"), "dynamod sim ctl --help"}
			}
			result, text, err := demo.Control(ctx, *dir, args)
			if err != nil {
				return err
			}
			if text != "" && !*asJSON {
				_, err = fmt.Fprint(o.out, text)
				return err
			}
			if result == nil {
				return nil
			}
			return printRaw(o.out, result)
		}
	},
}

func dialectUsage() string {
	return "`NAME` of the simulated modem: " + strings.Join(demo.Dialects(), ", ") + " (default: quectel, with --raw-ip generic)"
}

// pickDialect fills in the modem that fits the interface, and refuses one that
// does not exist.
func pickDialect(name *string, rawIP bool) error {
	switch {
	case *name == "" && rawIP:
		*name = "generic"
	case *name == "":
		*name = "quectel"
	case *name == "quectel" && rawIP:
		return usageError{errors.New("a Quectel modem with a raw IP interface is dialled by QMI, not by AT"), "use --dialect generic, or leave --raw-ip out"}
	case !slices.Contains(demo.Dialects(), *name):
		return usageError{fmt.Errorf("unknown dialect %q", *name), "one of " + strings.Join(demo.Dialects(), ", ")}
	case *name != "generic" && rawIP:
		return usageError{fmt.Errorf("the simulated %s has an Ethernet-like interface", *name), "use --dialect generic, or leave --raw-ip out"}
	}
	return nil
}

// again is the command line that runs a verb once more with the same flags.
func again(verb string, fs *flag.FlagSet) []string {
	args := []string{verb}
	fs.Visit(func(f *flag.Flag) {
		if l, ok := f.Value.(*list); ok {
			for _, v := range *l {
				args = append(args, "--"+f.Name+"="+v)
			}
			return
		}
		args = append(args, "--"+f.Name+"="+f.Value.String())
	})
	return args
}
