package main

import (
	"context"
	"flag"
	"io"
	"log/slog"

	"dynamod/daemon/bundle"
	"dynamod/daemon/config"
	"dynamod/daemon/gateway"
)

var runCommand = command{
	name:    "run",
	summary: "run the gateway until SIGTERM",
	about: `It brings the link up, looks after it, and carries out what the other commands
ask for on its socket. An activation that was interrupted is taken up again.
What happens is logged on standard error. With --ignore-unknown, which init systems
give, a configuration of another version of dynamod does not keep it from starting.`,
	example: "dynamod run --config /etc/dynamod/dynamod.toml\ndynamod run --instance lte2",
	setup: func(fs *flag.FlagSet) action {
		var c configFlags
		c.declare(fs)
		c.declareUnknown(fs, "start without the keys that this version does not know, and warn of them")
		return func(ctx context.Context, args []string, s std) error {
			if err := noArgs("run", args); err != nil {
				return err
			}
			cfg, err := c.load()
			if err != nil {
				return err
			}
			opts := gatewayOptions(cfg, s.err)
			opts.Load = c.load
			if opts.ConfigFile, _, err = c.file(); err != nil {
				return err
			}
			if beforeRun != nil {
				beforeRun(&opts)
			}
			harden(cfg, opts.Log)
			if id, err := ownIdentity(); err == nil {
				for _, lack := range id.lacks(cfg, opts.ConfigFile) {
					opts.Log.Warn(lack)
				}
			}
			return gateway.Run(ctx, cfg, opts)
		}
	},
}

// beforeRun is nil but in tests, which stand before the journal and the kernel of a
// daemon that they kill.
var beforeRun func(*gateway.Options)

// gatewayOptions are those of this build, with the log in the configured form.
func gatewayOptions(cfg *config.Config, log io.Writer) gateway.Options {
	level := new(slog.LevelVar)
	level.Set(cfg.Log.Level)
	recent := new(bundle.Ring)
	return gateway.Options{Log: newLog(cfg, io.MultiWriter(log, recent), level), Level: level, Recent: recent, Story: tellJournal, Version: version, Floor: floor()}
}
