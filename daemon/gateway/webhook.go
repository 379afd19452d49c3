package gateway

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"

	"dynamod/daemon/config"
	"dynamod/daemon/hook/webhook"
)

// buildWebhooks makes what tells the ends of runs to the web.
func (g *Gateway) buildWebhooks() {
	box, err := webhook.Open(filepath.Join(g.hookDir(), "webhooks.json"), g.clock.now, g.log)
	if err != nil {
		g.log.Error("messages about runs that have ended may be lost", "error", err)
	}
	g.ends = webhook.New(box, webhook.Options{
		Settings: g.webhookSettings, Runs: g.runs.Runs, Status: g.status, Dial: g.dialReceiver, Public: checkPublic,
		Now: g.clock.now, Sane: g.clock.sane, Log: g.log, Version: g.opts.Version,
	})
	g.hook.Callbacks = g.ends
}

// webhookSettings reads the files that the configuration names each time: they may
// be renewed.
func (g *Gateway) webhookSettings() (webhook.Settings, error) {
	cfg := &g.config().Webhook
	set := webhook.Settings{URL: cfg.URL, AllowHTTP: cfg.AllowHTTP, AllowInside: cfg.AllowPrivate}
	if cfg.SecretFile == "" {
		return set, nil
	}
	text, err := config.ReadSecret(cfg.SecretFile)
	if err == nil {
		set.Secret, err = webhook.ParseSecret(text)
	}
	if err != nil {
		return set, fmt.Errorf("[webhook] secret_file: %w", err)
	}
	if set.Issuers, err = config.ReadIssuers(cfg.CA); err != nil {
		return set, fmt.Errorf("[webhook] ca: %w", err)
	}
	return set, nil
}

// dialReceiver connects to a receiver, whose name is that of whoever made the request.
// A line without credit is not for messages.
func (g *Gateway) dialReceiver(ctx context.Context, network, address string) (net.Conn, error) {
	if g.config().Webhook.AllowPrivate {
		return g.dialMarked(ctx, network, address, nil, 0)
	}
	if ap, err := netip.ParseAddrPort(address); err == nil {
		if err := checkPublic(ap.Addr()); err != nil {
			return nil, err
		}
	}
	return g.dialMarked(ctx, network, address, checkPublic, 0)
}
