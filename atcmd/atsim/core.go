package atsim

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// Core is a Network with one cell and the packet core behind it: it knows its
// subscribers by the beginning of their IMSI, and gives or refuses a context as
// an operator's network does, with the cause of TS 24.301 9.9.4.4.
//
// Its fields are set before the modem is powered; later, change them in Set.
type Core struct {
	// Home is MCC and MNC that the subscribers' IMSIs begin with. Others are
	// refused with EMM cause 11.
	Home string
	// Cell is the serving network. Its Status is worked out: 1 where its PLMN is
	// Home, else 5.
	Cell Registration
	APNs []APN
	// Default is the APN that a request without one gets. Where it is empty,
	// such a request is refused with cause 27.
	Default string
	// OnePerAPN refuses a second context of one APN with cause 55.
	OnePerAPN bool
	// Barred, if not 0, is the cause with which every request is refused.
	Barred int

	mu    sync.Mutex
	asked []PDP
	up    map[int]string // context -> APN
}

// APN is a packet data network as its operator offers it.
type APN struct {
	Name string
	// Types are the PDN types that it gives: IP, IPV6, or both for a dual one.
	// Empty means both. While roaming RoamingTypes hold, if there are any.
	Types, RoamingTypes []string
	// DualCause is the cause that refuses a request for both types where only
	// one is given: 28 of an old core, 50 to 52 of a strict one. 0 grants the one
	// type and tells the cause with it, as TS 24.301 6.5.1.3 has it.
	DualCause int
	// User and Password are what the network's server asks for; without a User
	// it asks nobody. Methods are those that it takes, 1 PAP and 2 CHAP; empty
	// means both.
	User, Password string
	Methods        []int
	HomeOnly       bool // refused while roaming, cause 66
	NotSubscribed  bool // cause 33
	// Lease is what a context gets, of the granted type.
	Lease Lease
}

// Causes of TS 24.301 9.9.4.4 that a Core gives by itself.
const (
	causeUnknownAPN    = 27
	causeUnknownType   = 28
	causeAuth          = 29
	causeNotSubscribed = 33
	causeIPv4Only      = 50
	causeIPv6Only      = 51
	causeSamePDN       = 55
	causeNotHere       = 66
)

var _ Network = (*Core)(nil)

// Set changes the network while a modem uses it.
func (c *Core) Set(change func(*Core)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

// Asked returns the contexts that were asked for since the last call.
func (c *Core) Asked() []PDP {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.asked
	c.asked = nil
	return out
}

// Up returns the APN that a context is up with, "" if it is down.
func (c *Core) Up(cid int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.up[cid]
}

// Register implements Network.
func (c *Core) Register(s Subscriber) Registration {
	c.mu.Lock()
	defer c.mu.Unlock()
	reg := c.Cell
	switch {
	case reg.PLMN == "" || reg.RejectCause != 0:
	case !strings.HasPrefix(s.IMSI, c.Home):
		reg.Status, reg.RejectCause = 3, 11 // PLMN not allowed
	case reg.PLMN == c.Home:
		reg.Status = 1
	default:
		reg.Status = 5
	}
	return reg
}

// Activate implements Network.
func (c *Core) Activate(_ Subscriber, p PDP) (Lease, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, p)
	refuse := func(cause int) (Lease, error) { return Lease{}, &Reject{Cause: cause} }
	if c.Barred != 0 {
		return refuse(c.Barred)
	}
	name := p.APN
	if name == "" {
		name = c.Default
	}
	i := slices.IndexFunc(c.APNs, func(a APN) bool { return name != "" && strings.EqualFold(a.Name, name) })
	if i < 0 {
		return refuse(causeUnknownAPN)
	}
	a, roaming := c.APNs[i], c.Cell.PLMN != c.Home
	switch {
	case a.NotSubscribed:
		return refuse(causeNotSubscribed)
	case roaming && a.HomeOnly:
		return refuse(causeNotHere)
	case !a.admits(p):
		return refuse(causeAuth)
	case c.OnePerAPN && c.isUp(a.Name, p.CID):
		return refuse(causeSamePDN)
	}
	types := a.Types
	if roaming && len(a.RoamingTypes) > 0 {
		types = a.RoamingTypes
	}
	lease, cause := grant(a.Lease, types, p.Type, a.DualCause)
	if cause != 0 {
		return refuse(cause)
	}
	lease.APN = a.Name
	if c.up == nil {
		c.up = map[int]string{}
	}
	c.up[p.CID] = a.Name
	return lease, nil
}

func (c *Core) isUp(apn string, but int) bool {
	for cid, name := range c.up {
		if cid != but && name == apn {
			return true
		}
	}
	return false
}

// Deactivate implements Network.
func (c *Core) Deactivate(_ Subscriber, cid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.up, cid)
}

// admits asks the server behind the APN.
func (a *APN) admits(p PDP) bool {
	if a.User == "" {
		return true
	}
	return p.Auth != 0 && (len(a.Methods) == 0 || slices.Contains(a.Methods, p.Auth)) && p.User == a.User && p.Password == a.Password
}

// grant gives the part of a lease that was asked for and is on offer, or the
// cause of the refusal.
func grant(l Lease, types []string, asked string, dualCause int) (Lease, int) {
	has4 := len(types) == 0 || slices.Contains(types, "IP")
	has6 := len(types) == 0 || slices.Contains(types, "IPV6")
	switch {
	case asked == "IPV4V6" && has4 && has6:
		return l, 0
	case asked == "IPV4V6" && dualCause != 0:
		return l, dualCause
	case asked == "IPV4V6" && has4:
		l.Cause = causeIPv4Only
	case asked == "IPV4V6":
		l.Cause = causeIPv6Only
	case asked == "IP" && !has4:
		return l, causeIPv6Only
	case asked == "IPV6" && !has6:
		return l, causeIPv4Only
	case asked != "IP" && asked != "IPV6":
		return l, causeUnknownType
	}
	if asked == "IP" || l.Cause == causeIPv4Only {
		l.DNS = slices.DeleteFunc(slices.Clone(l.DNS), netip.Addr.Is6)
		return Lease{APN: l.APN, Addr: l.Addr, Gateway: l.Gateway, DNS: l.DNS, MTU: l.MTU, Cause: l.Cause}, 0
	}
	l.DNS = slices.DeleteFunc(slices.Clone(l.DNS), netip.Addr.Is4)
	return Lease{APN: l.APN, Addr6: l.Addr6, Gateway6: l.Gateway6, DNS: l.DNS, MTU: l.MTU, Cause: l.Cause}, 0
}
