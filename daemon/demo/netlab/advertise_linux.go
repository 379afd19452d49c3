package netlab

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/ipv6"

	"dynamod/netlink"
	"dynamod/netlink/ra"
)

// Advertised takes what the cell advertises to the router.
func (l *Lab) Advertised(ctx context.Context, ifname string, identifier netip.Addr, changed func(ra.Link)) error {
	return l.router.do(func() error {
		if err := ra.Ours(ifname); err != nil {
			return err
		}
		return ra.Keep(ctx, ra.Config{Interface: ifname, IID: identifier, Log: l.log}, changed)
	})
}

// advert is what the network's router says of a lease (TS 29.061, 11.2.1.3.4): one prefix, which is not on the link,
// and no lifetime ends.
func (l Lease) advert() ra.Advert {
	a := ra.Advert{Lifetime: 65535 * time.Second, MTU: l.MTU, Prefixes: []ra.Prefix{{Prefix: l.Addr6.Masked(), Auto: true, Valid: ra.Infinite, Preferred: ra.Infinite}}}
	for _, d := range l.DNS {
		if d.Is6() {
			a.DNS = append(a.DNS, ra.Server{Addr: d, Lifetime: time.Hour})
		}
	}
	return a
}

// toRouter6 is the carrier's route to the prefix of the router.
func (c *cell) toRouter6() netlink.Route {
	return netlink.Route{Dst: c.active.Addr6.Masked(), Table: netlink.TableMain, Protocol: protoStatic, Metric: 1}
}

// advertiser answers the router's solicitations.
type advertiser struct {
	pc net.PacketConn
	wg sync.WaitGroup
}

func (c *cell) advertise() (*advertiser, error) {
	a := &advertiser{}
	var six *ipv6.PacketConn
	err := c.lab.carrier.do(func() error {
		ifi, err := net.InterfaceByName(cellDev)
		if err != nil {
			return err
		}
		if a.pc, err = net.ListenPacket("ip6:ipv6-icmp", "::"); err != nil {
			return err
		}
		six = ipv6.NewPacketConn(a.pc)
		var filter ipv6.ICMPFilter
		filter.SetAll(true)
		filter.Accept(ipv6.ICMPTypeRouterSolicitation)
		return errors.Join(six.SetICMPFilter(&filter), six.JoinGroup(ifi, &net.IPAddr{IP: net.IPv6linklocalallrouters}),
			six.SetMulticastInterface(ifi), six.SetMulticastHopLimit(255))
	})
	if err != nil {
		if a.pc != nil {
			a.pc.Close()
		}
		return nil, err
	}
	b := c.active.advert().Bytes()
	a.wg.Go(func() {
		heard := make([]byte, 1500)
		for {
			if _, _, _, err := six.ReadFrom(heard); err != nil {
				return
			}
			// It fails for as long as cell0 has no link-local address; the router asks again.
			_, _ = a.pc.WriteTo(b, &net.IPAddr{IP: net.IPv6linklocalallnodes, Zone: cellDev})
		}
	})
	return a, nil
}

func (a *advertiser) close() {
	_ = a.pc.Close()
	a.wg.Wait()
}
