package gateway

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"sort"
	"strings"
	"time"

	"dynamod/configs/cosa"
	"dynamod/daemon/config"
	"dynamod/daemon/garden"
	"dynamod/daemon/status"
	"dynamod/netlink/nft"
	"dynamod/netlink/reach"
)

// keepGarden keeps a line that only reaches its operator's portal to it.
func (g *Gateway) keepGarden(ctx context.Context) error {
	walls := g.opts.Walls
	if walls == nil {
		if g.opts.Kernel != nil {
			return nil // a kernel in memory without walls
		}
		walls = nft.Kernel{}
	}
	events := g.status.Subscribe(0)
	defer events.Close()
	return garden.New(garden.Config{
		Walls: walls, Table: g.table(), Want: g.wantGarden, Resolve: g.resolveMobile, Show: g.showGarden, Log: g.log,
		Wait: func(ctx context.Context, d time.Duration) {
			t := time.NewTimer(d)
			defer t.Stop()
			select {
			case <-ctx.Done():
			case <-t.C:
			case <-events.Events():
			}
		},
	}).Run(ctx)
}

// table is the daemon's own in nf_tables.
func (g *Gateway) table() string {
	if name := g.config().Instance; name != "" {
		return "dynamod-" + name
	}
	return "dynamod"
}

// wantGarden is what the state of the link asks for. The operator is offered whether
// or not there is to be a wall.
func (g *Gateway) wantGarden() garden.Want {
	snap := g.status.Snapshot()
	var p *cosa.OperatorProfile
	if snap.State == status.Limited && snap.Link != nil && snap.Reach != nil && snap.Reach.Cause == string(reach.Portal) && snap.SIM != nil {
		p = g.issuer(snap.SIM.ICCID)
	}
	if p == nil {
		g.walled.Store(false)
		if snap.Garden != nil {
			g.status.Update(func(s *status.Snapshot) { s.Garden = nil })
		}
		return garden.Want{}
	}
	offer := status.Garden{Operator: p.ID, Name: cmp.Or(p.SIM.BrandName, p.Name), Portal: p.Portal.URL}
	if was := snap.Garden; was == nil || was.Operator != offer.Operator || was.Portal != offer.Portal {
		g.status.Update(func(s *status.Snapshot) { s.Garden = &offer })
	}
	if !g.config().Dynamo.WalledGarden || g.config().Uplink.Apply != config.ApplySelf {
		g.walled.Store(false)
		return garden.Want{}
	}
	g.walled.Store(true) // before it stands: what is ours has to pass from its first moment on
	want := garden.Want{Interface: snap.Link.Interface}
	for _, host := range slices.Concat(snap.Link.DNS, []string{snap.Link.Gateway}, g.gardenHosts(p, snap)) {
		if a, err := netip.ParseAddr(host); err == nil {
			want.Addrs = append(want.Addrs, a.Unmap().WithZone(""))
		} else if host != "" {
			want.Names = append(want.Names, strings.ToLower(host))
		}
	}
	for _, ap := range g.config().LPA.Resolve {
		want.Addrs = append(want.Addrs, ap.Addr().Unmap())
	}
	sort.Slice(want.Addrs, func(i, j int) bool { return want.Addrs[i].Less(want.Addrs[j]) })
	want.Addrs, want.Names = slices.Compact(want.Addrs), unique(want.Names)
	return want
}

// issuer is the record, with a portal, of the operator that has given a line out, nil if
// there is none.
func (g *Gateway) issuer(iccid string) *cosa.OperatorProfile {
	for p := range g.getOperators().Profiles() {
		if p.Portal.URL != "" && p.Portal.Serves(iccid) {
			return p
		}
	}
	return nil
}

// gardenHosts are the names and addresses that pass, the portal's first: what the
// record names, who knows the balance, the reach check's targets, and the servers of
// profiles.
func (g *Gateway) gardenHosts(p *cosa.OperatorProfile, snap status.Snapshot) []string {
	cfg := g.config()
	hosts := []string{hostOf(p.Portal.URL)}
	hosts = append(hosts, p.Portal.CallbackHosts...)
	hosts = append(hosts, p.Portal.Hosts...)
	for _, u := range []string{p.MOAPI.BaseURL, p.MOAPI.BalanceURL, p.MOAPI.OfferURL, p.MOAPI.NotificationURL, p.SIM.AccountURL, cfg.Dynamo.Directory} {
		hosts = append(hosts, hostOf(u))
	}
	for _, target := range cfg.Reach.Targets {
		hosts = append(hosts, reach.Hosts(target)...)
	}
	if snap.Card != nil {
		hosts = append(hosts, hostOnly(snap.Card.Default))
	}
	for _, r := range g.runs.Runs() {
		if !r.State.Ended() {
			hosts = append(hosts, hostOnly(r.SMDP))
		}
	}
	for _, e := range g.outbox.Entries() {
		hosts = append(hosts, hostOnly(e.Address))
	}
	return append(hosts, cfg.LPA.SMDS...)
}

// errNoLink is for a look-up that comes too late.
var errNoLink = errors.New("the mobile link is down")

func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// hostOnly is an address of SGP.22 without its port.
func hostOnly(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

func unique(list []string) (out []string) {
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// resolveMobile looks a name up over the mobile link.
func (g *Gateway) resolveMobile(ctx context.Context, name string) ([]netip.Addr, time.Duration, error) {
	spec, ok := g.bearer.Active()
	if !ok {
		return nil, 0, errNoLink
	}
	var d reach.Dialer
	if g.opts.DialLink != nil {
		d = g.opts.DialLink(spec)
	} else {
		link := spec.Dialer()
		link.Mark = g.mark()
		d = link
	}
	if t, ok := d.(interface {
		LookupTTL(ctx context.Context, network, host string) ([]netip.Addr, time.Duration, error)
	}); ok {
		return t.LookupTTL(ctx, "ip", name)
	}
	addrs, err := d.LookupNetIP(ctx, "ip", name)
	return addrs, 0, err
}

// mark is that of our own connections over the mobile link, which pass the wall: a
// server of many addresses may be met at another one than the wall knows.
func (g *Gateway) mark() uint32 {
	if g.walled.Load() {
		return nft.Mark
	}
	return 0
}

func (g *Gateway) showGarden(s garden.State) {
	g.status.Update(func(snap *status.Snapshot) {
		if snap.Garden == nil {
			return
		}
		shown := *snap.Garden
		shown.Interface, shown.Hosts, shown.Missing, shown.Error = s.Interface, s.Names, s.Missing, ""
		if s.Err != nil {
			shown.Error = s.Err.Error()
		}
		snap.Garden = &shown
	})
}
