//go:build !notui

package main

import (
	"context"
	"flag"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"dynamod/daemon/hook"
	"dynamod/daemon/tui"
)

func init() {
	extra = append(extra, tuiCommand)
	qrText = func(w io.Writer, text string) string {
		f, ok := w.(*os.File)
		if !ok {
			return ""
		}
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil { // no terminal
			return ""
		}
		return tui.QR(text, width, height, os.Getenv)
	}
}

var tuiCommand = command{
	name:    "tui",
	summary: "a screen for people: status, profiles, activation, APN, diagnosis, log, console",
	about: `It is a client of the daemon's socket, made for ssh -t and for serial consoles of
80x24 and 9600 baud. Where TERM or the locale promise no more it uses ASCII alone
(TERM=vt100, linux, dumb; a locale without UTF-8), and NO_COLOR switches colours
off. Leaving it stops nothing: an activation goes on in the daemon, and the next
screen shows it.`,
	example: "dynamod tui\nssh -t root@router dynamod tui\nTERM=vt100 dynamod tui",
	setup: func(fs *flag.FlagSet) action {
		var r reach
		r.configFlags.declare(fs)
		fs.StringVar(&r.socket, "socket", "", "the daemon's unix socket, a `PATH`; without it the configured one")
		return func(ctx context.Context, args []string, s std) error {
			if err := noArgs("tui", args); err != nil {
				return err
			}
			in, out := terminalOf(s)
			if in == nil {
				return fault{exitWaiting, "there is no terminal to show it on", "ssh -t gives it one; `dynamod status` needs none"}
			}
			path, err := r.socketPath()
			if err != nil {
				return err
			}
			return tui.Guarded(ctx, in, func(ctx context.Context) error {
				return tui.Run(ctx, tui.Options{Client: hook.Dial(path), Socket: path, In: in, Out: out, Getenv: os.Getenv, Now: time.Now})
			})
		}
	},
}

// terminalOf are the standard streams, if both are terminals.
func terminalOf(s std) (in, out *os.File) {
	in, _ = s.in.(*os.File)
	out, _ = s.out.(*os.File)
	if in == nil || out == nil || !isTerminal(in) || !isTerminal(out) {
		return nil, nil
	}
	return in, out
}
