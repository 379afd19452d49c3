package gateway

import (
	"fmt"
	"slices"
	"testing"

	"dynamod/configs/cosa"
	"dynamod/daemon/config"
	"dynamod/daemon/status"
)

// When there is to be a wall, and what passes it.
func TestWantGarden(t *testing.T) {
	const iccid = "8988247000101997790"
	limited := func(s *status.Snapshot) {
		s.State = status.Limited
		s.SIM = &status.SIM{ICCID: iccid}
		s.Link = &status.Link{Interface: "wwan0", Gateway: "10.64.3.5", DNS: []string{"10.64.3.53", "2001:db8::53"}}
		s.Reach = &status.Reach{Result: "limited", Cause: "portal"}
	}
	for _, tt := range []struct {
		name        string
		snap        func(*status.Snapshot)
		set         func(*config.Config)
		offer, wall bool
	}{
		{"a portal", limited, nil, true, true},
		{"switched off", limited, func(c *config.Config) { c.Dynamo.WalledGarden = false }, true, false},
		{"netifd has the interface", limited, func(c *config.Config) { c.Uplink.Apply = config.ApplyNetifd }, true, false},
		{"name servers are dead", func(s *status.Snapshot) { limited(s); s.Reach.Cause = "name-servers" }, nil, false, false},
		{"up", func(s *status.Snapshot) { limited(s); s.State = status.Up }, nil, false, false},
		{"down", func(s *status.Snapshot) { limited(s); s.State, s.Link, s.Reach = status.Down, nil, nil }, nil, false, false},
		{"another operator's line", func(s *status.Snapshot) { limited(s); s.SIM.ICCID = "8949020000000000000" }, nil, false, false},
		{"no SIM", func(s *status.Snapshot) { limited(s); s.SIM = nil }, nil, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGateway(t)
			cfg := *g.config()
			cfg.Reach.Targets = []string{"http://reach.test/204", "tcp:198.51.100.9:443", "dns:x.test", "dns:x.test@9.9.9.9"}
			cfg.Dynamo.Directory, cfg.LPA.SMDS = "https://directory.test:8443/x", []string{"smds.test"}
			cfg.LPA.Resolve = nil
			cfg.Uplink.Apply = config.ApplySelf
			if tt.set != nil {
				tt.set(&cfg)
			}
			g.conf.Store(&cfg)
			p := cosa.OperatorProfile{ID: "op", Name: "Example", Source: cosa.SourceLocal, Rank: cosa.DefaultRank}
			p.Portal = cosa.Portal{URL: "https://Portal.test/buy", CallbackHosts: []string{"portal.test", "cb.test"}, Hosts: []string{"ocsp.test"}, ICCIDRanges: []cosa.Range{{Lo: "898824", Hi: "898824"}}}
			p.MOAPI.BaseURL, p.SIM.AccountURL = "https://api.test/v1", "https://account.test/"
			noPortal := p
			noPortal.ID, noPortal.Portal.URL, noPortal.Portal.CallbackHosts = "no portal", "", nil
			db, err := cosa.New([]cosa.OperatorProfile{noPortal, p})
			if err != nil {
				t.Fatal(err)
			}
			g.mu.Lock()
			g.operators = db
			g.mu.Unlock()
			g.status.Update(func(s *status.Snapshot) {
				tt.snap(s)
				s.Card = &status.Card{Default: "smdp.test:8443"}
				s.Garden = &status.Garden{Operator: "earlier"}
			})
			want := g.wantGarden()
			if got := g.status.Snapshot().Garden; (got != nil) != tt.offer || got != nil && (got.Operator != "op" || got.Name != "Example" || got.Portal != p.Portal.URL) {
				t.Errorf("offered: %+v", got)
			}
			if (want.Interface != "") != tt.wall || (g.mark() != 0) != tt.wall {
				t.Errorf("wanted: %+v, mark %d", want, g.mark())
			}
			if !tt.wall {
				return
			}
			names := []string{"portal.test", "cb.test", "ocsp.test", "api.test", "account.test", "directory.test", "reach.test", "smdp.test", "smds.test"}
			if want.Interface != "wwan0" || !slices.Equal(want.Names, names) || fmt.Sprint(want.Addrs) != "[9.9.9.9 10.64.3.5 10.64.3.53 198.51.100.9 2001:db8::53]" {
				t.Errorf("wanted: %+v", want)
			}
		})
	}
}
