// Package netlab is the network around a simulated gateway: the router that the gateway runs on, the carrier that its
// modem talks to, and the internet with the SM-DP+ in it.
//
//	 router                      carrier                          internet
//	┌───────────────┐  cell     ┌──────────────────────────┐     ┌──────────────┐
//	│ usb0 or wwan0 ├───────────┤ cell0   198.51.100.1 204 │     │              │
//	│               │           │         198.51.100.53 DNS├─────┤ core1        │
//	│          eth0 ├──┐        └──────────────────────────┘core0│              │
//	└───────────────┘  │  192.0.2.0/24, the other uplink         │ 192.0.2.10   │
//	                   └─────────────────────────────────────────┤ net0, SM-DP+ │
//	                                                             └──────────────┘
//
// [New] builds it of the kernel's own network namespaces and links: packets really cross. The cell carries traffic
// only between Activate and Deactivate, which the simulated modem calls. [NewSimulated] is the same with a kernel in
// memory, for where namespaces are forbidden. Nothing is left behind when the process ends, however it ends:
// namespaces and links vanish with its file descriptors.
package netlab

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"

	"dynamod/daemon/garden"
	"dynamod/netlink/dhcp"
	"dynamod/netlink/ra"
	"dynamod/netlink/reach"
	"dynamod/netlink/uplink"
)

// Addresses of the lab, from the blocks for documentation (RFC 5737).
var (
	SMDPAddr   = netip.MustParseAddr("192.0.2.10")    // in the internet, for the SM-DP+
	PortalAddr = netip.MustParseAddr("192.0.2.20")    // the same, for an operator's portal and API
	ReachAddr  = netip.MustParseAddr("198.51.100.1")  // the 204 endpoint; only the carrier leads there
	DNSAddr    = netip.MustParseAddr("198.51.100.53") // the carrier's name server

	// The same by IPv6 (RFC 3849), where the lab is the kernel's.
	ReachAddr6 = netip.MustParseAddr("2001:db8:51:100::1")
	DNSAddr6   = netip.MustParseAddr("2001:db8:51:100::53")

	routerNet   = netip.MustParsePrefix("192.0.2.2/24") // eth0
	internetNet = netip.MustParsePrefix("192.0.2.1/24") // net0, eth0's gateway
	coreCarrier = netip.MustParsePrefix("203.0.113.1/30")
	coreFar     = netip.MustParsePrefix("203.0.113.2/30")
)

// Names that the carrier's name server knows, beside those of Options.
const (
	ReachName  = "reach.lab.test"
	SMDPName   = "smdp.lab.test"
	PortalName = "portal.lab.test"
)

// ReachTarget is where the 204 endpoint is, by name: a reach check against it proves DNS too.
const ReachTarget = "http://" + ReachName + "/generate_204"

// OtherMetric is the metric of the other uplink's default route: worse than any that a modem's should have.
const OtherMetric = 1000

var (
	// ErrForbidden: the process may not make network namespaces. The error around it says why. Reexec may help an
	// ordinary user; else there is NewSimulated.
	ErrForbidden = errors.New("network namespaces are forbidden here")
	// ErrNoTUN: raw IP needs a TUN device, and there is none. The error around it says why.
	ErrNoTUN = errors.New("raw IP needs /dev/net/tun")
)

// Options say what the lab is like.
type Options struct {
	RawIP        bool                  // the modem's interface is wwan0, raw IP; else usb0, Ethernet with DHCP
	SingleUplink bool                  // the router has no eth0: all goes through the modem
	Names        map[string]netip.Addr // more names for the carrier's name server
	Log          *slog.Logger
}

// Interface is the name of the modem's network interface.
func (o Options) Interface() string {
	if o.RawIP {
		return "wwan0"
	}
	return "usb0"
}

// Lease is what the carrier gives to a context, IPv4.
type Lease struct {
	Addr    netip.Prefix
	Gateway netip.Addr // needed on Ethernet, where it is the DHCP server too; inside of Addr
	DNS     []netip.Addr
	MTU     int // 0: not told

	// Addr6, if it is valid, is IPv6: a prefix that the cell advertises on
	// Ethernet (TS 29.061, 11.2.1.3.4), the whole address on raw IP. Addr may then
	// be invalid, for a context of IPv6 alone.
	Addr6 netip.Prefix
}

// Lease is the one that fits the kind of interface; a real network's addresses look like this.
func (o Options) Lease() Lease {
	l := Lease{Addr: netip.MustParsePrefix("10.64.3.7/32"), DNS: []netip.Addr{DNSAddr}, MTU: 1430}
	if !o.RawIP {
		l.Addr, l.Gateway = netip.MustParsePrefix("10.64.3.6/30"), netip.MustParseAddr("10.64.3.5")
	}
	return l
}

// Counters are what crossed the cell so far.
type Counters struct {
	Up, Down         int64 // packets from and to the router; connections' writes in the simulated network
	UpBytes          int64
	DownBytes        int64
	Reached          int64 // requests that the 204 endpoint answered
	Leases, Releases int64 // DHCP
}

// Network is what a lab is for its users, kernel or not.
type Network interface {
	// Options are those that the network was made with.
	Options() Options
	// Kernel is the router's.
	Kernel() uplink.Kernel
	// Walls are the router's, for the walled garden.
	Walls() garden.Walls
	// Dial connects from the router by its main routing table. The address is an IP address and a port.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	// Advertised takes what routers advertise on an interface of the router, as
	// ra.Keep does.
	Advertised(ctx context.Context, ifname string, identifier netip.Addr, changed func(ra.Link)) error
	// Dialer connects from the router by the link that the Spec describes, as dynamod's
	// own connections do, which pass the router's wall.
	Dialer(uplink.Spec) reach.Dialer
	// DHCP gets a lease for an interface of the router.
	DHCP(ctx context.Context, ifname string) (dhcp.Lease, error)
	// KeepLease renews it, as dhcp.Client.Keep does.
	KeepLease(ctx context.Context, ifname string, lease dhcp.Lease, changed func(dhcp.Lease)) error
	// ListenInternet and ListenCarrier open a server at an address of theirs.
	ListenInternet(network, address string) (net.Listener, error)
	ListenCarrier(network, address string) (net.Listener, error)
	// Activate plugs the cell in: carrier on the modem's interface, traffic, DHCP. A lease that was active is replaced.
	Activate(Lease) error
	// Deactivate unplugs it. It is no error if nothing is active.
	Deactivate() error
	// Blackhole makes an active cell swallow all packets while it looks as if all was well.
	Blackhole(on bool) error
	// Portal makes the 204 endpoint send everybody on to this address, as a carrier does that wants money; "" ends it.
	Portal(location string)
	// Wall lets the router reach nothing beyond the carrier but these addresses, as a carrier does with a line whose
	// credit is used up; what goes elsewhere is refused as unreachable. It stays over Deactivate. Without on it falls.
	Wall(on bool, open ...netip.Addr) error
	Counters() (Counters, error)
	// Close ends everything that the network holds and waits for it.
	Close() error
}
