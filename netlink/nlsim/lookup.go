package nlsim

import (
	"net/netip"

	"dynamod/netlink"
)

// Lookup tells which route a packet would take: rules in order of priority, in each table the longest prefix and then
// the lowest metric. src may be zero (not bound), oif empty (not bound to an interface). A link that is not up has no
// routes; whether it has carrier is for the caller to see. The source that the packet would carry comes second.
func (k *Kernel) Lookup(src, dst netip.Addr, oif string) (netlink.Route, netip.Addr, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, rule := range k.rules {
		switch {
		case rule.Other, rule.IPv6 != is6(dst),
			rule.From.IsValid() && !rule.From.Contains(src),
			rule.OIF != "" && rule.OIF != oif:
			continue
		}
		if r, ok := k.best(rule.Table, dst, oif); ok {
			return r, k.source(src, r), true
		}
	}
	return netlink.Route{}, netip.Addr{}, false
}

func (k *Kernel) best(table uint32, dst netip.Addr, oif string) (best netlink.Route, found bool) {
	for _, r := range k.routes {
		if r.Table != table || !r.Dst.Contains(dst) || oif != "" && r.Dev != oif {
			continue
		}
		if !found || r.Dst.Bits() > best.Dst.Bits() || r.Dst.Bits() == best.Dst.Bits() && r.Metric < best.Metric {
			best, found = r, true
		}
	}
	return best, found
}

// source is what the kernel puts into a packet whose sender did not choose: the route's own, else the link's first
// address of the family.
func (k *Kernel) source(src netip.Addr, r netlink.Route) netip.Addr {
	if src.IsValid() {
		return src
	}
	if r.Src.IsValid() {
		return r.Src
	}
	for _, a := range k.addrs {
		if a.Index == r.Index && is6(a.Prefix.Addr()) == is6(r.Dst.Addr()) {
			return a.Prefix.Addr()
		}
	}
	return netip.Addr{}
}
