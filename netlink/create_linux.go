package netlink

import (
	"context"

	"github.com/jsimonetti/rtnetlink/v2"
	mdnetlink "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// AddVeth makes a pair of Ethernet links that are each other's cable, both down. With peerNetNS, a file descriptor of a
// network namespace, the second end is made there; 0 makes it beside the first one.
func (c *Conn) AddVeth(ctx context.Context, name, peer string, peerNetNS int) error {
	far := &rtnetlink.LinkMessage{Attributes: &rtnetlink.LinkAttributes{Name: peer}}
	if peerNetNS != 0 {
		far.Attributes.NetNS = rtnetlink.NetNSForFD(uint32(peerNetNS))
	}
	m := &rtnetlink.LinkMessage{Attributes: &rtnetlink.LinkAttributes{
		Name: name,
		Info: &rtnetlink.LinkInfo{Kind: "veth", Data: vethPeer{far}},
	}}
	_, err := c.execute(ctx, m, unix.RTM_NEWLINK, mdnetlink.Create|mdnetlink.Excl|mdnetlink.Acknowledge, nil)
	if err != nil {
		return &OpError{Op: "ip link add " + name + " type veth peer name " + peer, Err: err}
	}
	return nil
}

// DelLink removes a virtual link; with one end of a veth pair the other one goes too.
func (c *Conn) DelLink(ctx context.Context, l Link) error {
	_, err := c.execute(ctx, &rtnetlink.LinkMessage{Index: uint32(l.Index)}, unix.RTM_DELLINK, mdnetlink.Acknowledge, nil)
	if err != nil {
		return &OpError{Op: "ip link del " + l.Name, Err: err}
	}
	return nil
}

// vethPeer is IFLA_INFO_DATA of a veth link: VETH_INFO_PEER of linux/veth.h, a whole link message. rtnetlink has it too,
// in a package that brings an eBPF library along.
type vethPeer struct{ far *rtnetlink.LinkMessage }

func (v vethPeer) New() rtnetlink.LinkDriver                { return vethPeer{} }
func (v vethPeer) Kind() string                             { return "veth" }
func (v vethPeer) Decode(*mdnetlink.AttributeDecoder) error { return nil }

func (v vethPeer) Encode(ae *mdnetlink.AttributeEncoder) error {
	b, err := v.far.MarshalBinary()
	if err != nil {
		return err
	}
	const vethInfoPeer = 1
	ae.Bytes(vethInfoPeer, b)
	return nil
}
