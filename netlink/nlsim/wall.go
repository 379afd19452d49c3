package nlsim

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"dynamod/netlink/nft"
)

// wall is one that stands.
type wall struct {
	nft.Wall
	until map[netip.Addr]time.Time // zero: as long as it stands
}

// Raise puts a wall up, as nft.Kernel's does.
func (k *Kernel) Raise(_ context.Context, w nft.Wall, hosts []nft.Host) error {
	if err := cmp.Or(k.wallFault(), w.Check(hosts)); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.walls == nil {
		k.walls = make(map[string]wall)
	}
	k.walls[w.Table] = wall{w, until(hosts)}
	return nil
}

// Fill replaces the hosts of a wall.
func (k *Kernel) Fill(_ context.Context, w nft.Wall, hosts []nft.Host) error {
	if err := cmp.Or(k.wallFault(), w.Check(hosts)); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.walls[w.Table]; !ok {
		return fmt.Errorf("fill the wall on %s: %w", w.Interface, syscall.ENOENT)
	}
	k.walls[w.Table] = wall{k.walls[w.Table].Wall, until(hosts)}
	return nil
}

// Fall takes a wall away.
func (k *Kernel) Fall(_ context.Context, table string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.walls, table)
	return nil
}

// Passes tells whether an unmarked packet may leave by a link.
func (k *Kernel) Passes(dev string, to netip.Addr) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range k.walls {
		if w.Interface != dev {
			continue
		}
		if t, ok := w.until[to]; !ok || !t.IsZero() && !time.Now().Before(t) {
			return false
		}
	}
	return true
}

// Walls are the tables that there are.
func (k *Kernel) Walls() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []string
	for table := range k.walls {
		list = append(list, table)
	}
	return list
}

func (k *Kernel) wallFault() error {
	k.mu.Lock()
	fault := k.faults.Wall
	k.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault()
}

func until(hosts []nft.Host) map[netip.Addr]time.Time {
	m := make(map[netip.Addr]time.Time)
	for _, h := range hosts {
		t := time.Time{}
		if h.For > 0 {
			t = time.Now().Add(h.For)
		}
		m[h.Addr] = t
	}
	return m
}
