package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"dynamod/daemon/bundle"
	"dynamod/daemon/hook"
	"dynamod/daemon/journal"
	"dynamod/daemon/wording"
)

var bundleCommand = command{
	name:    "bundle",
	args:    "[FILE]",
	summary: "write an archive for who helps, without secrets",
	about: `It has the journal, status, diagnosis, configuration, the last lines between
daemon and modem, and the kernel's routes; identities are shortened. FILE is made
with mode 0600 and must not be there; "-" is standard output. Where no daemon runs,
it has what is on disk.`,
	example: "dynamod bundle\ndynamod bundle /tmp/router7.tar.gz\nssh router dynamod bundle - > router.tar.gz",
	setup: func(fs *flag.FlagSet) action {
		var r reach
		r.declare(fs)
		return func(ctx context.Context, args []string, s std) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("bundle takes one file, got %d", len(args)), "`dynamod bundle --help` shows how it is called"}
			}
			name := "dynamod-bundle-" + time.Now().UTC().Format("20060102-150405") + ".tar.gz"
			if len(args) == 1 {
				name = args[0]
			}
			if name == "-" {
				return r.bundle(ctx, s, s.out)
			}
			return r.bundleTo(ctx, s, name)
		}
	},
}

// bundleTo writes the archive to a file, and leaves none behind that is not whole.
func (r *reach) bundleTo(ctx context.Context, s std, name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fault{exitRefused, name + " is there already", "name another file"}
	} else if err != nil {
		return err
	}
	if err = errors.Join(r.bundle(ctx, s, f), f.Close()); err != nil {
		os.Remove(name)
		return err
	}
	if !r.json {
		fmt.Fprintln(s.out, name)
		return nil
	}
	return printJSON(s.out, map[string]string{"file": name})
}

// bundle asks the daemon, or takes what the disk has.
func (r *reach) bundle(ctx context.Context, s std, w io.Writer) error {
	err := r.do(ctx, s, func(c *hook.Client) error { return c.Bundle(ctx, w) })
	if !errors.Is(err, hook.ErrNoDaemon) || r.socket != "" {
		return err
	}
	fmt.Fprintln(s.err, "no daemon answers: the bundle has what is on disk")
	cfg, err := r.loadOrDefault()
	if err != nil {
		return err
	}
	path, _, err := r.file()
	if err != nil {
		return err
	}
	var redactor bundle.Redactor
	redactor.Secrets(cfg)
	return bundle.Write(ctx, w, time.Now(), &redactor, bundle.Disk(cfg, version, path, tellJournal))
}

// tellJournal tells the journal's records as a story.
func tellJournal(w io.Writer, list []journal.Record) error {
	wording.Log(w, logRecords(list))
	return nil
}
