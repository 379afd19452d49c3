package main

import (
	"context"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"dynamod/atcmd/port"
	"dynamod/board"
	"dynamod/configs/cosa/importer"
	"dynamod/daemon/config"
	"dynamod/daemon/hook/access"
	"dynamod/daemon/hook/webhook"
)

var checkCommand = command{
	name:    "check",
	summary: "check the configuration and the files that it names",
	about: `Everything that is wrong is told at once, with its place in the file. A file
that is named but missing is a warning: it may be there when it is needed. So is
what a user who is not root lacks to run the daemon, with the command that mends
it; that user's own check knows his capabilities, too.`,
	example: "dynamod check --config ./dynamod.toml\ndynamod check --user dynamod",
	setup: func(fs *flag.FlagSet) action {
		var c configFlags
		c.declare(fs)
		c.declareUnknown(fs, "only warn of keys that this version does not know, as dynamod run with the same flag does")
		asJSON := fs.Bool("json", false, "print one JSON object")
		as := fs.String("user", "", "tell what the user of this `NAME` lacks to run the daemon, which is root without it")
		return func(_ context.Context, args []string, s std) error {
			if err := noArgs("check", args); err != nil {
				return err
			}
			path, _, err := c.file()
			if err != nil {
				return err
			}
			cfg, err := c.load()
			var warnings []string
			if err == nil {
				for _, e := range cfg.Unknown {
					warnings = append(warnings, oneLine(e))
				}
				warnings = append(append(warnings, missing(cfg)...), siblings(path, cfg)...)
				if *as != "" {
					id, err := identityOf(*as)
					if err != nil {
						return fault{exitFailed, err.Error(), "--user takes the name of a user of this system"}
					}
					warnings = append(warnings, id.lacks(cfg, path)...)
				}
				_, bad := config.LoadDialects(cfg.Modem.Dialects)
				_, _, more := cfg.Board.Choose(board.Read("/"))
				if bad = append(bad, more...); len(bad) > 0 {
					err = bad
				}
			}
			if *asJSON {
				return checkJSON(s, path, err, warnings)
			}
			if err != nil {
				return err
			}
			for _, w := range warnings {
				fmt.Fprintf(s.err, "warning: %s\n", clean(w, ""))
			}
			fmt.Fprintf(s.out, "%s: ok\n", path)
			return nil
		}
	},
}

// fileError is config.Error as JSON.
type fileError struct {
	File string `json:"file,omitempty"` // if it is another than the configuration
	Line int    `json:"line,omitempty"`
	Col  int    `json:"col,omitempty"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

func checkJSON(s std, path string, err error, warnings []string) error {
	out := struct {
		File     string      `json:"file"`
		OK       bool        `json:"ok"`
		Errors   []fileError `json:"errors"`
		Warnings []string    `json:"warnings"`
	}{path, err == nil, []fileError{}, append([]string{}, warnings...)}
	errs, ok := errors.AsType[config.Errors](err)
	if err != nil && !ok {
		return err
	}
	for _, e := range errs {
		f := fileError{Line: e.Line, Col: e.Col, Text: e.Msg, Hint: e.Hint}
		if e.File != path {
			f.File = e.File
		}
		out.Errors = append(out.Errors, f)
	}
	if perr := printJSON(s.out, out); perr != nil {
		return perr
	}
	if err != nil {
		return fault{code: exitFailed}
	}
	return nil
}

// oneLine is an error with its hint behind it.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\nhint: ", "; ") }

// missing lists what is wrong with the files that a configuration names.
func missing(cfg *config.Config) (warnings []string) {
	warn := func(key string, err error) {
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("%s: %v", key, err))
		}
	}
	secret := func(key, path string) {
		if path != "" {
			_, err := config.ReadSecret(path)
			warn(key, err)
		}
	}
	if p := cfg.Modem.Port; strings.HasPrefix(p, "/") {
		_, err := os.Stat(p)
		warn("[modem] port", err)
	} else if place, err := port.ParsePlace(p); err == nil {
		_, err = port.Tree{}.Find(place)
		warn("[modem] port", err)
	}
	secret("[modem] pin_file", cfg.Modem.PINFile)
	secret("[apn] password_file", cfg.APN.PasswordFile)
	secret("[dynamo] token_file", cfg.Dynamo.TokenFile)
	if file := cfg.Webhook.SecretFile; file != "" {
		text, err := config.ReadSecret(file)
		if err == nil {
			_, err = webhook.ParseSecret(text)
		}
		warn("[webhook] secret_file", err)
	}
	for _, f := range []struct{ key, path string }{{"[webhook] ca", cfg.Webhook.CA}, {"[dynamo] ca", cfg.Dynamo.CA}} {
		_, err := config.ReadIssuers(f.path)
		warn(f.key, err)
	}
	if cfg.Hook.Certificate != "" {
		_, err := access.LoadCertificate(cfg.Hook.Certificate, cfg.Hook.Key)
		warn("[hook] certificate, key", err)
	}
	if cfg.Hook.ClientCA != "" {
		_, err := access.LoadIssuers(cfg.Hook.ClientCA)
		warn("[hook] client_ca", err)
	}
	for _, path := range cfg.LPA.CI {
		text, err := os.ReadFile(path)
		if block, _ := pem.Decode(text); err == nil && (block == nil || block.Type != "CERTIFICATE") {
			err = fmt.Errorf("%s holds no PEM certificate", path)
		}
		warn("[lpa] ci", err)
	}
	if _, err := os.ReadDir(cfg.Operators.Dir); err == nil {
		_, problems, _ := importer.Load(cfg.Operators.Dir)
		for _, p := range problems {
			warnings = append(warnings, oneLine(p))
		}
	} else if cfg.Operators.Dir != config.Default().Operators.Dir { // the default one need not be there
		warn("[operators] dir", err)
	}
	return warnings
}
