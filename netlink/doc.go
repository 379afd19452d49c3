// Package netlink is a small, comfortable layer over route netlink: it lists links, addresses, routes and policy rules
// and changes them one at a time, in iproute2's words.
//
// A [Snapshot] is what the kernel holds. A [Change] is one step ("ip addr add 10.1.2.3/32 dev wwan0"). [Conn] speaks to
// the kernel; package nlsim holds a kernel in memory that answers the same way, with the same error numbers. What a data
// link should look like is package uplink's business.
//
// Everything that this program adds carries the number [Protocol], so that it is recognised after a restart, and what
// other programs and people configured is left alone. See rtnetlink(7), ip-route(8) and ip-rule(8).
//
// The wire format is the work of github.com/mdlayher/netlink (set NLDEBUG=level=1 to watch the messages) and
// github.com/jsimonetti/rtnetlink.
package netlink
