package gateway

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"dynamod/daemon/config"
)

// config is the configuration as it is now. Who needs two values that belong
// together asks once.
func (g *Gateway) config() *config.Config { return g.conf.Load() }

// reload reads the configuration and operators.d again at SIGHUP.
func (g *Gateway) reload(ctx context.Context) error {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	defer signal.Stop(c)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c:
			g.notifyReloading()
			g.readAgain()
			g.notifyReady()
		}
	}
}

// readAgain takes over what of the configuration may change now. A file with a
// mistake changes nothing: the link that it may be about is up.
func (g *Gateway) readAgain() {
	if g.opts.Load != nil {
		next, err := g.opts.Load()
		if err != nil {
			g.log.Error("the configuration stays as it was", "error", err)
			g.status.Log("the configuration has a mistake and stays as it was; `dynamod check` tells it")
		} else {
			now, restart := g.config().Reload(next)
			g.conf.Store(now)
			g.bearer.Change(bearerSettings(now))
			if g.opts.Level != nil {
				g.opts.Level.Set(now.Log.Level)
			}
			for _, key := range restart {
				g.log.Warn("the new value needs a restart", "key", key)
				g.status.Log("the new value of " + key + " needs a restart")
			}
			g.warn() // a password that cannot be read is told at once
			g.log.Info("the configuration was read again")
		}
	}
	if err := g.loadOperators(); err != nil {
		g.log.Error("operators.d stays as it was", "error", err)
	}
	g.bearer.Kick()
}
