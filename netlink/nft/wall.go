// Package nft keeps what leaves by one network interface to a list of addresses, by a
// table of its own in the kernel's nf_tables.
//
// It is no general client of nf_tables: it writes the few messages of one [Wall], by
// hand, because a general one is larger than the space that routers have for it.
package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Wall is what keeps packets from leaving by an interface, the machine's own and what
// it forwards, unless their destination is a Host of it. What answers somebody from
// outside passes, and so do packets with Mark, and the interface's own affairs:
// neighbours, multicast, DHCP.
// What does not pass is refused, so that nobody waits for an answer.
type Wall struct {
	// Table is the name of the table, in the family inet. It is the wall's own:
	// whatever else is in a table of that name goes when the wall is raised or falls.
	Table     string
	Interface string
}

// Host is an address that is reached through a Wall.
type Host struct {
	Addr netip.Addr
	// For is how long; 0 is as long as the wall stands. It has milliseconds.
	For time.Duration
}

// Mark is the mark (SO_MARK) of sockets that no Wall stands before. It is the number by
// which dynamod's routes are known, too.
const Mark = 215

// MaxHosts is how many hosts a Wall takes.
const MaxHosts = 1024

// ErrUnsupported: the kernel lacks nf_tables, or a part of it that a Wall needs.
var ErrUnsupported = errors.New("the kernel has no nf_tables with the families inet, ct and reject")

const (
	maxTable  = 64 // the kernel takes 255
	maxIfName = 15 // IFNAMSIZ - 1
)

// Check says what is wrong with a wall and its hosts. The kernel is not asked.
func (w Wall) Check(hosts []Host) error {
	if err := checkTable(w.Table); err != nil {
		return err
	}
	if w.Interface == "" || len(w.Interface) > maxIfName || strings.ContainsAny(w.Interface, "/ \x00") {
		return fmt.Errorf("%q is no interface", w.Interface)
	}
	if len(hosts) > MaxHosts {
		return fmt.Errorf("%d hosts, at most %d", len(hosts), MaxHosts)
	}
	for _, h := range hosts {
		if !h.Addr.IsValid() || h.Addr.Is4In6() || h.Addr.Zone() != "" || h.For < 0 {
			return fmt.Errorf("%s for %s is no host", h.Addr, h.For)
		}
	}
	return nil
}

func checkTable(name string) error {
	if name == "" || len(name) > maxTable || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		return fmt.Errorf("%q is no name of a table", name)
	}
	return nil
}
