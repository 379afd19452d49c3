package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"

	"dynamod/daemon/durable"
	"dynamod/daemon/hook/access"
)

var tokenCommand = command{
	name:    "token",
	summary: "who may use the HTTP API over TCP",
	about: `Callers are kept in hook/keys below [state] dir; of a token only its SHA-256. The daemon
reads the file at each request, so that a caller who is removed is out at once. Over the unix socket nobody needs a token.`,
	example: "dynamod token add noc --scope activate\ndynamod token list\ndynamod token remove noc",
	verbs:   []command{tokenAddCommand, tokenListCommand, tokenRemoveCommand},
}

// keysFile is where the callers of the configured daemon are. Root has become that
// daemon's user then.
func keysFile(c *configFlags) (string, error) {
	cfg, err := c.loadOrDefault()
	if err != nil {
		return "", err
	}
	return filepath.Join(cfg.State.Dir, "hook", "keys"), becomeOwner(cfg.State.Dir)
}

var tokenAddCommand = command{
	name:    "token add",
	args:    "NAME",
	summary: "let a caller in, and print its token",
	about: `The token is printed this once and is not kept. Send it as "Authorization: Bearer TOKEN". With --sign a key is made
instead, with which requests are signed (RFC 9421); with --subject the caller is who has a certificate of that common name from an issuer of [hook] client_ca.
A scope of activate includes read, and admin everything.`,
	example: "dynamod token add grafana\ndynamod token add noc --scope activate >noc.token\ndynamod token add fleet --scope admin --subject fleet.example.net",
	setup: func(fs *flag.FlagSet) action {
		var c configFlags
		c.declare(fs)
		scope := fs.String("scope", "read", "what the caller may do, a `SCOPE`: read, activate or admin")
		sign := fs.Bool("sign", false, "make a key to sign requests with in place of a token")
		subject := fs.String("subject", "", "common `NAME` of the client certificate in place of a token")
		asJSON := fs.Bool("json", false, "print one JSON object")
		return func(_ context.Context, args []string, s std) error {
			const hint = "`dynamod token add --help` shows how it is called"
			if len(args) != 1 {
				return usageError{errors.New("token add needs one name for the caller"), hint}
			}
			if err := access.CheckName(args[0]); err != nil {
				return usageError{err, hint}
			}
			may, err := access.ParseScope(*scope)
			if err != nil {
				return usageError{err, hint}
			}
			var k access.Key
			secret, word := "", "token"
			bySubject := false
			fs.Visit(func(f *flag.Flag) { bySubject = bySubject || f.Name == "subject" })
			switch {
			case *sign && bySubject:
				return usageError{errors.New("--sign and --subject exclude each other"), hint}
			case *sign:
				k = access.NewSignatureKey(args[0], may)
				secret, word = k.Value, "key"
			case bySubject: // also where it is empty, as an unset variable of a script is: that shall make no token
				k = access.Key{Name: args[0], Scope: may, Kind: access.Certificate, Value: *subject}
			default:
				secret, k = access.NewToken(args[0], may)
			}
			if err := k.Check(); err != nil {
				return usageError{err, "--subject takes the certificate's common name as it is; `openssl x509 -noout -subject` shows it"}
			}
			path, err := keysFile(&c)
			if err != nil {
				return err
			}
			if err := access.Add(path, k, durable.WriteFile); errors.Is(err, access.ErrCaller) {
				return fault{exitRefused, err.Error(), "remove it first, or choose another name"}
			} else if err != nil {
				return err
			}
			if *asJSON {
				out := map[string]string{"name": k.Name, "scope": may.String(), "kind": string(k.Kind)}
				if secret != "" {
					out[word] = secret
				}
				return printJSON(s.out, out)
			}
			if secret == "" {
				fmt.Fprintf(s.out, "added %s\n", k.Name)
				return nil
			}
			fmt.Fprintf(s.err, "the %s of %s, which may %s; it is shown this once:\n", word, k.Name, may)
			fmt.Fprintln(s.out, secret)
			return nil
		}
	},
}

var tokenListCommand = command{
	name:    "token list",
	summary: "list who may use the API",
	example: "dynamod token list --json",
	setup: func(fs *flag.FlagSet) action {
		var c configFlags
		c.declare(fs)
		asJSON := fs.Bool("json", false, "print a JSON array")
		return func(_ context.Context, args []string, s std) error {
			if err := noArgs("token list", args); err != nil {
				return err
			}
			path, err := keysFile(&c)
			if err != nil {
				return err
			}
			keys, err := access.OpenFile(path).Keys()
			if err != nil {
				return err
			}
			if *asJSON {
				out := []map[string]string{}
				for _, k := range keys {
					row := map[string]string{"name": k.Name, "scope": k.Scope.String(), "kind": string(k.Kind)}
					if k.Kind == access.Certificate {
						row["subject"] = k.Value
					}
					out = append(out, row)
				}
				return printJSON(s.out, out)
			}
			if len(keys) == 0 {
				fmt.Fprintln(s.out, "nobody but who may use the unix socket; `dynamod token add` lets a caller in")
				return nil
			}
			rows := [][]string{{"NAME", "SCOPE", "KIND", "SUBJECT"}}
			for _, k := range keys {
				rows = append(rows, []string{k.Name, k.Scope.String(), string(k.Kind), onlyIf(k.Kind == access.Certificate, k.Value)})
			}
			writeTable(s.out, rows)
			return nil
		}
	},
}

var tokenRemoveCommand = command{
	name:    "token remove",
	args:    "NAME",
	summary: "lock a caller out",
	example: "dynamod token remove noc",
	setup: func(fs *flag.FlagSet) action {
		var c configFlags
		c.declare(fs)
		asJSON := fs.Bool("json", false, "print one JSON object")
		return func(_ context.Context, args []string, s std) error {
			if len(args) != 1 {
				return usageError{errors.New("token remove needs the name of a caller"), "`dynamod token list` lists them"}
			}
			path, err := keysFile(&c)
			if err != nil {
				return err
			}
			if err := access.Remove(path, args[0], durable.WriteFile); errors.Is(err, access.ErrNoCaller) {
				return fault{exitRefused, err.Error(), "`dynamod token list` lists them"}
			} else if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(s.out, map[string]string{"name": args[0], "done": "removed"})
			}
			fmt.Fprintf(s.out, "removed %s\n", args[0])
			return nil
		}
	},
}
