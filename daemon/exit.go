package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/daemon/wording"
)

// Exit codes, documented in docs/exit-codes.md.
const (
	exitOK         = 0
	exitUsage      = 2 // the command line is wrong
	exitWaiting    = 3 // not at its end yet, or not possible here
	exitRefused    = 4 // turned down before anything was changed
	exitFailed     = 5
	exitRolledBack = 6 // the link is up on the previous profile
)

// exitMeaning tells what an exit code means.
type exitMeaning struct {
	code        int
	name, about string
}

var exitCodes = []exitMeaning{
	{exitOK, "ok", "It is done; for `activate`: traffic crosses the link of the new profile."},
	{exitUsage, "usage", "The command line is wrong."},
	{exitWaiting, "waiting or not possible here", "Not at its end yet, or not possible here: no daemon answers, a run waits for an answer, the machine lacks what a command needs."},
	{exitRefused, "refused", "Turned down before anything was changed."},
	{exitFailed, "failed", "It was tried and did not work, or the configuration is wrong."},
	{exitRolledBack, "rolled back", "The new profile gave no link, the previous one is enabled again."},
}

// usageError is a mistake in how the command was called.
type usageError struct {
	error
	hint string
}

func (e usageError) Hint() string  { return e.hint }
func (e usageError) Unwrap() error { return e.error }
func (e usageError) ExitCode() int { return exitUsage }

// noArgs is the error of a verb that takes no arguments. It does not show what
// it got: an activation code may have been meant.
func noArgs(verb string, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError{fmt.Errorf("%s takes no arguments, got %d%s", verb, len(args), shown(args[0])), fmt.Sprintf("`dynamod %s --help` shows how it is called", verb)}
}

// fault is an error with its hint and exit code. An empty text prints no line.
type fault struct {
	code int
	text string
	hint string
}

func (e fault) Error() string { return e.text }
func (e fault) Hint() string  { return e.hint }
func (e fault) ExitCode() int { return e.code }

// report prints an error on one line, its hint on the next, and returns the
// exit code.
func report(s std, err error) int {
	if err == nil {
		return exitOK
	}
	if errs, ok := errors.AsType[config.Errors](err); ok {
		fmt.Fprintln(s.err, clean(errs.Error(), "\n")) // file:line:col stand at the beginning of a line
		return exitCode(err)
	}
	if errors.Is(err, context.Canceled) {
		err = fault{exitWaiting, "interrupted", ""}
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(s.err, "dynamod: %s\n", clean(text, "\n"))
	}
	hint := wording.Hint(err)
	if hint == "" && errors.Is(err, hook.ErrNoDaemon) {
		hint = "start it with `dynamod run`, or do this one thing without it: --direct"
	}
	if hint != "" {
		fmt.Fprintf(s.err, "hint: %s\n", clean(hint, ""))
	}
	return exitCode(err)
}

// exitCode is the one place that decides on the exit code of an error.
func exitCode(err error) int {
	if coded, ok := errors.AsType[interface {
		error
		ExitCode() int
	}](err); ok {
		return coded.ExitCode()
	}
	if errors.Is(err, hook.ErrNoDaemon) {
		return exitWaiting
	}
	if f, ok := errors.AsType[*activation.Fault](err); ok && f.Code == "locked" {
		return exitRefused // another dynamod has the modem
	}
	if e, ok := errors.AsType[*hook.Error](err); ok && e.Outcome == status.RolledBack {
		return exitRolledBack
	}
	if e, ok := errors.AsType[*hook.Error](err); ok && (e.Status < http.StatusInternalServerError || e.Status == http.StatusInsufficientStorage) {
		return exitRefused // 507: not even begun, for want of room
	}
	return exitFailed
}
