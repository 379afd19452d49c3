package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

var activateCommand = command{
	name:    "activate",
	args:    "[-]",
	summary: "install a profile with an activation code and bring its link up",
	about: `The code, such as LPA:1$smdp.example.com$MATCHING-ID, is typed at a prompt, comes
on standard input (- or a pipe), or in a file. It is never an argument, because
arguments show in the shell's history and in ps. An order that is bound to this
card needs none: it is found with --discover, --default-smdp or --smdp, and only
if that is asked for. The daemon carries the activation out; it goes on when
this command is interrupted or its line drops.`,
	example: "dynamod activate\ndynamod activate --code-file /root/code.txt --yes --json\ndynamod activate --discover --yes",
	setup: func(fs *flag.FlagSet) action {
		var a activate
		a.declare(fs)
		fs.StringVar(&a.codeFile, "code-file", "", "read the activation code from a `FILE`")
		fs.BoolVar(&a.request.Discover, "discover", false, "without a code: ask a discovery server (SM-DS) for the profile that waits for this card")
		fs.StringVar(&a.request.SMDS, "smds", "", "with --discover: this server and no other, a host `NAME`")
		fs.BoolVar(&a.request.DefaultSMDP, "default-smdp", false, "without a code: ask the SM-DP+ whose address the card holds")
		fs.StringVar(&a.request.SMDP, "smdp", "", "without a code: ask this SM-DP+, a host `NAME`")
		fs.BoolVar(&a.request.IgnoreSurplus, "ignore-surplus", false, "leave out what a code of a later version has behind its fifth field")
		fs.StringVar(&a.confirmationFile, "confirmation-code-file", "", "read the confirmation code, which some orders need, from a `FILE`")
		fs.BoolVar(&a.request.Consent, "consent", false, "install whatever profile the code gives, do not ask")
		fs.BoolVar(&a.request.Consent, "yes", false, "the same as --consent")
		fs.BoolVar(&a.request.Again, "again", false, "ask the server once more for an order that it has refused for good")
		fs.BoolVar(&a.request.NoWayBack, "no-way-back", false, "also install a profile that can never be disabled again (policy rule PPR1)")
		fs.BoolVar(&a.request.AcceptLimited, "accept-limited", false, "keep a new profile that only reaches a portal, as to top it up there")
		fs.BoolVar(&a.request.KeepTrying, "keep-trying", false, "where no profile was enabled before: keep the new one and go on trying")
		fs.BoolVar(&a.noEnable, "no-enable", false, "install the profile and leave it disabled")
		fs.StringVar(&a.apn.APN, "apn", "", "connect to this access point `NAME` and to no other")
		fs.StringVar(&a.apn.Username, "apn-user", "", "with --apn: user `NAME`")
		fs.StringVar(&a.apnPasswordFile, "apn-password-file", "", "with --apn: read the password from a `FILE`")
		fs.StringVar(&a.apn.Auth, "apn-auth", "", "with --apn: `METHOD` none, pap or chap; without it chap, then pap")
		fs.StringVar(&a.apn.IPType, "apn-type", "", "with --apn: ipv4, ipv6 or ipv4v6, the `TYPE` that is asked for first")
		fs.DurationVar(&a.deadline, "deadline", 0, "`TIME` from the switch to traffic, after which it goes back, such as 5m")
		fs.StringVar(&a.key, "key", "", "idempotency `KEY`: the same one always names the same activation")
		fs.BoolVar(&a.cancel, "cancel", false, "give up the activation that is under way, as long as no profile is on the card")
		fs.BoolVar(&a.noWait, "no-wait", false, "return when the daemon has accepted it")
		return a.run
	},
}

type activate struct {
	reach
	request          hook.ActivationRequest
	codeFile         string
	confirmationFile string
	apn              activation.APN
	apnPasswordFile  string
	deadline         time.Duration
	key              string
	noWait, cancel   bool
	noEnable         bool
}

func (a *activate) run(ctx context.Context, args []string, s std) error {
	if len(args) > 1 || len(args) == 1 && args[0] != "-" {
		return usageError{errors.New("an activation code is not taken as an argument: it would show in the shell's history and in ps"),
			"type it at the prompt of `dynamod activate`, pipe it into `dynamod activate -`, or use --code-file FILE"}
	}
	if a.noWait && a.direct {
		return usageError{errors.New("--no-wait and --direct exclude each other"), "without a daemon nobody would carry it out"}
	}
	if a.deadline < 0 {
		return usageError{errors.New("--deadline is negative"), "for example --deadline 5m"}
	}
	if a.cancel {
		if len(args) > 0 || a.codeFile != "" || a.direct {
			return usageError{errors.New("--cancel stands alone"), "`dynamod activate --cancel` gives up what is under way"}
		}
		return a.do(ctx, s, func(c *hook.Client) error { return a.giveUp(ctx, c, s) })
	}
	without, err := a.withoutCode(len(args) == 1)
	if err != nil {
		return err
	}
	tty, _ := openTerminal(s.in)
	if tty != nil {
		defer tty.Close()
	}
	var code euicc.ActivationCode
	if !without {
		if code, err = a.code(ctx, s, tty, len(args) == 1); err != nil {
			return err
		}
		a.request.Code = code.Reveal()
	}
	if a.confirmationFile != "" {
		if a.request.ConfirmationCode, err = readSecret(a.confirmationFile, s.err); err != nil {
			return err
		}
	}
	if tty == nil && !a.noWait {
		// Asked before the order is touched: the card would wait for an answer in vain.
		if !a.request.Consent {
			return usageError{errors.New("there is no terminal to ask for consent on"), "--yes installs whatever profile the code gives"}
		}
		if code.ConfirmationRequired && a.request.ConfirmationCode == "" {
			return usageError{errors.New("this order needs a confirmation code, and there is no terminal to ask for it on"), "--confirmation-code-file FILE"}
		}
	}
	if a.noEnable {
		a.request.Enable = new(bool)
	}
	a.request.DeadlineSeconds = int((a.deadline + time.Second - 1) / time.Second)
	if err := a.readAPN(); err != nil {
		return err
	}
	if a.key == "" {
		a.key = "cli-" + rand.Text()
	}
	return a.do(ctx, s, func(c *hook.Client) error { return a.submit(ctx, c, s, tty) })
}

// readAPN makes the request's connection of the flags for it.
func (a *activate) readAPN() error {
	if a.apn.APN == "" {
		if a.apn != (activation.APN{}) || a.apnPasswordFile != "" {
			return usageError{errors.New("flags that begin with --apn- need --apn"), "for example --apn internet --apn-user web --apn-password-file FILE"}
		}
		return nil
	}
	if a.apnPasswordFile != "" {
		var err error
		if a.apn.Password, err = config.ReadSecret(a.apnPasswordFile); err != nil {
			return err
		}
	}
	a.request.APN = &a.apn
	return nil
}

func (a *activate) submit(ctx context.Context, c *hook.Client, s std, tty *terminal) error {
	var rec activation.Record
	err := c.Do(ctx, http.MethodPost, "/v1/activations", http.Header{"Idempotency-Key": {a.key}}, a.request, &rec)
	given := hook.AnswerRequest{ConfirmationCode: a.request.ConfirmationCode}
	if a.request.Consent {
		given.Consent = &a.request.Consent
	}
	if a.request.NoWayBack {
		given.NoWayBack = &a.request.NoWayBack
	}
	a.request.Code, a.request.ConfirmationCode, a.request.APN = "", "", nil
	if err != nil {
		return err
	}
	if a.noWait {
		if a.json {
			return printJSON(s.out, rec)
		}
		fmt.Fprintf(s.out, "accepted as %s; `dynamod status` shows how it goes\n", rec.ID)
		return nil
	}
	f := &follower{client: c, id: rec.ID, direct: a.direct, tty: tty, given: given}
	if a.json {
		f.show = &jsonNarrator{w: s.out}
	} else {
		f.show = newNarrator(s.err, s.out)
	}
	if rec.Ended != nil {
		f.before = true
		f.show.note("this order was activated before")
		return f.ended(ctx)
	}
	return f.follow(ctx)
}

// giveUp cancels the activation that is under way.
func (a *activate) giveUp(ctx context.Context, c *hook.Client, s std) error {
	run, err := underWay(ctx, c)
	if err != nil {
		return err
	}
	if err := c.Do(ctx, http.MethodDelete, "/v1/activations/"+run.ID, nil, nil, nil); err != nil {
		return err
	}
	if a.json {
		return printJSON(s.out, map[string]string{"id": run.ID, "done": "cancelled"})
	}
	fmt.Fprintf(s.out, "cancelled %s\n", run.ID)
	return nil
}

// underWay is the activation that is under way.
func underWay(ctx context.Context, c *hook.Client) (*status.Run, error) {
	var snap status.Snapshot
	if err := c.Do(ctx, http.MethodGet, "/v1/status", nil, nil, &snap); err != nil {
		return nil, err
	}
	if snap.Run == nil || snap.Run.Ended != nil {
		return nil, fault{exitRefused, "no activation is under way", "`dynamod log` shows the last ones"}
	}
	return snap.Run, nil
}

// code gets the activation code from where the command line says.
func (a *activate) code(ctx context.Context, s std, tty *terminal, stdin bool) (euicc.ActivationCode, error) {
	var (
		text string
		err  error
	)
	switch {
	case a.codeFile != "":
		text, err = readSecret(a.codeFile, s.err)
	case stdin || !isTerminal(s.in):
		text, err = readLine(s.in, "standard input")
	case tty == nil:
		err = fault{exitWaiting, "the terminal cannot be opened", "use --code-file FILE, or pipe the code into `dynamod activate -`"}
	default:
		if err = a.knock(ctx); err != nil {
			return euicc.ActivationCode{}, err
		}
		text, err = tty.Ask(ctx, "Activation code (not shown): ", false)
	}
	if err != nil {
		return euicc.ActivationCode{}, err
	}
	code, surplus, err := euicc.ParseLaterActivationCode(text)
	if err == nil && surplus > 0 && !a.request.IgnoreSurplus {
		_, err = euicc.ParseActivationCode(text)
	}
	if err != nil {
		hint := "an activation code looks like LPA:1$smdp.example.com$MATCHING-ID"
		if errors.Is(err, euicc.ErrSurplusFields) {
			hint += "; --ignore-surplus leaves out what a code of a later version has behind its fifth field"
		}
		return code, fault{exitRefused, err.Error(), hint}
	}
	return code, nil
}

// withoutCode reports whether the profile is to be found without a code, and
// checks that it is to be found in one way.
func (a *activate) withoutCode(stdin bool) (bool, error) {
	var ways []string
	for way, given := range map[string]bool{
		"--discover": a.request.Discover, "--default-smdp": a.request.DefaultSMDP, "--smdp": a.request.SMDP != "",
		"--code-file": a.codeFile != "", "-": stdin,
	} {
		if given {
			ways = append(ways, way)
		}
	}
	slices.Sort(ways)
	if len(ways) > 1 {
		return false, usageError{errors.New(strings.Join(ways, " and ") + " exclude each other"), "a profile is found in one way"}
	}
	if a.request.SMDS != "" && !a.request.Discover {
		return false, usageError{errors.New("--smds needs --discover"), "for example --discover --smds smds.example.com"}
	}
	for _, address := range []string{a.request.SMDS, a.request.SMDP} {
		if address == "" {
			continue
		}
		if _, err := euicc.ParseAddress(address); err != nil {
			return false, usageError{err, "a host name such as smdp.example.com"}
		}
	}
	return a.request.Discover || a.request.DefaultSMDP || a.request.SMDP != "", nil
}

// knock finds out that no daemon answers before somebody has typed a long code.
func (a *activate) knock(ctx context.Context) error {
	if a.direct {
		return nil
	}
	path, err := a.socketPath()
	if err != nil {
		return err
	}
	return hook.Dial(path).Do(ctx, http.MethodGet, "/healthz", nil, nil, nil)
}

// maxSecret bounds a file or pipe that a code is read from.
const maxSecret = 1024

// readSecret reads a file with one line. It warns of a file that everybody
// can read, but takes it: the code in it may have come on paper.
func readSecret(path string, warnings io.Writer) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("cannot read the code: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0 {
		fmt.Fprintf(warnings, "warning: everybody can read %s, chmod 600 it\n", clean(path, ""))
	}
	return readLine(f, path)
}

// readLine reads the only line of a stream.
func readLine(r io.Reader, name string) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("cannot read the code: %w", err)
	}
	line := strings.TrimSpace(string(bytes.TrimPrefix(text, []byte("\ufeff"))))
	switch {
	case line == "":
		return "", fault{exitRefused, name + " holds no code", "it holds one line with nothing but the code"}
	case len(text) > maxSecret || strings.ContainsAny(line, "\r\n"):
		return "", fault{exitRefused, name + " holds more than one line", "it holds one line with nothing but the code"}
	}
	return line, nil
}
