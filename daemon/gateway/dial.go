package gateway

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sort"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/status"
	"dynamod/euicc"
	"dynamod/euicc/es9p"
	"dynamod/netlink"
)

// way is how the SM-DP+ is reached.
type way struct {
	ifname string // "" leaves it to the kernel
	modem  bool   // through the enabled profile
}

func (w way) String() string {
	switch {
	case w.modem:
		return w.ifname + " (the enabled profile)"
	case w.ifname == "":
		return "the network"
	}
	return w.ifname
}

// ways lists the ways to the SM-DP+ in the order in which they are tried:
// other uplinks first, because the enabled profile may be about to change.
func (g *Gateway) ways(ctx context.Context) ([]way, error) {
	own, _ := g.bearer.Active()
	ifname, _ := g.modemInterface()
	if via := g.config().LPA.Via; via != config.Auto {
		return []way{{ifname: via, modem: via == own.Interface || via == ifname}}, nil
	}
	snap, err := g.kernel.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	routes := slices.DeleteFunc(snap.Routes, func(r netlink.Route) bool { return !r.Default() || r.Dev == ifname })
	sort.SliceStable(routes, func(i, j int) bool { return routes[i].Metric < routes[j].Metric })
	var list []way
	for _, r := range routes {
		if w := (way{ifname: r.Dev}); !slices.Contains(list, w) {
			list = append(list, w)
		}
	}
	if own.Interface != "" {
		list = append(list, way{ifname: own.Interface, modem: true})
	}
	if len(list) == 0 && g.onLink(ctx) {
		list = append(list, way{})
	}
	if len(list) == 0 {
		return nil, &activation.Fault{
			Code: "no-way", Text: "there is no way to the SM-DP+: no other uplink, and no enabled profile with a link", Retry: euicc.RetryLater,
			Advice: "connect Ethernet or Wi-Fi for the download, or name the interface in [lpa] via",
		}
	}
	return list, nil
}

// awaitWay is ways for who is about to begin. After a restart of daemon, modem or
// card the only way may be the profile's own link, which is on its way up then.
func (g *Gateway) awaitWay(ctx context.Context) error {
	list, err := g.ways(ctx)
	if err == nil && g.stands(list) {
		return nil
	}
	settle, done := context.WithTimeout(ctx, g.config().Bearer.Deadline)
	defer done()
	for {
		g.bearer.Settle(settle)
		list, err = g.ways(ctx)
		if err == nil && g.stands(list) || settle.Err() != nil || !g.mayComeUp() {
			return err
		}
		select { // the look may have come before the modem had read its SIM
		case <-settle.Done():
		case <-time.After(wayPause):
		}
	}
}

// ownOnly reports whether the profile's own link is the only way.
func ownOnly(list []way) bool { return len(list) == 1 && list[0].modem }

// stands reports whether a way is there, or its link for all that is known.
func (g *Gateway) stands(list []way) bool { return !ownOnly(list) || g.bearer.Standing() != 0 }

// onlyLink is the number of the profile's own link where servers are reached over
// nothing else, 0 where that is not so or it is down.
func (g *Gateway) onlyLink(ctx context.Context) uint64 {
	if list, err := g.ways(ctx); err != nil || !ownOnly(list) || g.onLink(ctx) {
		return 0
	}
	return g.bearer.Standing()
}

// regain waits, until ctx ends, for a way to servers that were lost over the only
// link. It reports whether there is another link now, or another way: the one that
// was there all the time is not what keeps servers out of reach.
func (g *Gateway) regain(ctx context.Context, only uint64) bool {
	for looks := 1; ; looks++ {
		g.bearer.Settle(ctx)
		if list, err := g.ways(ctx); err == nil && !ownOnly(list) && g.config().LPA.Via == config.Auto {
			return true
		}
		switch n := g.bearer.Standing(); {
		case n == only && looks > 1: // the first look may have begun before
			return false
		case n != only && n != 0:
			return true
		case ctx.Err() != nil || !g.mayComeUp():
			return false
		case n == 0 && looks == 1:
			g.log.Info("the only link is away; the run waits for it")
			g.status.Log("the link is away, and the run waits for it: there is no other way to the server")
		}
		select {
		case <-ctx.Done():
		case <-time.After(wayPause):
		}
	}
}

// wayPause lies between two looks of who waits for a way.
const wayPause = 2 * time.Second

// mayComeUp reports whether the card has an enabled profile, for all that is known.
func (g *Gateway) mayComeUp() bool {
	card := g.status.Snapshot().Card
	return card == nil || card.Error != "" || slices.ContainsFunc(card.Profiles, func(p status.Profile) bool { return p.State == euicc.Enabled.String() })
}

// onLink reports whether an address of [lpa.resolve] needs no default route.
func (g *Gateway) onLink(ctx context.Context) bool {
	for _, ap := range g.config().LPA.Resolve {
		if g.attached(ctx, ap.Addr()) {
			return true
		}
	}
	return false
}

// dial connects by the first way that works to what the configuration names.
func (g *Gateway) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return g.dialAllowed(ctx, network, address, nil)
}

// dialServer connects to an SM-DP+ or SM-DS. Whoever made the activation code, the
// card or the discovery server's answer chose its name.
func (g *Gateway) dialServer(ctx context.Context, network, address string) (net.Conn, error) {
	lpa := &g.config().LPA
	ap, err := netip.ParseAddrPort(address)
	literal := err == nil
	anywhere := lpa.AllowPrivate || literal && slices.Contains(slices.Collect(maps.Values(lpa.Resolve)), ap)
	if literal && !anywhere {
		if err := checkPublic(ap.Addr()); err != nil {
			return nil, err
		}
	}
	if anywhere || lpa.Proxy != nil {
		return es9p.Through(lpa.Proxy, g.dial)(ctx, network, address)
	}
	return g.dialAllowed(ctx, network, address, checkPublic)
}

// dialAllowed connects by the first way that works, to addresses that allow, which
// may be nil, has no error for.
func (g *Gateway) dialAllowed(ctx context.Context, network, address string, allow func(netip.Addr) error) (net.Conn, error) {
	return g.dialMarked(ctx, network, address, allow, g.mark())
}

// dialMarked is dialAllowed with a mark of sockets on the mobile link, 0 for those that
// stop at a walled garden.
func (g *Gateway) dialMarked(ctx context.Context, network, address string, allow func(netip.Addr) error, mark uint32) (net.Conn, error) {
	if g.opts.Dial != nil {
		conn, err := g.opts.Dial(ctx, network, address)
		if err == nil || g.opts.DialLink == nil {
			return conn, err
		}
		if spec, ok := g.bearer.Active(); ok && spec.Private {
			return g.opts.DialLink(spec).DialContext(ctx, network, address)
		}
		return nil, err
	}
	// A server on a directly attached network is not behind a default route;
	// the kernel knows the way better than we do.
	if ap, err := netip.ParseAddrPort(address); err == nil && g.config().LPA.Via == config.Auto && g.attached(ctx, ap.Addr()) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
	list, err := g.ways(ctx)
	if err != nil {
		return nil, err
	}
	var first error
	for _, w := range list {
		d := net.Dialer{Control: allowing(allow, bindTo(w.ifname))}
		connect := d.DialContext
		if spec, ok := g.bearer.Active(); w.modem && ok {
			link := spec.Dialer() // with the link's own name servers
			link.Allow, link.Mark = allow, mark
			connect = link.DialContext
		}
		conn, err := connect(ctx, network, address)
		if err == nil {
			g.log.Debug("connected", "network", network, "via", w.String())
			return conn, nil
		}
		if first == nil {
			first = fmt.Errorf("via %s: %w", w, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// attached reports whether an address is on this machine or on a network that
// another interface than the modem's is attached to.
func (g *Gateway) attached(ctx context.Context, a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	own, _ := g.modemInterface()
	snap, err := g.kernel.Snapshot(ctx)
	return err == nil && slices.ContainsFunc(snap.Routes, func(r netlink.Route) bool {
		return !r.Default() && r.Dev != own && r.Dst.Contains(a)
	})
}
