package ra

import (
	"net/netip"
	"slices"
	"sort"
	"time"
)

// Link is what a host makes of the advertisements. Without an address it can use no router.
type Link struct {
	Addrs   []netip.Prefix // preferred ones first; with the prefix's length where that is on the link, else /128
	Gateway netip.Addr     // link-local
	DNS     []netip.Addr
	MTU     int // 0: not told
}

// Equal reports whether a link that is configured for one needs no change for the other.
func (l Link) Equal(o Link) bool {
	return slices.Equal(l.Addrs, o.Addrs) && l.Gateway == o.Gateway && slices.Equal(l.DNS, o.DNS) && l.MTU == o.MTU
}

// host is what a host keeps of an interface (RFC 4861, 5.1).
type host struct {
	iid      [8]byte // low half of its addresses
	routers  []entry[netip.Addr]
	prefixes []prefix
	dns      []entry[netip.Addr]
	mtu      int
}

// entry is something with a lifetime; a zero end is none.
type entry[T comparable] struct {
	what T
	end  time.Time
}

type prefix struct {
	Prefix
	valid, preferred time.Time // ends
}

// ends is when a lifetime that begins now is over.
func ends(now time.Time, d time.Duration) time.Time {
	if d == Infinite {
		return time.Time{}
	}
	return now.Add(d)
}

func over(now, end time.Time) bool { return !end.IsZero() && !now.Before(end) }

// put adds or renews an entry, behind those that are there.
func put[T comparable](list []entry[T], e entry[T], limit int) []entry[T] {
	if i := slices.IndexFunc(list, func(o entry[T]) bool { return o.what == e.what }); i >= 0 {
		list[i].end = e.end
		return list
	}
	if len(list) < limit {
		list = append(list, e)
	}
	return list
}

// hear takes an advertisement in.
func (h *host) hear(a Advert, now time.Time) {
	h.forget(now)
	h.routers = put(h.routers, entry[netip.Addr]{a.Router, now.Add(a.Lifetime)}, maxServers)
	for _, s := range a.DNS {
		h.dns = put(h.dns, entry[netip.Addr]{s.Addr, ends(now, s.Lifetime)}, maxServers)
	}
	if a.MTU != 0 {
		h.mtu = a.MTU
	}
	for _, p := range a.Prefixes {
		h.hearPrefix(p, now)
	}
	h.forget(now)
}

// twoHours is the shortest time to which an advertisement that nobody signs may cut a lifetime (RFC 4862, 5.5.3 e).
const twoHours = 2 * time.Hour

// hearPrefix is RFC 4862, 5.5.3. The identifier has 64 bits, so a prefix has, too.
func (h *host) hearPrefix(p Prefix, now time.Time) {
	if !p.Auto || p.Prefix.Bits() != 64 || p.Prefix.Addr().IsLinkLocalUnicast() || p.Prefix.Addr().IsMulticast() || p.Preferred > p.Valid {
		return
	}
	new := prefix{p, ends(now, p.Valid), ends(now, p.Preferred)}
	i := slices.IndexFunc(h.prefixes, func(o prefix) bool { return o.Prefix.Prefix == p.Prefix })
	if i < 0 {
		if p.Valid > 0 && len(h.prefixes) < maxPrefixes {
			h.prefixes = append(h.prefixes, new)
		}
		return
	}
	old := h.prefixes[i]
	left := Infinite
	if !old.valid.IsZero() {
		left = old.valid.Sub(now)
	}
	if p.Valid <= twoHours && p.Valid <= left {
		new.valid = old.valid
		if left > twoHours {
			new.valid = now.Add(twoHours)
		}
	}
	h.prefixes[i] = new
}

// forget drops what is over.
func (h *host) forget(now time.Time) {
	h.routers = slices.DeleteFunc(h.routers, func(e entry[netip.Addr]) bool { return over(now, e.end) })
	h.dns = slices.DeleteFunc(h.dns, func(e entry[netip.Addr]) bool { return over(now, e.end) })
	h.prefixes = slices.DeleteFunc(h.prefixes, func(p prefix) bool { return over(now, p.valid) })
}

// link is the configuration at a time.
func (h *host) link(now time.Time) Link {
	h.forget(now)
	if len(h.routers) == 0 || len(h.prefixes) == 0 {
		return Link{}
	}
	l := Link{Gateway: h.routers[0].what, MTU: h.mtu}
	list := slices.Clone(h.prefixes)
	rank := func(p prefix) int { // deprecated ones last
		if over(now, p.preferred) {
			return 1
		}
		return 0
	}
	sort.SliceStable(list, func(i, j int) bool { return rank(list[i]) < rank(list[j]) })
	for _, p := range list {
		ip := p.Prefix.Prefix.Addr().As16()
		copy(ip[8:], h.iid[:])
		bits := 128
		if p.OnLink {
			bits = 64
		}
		l.Addrs = append(l.Addrs, netip.PrefixFrom(netip.AddrFrom16(ip), bits))
	}
	for _, s := range h.dns {
		l.DNS = append(l.DNS, s.what)
	}
	return l
}

// next is when something is over, zero for never.
func (h *host) next() (at time.Time) {
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, e := range slices.Concat(h.routers, h.dns) {
		sooner(e.end)
	}
	for _, p := range h.prefixes {
		sooner(p.valid)
	}
	return at
}
