// Command dynamod turns a Linux router with an eSIM-capable modem into a
// self-activating cellular gateway.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Set by the linker.
var (
	version = "unknown"
	builtAt = "0" // seconds since 1970: the floor below which a clock is wrong
)

// Exit codes, documented in docs/exit-codes.md.
const (
	exitOK     = 0
	exitFailed = 5
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second signal kills
	}()
	os.Exit(run(ctx, os.Args[1:], std{os.Stdin, os.Stdout, os.Stderr}))
}

// std are a command's standard streams.
type std struct {
	in       io.Reader
	out, err io.Writer
}

// command is one verb.
type command struct {
	name    string
	args    string // of the usage line
	summary string
	example string
	run     func(ctx context.Context, args []string, s std) error
}

func run(ctx context.Context, args []string, s std) int {
	if len(args) == 0 {
		usage(s.err)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "--help":
		usage(s.out)
		return exitOK
	case "--version":
		args = []string{"version"}
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return report(s, c.run(ctx, args[1:], s))
		}
	}
	return report(s, usageError{
		fmt.Errorf("unknown command %q", args[0]), "`dynamod help` lists the commands"})
}

// usageError is a mistake in how the command was called.
type usageError struct {
	error
	hint string
}

func (e usageError) Hint() string  { return e.hint }
func (e usageError) Unwrap() error { return e.error }

// report prints an error on one line, its hint on the next, and returns the
// exit code.
func report(s std, err error) int {
	if err == nil {
		return exitOK
	}
	code := exitFailed
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		code = coded.ExitCode()
	}
	if errors.As(err, new(usageError)) {
		code = exitUsage
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(s.err, "dynamod: %s\n", text)
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) && hinted.Hint() != "" {
		fmt.Fprintf(s.err, "hint: %s\n", hinted.Hint())
	}
	return code
}
