package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"dynamod/configs/cosa"
	"dynamod/configs/cosa/importer"
	"dynamod/daemon/config"
	"dynamod/daemon/hook"
)

// apnCommand is the family of verbs about operator settings. lookup, list and
// import need neither a daemon nor a modem.
var apnCommand = command{
	name:    "apn",
	summary: "which APN, and why; operator settings of your own",
	about: `The settings are the built-in database with the files of operators.d over it,
see [operators] in the configuration.`,
	example: "dynamod apn explain\ndynamod apn lookup --mccmnc 311480\ndynamod apn import apns-conf.xml --out my.json",
	verbs:   []command{apnExplainCommand, apnLookupCommand, apnListCommand, apnImportCommand},
}

// operatorFlags find operators.d.
type operatorFlags struct {
	configFlags
	dir string
	// networkAssigned is [bearer] network_assigned, once load has read it.
	networkAssigned bool
}

func (o *operatorFlags) declare(fs *flag.FlagSet) {
	o.configFlags.declare(fs)
	fs.StringVar(&o.dir, "operators", "", "`DIR` of operators files in place of the configured one")
}

// load reads what the verbs of apn search. A bad file of operators.d is named
// on stderr and left out.
func (o *operatorFlags) load(s std) (*cosa.DB, error) {
	dir := o.dir
	o.networkAssigned = config.Default().Bearer.NetworkAssigned
	if dir == "" {
		cfg, err := o.loadOrDefault()
		if err != nil {
			return nil, err
		}
		dir, o.networkAssigned = cfg.Operators.Dir, cfg.Bearer.NetworkAssigned
	} else if _, err := os.ReadDir(dir); err != nil {
		return nil, fmt.Errorf("cannot read --operators: %w", err)
	}
	db, problems, err := importer.Load(dir)
	for _, p := range problems {
		if !p.Partial { // `dynamod check` tells those
			fmt.Fprintln(s.err, "warning: "+clean(p.Error(), "\n"))
		}
	}
	return db, err
}

var apnLookupCommand = command{
	name:    "apn lookup",
	summary: "what the operator settings say for a SIM, and why",
	about: `Give what is known of the SIM; a condition on a fact that is not given fails, as
it does for one that a card does not have. Of --imsi without --mccmnc the first
six digits are looked up, then the first five. [apn] of the configuration, what
worked last for an ICCID and the modem's own context are not looked at, and what
a modem with one context alone leaves out is told by "apn explain". Where no
record matches the exit code is 5; the empty APN, if [bearer] network_assigned
allows it, is then the only try.`,
	example: "dynamod apn lookup --mccmnc 311480\ndynamod apn lookup --imsi 311480123456789 --roaming domestic --json",
	setup: func(fs *flag.FlagSet) action {
		var l apnLookup
		l.declare(fs)
		fs.StringVar(&l.sim.MCCMNC, "mccmnc", "", "home network, five or six `DIGITS`: 26201, 310260")
		fs.StringVar(&l.sim.IMSI, "imsi", "", "IMSI, 6 to 15 `DIGITS`")
		fs.StringVar(&l.sim.ICCID, "iccid", "", "ICCID, 18 to 20 `DIGITS`")
		fs.StringVar(&l.sim.SPN, "spn", "", "service provider `NAME`")
		fs.StringVar(&l.sim.GID1, "gid1", "", "group identifier 1 in `HEX`")
		fs.StringVar(&l.sim.GID2, "gid2", "", "group identifier 2 in `HEX`")
		fs.StringVar(&l.sim.PNN, "pnn", "", "network `NAME` of the card's EF_PNN")
		fs.Var(&l.roaming, "roaming", "as while roaming abroad; with \"domestic\" behind it, as on another network of the home\ncountry; with \"abroad\" or \"home\" as there")
		fs.BoolVar(&l.json, "json", false, "print one JSON object")
		return func(ctx context.Context, args []string, s std) error {
			l.given = map[string]bool{}
			fs.Visit(func(f *flag.Flag) { l.given[f.Name] = true })
			return l.run(ctx, args, s)
		}
	},
}

type apnLookup struct {
	operatorFlags
	given   map[string]bool // the flags that are there
	sim     cosa.SIM
	roaming roamingFlag
	json    bool
}

// roamingFlag is --roaming, --roaming=domestic or --roaming domestic. What it
// cannot be is told by check: package flag would call it a bad boolean.
type roamingFlag struct {
	state cosa.RoamState
	bare  bool // without "=": the place may be the next word
	bad   bool
}

func (r *roamingFlag) IsBoolFlag() bool { return true }
func (r *roamingFlag) String() string   { return "" }
func (r *roamingFlag) Set(s string) error {
	state, ok := map[string]cosa.RoamState{
		"true": cosa.International, "abroad": cosa.International, "domestic": cosa.Domestic, "false": cosa.Home, "home": cosa.Home,
	}[s]
	*r = roamingFlag{state, s == "true", !ok}
	return nil
}

func (l *apnLookup) run(_ context.Context, args []string, s std) error {
	if l.roaming.bare && len(args) == 1 {
		_ = l.roaming.Set(args[0])
		args = nil
	}
	if err := noArgs("apn lookup", args); err != nil {
		return err
	}
	if err := l.check(); err != nil {
		return usageError{err, "`dynamod apn lookup --help` shows what each looks like"}
	}
	db, err := l.load(s)
	if err != nil {
		return err
	}
	why, decision := db.Rationale(l.sim), db.Match(l.sim)
	list, err := l.candidates(decision)
	attach, _ := decision.Candidates(cosa.Request{Roaming: cmp.Or(l.roaming.state, cosa.Home), Purpose: cosa.Attach})
	if l.json {
		out := apnLookupJSON{Rationale: why, Candidates: apnCandidates(list, l.roams()), Attach: apnCandidates(attach, l.roams())}
		if perr := printJSON(s.out, out); perr != nil {
			return perr
		}
		if err != nil {
			return fault{code: exitFailed}
		}
		return nil
	}
	for _, line := range why.Lines() {
		if err == nil || why.Outcome != cosa.Unmatched || !strings.HasPrefix(line, cosa.ErrNoMatch.Error()) { // the error says it
			fmt.Fprintln(s.out, clean(line, ""))
		}
	}
	if len(list) > 0 {
		writeCandidates(s.out, apnCandidates(list, l.roams()))
	}
	if err != nil {
		return err
	}
	for _, c := range apnCandidates(attach, l.roams()) {
		fmt.Fprintf(s.out, "attach: %s\n", clean(strings.Join(fields(apnShown(c.APN), c.IPType, c.Auth), ", "), ""))
	}
	return nil
}

// candidates lists what the daemon would try without [apn], a last good
// connection and a context of the modem's own. There may be an empty APN to try
// beside the error that no record matches.
func (l *apnLookup) candidates(decision cosa.Decision) ([]cosa.Candidate, error) {
	list, err := decision.Candidates(cosa.Request{Roaming: cmp.Or(l.roaming.state, cosa.Home), NetworkAssigned: l.networkAssigned})
	return list, cmp.Or(err, decision.Err())
}

// roams tells whether the connections' roaming IP types count.
func (l *apnLookup) roams() bool { return l.roaming.state > cosa.Home }

// check reports the flags that cannot be what they are called.
func (l *apnLookup) check() error {
	digits := func(flag, s string, lo, hi int) error {
		if s != "" && (len(s) < lo || len(s) > hi || strings.Trim(s, "0123456789") != "") {
			return fmt.Errorf("--%s is not %d to %d digits", flag, lo, hi)
		}
		return nil
	}
	for _, name := range []string{"mccmnc", "imsi", "iccid", "spn", "gid1", "gid2", "pnn"} {
		if l.given[name] && strings.TrimSpace(map[string]string{
			"mccmnc": l.sim.MCCMNC, "imsi": l.sim.IMSI, "iccid": l.sim.ICCID, "spn": l.sim.SPN, "gid1": l.sim.GID1, "gid2": l.sim.GID2, "pnn": l.sim.PNN,
		}[name]) == "" {
			return fmt.Errorf("--%s is empty: leave it out where the card does not give it", name)
		}
	}
	if l.roaming.bad {
		return errors.New("--roaming is home, domestic or abroad; alone it means abroad")
	}
	l.sim.ICCID = strings.TrimRight(l.sim.ICCID, "Ff")
	for _, err := range []error{
		digits("mccmnc", l.sim.MCCMNC, 5, 6), digits("imsi", l.sim.IMSI, 6, 15), digits("iccid", l.sim.ICCID, 18, 20),
	} {
		if err != nil {
			return err
		}
	}
	for flag, s := range map[string]string{"gid1": l.sim.GID1, "gid2": l.sim.GID2} {
		if strings.Trim(s, "0123456789abcdefABCDEF") != "" {
			return fmt.Errorf("--%s is not hex", flag)
		}
	}
	if l.sim.IMSI != "" && !strings.HasPrefix(l.sim.IMSI, l.sim.MCCMNC) {
		return errors.New("--imsi does not begin with --mccmnc: a SIM's IMSI begins with its home network")
	}
	if l.sim.MCCMNC == "" && l.sim.IMSI == "" && l.sim.ICCID == "" {
		return errors.New("nothing to look up: give --mccmnc, --imsi or --iccid")
	}
	return nil
}

// apnLookupJSON is what `apn lookup --json` prints.
type apnLookupJSON struct {
	cosa.Rationale
	Candidates []hook.APNCandidate `json:"candidates"` // for internet, in the order in which they are tried; of an unmatched SIM at most the empty APN
	Attach     []hook.APNCandidate `json:"attach"`     // for the attach; none means that the modem decides
}

// apnCandidates are connections as /v1/apn has them, without their passwords.
func apnCandidates(list []cosa.Candidate, roaming bool) []hook.APNCandidate {
	out := []hook.APNCandidate{}
	for _, c := range list {
		auth, user, _ := c.Connection.Credentials()
		a := hook.APNCandidate{
			APN: c.Connection.APN, Name: c.Connection.FriendlyName, IPType: c.Connection.EffectiveIPType(roaming).String(),
			Auth: auth.String(), Username: user, Plan: c.Connection.Plan, Source: c.Source.String(), Reason: c.Reason,
		}
		if c.Profile != nil {
			a.Operator = c.Profile.Name
		}
		out = append(out, a)
	}
	return out
}

func apnShown(apn string) string {
	if apn == "" {
		return `""`
	}
	return apn
}

func writeCandidates(w io.Writer, list []hook.APNCandidate) {
	rows := [][]string{{"TRY", "APN", "IP", "AUTH", "USER", "PLAN", "OPERATOR", "NAME"}}
	for i, c := range list {
		rows = append(rows, []string{strconv.Itoa(i + 1), apnShown(c.APN), c.IPType, c.Auth, c.Username, c.Plan, c.Operator, c.Name})
	}
	writeTable(w, rows)
}
