package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"dynamod/atcmd"
	"dynamod/daemon/gateway"
	"dynamod/daemon/hook"
)

var modemATCommand = command{
	name:    "modem at",
	args:    "[COMMAND | -]",
	summary: "send AT commands and show what the modem answers",
	about: `COMMAND is one command. Without it they are asked for at a terminal, or read
from standard input, one a line; those that are piped in follow each other with
none of the daemon's in between. What carries a PIN, a password or an activation
code is never taken from the command line, where others see it. At the prompt,
a line that ends in "=" asks for the rest without showing it. What would fight
the daemon needs --force; data mode and message texts are not for this port. Held
off while an eSIM operation uses the modem. Not over the network.`,
	example: "dynamod modem at AT+CSQ\ndynamod modem at --timeout 3m AT+COPS=?\nprintf 'AT+CPIN=\"1234\"\\n' | dynamod modem at",
	setup: func(fs *flag.FlagSet) action {
		var a atVerb
		a.declare(fs)
		fs.DurationVar(&a.timeout, "timeout", 10*time.Second, "how long each command has")
		fs.BoolVar(&a.force, "force", false, "also what fights the daemon, such as AT+CFUN")
		return a.run
	},
}

type atVerb struct {
	reach
	timeout time.Duration
	force   bool
}

func (a *atVerb) run(ctx context.Context, args []string, s std) error {
	switch {
	case len(args) > 1:
		return usageError{fmt.Errorf("modem at takes one command, got %d", len(args)), "several are piped in, one a line"}
	case len(args) == 1 && args[0] != "-":
		text := strings.TrimSpace(args[0])
		if len(text) >= 2 && strings.EqualFold(text[:2], "AT") {
			text = text[2:]
		}
		if atcmd.CarriesSecret(text) {
			return usageError{errors.New("this command carries a secret, and others can see the command line"), "type it at the prompt of `dynamod modem at`, or pipe it in"}
		}
		return a.atBench(ctx, s, func(c *hook.Client) error { return a.send(ctx, s, c, args) })
	case len(args) == 0 && isTerminal(s.in):
		return a.atBench(ctx, s, func(c *hook.Client) error { return a.prompt(ctx, s, c) })
	}
	lines, err := readLines(ctx, s.in)
	if err != nil {
		return err
	}
	if len(lines) == 0 {
		return usageError{errors.New("there is no command on standard input"), "one a line, such as AT+CSQ"}
	}
	return a.atBench(ctx, s, func(c *hook.Client) error { return a.send(ctx, s, c, lines) })
}

// readLines reads the lines that are not empty.
func readLines(ctx context.Context, in io.Reader) (lines []string, err error) {
	sc := bufio.NewScanner(io.LimitReader(in, 1<<20))
	for sc.Scan() && ctx.Err() == nil {
		if line := strings.TrimSpace(sc.Text()); line != "" {
			lines = append(lines, line)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	return lines, ctx.Err()
}

// send sends commands and prints their answers as the modem gave them. The error
// is that of the last command which failed.
func (a *atVerb) send(ctx context.Context, s std, c *hook.Client, lines []string) error {
	var answers []hook.ATAnswer
	err := c.Do(ctx, "POST", "/v1/modem/at", nil, hook.ATRequest{Commands: lines, TimeoutSeconds: a.timeout.Seconds(), Force: a.force}, &answers)
	if err != nil {
		return err
	}
	if a.json {
		if err := printJSON(s.out, answers); err != nil {
			return err
		}
	}
	var failed error
	for _, answer := range answers {
		if !a.json {
			for _, line := range append(answer.Lines, fields(answer.Final)...) {
				fmt.Fprintln(s.out, clean(line, "\t"))
			}
		}
		if p := answer.Problem; p != nil {
			failed = fault{exitFailed, p.Text, p.Advice}
		}
	}
	if n := len(lines) - len(answers); n > 0 && failed != nil {
		failed = fault{exitFailed, failed.Error() + fmt.Sprintf("; %d more not sent", n), failed.(fault).hint}
	}
	return failed
}

// prompt asks for commands until Ctrl-D.
func (a *atVerb) prompt(ctx context.Context, s std, c *hook.Client) error {
	t, err := openTerminal(s.in)
	if err != nil {
		return err
	}
	defer t.Close()
	t.forget()
	t.Printf("One AT command a line, Ctrl-D ends.\n")
	for {
		line, err := t.Ask(ctx, "> ", true)
		if errors.As(err, new(fault)) {
			return nil // Ctrl-C, Ctrl-D
		}
		if err != nil {
			return err
		}
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if strings.HasSuffix(line, "=") {
			rest, err := t.Ask(ctx, "the rest (not shown): ", false)
			if err != nil {
				return nil
			}
			line += rest
		}
		if err := a.send(ctx, s, c, []string{line}); err != nil {
			if ctx.Err() != nil || errors.Is(err, hook.ErrNoDaemon) {
				return err
			}
			report(s, err)
		}
	}
}

var modemAPDUCommand = command{
	name:    "modem apdu",
	args:    "[HEX | -]",
	summary: "send command APDUs to the card and explain its answers",
	about: `An application is opened, the ISD-R of the eUICC without --aid, the commands are
sent on its channel, and the channel is closed, whatever happens. HEX is one
command APDU; without it they are read from standard input, one a line, in one
channel. Leave the channel's bits in CLA 0. What 61xx announces is fetched. APDUs
that hold a PIN are never taken from the command line. What would change profiles
past the daemon needs --force. Not over the network.`,
	example: "dynamod modem apdu 80E2910003BF2E00\ndynamod modem apdu --aid A0000000871002 00A40004026F07 <more.txt",
	setup: func(fs *flag.FlagSet) action {
		var a apduVerb
		a.declare(fs)
		fs.StringVar(&a.aid, "aid", "", "`HEX` of the application; the ISD-R without")
		fs.BoolVar(&a.force, "force", false, "also what changes profiles or a session")
		return a.run
	},
}

type apduVerb struct {
	reach
	aid   string
	force bool
}

func (a *apduVerb) run(ctx context.Context, args []string, s std) error {
	switch {
	case len(args) > 1:
		return usageError{fmt.Errorf("modem apdu takes one APDU, got %d", len(args)), "several are piped in, one a line"}
	case len(args) == 1 && args[0] != "-":
		if b, ok := gateway.ParseHex(args[0]); ok && len(b) >= 2 && atcmd.PINCommand(b[1]) {
			return usageError{errors.New("this APDU holds a PIN, and others can see the command line"), "pipe it in"}
		}
	default:
		if isTerminal(s.in) {
			return usageError{errors.New("modem apdu needs an APDU, or one a line on standard input"), "`dynamod modem apdu --help` shows an example"}
		}
		var err error
		if args, err = readLines(ctx, s.in); err != nil {
			return err
		}
		if len(args) == 0 {
			return usageError{errors.New("there is no APDU on standard input"), "one a line, such as 80E2910003BF2E00"}
		}
	}
	return a.atBench(ctx, s, func(c *hook.Client) error {
		var out hook.APDUAnswers
		if err := c.Do(ctx, "POST", "/v1/modem/apdu", nil, hook.APDURequest{AID: a.aid, Commands: args, Force: a.force}, &out); err != nil {
			return err
		}
		if a.json {
			if err := printJSON(s.out, out); err != nil {
				return err
			}
		}
		return a.write(s, out, len(args))
	})
}

func (a *apduVerb) write(s std, out hook.APDUAnswers, sent int) error {
	var failed error
	for _, r := range out.Answers {
		if !a.json {
			if r.Data != "" {
				fmt.Fprintln(s.out, clean(r.Data, ""))
			}
			if r.SW != "" {
				fmt.Fprintf(s.out, "%s  %s\n", clean(r.SW, ""), clean(r.Text, ""))
			}
		}
		switch {
		case r.Problem != nil:
			failed = fault{exitFailed, r.Problem.Text, r.Problem.Advice}
			if n := sent - len(out.Answers); n > 0 {
				failed = fault{exitFailed, r.Problem.Text + fmt.Sprintf("; %d more not sent", n), r.Problem.Advice}
			}
		case !r.OK:
			failed = fault{exitFailed, "the card answered " + r.SW, r.Advice}
		}
	}
	return failed
}
