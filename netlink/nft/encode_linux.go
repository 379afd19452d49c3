package nft

import (
	"encoding/binary"
	"time"

	mdnetlink "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The sets of a wall, by the names that `nft list` shows.
const (
	hosts4 = "hosts4"
	hosts6 = "hosts6"
)

// Types of set keys are user space's own affair (nft's datatype.h); nft shows the
// elements by them.
const (
	typeIPv4 = 7
	typeIPv6 = 8
)

// verdictAccept is NF_ACCEPT (linux/netfilter.h).
const verdictAccept = 1

// attr is one attribute (struct nlattr) with all parts as its value.
func attr(typ uint16, parts ...[]byte) []byte {
	b := make([]byte, unix.SizeofNlAttr, 32)
	for _, p := range parts {
		b = append(b, p...)
	}
	binary.NativeEndian.PutUint16(b, uint16(len(b)))
	binary.NativeEndian.PutUint16(b[2:], typ)
	for len(b)%unix.NLA_ALIGNTO != 0 {
		b = append(b, 0)
	}
	return b
}

func nest(typ uint16, parts ...[]byte) []byte { return attr(typ|unix.NLA_F_NESTED, parts...) }

// Numbers of nf_tables are in network byte order.
func num(typ uint16, v uint32) []byte { return attr(typ, binary.BigEndian.AppendUint32(nil, v)) }

func text(typ uint16, s string) []byte { return attr(typ, append([]byte(s), 0)) }

// message is one of nf_tables' own, for the family inet.
func message(kind int, flags mdnetlink.HeaderFlags, attrs ...[]byte) mdnetlink.Message {
	return batchMessage(unix.NFNL_SUBSYS_NFTABLES<<8|kind, unix.NFPROTO_INET, 0, flags, attrs...)
}

func batchMessage(typ int, family byte, resource uint16, flags mdnetlink.HeaderFlags, attrs ...[]byte) mdnetlink.Message {
	b := []byte{family, 0} // struct nfgenmsg, version NFNETLINK_V0
	b = binary.BigEndian.AppendUint16(b, resource)
	for _, a := range attrs {
		b = append(b, a...)
	}
	return mdnetlink.Message{Header: mdnetlink.Header{Type: mdnetlink.HeaderType(typ), Flags: mdnetlink.Request | flags}, Data: b}
}

// batch is messages that are carried out all or not at all. The last one is
// acknowledged.
func batch(msgs []mdnetlink.Message) []mdnetlink.Message {
	msgs[len(msgs)-1].Header.Flags |= mdnetlink.Acknowledge
	out := append(make([]mdnetlink.Message, 0, len(msgs)+2), batchMessage(unix.NFNL_MSG_BATCH_BEGIN, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, 0))
	out = append(out, msgs...)
	return append(out, batchMessage(unix.NFNL_MSG_BATCH_END, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, 0))
}

func newTable(name string) mdnetlink.Message {
	return message(unix.NFT_MSG_NEWTABLE, mdnetlink.Create, text(unix.NFTA_TABLE_NAME, name))
}

func deleteTable(name string) mdnetlink.Message {
	return message(unix.NFT_MSG_DELTABLE, 0, text(unix.NFTA_TABLE_NAME, name))
}

// raise is a wall without hosts, in place of one that may be there: deleting is an
// error where there is none.
func (w Wall) raise() []mdnetlink.Message {
	msgs := []mdnetlink.Message{newTable(w.Table), deleteTable(w.Table), newTable(w.Table), w.newSet(hosts4, 1, typeIPv4, 4), w.newSet(hosts6, 2, typeIPv6, 16)}
	for _, c := range []struct {
		name string
		hook uint32
	}{{"output", unix.NF_INET_LOCAL_OUT}, {"forward", unix.NF_INET_FORWARD}} {
		msgs = append(msgs, message(unix.NFT_MSG_NEWCHAIN, mdnetlink.Create,
			text(unix.NFTA_CHAIN_TABLE, w.Table), text(unix.NFTA_CHAIN_NAME, c.name),
			nest(unix.NFTA_CHAIN_HOOK, num(unix.NFTA_HOOK_HOOKNUM, c.hook), num(unix.NFTA_HOOK_PRIORITY, 0)),
			text(unix.NFTA_CHAIN_TYPE, "filter"),
		))
		for _, exprs := range w.rules() {
			msgs = append(msgs, message(unix.NFT_MSG_NEWRULE, mdnetlink.Create|mdnetlink.Append,
				text(unix.NFTA_RULE_TABLE, w.Table), text(unix.NFTA_RULE_CHAIN, c.name), nest(unix.NFTA_RULE_EXPRESSIONS, exprs...)))
		}
	}
	return msgs
}

func (w Wall) newSet(name string, id, key, size uint32) mdnetlink.Message {
	return message(unix.NFT_MSG_NEWSET, mdnetlink.Create,
		text(unix.NFTA_SET_TABLE, w.Table), text(unix.NFTA_SET_NAME, name), num(unix.NFTA_SET_FLAGS, unix.NFT_SET_TIMEOUT),
		num(unix.NFTA_SET_KEY_TYPE, key), num(unix.NFTA_SET_KEY_LEN, size), num(unix.NFTA_SET_ID, id))
}

// fill puts hosts into the place of those that are there.
func (w Wall) fill(hosts []Host) []mdnetlink.Message {
	var msgs []mdnetlink.Message
	for _, set := range []string{hosts4, hosts6} {
		var list [][]byte
		for _, h := range hosts {
			if h.Addr.Is4() == (set == hosts4) {
				list = append(list, element(h))
			}
		}
		name := [][]byte{text(unix.NFTA_SET_ELEM_LIST_TABLE, w.Table), text(unix.NFTA_SET_ELEM_LIST_SET, set)}
		msgs = append(msgs, message(unix.NFT_MSG_DELSETELEM, 0, name...)) // no element is named: all
		if len(list) > 0 {
			msgs = append(msgs, message(unix.NFT_MSG_NEWSETELEM, mdnetlink.Create, append(name, nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS, list...))...))
		}
	}
	return msgs
}

func element(h Host) []byte {
	parts := [][]byte{nest(unix.NFTA_SET_ELEM_KEY, attr(unix.NFTA_DATA_VALUE, h.Addr.AsSlice()))}
	if ms := uint64(h.For / time.Millisecond); ms > 0 {
		parts = append(parts, attr(unix.NFTA_SET_ELEM_TIMEOUT, binary.BigEndian.AppendUint64(nil, ms)))
	}
	return nest(unix.NFTA_LIST_ELEM, parts...)
}

// rules are those of both chains, in turn; each is its expressions. The words behind
// them are nft's.
func (w Wall) rules() [][][]byte {
	var ifname [unix.IFNAMSIZ]byte
	copy(ifname[:], w.Interface)
	four := []([]byte){meta(unix.NFT_META_NFPROTO), compare(unix.NFT_CMP_EQ, unix.NFPROTO_IPV4)}
	six := []([]byte){meta(unix.NFT_META_NFPROTO), compare(unix.NFT_CMP_EQ, unix.NFPROTO_IPV6)}
	l4 := func(proto byte) [][]byte {
		return []([]byte){meta(unix.NFT_META_L4PROTO), compare(unix.NFT_CMP_EQ, proto)}
	}
	rule := func(match [][]byte, more ...[]byte) [][]byte { return append(match, more...) }
	return [][][]byte{
		{meta(unix.NFT_META_OIFNAME), compare(unix.NFT_CMP_NEQ, ifname[:]...), accept()}, // oifname != "wwan0" accept
		{direction(), compare(unix.NFT_CMP_EQ, 1), accept()},                             // ct direction reply accept
		// meta mark 215 accept; the mark is in the machine's byte order
		{meta(unix.NFT_META_MARK), compare(unix.NFT_CMP_EQ, binary.NativeEndian.AppendUint32(nil, Mark)...), accept()},
		rule(four, network(16, 4), lookup(hosts4), accept()), // ip daddr @hosts4 accept
		rule(six, network(24, 16), lookup(hosts6), accept()), // ip6 daddr @hosts6 accept
		// ip6 daddr fe00::/7: link-local addresses and multicast, neighbour discovery among them.
		rule(six, network(24, 1), compare(unix.NFT_CMP_GTE, 0xfe), accept()),
		// udp dport 67: a DHCP server may be another than the router that it names.
		rule(l4(unix.IPPROTO_UDP), transport(2, 2), compare(unix.NFT_CMP_EQ, 0, 67), accept()),
		rule(l4(unix.IPPROTO_TCP), refuse(unix.NFT_REJECT_TCP_RST)), // reject with tcp reset
		{refuse(unix.NFT_REJECT_ICMPX_UNREACH)},                     // reject with icmpx admin-prohibited
	}
}

func expression(name string, data ...[]byte) []byte {
	return nest(unix.NFTA_LIST_ELEM, text(unix.NFTA_EXPR_NAME, name), nest(unix.NFTA_EXPR_DATA, data...))
}

// All that is compared goes by way of register 1.

func meta(key uint32) []byte {
	return expression("meta", num(unix.NFTA_META_DREG, unix.NFT_REG_1), num(unix.NFTA_META_KEY, key))
}

func direction() []byte {
	return expression("ct", num(unix.NFTA_CT_DREG, unix.NFT_REG_1), num(unix.NFTA_CT_KEY, unix.NFT_CT_DIRECTION))
}

func network(offset, size uint32) []byte {
	return payload(unix.NFT_PAYLOAD_NETWORK_HEADER, offset, size)
}

func transport(offset, size uint32) []byte {
	return payload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, offset, size)
}

func payload(base, offset, size uint32) []byte {
	return expression("payload", num(unix.NFTA_PAYLOAD_DREG, unix.NFT_REG_1), num(unix.NFTA_PAYLOAD_BASE, base),
		num(unix.NFTA_PAYLOAD_OFFSET, offset), num(unix.NFTA_PAYLOAD_LEN, size))
}

func compare(op uint32, value ...byte) []byte {
	return expression("cmp", num(unix.NFTA_CMP_SREG, unix.NFT_REG_1), num(unix.NFTA_CMP_OP, op), nest(unix.NFTA_CMP_DATA, attr(unix.NFTA_DATA_VALUE, value)))
}

func lookup(set string) []byte {
	return expression("lookup", text(unix.NFTA_LOOKUP_SET, set), num(unix.NFTA_LOOKUP_SREG, unix.NFT_REG_1))
}

func accept() []byte {
	return expression("immediate", num(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_VERDICT),
		nest(unix.NFTA_IMMEDIATE_DATA, nest(unix.NFTA_DATA_VERDICT, num(unix.NFTA_VERDICT_CODE, verdictAccept))))
}

func refuse(kind uint32) []byte {
	return expression("reject", num(unix.NFTA_REJECT_TYPE, kind), attr(unix.NFTA_REJECT_ICMP_CODE, []byte{unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}))
}
