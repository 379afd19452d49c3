package uplink

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"dynamod/netlink"
)

// Status is what is: everything about one interface that a Spec can speak of.
type Status struct {
	Interface string
	Present   bool         // the interface is there
	Link      netlink.Link // its index, MTU, Up and Carrier
	Addrs     []netlink.Addr
	Routes    []netlink.Route // out of this interface, all tables, whoever made them
	Rules     []netlink.Rule  // ours, to a table of this interface
	DNS       DNSFile
}

// Read tells what is. A missing interface is not an error: Present is false.
func Read(ctx context.Context, k Kernel, s Spec) (Status, error) {
	if err := checkInterface(s.Interface); err != nil {
		return Status{}, err
	}
	snap, err := k.Snapshot(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("uplink %s: %w", s.Interface, err)
	}
	return newStatus(s, snap), nil
}

func newStatus(s Spec, snap netlink.Snapshot) Status {
	st := Status{Interface: s.Interface, DNS: readDNSFile(s.DNSFile, s.Interface)}
	st.Link, st.Present = snap.Link(s.Interface)
	tables := map[uint32]bool{s.Table: s.Table != 0}
	if st.Present {
		for _, a := range snap.Addrs {
			if a.Index == st.Link.Index {
				st.Addrs = append(st.Addrs, a)
			}
		}
		for _, r := range snap.Routes {
			if r.Index == st.Link.Index {
				st.Routes = append(st.Routes, r)
				// A table that an earlier Spec named.
				tables[r.Table] = tables[r.Table] || r.Protocol == netlink.Protocol && r.Table != netlink.TableMain
			}
		}
	}
	for _, r := range snap.Rules {
		if r.Protocol == netlink.Protocol && !r.Other && tables[r.Table] {
			st.Rules = append(st.Rules, r)
		}
	}
	return st
}

// Equal reports whether nothing that a Status shows has changed.
func (st Status) Equal(o Status) bool {
	a, b := st, o
	a.DNS.Err, b.DNS.Err = nil, nil
	return reflect.DeepEqual(a, b)
}

// Usable reports whether packets can leave: the link is up with carrier and has an address that is not link-local.
func (st Status) Usable() bool {
	return st.Present && st.Link.Carrier && slices.ContainsFunc(st.Addrs, func(a netlink.Addr) bool {
		return !a.Prefix.Addr().IsLinkLocalUnicast()
	})
}

// ours reports whether an address of the interface was made by this program: it is marked (Linux 5.18 and later), or
// one of our routes sends from it.
func (st Status) ours(a netlink.Addr) bool {
	switch a.Protocol {
	case netlink.Protocol:
		return true
	case 0:
		return slices.ContainsFunc(st.Routes, func(r netlink.Route) bool {
			return r.Protocol == netlink.Protocol && r.Src == a.Prefix.Addr()
		})
	}
	return false
}

// hasAddr ignores the mark: an address that somebody else put there serves as well.
func (st Status) hasAddr(p netip.Prefix) bool {
	return slices.ContainsFunc(st.Addrs, func(a netlink.Addr) bool { return a.Prefix == p })
}
