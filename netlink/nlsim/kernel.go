// Package nlsim is a kernel in memory, as far as package uplink can see one: links with administrative state and
// carrier, addresses, routes, rules, and announcements of changes. It refuses what Linux refuses, with the same error
// numbers, and drops what Linux drops (the routes of a link that goes down, for one); the same table of cases runs
// against it and against the real kernel. Faults are injected per change, and it counts.
//
// Left out, because no caller depends on them: neighbours, link-local addresses, routes that the kernel makes for a
// prefix (uplink asks it not to), multipath, and everything about packets except which route they would take.
package nlsim

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"dynamod/netlink"
)

// Kernel is a network namespace in memory. Its methods may be called from several goroutines.
type Kernel struct {
	mu      sync.Mutex
	links   []link
	addrs   []netlink.Addr
	routes  []netlink.Route
	rules   []netlink.Rule
	next    int // index of the next link
	watches map[chan struct{}]bool
	faults  Faults
	counts  Counts
	walls   map[string]wall // by table
}

type link struct {
	netlink.Link
	wire bool // the other end is there
	no6  bool // the disable_ipv6 sysctl
}

// Faults make a Kernel misbehave; each function may be nil. They are called without locks held.
type Faults struct {
	// Before is asked before each change; an error refuses it.
	Before func(netlink.Change) error
	// After is asked after each change; an error is returned although the change was made, as if its answer was lost.
	After func(netlink.Change) error
	// Snapshot is asked before each listing.
	Snapshot func() error
	// NoAddrProtocol forgets who made an address, as Linux before 5.18 does.
	NoAddrProtocol bool
	// Wall is asked before a wall is raised or filled.
	Wall func() error
}

// Counts are what a Kernel was asked for so far.
type Counts struct {
	Snapshots int
	Changes   int // those that were made
	Refused   int
}

// New makes a kernel with nothing but the loopback link, which is up.
func New() *Kernel {
	k := &Kernel{next: 1, watches: make(map[chan struct{}]bool)}
	k.AddLink(netlink.Link{Name: "lo", Type: netlink.TypeLoopback, MTU: 65536, Up: true})
	k.SetCarrier("lo", true)
	for _, six := range []bool{false, true} {
		k.rules = append(k.rules,
			netlink.Rule{Table: tableLocal, Priority: 0, Protocol: netlink.ProtocolKernel, IPv6: six},
			netlink.Rule{Table: netlink.TableMain, Priority: 32766, Protocol: netlink.ProtocolKernel, IPv6: six})
	}
	return k
}

const tableLocal = 255 // RT_TABLE_LOCAL

// SetFaults replaces the faults; the zero Faults end all of them.
func (k *Kernel) SetFaults(f Faults) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults = f
}

// Counts tells what the kernel was asked for so far.
func (k *Kernel) Counts() Counts {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.counts
}

// AddLink plugs in an interface, without carrier, and returns its index. An MTU of 0 becomes 1500.
func (k *Kernel) AddLink(l netlink.Link) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	l.Index, l.Carrier = k.next, false
	k.next++
	if l.MTU == 0 {
		l.MTU = 1500
	}
	k.links = append(k.links, link{Link: l})
	k.announce()
	return l.Index
}

// RemoveLink pulls an interface out, with its addresses and routes; rules stay, as in Linux.
func (k *Kernel) RemoveLink(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.byName(name)
	if l == nil {
		return
	}
	index := l.Index
	k.links = slices.DeleteFunc(k.links, func(l link) bool { return l.Index == index })
	k.addrs = slices.DeleteFunc(k.addrs, func(a netlink.Addr) bool { return a.Index == index })
	k.dropRoutes(func(r netlink.Route) bool { return r.Index == index })
	k.announce()
}

// SetCarrier says whether the other end of the interface is there.
func (k *Kernel) SetCarrier(name string, on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.byName(name); l != nil && l.wire != on {
		l.wire = on
		l.Carrier = l.Up && on
		k.announce()
	}
}

// DisableIPv6 is the disable_ipv6 sysctl of an interface.
func (k *Kernel) DisableIPv6(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.byName(name); l != nil {
		l.no6 = true
		k.drop6(l.Index)
		k.announce()
	}
}

// Snapshot lists what the kernel holds.
func (k *Kernel) Snapshot(ctx context.Context) (netlink.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return netlink.Snapshot{}, &netlink.OpError{Op: "list links", Err: err}
	}
	k.mu.Lock()
	fault := k.faults.Snapshot
	k.counts.Snapshots++
	k.mu.Unlock()
	if fault != nil {
		if err := fault(); err != nil {
			return netlink.Snapshot{}, &netlink.OpError{Op: "list links", Err: err}
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s := netlink.Snapshot{
		Addrs:  slices.Clone(k.addrs),
		Routes: slices.Clone(k.routes),
		Rules:  slices.Clone(k.rules),
	}
	for _, l := range k.links {
		s.Links = append(s.Links, l.Link)
	}
	return s, nil
}

// Change does one step.
func (k *Kernel) Change(ctx context.Context, c netlink.Change) error {
	if err := k.change(ctx, c); err != nil {
		return &netlink.OpError{Op: c.String(), Err: err}
	}
	return nil
}

func (k *Kernel) change(ctx context.Context, c netlink.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	k.mu.Lock()
	before, after := k.faults.Before, k.faults.After
	k.mu.Unlock()
	var err error
	if before != nil {
		err = before(c)
	}
	k.mu.Lock()
	if err == nil {
		err = k.do(c)
	}
	if err != nil {
		k.counts.Refused++
		k.mu.Unlock()
		return err
	}
	k.counts.Changes++
	k.announce()
	k.mu.Unlock()
	if after != nil {
		return after(c)
	}
	return nil
}

func (k *Kernel) do(c netlink.Change) error {
	switch o := c.Object.(type) {
	case netlink.UpDown:
		if c.Op == netlink.Set {
			return k.setUp(o)
		}
	case netlink.MTU:
		if c.Op == netlink.Set {
			return k.setMTU(o)
		}
	case netlink.Addr:
		switch c.Op {
		case netlink.Add:
			return k.addAddr(o)
		case netlink.Delete:
			return k.delAddr(o)
		}
	case netlink.Route:
		switch c.Op {
		case netlink.Add:
			return k.addRoute(o)
		case netlink.Delete:
			return k.delRoute(o)
		}
	case netlink.Rule:
		switch c.Op {
		case netlink.Add:
			return k.addRule(o)
		case netlink.Delete:
			return k.delRule(o)
		}
	}
	return syscall.EINVAL
}

// Watch calls changed once when it is subscribed and then after changes, until ctx ends. Like the real one it may take
// several changes together.
func (k *Kernel) Watch(ctx context.Context, changed func()) error {
	ch := make(chan struct{}, 1)
	k.mu.Lock()
	k.watches[ch] = true
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		delete(k.watches, ch)
		k.mu.Unlock()
	}()
	changed()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ch:
			changed()
		}
	}
}

// announce wakes everybody who watches. The lock is held.
func (k *Kernel) announce() {
	for ch := range k.watches {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

func (k *Kernel) byName(name string) *link {
	for i := range k.links {
		if k.links[i].Name == name {
			return &k.links[i]
		}
	}
	return nil
}

func (k *Kernel) byIndex(index int) *link {
	for i := range k.links {
		if k.links[i].Index == index {
			return &k.links[i]
		}
	}
	return nil
}

func (k *Kernel) dropRoutes(drop func(netlink.Route) bool) {
	k.routes = slices.DeleteFunc(k.routes, drop)
}

func is6(a netip.Addr) bool { return a.Is6() && !a.Is4In6() }
