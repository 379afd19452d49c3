package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"dynamod/daemon/config"
	"dynamod/daemon/gateway"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

// configVar names the variable that stands in for --config.
const configVar = "DYNAMOD_CONFIG"

// reach are the flags of every verb that talks to the daemon.
type reach struct {
	configFlags
	socket string
	direct bool
	json   bool
}

// configFlags find the configuration.
type configFlags struct {
	path     string
	instance string
	// ignoreUnknown leaves out what this version does not know, see config.LoadKnown.
	ignoreUnknown bool
}

func (c *configFlags) declare(fs *flag.FlagSet) {
	fs.StringVar(&c.path, "config", "", "configuration `FILE`; without it $"+configVar+" or "+config.DefaultPath)
	fs.StringVar(&c.instance, "instance", "", "`NAME` of dynamod@NAME, where one router has more than one modem")
}

// declareUnknown declares the flag of the verbs that take a file of another version.
func (c *configFlags) declareUnknown(fs *flag.FlagSet, usage string) {
	fs.BoolVar(&c.ignoreUnknown, "ignore-unknown", false, usage)
}

// file returns the configuration's path, and whether somebody named it.
func (c *configFlags) file() (path string, named bool, err error) {
	if path = cmp.Or(c.path, os.Getenv(configVar)); path != "" {
		return path, true, nil
	}
	if path, err = config.PathFor(c.instance); err != nil {
		return "", false, usageError{err, "for example --instance lte2"}
	}
	return path, false, nil
}

// load reads the configuration.
func (c *configFlags) load() (*config.Config, error) {
	path, _, err := c.file()
	if err != nil {
		return nil, err
	}
	load := config.Load
	if c.ignoreUnknown {
		load = config.LoadKnown
	}
	cfg, err := load(path)
	if err != nil {
		return nil, err
	}
	return c.forInstance(cfg)
}

// loadOrDefault is load, but a file that nobody named need not be there.
func (c *configFlags) loadOrDefault() (*config.Config, error) {
	path, named, err := c.file()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); !named && errors.Is(err, fs.ErrNotExist) {
		return c.forInstance(config.Default())
	}
	return c.load()
}

func (c *configFlags) forInstance(cfg *config.Config) (*config.Config, error) {
	if c.instance == "" {
		return cfg, nil
	}
	out, err := cfg.ForInstance(c.instance)
	if err != nil {
		return nil, usageError{err, "for example --instance lte2"}
	}
	return out, nil
}

func (r *reach) declare(fs *flag.FlagSet) {
	r.configFlags.declare(fs)
	fs.StringVar(&r.socket, "socket", "", "the daemon's unix socket, a `PATH`; without it the configured one")
	fs.BoolVar(&r.direct, "direct", false, "do it in this process, where no daemon runs")
	fs.BoolVar(&r.json, "json", false, "print JSON")
}

// socketPath finds the daemon's socket. A configuration that nobody named and
// that cannot be read, which may be for root only, leaves the default.
func (r *reach) socketPath() (string, error) {
	if r.socket != "" {
		return r.socket, nil
	}
	cfg, err := r.loadOrDefault()
	if err != nil {
		_, named, ferr := r.file()
		if named || ferr != nil {
			return "", err
		}
		if cfg, err = r.forInstance(config.Default()); err != nil {
			return "", err
		}
	}
	return cfg.Hook.Socket, nil
}

// do calls f with a client of the daemon, or with --direct of one that lives in
// this process for as long as f does.
func (r *reach) do(ctx context.Context, s std, f func(*hook.Client) error) error {
	if !r.direct {
		path, err := r.socketPath()
		if err != nil {
			return err
		}
		return f(hook.Dial(path))
	}
	if r.socket != "" {
		return usageError{errors.New("--direct and --socket exclude each other"), "--direct talks to no daemon"}
	}
	cfg, err := r.loadOrDefault()
	if err != nil {
		return err
	}
	if err := ofAnother(cfg.State.Dir); err != nil {
		return err
	}
	opts := gatewayOptions(cfg, s.err)
	opts.LeaveRun = true
	// The verb tells what happens; the log has only what goes wrong.
	opts.Log = newLog(cfg, s.err, max(cfg.Log.Level, slog.LevelWarn))
	if cfg.Log.Level < slog.LevelInfo {
		opts.Log = newLog(cfg, s.err, cfg.Log.Level)
	}
	return gateway.Direct(ctx, cfg, opts, f)
}

// How long a gateway that has just started may take until it is worth asking.
const (
	modemTime = 30 * time.Second // to find the modem, or that there is none
	linkTime  = 10 * time.Second // from there to a link that was up already
)

// settle waits in a --direct verb until the modem was looked for and, if it is
// there, so long for the link. It returns the last that it saw.
func settle(ctx context.Context, c *hook.Client, forLink time.Duration) (snap status.Snapshot) {
	ctx, done := context.WithTimeout(ctx, modemTime)
	defer done()
	present := false
	// Why it ends makes no difference: the verb's own request tells.
	c.Events(ctx, func(kind string, data []byte) bool {
		var s status.Snapshot
		if kind != "status" || json.Unmarshal(data, &s) != nil {
			return true
		}
		snap = s
		if s.Modem != nil && s.Modem.Present && !present {
			present = true
			timer := time.AfterFunc(forLink, done)
			context.AfterFunc(ctx, func() { timer.Stop() })
		}
		return s.State == status.Down && (s.Modem == nil || s.Modem.Present)
	})
	return snap
}

// newLog returns a log in the configured form.
func newLog(cfg *config.Config, w io.Writer, level slog.Leveler) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Log.Format == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// printJSON writes v as one line.
func printJSON(w io.Writer, v any) error {
	return json.NewEncoder(w).Encode(v)
}
