package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"dynamod/configs"
	"dynamod/daemon/durable"
)

var initCommand = command{
	name:    "init",
	summary: "write a first configuration file",
	about: `The file leaves everything to be found out. A file that is there already is
kept, unless --force is given.`,
	example: "dynamod init\ndynamod init --reference | less",
	setup: func(fs *flag.FlagSet) action {
		var c configFlags
		c.declare(fs)
		force := fs.Bool("force", false, "replace a file that is there")
		reference := fs.Bool("reference", false, "write nothing, print a file with every key and its default")
		asJSON := fs.Bool("json", false, "print one JSON object")
		return func(_ context.Context, args []string, s std) error {
			if err := noArgs("init", args); err != nil {
				return err
			}
			if *reference {
				_, err := s.out.Write(configs.Reference)
				return err
			}
			path, _, err := c.file()
			if err != nil {
				return err
			}
			if err := writeConfig(path, *force); err != nil {
				return err
			}
			if *asJSON {
				return printJSON(s.out, map[string]string{"file": path, "done": "written"})
			}
			fmt.Fprintf(s.out, "wrote %s\n", path)
			return nil
		}
	},
}

func writeConfig(path string, force bool) error {
	if _, err := os.Lstat(path); err == nil && !force {
		return fault{exitRefused, path + " is there already", "`dynamod check` checks it, --force replaces it"}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot write the configuration: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("cannot write the configuration: %w", err)
	}
	if err := durable.WriteFile(path, configs.Minimal, 0o644); err != nil {
		return fmt.Errorf("cannot write the configuration: %w", err)
	}
	return nil
}
