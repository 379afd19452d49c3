package nlsim

import (
	"net/netip"
	"slices"
	"syscall"

	"dynamod/netlink"
)

// All functions here are called with the lock held.

func (k *Kernel) setUp(o netlink.UpDown) error {
	l := k.byIndex(o.Index)
	if l == nil {
		return syscall.ENODEV
	}
	if l.Up && !o.Up {
		// fib_sync_down_dev and addrconf_ifdown: IPv4 addresses stay, all else goes.
		k.dropRoutes(func(r netlink.Route) bool { return r.Index == l.Index })
		k.drop6(l.Index)
	}
	l.Up = o.Up
	l.Carrier = l.Up && l.wire
	return nil
}

// drop6 removes the IPv6 addresses and routes of a link.
func (k *Kernel) drop6(index int) {
	k.addrs = slices.DeleteFunc(k.addrs, func(a netlink.Addr) bool { return a.Index == index && is6(a.Prefix.Addr()) })
	k.dropRoutes(func(r netlink.Route) bool { return r.Index == index && is6(r.Dst.Addr()) })
}

// Bounds of an MTU: ETH_MIN_MTU, and IPV6_MIN_MTU below which a link has no IPv6.
const (
	minMTU  = 68
	maxMTU  = 65536
	minMTU6 = 1280
)

func (k *Kernel) setMTU(o netlink.MTU) error {
	l := k.byIndex(o.Index)
	switch {
	case l == nil:
		return syscall.ENODEV
	case o.MTU < minMTU || o.MTU > maxMTU:
		return syscall.EINVAL
	}
	l.MTU = o.MTU
	if l.MTU < minMTU6 {
		k.drop6(l.Index)
	}
	return nil
}

func (k *Kernel) addAddr(a netlink.Addr) error {
	l := k.byIndex(a.Index)
	switch {
	case l == nil:
		return syscall.ENODEV
	case !a.Prefix.IsValid():
		return syscall.EINVAL
	case is6(a.Prefix.Addr()) && l.no6:
		return syscall.EACCES
	}
	for _, o := range k.addrs {
		if o.Index == a.Index && (o.Prefix == a.Prefix || is6(a.Prefix.Addr()) && o.Prefix.Addr() == a.Prefix.Addr()) {
			return syscall.EEXIST
		}
	}
	a.Dev = l.Name
	if k.faults.NoAddrProtocol {
		a.Protocol = 0
	}
	k.addrs = append(k.addrs, a)
	return nil
}

func (k *Kernel) delAddr(a netlink.Addr) error {
	i := slices.IndexFunc(k.addrs, func(o netlink.Addr) bool { return o.Index == a.Index && o.Prefix == a.Prefix })
	if i < 0 {
		return syscall.EADDRNOTAVAIL
	}
	k.addrs = slices.Delete(k.addrs, i, i+1)
	ip := a.Prefix.Addr()
	if slices.ContainsFunc(k.addrs, func(o netlink.Addr) bool { return o.Prefix.Addr() == ip }) {
		return nil
	}
	if is6(ip) {
		// rt6_remove_prefsrc: the routes stay and lose their source.
		for i := range k.routes {
			if k.routes[i].Src == ip {
				k.routes[i].Src = netip.Addr{}
			}
		}
		return nil
	}
	// fib_sync_down_addr: routes that send from it go. fib_inetaddr_event: with the last IPv4 address all others too.
	last := !slices.ContainsFunc(k.addrs, func(o netlink.Addr) bool { return o.Index == a.Index && !is6(o.Prefix.Addr()) })
	k.dropRoutes(func(r netlink.Route) bool {
		return r.Src == ip || last && r.Index == a.Index && !is6(r.Dst.Addr())
	})
	return nil
}

func (k *Kernel) addRoute(r netlink.Route) error {
	l := k.byIndex(r.Index)
	six := is6(r.Dst.Addr())
	switch {
	case l == nil:
		return syscall.ENODEV
	case six && l.no6:
		return syscall.EACCES
	case !l.Up:
		return syscall.ENETDOWN
	case r.Dst != r.Dst.Masked():
		return syscall.EINVAL
	case r.Src.IsValid() && !k.local(r.Src):
		return syscall.EINVAL
	case r.Gateway.IsValid() && !r.OnLink && !k.onLink(r, six):
		if six {
			return syscall.EHOSTUNREACH
		}
		return syscall.ENETUNREACH
	}
	if r.Table == 0 {
		r.Table = netlink.TableMain
	}
	if six && r.Metric == 0 {
		r.Metric = 1024 // IP6_RT_PRIO_USER
	}
	for _, o := range k.routes {
		if o.Dst == r.Dst && o.Metric == r.Metric && o.Table == r.Table {
			return syscall.EEXIST
		}
	}
	r.Dev = l.Name
	k.routes = append(k.routes, r)
	return nil
}

// onLink reports whether a route without gateway leads to the gateway of r, out of the same link: fib_check_nh.
func (k *Kernel) onLink(r netlink.Route, six bool) bool {
	if six && r.Gateway.IsLinkLocalUnicast() {
		return true
	}
	return slices.ContainsFunc(k.routes, func(o netlink.Route) bool {
		return o.Index == r.Index && !o.Gateway.IsValid() && o.Dst.Contains(r.Gateway) &&
			(o.Table == netlink.TableMain || o.Table == r.Table)
	})
}

func (k *Kernel) local(a netip.Addr) bool {
	return slices.ContainsFunc(k.addrs, func(o netlink.Addr) bool { return o.Prefix.Addr() == a })
}

func (k *Kernel) delRoute(r netlink.Route) error {
	r.Dev = "" // a name is for people
	i := slices.IndexFunc(k.routes, func(o netlink.Route) bool { o.Dev = ""; return o == r })
	if i < 0 {
		return syscall.ESRCH
	}
	k.routes = slices.Delete(k.routes, i, i+1)
	return nil
}

func (k *Kernel) addRule(r netlink.Rule) error {
	if r.Other {
		return syscall.EINVAL
	}
	if slices.Contains(k.rules, r) {
		return syscall.EEXIST
	}
	// Behind those of the same priority.
	i, _ := slices.BinarySearchFunc(k.rules, r, func(a, b netlink.Rule) int {
		if a.Priority <= b.Priority {
			return -1
		}
		return 1
	})
	k.rules = slices.Insert(k.rules, i, r)
	return nil
}

func (k *Kernel) delRule(r netlink.Rule) error {
	i := slices.Index(k.rules, r)
	if i < 0 {
		return syscall.ENOENT
	}
	k.rules = slices.Delete(k.rules, i, i+1)
	return nil
}
