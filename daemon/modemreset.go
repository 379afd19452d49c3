package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"dynamod/daemon/hook"
)

var modemResetCommand = command{
	name:    "modem reset",
	summary: "take the card's power, switch the radio off and on, or restart the modem",
	about: `The link goes down meanwhile, and comes up again by itself. It asks first, or
takes --yes. --sim takes the card's power off and on, with the radio's where the
modem cannot do it alone, --radio the radio's, --modem starts the whole modem
again, each by its family's own commands. Refused while an activation uses it.`,
	example: "dynamod modem reset --sim\ndynamod modem reset --modem --yes",
	setup: func(fs *flag.FlagSet) action {
		var r resetVerb
		r.declare(fs)
		fs.BoolVar(&r.sim, "sim", false, "the card")
		fs.BoolVar(&r.radio, "radio", false, "the radio")
		fs.BoolVar(&r.modem, "modem", false, "the whole modem")
		fs.BoolVar(&r.yes, "yes", false, "do not ask")
		return r.run
	},
}

type resetVerb struct {
	reach
	sim, radio, modem, yes bool
}

func (r *resetVerb) run(ctx context.Context, args []string, s std) error {
	if err := noArgs("modem reset", args); err != nil {
		return err
	}
	var kinds []string
	for kind, asked := range map[string]bool{hook.ResetSIM: r.sim, hook.ResetRadio: r.radio, hook.ResetModem: r.modem} {
		if asked {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) != 1 {
		return usageError{errors.New("modem reset needs to be told what"), "one of --sim, --radio, --modem"}
	}
	kind := kinds[0]
	if !r.yes {
		if err := confirm(ctx, s, "modem reset", "", map[string]string{
			hook.ResetSIM:   "Take the card's power off and on? The link goes down meanwhile.",
			hook.ResetRadio: "Switch the radio off and on? The link goes down meanwhile.",
			hook.ResetModem: "Restart the modem? The link and the port go away meanwhile.",
		}[kind], "nothing was reset"); err != nil {
			return err
		}
	}
	return r.atBench(ctx, s, func(c *hook.Client) error {
		_, err := tellAfter(ctx, s, c, r.json, "POST", "/v1/modem/reset", hook.ModemResetRequest{Kind: kind, Confirm: true}, writeModemReset)
		return err
	})
}

func writeModemReset(w io.Writer, r hook.ModemReset) {
	fmt.Fprintf(w, "%s is back after %.1f s (%s)\n", map[string]string{hook.ResetSIM: "the card", hook.ResetRadio: "the radio", hook.ResetModem: "the modem", hook.ResetPower: "the modem"}[r.Kind], r.ElapsedMS/1000, clean(r.Done, ""))
	row := rower(w, 5)
	row("port", r.Port)
	row("SIM", r.SIM+prefix(", ICCID ", r.ICCID))
	fmt.Fprintln(w, "the link comes up by itself: `dynamod status --watch`")
}

var modemTraceCommand = command{
	name:    "modem trace",
	summary: "show the AT commands and answers as they go, until Ctrl-C",
	about: `">" goes to the modem, "<" comes from it. Secrets are left out, and identities
shortened. A reader that is too slow misses lines, and is told how many; the modem
never waits for it.`,
	example: "dynamod modem trace\ndynamod modem trace --json >trace.jsonl",
	setup: func(fs *flag.FlagSet) action {
		var r reach
		r.declare(fs)
		return func(ctx context.Context, args []string, s std) error {
			if err := noArgs("modem trace", args); err != nil {
				return err
			}
			return r.do(ctx, s, func(c *hook.Client) error { return trace(ctx, s, c, r.json) })
		}
	},
}

func trace(ctx context.Context, s std, c *hook.Client, asJSON bool) error {
	last := uint64(0)
	err := c.Trace(ctx, func(l hook.TraceLine) bool {
		if asJSON {
			return printJSON(s.out, l) == nil
		}
		if last != 0 && l.Seq > last+1 {
			if _, err := fmt.Fprintf(s.out, "%12s - %d lines missed\n", "", l.Seq-last-1); err != nil {
				return false
			}
		}
		last = l.Seq
		sign, ok := map[string]string{"sent": ">", "received": "<"}[l.Kind]
		if !ok {
			sign = "-"
		}
		_, err := fmt.Fprintf(s.out, "%s %s %s\n", l.Time.Local().Format("15:04:05.000"), sign, clean(l.Line, "\t"))
		return err == nil
	})
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault{exitFailed, "the daemon has ended", ""}
	}
	return err
}
