package bearer

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/status"
	"dynamod/euicc"
	"dynamod/netlink"
	"dynamod/netlink/uplink"
)

// handOverTime is what netifd gets to make the kernel hold a link.
const handOverTime = 30 * time.Second

// handOver tells netifd by the status what the link is, and waits until the interface
// has the addresses: a probe before that would find no way out.
func (b *Bearer) handOver(ctx context.Context, s uplink.Spec) error {
	b.Status.Update(func(snap *status.Snapshot) {
		l := linkOf(s)
		if old := snap.Link; old != nil { // what a probe has shown stays
			l.APN, l.APNReason, l.Source, l.Since = old.APN, old.APNReason, old.Source, old.Since
		}
		snap.Link = l
	})
	waiting, done := context.WithTimeout(ctx, handOverTime)
	defer done()
	there := false
	err := uplink.Watch(waiting, b.Kernel, uplink.Spec{Interface: s.Interface}, func(st uplink.Status) {
		if there = there || holds(st, s.Addrs); there {
			done()
		}
	})
	switch {
	case there:
		return nil
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return &activation.Fault{
		Code: "no-data", Text: fmt.Sprintf("netifd did not configure %s within %s", s.Interface, handOverTime), Retry: euicc.RetryLater,
		Advice: "/etc/config/network needs an interface of proto 'dynamod', and `ifstatus` tells what became of it",
	}
}

// holds tells whether an interface has all addresses. Their prefixes are netifd's.
func holds(st uplink.Status, addrs []netip.Prefix) bool {
	for _, p := range addrs {
		if !slices.ContainsFunc(st.Addrs, func(a netlink.Addr) bool { return a.Prefix.Addr() == p.Addr() }) {
			return false
		}
	}
	return st.Link.Up
}

// linkOf is what the status shows of a Spec.
func linkOf(s uplink.Spec) *status.Link {
	l := &status.Link{Interface: s.Interface, MTU: s.MTU, Bootstrap: s.Private, Addresses: []string{}, DNS: []string{}}
	for _, p := range s.Addrs {
		l.Addresses = append(l.Addresses, p.String())
	}
	for _, d := range s.DNS {
		l.DNS = append(l.DNS, d.String())
	}
	if s.Gateway.IsValid() {
		l.Gateway = s.Gateway.String()
	}
	return l
}
