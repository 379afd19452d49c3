// Command dynamod turns a Linux router with an eSIM-capable modem into a
// self-activating cellular gateway.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Set by the linker.
var (
	version = "unknown"
	builtAt = "0" // seconds since 1970: the floor below which a clock is wrong
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second signal kills
	}()
	os.Exit(run(ctx, os.Args[1:], std{os.Stdin, os.Stdout, os.Stderr}))
}

// floor is the time of the build, of its commit where the linker was not told.
func floor() time.Time {
	if sec, err := strconv.ParseInt(builtAt, 10, 64); err == nil && sec != 0 {
		return time.Unix(sec, 0)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, set := range info.Settings {
			if at, err := time.Parse(time.RFC3339, set.Value); set.Key == "vcs.time" && err == nil {
				return at
			}
		}
	}
	return time.Time{} // not known
}

// std are a command's standard streams.
type std struct {
	in       io.Reader
	out, err io.Writer
}

// run carries out one command line and returns the exit code.
func run(ctx context.Context, args []string, s std) int {
	if len(args) == 0 {
		usage(s.err)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		if len(args) == 1 || args[0] != "help" {
			usage(s.out)
			return exitOK
		}
		args = append(slices.Clone(args[1:]), "--help")
	case "--version":
		args[0] = "version"
	}
	for _, words := range []int{2, 1} { // "sim ctl" before "sim"
		if words > len(args) {
			continue
		}
		name := strings.Join(args[:words], " ")
		for _, c := range commands() {
			if c.name == name {
				return report(s, c.do(ctx, args[words:], s))
			}
		}
	}
	return report(s, usageError{fmt.Errorf("unknown command%s", shown(args[0])), hintLike("dynamod", args[0], commands(), "`dynamod help` lists the commands")})
}

// do parses the verb's flags, which may stand before, between and behind its
// arguments, and carries it out.
func (c command) do(ctx context.Context, args []string, s std) error {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	if c.verbs != nil {
		return c.family(ctx, args, s, fs)
	}
	act := c.setup(fs)
	var rest []string
	for {
		if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
			c.help(s.out, fs)
			return nil
		} else if err != nil {
			return usageError{flagError(err), fmt.Sprintf("`dynamod %s --help` tells the flags", c.name)}
		}
		left := fs.Args()
		if n := len(args) - len(left); len(left) == 0 || n > 0 && args[n-1] == "--" {
			rest = append(rest, left...)
			break
		}
		rest, args = append(rest, left[0]), left[1:]
	}
	return act(ctx, rest, s)
}

// family carries out the verb below c that args begins with.
func (c command) family(ctx context.Context, args []string, s std, fs *flag.FlagSet) error {
	hint := fmt.Sprintf("`dynamod %s --help` lists its verbs", c.name)
	if c.bare != "" && (len(args) == 0 || strings.HasPrefix(args[0], "-") && !isHelp(args[0])) {
		args = append([]string{c.bare}, args...)
	}
	if len(args) == 0 {
		return usageError{fmt.Errorf("%s needs a verb", c.name), hint}
	}
	for _, v := range c.verbs {
		if v.name == c.name+" "+args[0] {
			return v.do(ctx, args[1:], s)
		}
	}
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		c.help(s.out, fs)
		return nil
	} else if err != nil {
		return usageError{flagError(err), hint}
	}
	return usageError{fmt.Errorf("%s cannot do that%s", c.name, parens(verbShown(args[0]))), hintLike("dynamod "+c.name, args[0], c.verbs, hint)}
}

func isHelp(flag string) bool { return slices.Contains([]string{"-h", "-help", "--help"}, flag) }

// flagError writes package flag's texts as ours are written.
func flagError(err error) error {
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: "); ok {
		// What follows "=" is cut off by package flag already: it may be a secret.
		return fmt.Errorf("unknown flag -%s", name)
	}
	// A value that is none may be a code, or a part of one as behind --yes=.
	before, rest, ok := strings.Cut(err.Error(), ` value "`)
	if end := strings.LastIndex(rest, `" for `); ok && end >= 0 && (before == "invalid boolean" || end > 20 || strings.ContainsAny(rest[:end], "$%")) {
		return errors.New(before + " value" + rest[end+1:])
	}
	return err
}

// shown quotes a word of the command line for an error, unless it might be a
// secret that was put in the wrong place.
func shown(word string) string {
	if len(word) > 20 || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz-") != "" {
		return ""
	}
	return " " + strconv.Quote(word)
}
