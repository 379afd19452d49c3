package netlink

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/jsimonetti/rtnetlink/v2"
	mdnetlink "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ifaProto is IFA_PROTO of linux/if_addr.h (since 5.18): who made the address. Older kernels skip it.
const ifaProto = 11

// rtnhFOnlink is RTNH_F_ONLINK of linux/rtnetlink.h.
const rtnhFOnlink = 4

// decodeLink reads an RTM_NEWLINK payload.
func decodeLink(b []byte) (Link, bool) {
	var m rtnetlink.LinkMessage
	if err := m.UnmarshalBinary(b); err != nil || m.Attributes == nil || m.Attributes.Name == "" {
		return Link{}, false
	}
	l := Link{
		Index:  int(m.Index),
		Name:   m.Attributes.Name,
		Type:   m.Type,
		MTU:    int(m.Attributes.MTU),
		HWAddr: slices.Clone(m.Attributes.Address),
		Up:     m.Flags&unix.IFF_UP != 0,
		// LOWER_UP alone comes up to a second before the kernel lets packets
		// out; what leaves in between is lost without a word.
		Carrier: m.Flags&unix.IFF_LOWER_UP != 0 && m.Flags&unix.IFF_RUNNING != 0,
		NoARP:   m.Flags&unix.IFF_NOARP != 0,
	}
	if m.Attributes.Info != nil {
		l.Kind = m.Attributes.Info.Kind
	}
	return l, true
}

// decodeAddr reads an RTM_NEWADDR payload.
func decodeAddr(b []byte) (Addr, bool) {
	var m rtnetlink.AddressMessage
	if err := m.UnmarshalBinary(b); err != nil || m.Attributes == nil {
		return Addr{}, false
	}
	// On a point-to-point link IFA_ADDRESS is the other end and IFA_LOCAL is us; IPv6 has IFA_ADDRESS alone.
	ip := m.Attributes.Local
	if ip == nil {
		ip = m.Attributes.Address
	}
	p, ok := prefix(m.Family, ip, m.PrefixLength)
	if !ok {
		return Addr{}, false
	}
	a := Addr{Index: int(m.Index), Prefix: p, Scope: m.Scope}
	if ad, err := mdnetlink.NewAttributeDecoder(b[unix.SizeofIfAddrmsg:]); err == nil {
		for ad.Next() {
			if ad.Type() == ifaProto && len(ad.Bytes()) == 1 {
				a.Protocol = ad.Bytes()[0]
			}
		}
	}
	return a, true
}

// decodeRoute reads an RTM_NEWROUTE payload; ok is false for what a Route cannot say.
func decodeRoute(b []byte) (Route, bool) {
	var m rtnetlink.RouteMessage
	if err := m.UnmarshalBinary(b); err != nil {
		return Route{}, false
	}
	at := m.Attributes
	if m.Type != unix.RTN_UNICAST || m.Flags&unix.RTM_F_CLONED != 0 || m.SrcLength != 0 || len(at.Multipath) > 0 {
		return Route{}, false
	}
	dst, ok := prefix(m.Family, at.Dst, m.DstLength)
	if !ok {
		return Route{}, false
	}
	r := Route{
		Dst:      dst.Masked(),
		Index:    int(at.OutIface),
		Metric:   at.Priority,
		Table:    at.Table,
		Protocol: m.Protocol,
		Scope:    m.Scope,
		OnLink:   m.Flags&rtnhFOnlink != 0,
	}
	if r.Table == 0 {
		r.Table = uint32(m.Table)
	}
	r.Gateway, _ = netip.AddrFromSlice(at.Gateway)
	r.Src, _ = netip.AddrFromSlice(at.Src)
	return r, true
}

// fibRuleHdrLen is the size of struct fib_rule_hdr.
const fibRuleHdrLen = 12

// decodeRule reads an RTM_NEWRULE payload. It reads the attributes itself, because a rule of somebody else's with an
// attribute that rtnetlink does not know has to be seen as such, not refused.
func decodeRule(b []byte) (Rule, bool) {
	if len(b) < fibRuleHdrLen {
		return Rule{}, false
	}
	family, dstLen, srcLen, tos, action := b[0], b[1], b[2], b[3], b[7]
	if family != unix.AF_INET && family != unix.AF_INET6 {
		return Rule{}, false
	}
	r := Rule{
		Table: uint32(b[4]),
		IPv6:  family == unix.AF_INET6,
		Other: dstLen != 0 || tos != 0 || action != unix.FR_ACT_TO_TBL || binary.NativeEndian.Uint32(b[8:])&unix.FIB_RULE_INVERT != 0,
	}
	ad, err := mdnetlink.NewAttributeDecoder(b[fibRuleHdrLen:])
	if err != nil {
		return Rule{}, false
	}
	for ad.Next() {
		v := ad.Bytes()
		switch ad.Type() {
		case unix.FRA_SRC:
			p, ok := prefix(family, v, srcLen)
			if !ok {
				return Rule{}, false
			}
			r.From = p.Masked()
		case unix.FRA_TABLE:
			r.Table = ad.Uint32()
		case unix.FRA_PRIORITY:
			r.Priority = ad.Uint32()
		case unix.FRA_PROTOCOL:
			r.Protocol = ad.Uint8()
		case unix.FRA_OIFNAME:
			r.OIF = ad.String()
		case unix.FRA_SUPPRESS_PREFIXLEN, unix.FRA_SUPPRESS_IFGROUP:
			// All bits set is how the kernel says "not used".
			r.Other = r.Other || ad.Uint32() != 1<<32-1
		case unix.FRA_FWMASK, unix.FRA_PAD, unix.FRA_UNSPEC:
		default:
			r.Other = true
		}
	}
	return r, ad.Err() == nil
}

// prefix makes a netip.Prefix; a nil ip is the zero address of the family, as in a default route.
func prefix(family uint8, ip []byte, bits uint8) (netip.Prefix, bool) {
	var a netip.Addr
	switch {
	case family == unix.AF_INET && len(ip) == 4, family == unix.AF_INET6 && len(ip) == 16:
		a, _ = netip.AddrFromSlice(ip)
	case family == unix.AF_INET && ip == nil:
		a = netip.IPv4Unspecified()
	case family == unix.AF_INET6 && ip == nil:
		a = netip.IPv6Unspecified()
	default:
		return netip.Prefix{}, false
	}
	p := netip.PrefixFrom(a, int(bits))
	return p, p.IsValid()
}

func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// encodeChange makes the request of a change; extra is appended behind the message's own attributes.
func encodeChange(ch Change) (typ uint16, flags mdnetlink.HeaderFlags, m rtnetlink.Message, extra []byte, err error) {
	create := mdnetlink.Create | mdnetlink.Excl
	op := ch.Op
	switch o := ch.Object.(type) {
	case UpDown:
		if op != Set {
			break
		}
		lm := &rtnetlink.LinkMessage{Index: uint32(o.Index), Change: unix.IFF_UP}
		if o.Up {
			lm.Flags = unix.IFF_UP
		}
		return unix.RTM_NEWLINK, 0, lm, nil, nil
	case MTU:
		if op != Set {
			break
		}
		lm := &rtnetlink.LinkMessage{Index: uint32(o.Index), Attributes: &rtnetlink.LinkAttributes{MTU: uint32(o.MTU)}}
		return unix.RTM_NEWLINK, 0, lm, nil, nil
	case Addr:
		m, extra, err = encodeAddr(o)
		switch op {
		case Add:
			return unix.RTM_NEWADDR, create, m, extra, err
		case Delete:
			return unix.RTM_DELADDR, 0, m, nil, err
		}
	case Route:
		rm := encodeRoute(o)
		switch op {
		case Add:
			return unix.RTM_NEWROUTE, create, rm, nil, nil
		case Delete:
			return unix.RTM_DELROUTE, 0, rm, nil, nil
		}
	case Rule:
		if o.Other {
			return 0, 0, nil, nil, fmt.Errorf("%w: the rule has parts that are not known here", unix.EINVAL)
		}
		rm := encodeRule(o)
		switch op {
		case Add:
			return unix.RTM_NEWRULE, create, rm, nil, nil
		case Delete:
			return unix.RTM_DELRULE, 0, rm, nil, nil
		}
	}
	return 0, 0, nil, nil, fmt.Errorf("%w: no such change", unix.EINVAL)
}

func encodeAddr(a Addr) (rtnetlink.Message, []byte, error) {
	ip := a.Prefix.Addr()
	if !a.Prefix.IsValid() {
		return nil, nil, fmt.Errorf("%w: no address", unix.EINVAL)
	}
	at := &rtnetlink.AddressAttributes{
		Address: ip.AsSlice(),
		// The route to the prefix is ours to make, with our metric: two modems often hand out the same 192.168.x.0/24.
		Flags: unix.IFA_F_NOPREFIXROUTE,
	}
	if ip.Is4() {
		at.Local = ip.AsSlice()
	} else {
		// A cellular network gives the prefix to this link alone: there is nobody to ask for duplicates.
		at.Flags |= unix.IFA_F_NODAD
	}
	m := &rtnetlink.AddressMessage{
		Family:       family(ip),
		PrefixLength: uint8(a.Prefix.Bits()),
		Scope:        a.Scope,
		Index:        uint32(a.Index),
		Attributes:   at,
	}
	if a.Protocol == 0 {
		return m, nil, nil
	}
	extra, err := mdnetlink.MarshalAttributes([]mdnetlink.Attribute{{Type: ifaProto, Data: []byte{a.Protocol}}})
	return m, extra, err
}

func encodeRoute(r Route) rtnetlink.Message {
	m := &rtnetlink.RouteMessage{
		Family:    family(r.Dst.Addr()),
		DstLength: uint8(r.Dst.Bits()),
		Table:     unix.RT_TABLE_UNSPEC, // RTA_TABLE holds it, also above 255
		Protocol:  r.Protocol,
		Scope:     r.Scope,
		Type:      unix.RTN_UNICAST,
		Attributes: rtnetlink.RouteAttributes{
			OutIface: uint32(r.Index),
			Priority: r.Metric,
			Table:    r.Table,
		},
	}
	if r.OnLink {
		m.Flags = rtnhFOnlink
	}
	if !r.Default() {
		m.Attributes.Dst = net.IP(r.Dst.Masked().Addr().AsSlice())
	}
	if r.Gateway.IsValid() {
		m.Attributes.Gateway = net.IP(r.Gateway.AsSlice())
	}
	if r.Src.IsValid() {
		m.Attributes.Src = net.IP(r.Src.AsSlice())
	}
	return m
}

func encodeRule(r Rule) rtnetlink.Message {
	m := &rtnetlink.RuleMessage{
		Family: unix.AF_INET,
		Action: unix.FR_ACT_TO_TBL,
		Attributes: &rtnetlink.RuleAttributes{
			Table:    &r.Table,
			Priority: &r.Priority,
			Protocol: &r.Protocol,
		},
	}
	if r.IPv6 {
		m.Family = unix.AF_INET6
	}
	if r.From.IsValid() {
		m.SrcLength = uint8(r.From.Bits())
		src := net.IP(r.From.Masked().Addr().AsSlice())
		m.Attributes.Src = &src
	}
	if r.OIF != "" {
		m.Attributes.OIFName = &r.OIF
	}
	return m
}
