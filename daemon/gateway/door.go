package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dynamod/daemon/config"
	"dynamod/daemon/durable"
	"dynamod/daemon/hook/access"
	"dynamod/daemon/status"
)

// doorPause is how long an address is waited for that cannot be listened on.
const doorPause = 10 * time.Second

// keepDoor offers the API over TCP, where the configuration wants it. What keeps
// it from that is told and tried again: the address of a LAN may come up after
// us, and a router without this door shall still have its link.
func (g *Gateway) keepDoor(ctx context.Context) error {
	cfg := g.config().Hook
	if cfg.Listen == "" {
		<-ctx.Done()
		return nil
	}
	last := ""
	for {
		err := g.openDoor(ctx, cfg)
		if ctx.Err() != nil {
			return nil
		}
		if text := err.Error(); text != last {
			g.log.Warn("the API over TCP cannot be offered", "listen", cfg.Listen, "error", err)
			last = text
		}
		g.status.Update(func(s *status.Snapshot) { s.Door = &status.Door{Listen: cfg.Listen, Error: err.Error()} })
		select {
		case <-time.After(doorPause):
		case <-ctx.Done():
		}
	}
}

func (g *Gateway) openDoor(ctx context.Context, cfg config.Hook) error {
	names := g.doorNames(cfg)
	cert, err := g.doorCertificate(cfg, names)
	if err != nil {
		return err
	}
	var clients *x509.CertPool
	if cfg.ClientCA != "" {
		if clients, err = access.LoadIssuers(cfg.ClientCA); err != nil {
			return fmt.Errorf("client_ca: %w", err)
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return err
	}
	defer l.Close()
	print := access.Fingerprint(cert)
	g.log.Info("the API is offered over TCP", "listen", l.Addr().String(), "fingerprint", print)
	g.status.Update(func(s *status.Snapshot) { s.Door = &status.Door{Listen: l.Addr().String(), Fingerprint: print} })
	conf := access.TLS(cert, clients, g.doorTime)
	if cfg.Certificate != "" {
		conf.Certificates, conf.GetCertificate = nil, access.Renewed(cert, cfg.Certificate, cfg.Key, func(c tls.Certificate, err error) {
			if err != nil {
				g.log.Warn("the certificate of the API has changed and cannot be used", "error", err)
				return
			}
			print := access.Fingerprint(c)
			g.log.Info("the API has another certificate", "fingerprint", print)
			g.status.Update(func(s *status.Snapshot) { s.Door = &status.Door{Listen: l.Addr().String(), Fingerprint: print} })
		})
	}
	return g.hook.ServeTLS(ctx, l, conf, access.Options{
		Keys: access.OpenFile(filepath.Join(g.hookDir(), "keys")), Audit: g.audit, Log: g.log,
		Hosts: append(names, "localhost"), Now: g.clock.now, Sane: g.clock.sane,
	})
}

func (g *Gateway) hookDir() string { return filepath.Join(g.config().State.Dir, "hook") }

// doorTime is the time by which certificates of clients are judged: before the
// clock is set that of the build, which no certificate can be expired at that is
// good today.
func (g *Gateway) doorTime() time.Time {
	if !g.clock.sane() {
		return g.clock.floor
	}
	return g.clock.now()
}

// doorNames are the names that callers may use.
func (g *Gateway) doorNames(cfg config.Hook) []string {
	names := append([]string{}, cfg.Hosts...)
	if own, err := os.Hostname(); err == nil && own != "" {
		own = strings.ToLower(own)
		names = append(names, own, own+".local", own+".lan") // mDNS, and the domain of most routers
	}
	return names
}

func (g *Gateway) doorCertificate(cfg config.Hook, names []string) (tls.Certificate, error) {
	if cfg.Certificate != "" {
		return access.LoadCertificate(cfg.Certificate, cfg.Key)
	}
	hosts := names
	if host, _, err := net.SplitHostPort(cfg.Listen); err == nil && host != "" {
		hosts = append(hosts[:len(hosts):len(hosts)], host)
	}
	return access.OwnCertificate(g.hookDir(), g.clock.floor, hosts, durable.WriteFile)
}
