package uplink

import (
	"net/netip"
	"slices"

	"dynamod/netlink"
)

// Change is one step from what is to what should be: either one for the kernel or one for the DNS file.
type Change struct {
	Kernel netlink.Change
	Undo   netlink.Change // takes Kernel back
	DNS    *DNSChange     // if not nil, the change is to the DNS file and Kernel is empty
}

// String gives the change as an ip(8) command, or says what happens to the DNS file.
func (c Change) String() string {
	if c.DNS != nil {
		return c.DNS.String()
	}
	return c.Kernel.String()
}

// ipv6 reports whether the change is to an IPv6 object.
func (c Change) ipv6() bool {
	switch o := c.Kernel.Object.(type) {
	case netlink.Addr:
		return o.Prefix.Addr().Is6()
	case netlink.Route:
		return o.Dst.Addr().Is6()
	case netlink.Rule:
		return o.IPv6
	}
	return false
}

func add(o netlink.Object) Change {
	return Change{Kernel: netlink.Change{Op: netlink.Add, Object: o}, Undo: netlink.Change{Op: netlink.Delete, Object: o}}
}

func del(o netlink.Object) Change {
	return Change{Kernel: netlink.Change{Op: netlink.Delete, Object: o}, Undo: netlink.Change{Op: netlink.Add, Object: o}}
}

func set(now, before netlink.Object) Change {
	return Change{Kernel: netlink.Change{Op: netlink.Set, Object: now}, Undo: netlink.Change{Op: netlink.Set, Object: before}}
}

func updown(l netlink.Link, up bool) Change {
	return set(netlink.UpDown{Index: l.Index, Dev: l.Name, Up: up}, netlink.UpDown{Index: l.Index, Dev: l.Name, Up: !up})
}

// Diff lists the steps that turn st into s, in an order that the kernel accepts. It is empty if nothing is to do, also
// if the interface is missing. What is not ours is never in it.
func Diff(s Spec, st Status) []Change {
	if !st.Present {
		return nil
	}
	var cs []Change
	l := st.Link
	if s.MTU != 0 && l.MTU != s.MTU {
		cs = append(cs, set(
			netlink.MTU{Index: l.Index, Dev: l.Name, MTU: s.MTU},
			netlink.MTU{Index: l.Index, Dev: l.Name, MTU: l.MTU}))
	}
	if !l.Up {
		cs = append(cs, updown(l, true))
	}
	wantAddrs, wantRoutes, wantRules := s.wantAddrs(l), s.wantRoutes(l), s.wantRules()
	wanted := func(p netip.Prefix) bool { return slices.Contains(s.Addrs, p) }

	// The kernel takes one prefix length an IPv6 address, so the old one has to go first; other stale addresses go last.
	var staleLast []Change
	for _, a := range st.Addrs {
		if !st.ours(a) || wanted(a.Prefix) {
			continue
		}
		if slices.ContainsFunc(s.Addrs, func(p netip.Prefix) bool { return p.Addr() == a.Prefix.Addr() }) {
			cs = append(cs, del(a))
		} else {
			staleLast = append(staleLast, del(a))
		}
	}
	for _, a := range wantAddrs {
		if !st.hasAddr(a.Prefix) {
			cs = append(cs, add(a))
		}
	}
	for _, r := range st.Rules {
		if !slices.Contains(wantRules, r) {
			cs = append(cs, del(r))
		}
	}
	for _, r := range st.Routes {
		if r.Protocol == netlink.Protocol && !slices.Contains(wantRoutes, r) {
			cs = append(cs, del(r))
		}
	}
	for _, r := range wantRoutes {
		if !slices.Contains(st.Routes, r) {
			cs = append(cs, add(r))
		}
	}
	for _, r := range wantRules {
		if !slices.Contains(st.Rules, r) {
			cs = append(cs, add(r))
		}
	}
	cs = append(cs, staleLast...)
	return append(cs, diffDNS(s, st)...)
}

func diffDNS(s Spec, st Status) []Change {
	if s.DNSFile == "" {
		return nil
	}
	servers := s.servers()
	c := Change{DNS: &DNSChange{File: s.DNSFile, Interface: s.Interface, Servers: servers}}
	switch {
	case len(servers) == 0 && st.DNS.State != FileOurs,
		st.DNS.State == FileOurs && slices.Equal(servers, st.DNS.Servers):
		return nil
	}
	return []Change{c}
}

// diffDown lists the steps that take away what is ours.
func diffDown(s Spec, st Status) []Change {
	var cs []Change
	for _, r := range st.Rules {
		cs = append(cs, del(r))
	}
	foreign := false
	for _, r := range slices.Backward(st.Routes) {
		switch {
		case r.Protocol == netlink.Protocol:
			cs = append(cs, del(r))
		case r.Protocol != netlink.ProtocolKernel:
			foreign = true
		}
	}
	for _, a := range st.Addrs {
		switch {
		case st.ours(a) || slices.Contains(s.Addrs, a.Prefix):
			cs = append(cs, del(a))
		case !a.LinkLocal():
			foreign = true
		}
	}
	// Taking the link down would take away what others configured on it.
	if st.Present && st.Link.Up && !foreign {
		cs = append(cs, updown(st.Link, false))
	}
	if s.DNSFile != "" && st.DNS.State == FileOurs {
		cs = append(cs, Change{DNS: &DNSChange{File: s.DNSFile, Interface: s.Interface}})
	}
	return cs
}
