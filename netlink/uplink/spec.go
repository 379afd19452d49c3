// Package uplink turns what a data link should be into what the kernel holds, and back.
//
// A [Spec] says what should be: the interface, its addresses, the way out, the DNS servers. [Read] tells what is, as a
// [Status]. [Diff] lists the steps between the two and touches nothing; [Apply] does them. Applying the same Spec twice
// changes nothing the second time, so a program that starts again on a link that is up adopts it by applying. [Down]
// takes away what is ours and nothing else. [Watch] reports when the link is no longer what it was.
//
// Ours is what carries [netlink.Protocol] and belongs to the interface: routes out of it, rules to its table, addresses
// on it. So two modems, each with a table and a metric of its own, do not touch each other's.
package uplink

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"dynamod/netlink"
)

// Kernel is what uplink needs of a kernel. *netlink.Conn is the real one, nlsim.Kernel one in memory.
type Kernel interface {
	// Snapshot lists links, addresses, routes and rules.
	Snapshot(ctx context.Context) (netlink.Snapshot, error)
	// Change does one step. Its error holds a syscall.Errno if the kernel refused.
	Change(ctx context.Context, c netlink.Change) error
	// Watch calls changed once when it is ready and then after every change, until ctx ends.
	Watch(ctx context.Context, changed func()) error
}

// RulePriority is the priority of our source rules: before the main table (32766), behind the rules that VPNs and
// multi-WAN packages usually make.
const RulePriority = 20000

// Spec says what a data link should be. The zero value of each field but Interface means "none" or "leave alone".
type Spec struct {
	Interface string

	// MTU in bytes; 0 leaves the interface's own.
	MTU int

	// Addrs are our addresses, IPv4 and IPv6. A /32 or /128 is a point-to-point address; a shorter prefix means that
	// the other hosts of the prefix are on the link.
	Addrs []netip.Prefix

	// Gateway and Gateway6 are the next hops of the default routes. Without one, the default route goes straight to
	// the link, as raw IP wants it. A gateway outside of all prefixes is taken to be on the link all the same.
	Gateway  netip.Addr
	Gateway6 netip.Addr

	// DefaultRoute puts a default route for each family that has an address into the main table.
	DefaultRoute bool

	// Metric of our routes in the main table; the lowest metric wins there. 0 is the best for IPv4; for IPv6 the
	// kernel makes it 1024.
	Metric uint32

	// Table, if not 0, is a routing table of our own with the same routes; packets that carry one of our addresses
	// are sent there by a rule, so they leave by this link whatever the main table prefers.
	Table uint32

	// Private keeps the link to who asks for it by its address or interface: nothing
	// goes into the main table, nor into DNSFile, and what is there of ours is taken
	// out. It needs a Table.
	Private bool

	// DNS servers, written to DNSFile in the format of resolv.conf(5). An empty DNSFile writes nothing.
	DNS     []netip.Addr
	DNSFile string
}

// Bounds of a Spec.
const (
	maxIfName  = 15 // IFNAMSIZ - 1
	minMTU     = 576
	minMTU6    = 1280
	maxMTU     = 65535
	maxAddrs   = 16
	maxServers = 8
)

// Validate reports the first thing that no kernel could do.
func (s Spec) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("uplink %s: %s", s.Interface, fmt.Sprintf(format, args...))
	}
	if err := checkInterface(s.Interface); err != nil {
		return err
	}
	if s.MTU != 0 && (s.MTU < minMTU || s.MTU > maxMTU) {
		return bad("mtu %d is not in %d..%d (RFC 791: every host takes 576)", s.MTU, minMTU, maxMTU)
	}
	if s.MTU != 0 && s.MTU < minMTU6 && slices.ContainsFunc(s.Addrs, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		return bad("mtu %d is too small for IPv6 (RFC 8200 section 5: at least 1280)", s.MTU)
	}
	if len(s.Addrs) == 0 {
		return bad("no address")
	}
	if len(s.Addrs) > maxAddrs {
		return bad("%d addresses, at most %d", len(s.Addrs), maxAddrs)
	}
	for i, p := range s.Addrs {
		a := p.Addr()
		switch {
		case !p.IsValid() || p.Bits() == 0:
			return bad("address %s has no valid prefix length", p)
		case a.Zone() != "", a.Is4In6():
			return bad("address %s: write it without zone and not as IPv4-mapped IPv6", p)
		case a.IsUnspecified(), a.IsMulticast(), a.IsLoopback(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
			return bad("%s is no address that a host can have", p)
		case slices.ContainsFunc(s.Addrs[:i], func(o netip.Prefix) bool { return o.Addr() == a }):
			return bad("address %s appears twice", a)
		}
	}
	if g := s.Gateway; g.IsValid() && (!g.Is4() || !g.IsGlobalUnicast() && !g.IsLinkLocalUnicast()) {
		return bad("gateway %s is not an IPv4 host", g)
	}
	if g := s.Gateway6; g.IsValid() && (!g.Is6() || g.Is4In6() || g.Zone() != "" || !g.IsGlobalUnicast() && !g.IsLinkLocalUnicast()) {
		return bad("gateway %s is not an IPv6 host", g)
	}
	if s.Table >= 253 && s.Table <= 255 {
		return bad("table %d belongs to the system (253 default, 254 main, 255 local); choose another one or 0", s.Table)
	}
	if s.Private && s.Table == 0 {
		return bad("a private link needs a table of its own")
	}
	if len(s.DNS) > maxServers {
		return bad("%d dns servers, at most %d", len(s.DNS), maxServers)
	}
	for _, a := range s.DNS {
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() {
			return bad("%s is no dns server", a)
		}
	}
	if s.DNSFile != "" && !filepath.IsAbs(s.DNSFile) {
		return bad("dns file %s is not an absolute path", s.DNSFile)
	}
	return nil
}

func checkInterface(name string) error {
	if name == "" || len(name) > maxIfName || strings.ContainsAny(name, "/: \t\n\x00%") || name == "." || name == ".." {
		return fmt.Errorf("uplink: %q is no interface name", name)
	}
	return nil
}

// ErrNoInterface is in the error of Read-based calls when the interface is not there (yet, or any more).
var ErrNoInterface = errors.New("no such interface")

// wantAddrs, wantRoutes and wantRules are the kernel objects of a Spec on a given link.

func (s Spec) wantAddrs(l netlink.Link) []netlink.Addr {
	var as []netlink.Addr
	for _, p := range s.Addrs {
		a := netlink.Addr{Index: l.Index, Dev: l.Name, Prefix: p, Protocol: netlink.Protocol}
		if p.Addr().IsLinkLocalUnicast() {
			a.Scope = netlink.ScopeLink
		}
		as = append(as, a)
	}
	return as
}

func (s Spec) wantRoutes(l netlink.Link) []netlink.Route {
	var rs []netlink.Route
	add := func(r netlink.Route) {
		r.Index, r.Dev, r.Protocol = l.Index, l.Name, netlink.Protocol
		if r.Dst.Addr().Is6() {
			r.Scope = netlink.ScopeGlobal // IPv6 routes have no scope
			if r.Metric == 0 {
				r.Metric = 1024 // IP6_RT_PRIO_USER, what the kernel makes of 0
			}
		}
		if !slices.Contains(rs, r) {
			rs = append(rs, r)
		}
	}
	// Prefixes first: gateways are reached through them.
	for _, p := range s.Addrs {
		if p.IsSingleIP() {
			continue
		}
		r := netlink.Route{Dst: p.Masked(), Src: p.Addr(), Scope: netlink.ScopeLink, Metric: s.Metric, Table: netlink.TableMain}
		if !s.Private {
			add(r)
		}
		if s.Table != 0 {
			r.Table, r.Metric = s.Table, 0
			add(r)
		}
	}
	for _, six := range []bool{false, true} {
		src, ok := s.source(six)
		if !ok {
			continue
		}
		r := netlink.Route{Dst: defaultDst(six), Src: src, Scope: netlink.ScopeLink}
		if g := s.gateway(six); g.IsValid() {
			r.Gateway, r.Scope = g, netlink.ScopeGlobal
			inside := slices.ContainsFunc(s.Addrs, func(p netip.Prefix) bool { return !p.IsSingleIP() && p.Contains(g) })
			r.OnLink = !inside && !(g.Is6() && g.IsLinkLocalUnicast())
		}
		if s.DefaultRoute && !s.Private {
			r.Table, r.Metric = netlink.TableMain, s.Metric
			add(r)
		}
		if s.Table != 0 {
			r.Table, r.Metric = s.Table, 0
			add(r)
		}
	}
	return rs
}

func (s Spec) wantRules() []netlink.Rule {
	if s.Table == 0 {
		return nil
	}
	var rs []netlink.Rule
	for _, p := range s.Addrs {
		rs = append(rs, netlink.Rule{
			From:     netip.PrefixFrom(p.Addr(), p.Addr().BitLen()),
			Table:    s.Table,
			Priority: RulePriority,
			Protocol: netlink.Protocol,
			IPv6:     p.Addr().Is6(),
		})
	}
	return rs
}

// servers are those for the DNS file.
func (s Spec) servers() []netip.Addr {
	if s.Private {
		return nil
	}
	return s.DNS
}

// source is the first address of a family: what packets of ours carry unless a program says otherwise. A link-local
// IPv6 address is not one.
func (s Spec) source(six bool) (netip.Addr, bool) {
	for _, p := range s.Addrs {
		if a := p.Addr(); a.Is6() == six && !(six && a.IsLinkLocalUnicast()) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

func (s Spec) gateway(six bool) netip.Addr {
	if six {
		return s.Gateway6
	}
	return s.Gateway
}

func defaultDst(six bool) netip.Prefix {
	if six {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}
