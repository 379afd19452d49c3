package netlink

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Protocol marks the routes, rules and (Linux 5.18 and later) addresses that are ours: rtm_protocol, FRA_PROTOCOL and
// IFA_PROTO. The number is in the range that the kernel leaves to routing daemons and is not in iproute2's
// rt_protos; `ip route show proto 215` lists our routes.
const Protocol = 215

// Numbers of linux/rtnetlink.h that callers need on every platform.
const (
	TableMain = 254 // RT_TABLE_MAIN

	ScopeGlobal = 0   // RT_SCOPE_UNIVERSE: reached through a gateway
	ScopeLink   = 253 // RT_SCOPE_LINK: reached directly
	ScopeHost   = 254 // RT_SCOPE_HOST

	ProtocolKernel = 2 // RTPROT_KERNEL: made by the kernel itself
)

// ARPHRD types of linux/if_arp.h, as in [Link.Type].
const (
	TypeEthernet = 1     // ARPHRD_ETHER: a modem that plays a network card (ECM, NCM, RNDIS, MBIM)
	TypeLoopback = 772   // ARPHRD_LOOPBACK
	TypeNone     = 65534 // ARPHRD_NONE: raw IP without a link layer header (tun, qmi_wwan in raw IP mode)
	TypeRawIP    = 519   // ARPHRD_RAWIP: rmnet
)

// Link is a network interface.
type Link struct {
	Index   int
	Name    string
	Kind    string           // "veth", "tun", ...; empty for hardware
	Type    uint16           // ARPHRD number
	MTU     int              // bytes
	HWAddr  net.HardwareAddr // nil for raw IP
	Up      bool             // administratively up (IFF_UP)
	Carrier bool             // up, the other end is there, and packets leave (IFF_LOWER_UP, IFF_RUNNING)
	NoARP   bool             // IFF_NOARP: no neighbours to look up, as on raw IP
}

// Ethernet reports whether the link carries Ethernet frames, so that DHCP and gateways make sense on it.
func (l Link) Ethernet() bool { return l.Type == TypeEthernet && len(l.HWAddr) == 6 }

func (l Link) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d: %s mtu %d", l.Index, l.Name, l.MTU)
	switch {
	case l.Carrier:
		s.WriteString(" up, carrier")
	case l.Up:
		s.WriteString(" up, no carrier")
	default:
		s.WriteString(" down")
	}
	if l.Kind != "" {
		s.WriteString(" " + l.Kind)
	}
	return s.String()
}

// Addr is an address on a link.
type Addr struct {
	Index    int
	Dev      string
	Prefix   netip.Prefix // the address itself with the length of its network: 10.1.2.3/24, not 10.1.2.0/24
	Scope    uint8
	Protocol uint8 // IFA_PROTO; 0 where the kernel is older than 5.18 or nobody said
}

// LinkLocal reports whether the address is one that the kernel makes by itself.
func (a Addr) LinkLocal() bool { return a.Prefix.Addr().Is6() && a.Prefix.Addr().IsLinkLocalUnicast() }

func (a Addr) String() string { return fmt.Sprintf("%s dev %s", a.Prefix, a.Dev) }

// Route is a unicast route with one next hop.
type Route struct {
	Dst      netip.Prefix // masked; 0.0.0.0/0 or ::/0 is the default route
	Gateway  netip.Addr   // zero: the destination is on the link
	Src      netip.Addr   // preferred source address; zero: the kernel picks
	Index    int
	Dev      string
	Metric   uint32 // the lower one wins
	Table    uint32
	Protocol uint8
	Scope    uint8
	OnLink   bool // RTNH_F_ONLINK: the gateway is reached through Dev although no prefix says so
}

// Default reports whether the route is a default route of either family.
func (r Route) Default() bool { return r.Dst.Bits() == 0 }

func (r Route) String() string {
	var s strings.Builder
	if r.Default() {
		s.WriteString("default")
	} else {
		s.WriteString(r.Dst.String())
	}
	if r.Gateway.IsValid() {
		fmt.Fprintf(&s, " via %s", r.Gateway)
	}
	fmt.Fprintf(&s, " dev %s", r.Dev)
	if r.OnLink {
		s.WriteString(" onlink")
	}
	if r.Scope == ScopeLink {
		s.WriteString(" scope link")
	}
	if r.Src.IsValid() {
		fmt.Fprintf(&s, " src %s", r.Src)
	}
	if r.Metric != 0 {
		fmt.Fprintf(&s, " metric %d", r.Metric)
	}
	if r.Table != TableMain && r.Table != 0 {
		fmt.Fprintf(&s, " table %d", r.Table)
	}
	if r.Protocol != 0 {
		fmt.Fprintf(&s, " proto %d", r.Protocol)
	}
	return s.String()
}

// Rule is a policy rule that sends packets to a table.
type Rule struct {
	From     netip.Prefix // zero: any source
	OIF      string       // only packets of sockets bound to this interface; empty: any
	Table    uint32
	Priority uint32 // the lower one is asked first
	Protocol uint8
	IPv6     bool
	Other    bool // has a selector or action that is not shown here; never ours
}

func (r Rule) String() string {
	from := "all"
	if r.From.IsValid() {
		from = r.From.String()
		if r.From.IsSingleIP() {
			from = r.From.Addr().String()
		}
	}
	s := "from " + from
	if r.OIF != "" {
		s += " oif " + r.OIF
	}
	s += fmt.Sprintf(" lookup %d priority %d", r.Table, r.Priority)
	if r.Protocol != 0 {
		s += fmt.Sprintf(" proto %d", r.Protocol)
	}
	return s
}

// Snapshot is what a network namespace holds at one moment. Links are in order of their index; multipath routes, routes
// that are not unicast and cloned IPv6 routes are left out.
type Snapshot struct {
	Links  []Link
	Addrs  []Addr
	Routes []Route
	Rules  []Rule
}

// Link finds a link by its name.
func (s Snapshot) Link(name string) (Link, bool) {
	for _, l := range s.Links {
		if l.Name == name {
			return l, true
		}
	}
	return Link{}, false
}
