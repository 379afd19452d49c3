package bearer

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/status"
	"dynamod/netlink"
)

// leases is a DHCP server that the test speaks for: what it grants, and what
// becomes of that, a time later.
type leases struct {
	mu     sync.Mutex
	asked  int
	refuse bool // answers nobody
	grant  Lease
	after  time.Duration
	next   Lease // then; none with err
	err    error
	kept   int // leases that are being kept
}

func (s *leases) acquire(context.Context, string) (Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.refuse {
		return Lease{}, errors.New("no dhcp server answered")
	}
	l := s.grant
	after, next, err := s.after, s.next, s.err
	l.Keep = func(ctx context.Context, changed func(Lease)) error {
		s.count(1)
		defer s.count(-1)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(after):
		}
		if err != nil {
			return err
		}
		changed(next)
		<-ctx.Done()
		return nil
	}
	return l, nil
}

func (s *leases) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept += n
}

func (s *leases) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func lease(addr, gateway, dns string) Lease {
	return Lease{Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}, Gateway: netip.MustParseAddr(gateway), DNS: []netip.Addr{netip.MustParseAddr(dns)}}
}

// holds tells what the kernel has of ours: addresses, and next hops of the
// default routes in the main table.
func (b *simBench) holds() string {
	snap, err := b.kernel.Snapshot(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, a := range snap.Addrs {
		if a.Dev == "wwan0" {
			out = append(out, a.Prefix.String())
		}
	}
	for _, r := range snap.Routes {
		if r.Default() && r.Table == netlink.TableMain {
			out = append(out, "via "+r.Gateway.String())
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestLease(t *testing.T) {
	first, second := lease("192.168.225.30/24", "192.168.225.1", "192.168.225.1"), lease("192.168.9.7/24", "192.168.9.1", "192.168.9.1")
	const atFirst, atSecond = "192.168.225.30/24 via 192.168.225.1", "192.168.9.7/24 via 192.168.9.1"
	for _, tt := range []struct {
		name string
		next Lease
		err  error
		do   func(t *testing.T, b *simBench, s *leases)
	}{
		{"RFC 2131 4.4.5: a renewal brings another address and router", second, nil, func(t *testing.T, b *simBench, s *leases) {
			time.Sleep(time.Hour + 5*time.Second)
			if b.holds() != atSecond || b.state() != status.Up || s.asked != 1 || b.asked() != "first.test IPV4V6" {
				t.Errorf("holds %s, %s, asked %d times", b.holds(), b.state(), s.asked)
			}
			if l := b.model.Snapshot().Link; l == nil || l.Gateway != "192.168.9.1" || !slices.Equal(l.DNS, []string{"192.168.9.1"}) {
				t.Errorf("link %+v", l)
			}
		}},
		{"only name servers differ", lease("192.168.225.30/24", "192.168.225.1", "9.9.9.9"), nil, func(t *testing.T, b *simBench, s *leases) {
			changes := b.kernel.Counts().Changes
			time.Sleep(time.Hour + 5*time.Second)
			if l := b.model.Snapshot().Link; l == nil || !slices.Equal(l.DNS, []string{"9.9.9.9"}) || b.kernel.Counts().Changes != changes {
				t.Errorf("link %+v, %d changes", l, b.kernel.Counts().Changes-changes)
			}
		}},
		{"DHCPNAK: a new lease", Lease{}, errors.New("dhcp server refused"), func(t *testing.T, b *simBench, s *leases) {
			s.set(func() { s.grant, s.err = second, nil })
			time.Sleep(time.Hour + 30*time.Second)
			if b.holds() != atSecond || b.state() != status.Up || s.asked != 2 {
				t.Errorf("holds %s, %s, asked %d times", b.holds(), b.state(), s.asked)
			}
		}},
		{"expired, and no server: the address goes", Lease{}, errors.New("dhcp lease expired"), func(t *testing.T, b *simBench, s *leases) {
			s.set(func() { s.refuse = true })
			time.Sleep(time.Hour + 5*time.Second)
			if got := b.holds(); got != "" || b.state() != status.Down {
				t.Errorf("holds %q, %s", got, b.state())
			}
			s.set(func() { s.refuse, s.err, s.next = false, nil, first })
			time.Sleep(time.Hour)
			if b.holds() != atFirst || b.state() != status.Up {
				t.Errorf("holds %s, %s", b.holds(), b.state())
			}
		}},
		{"expired, and the modem is not there: the address goes", Lease{}, errors.New("dhcp lease expired"), func(t *testing.T, b *simBench, s *leases) {
			b.SetRadio(nil)
			time.Sleep(time.Hour - time.Minute)
			if got := b.holds(); got != atFirst {
				t.Errorf("before: %s", got)
			}
			time.Sleep(time.Minute)
			if got := b.holds(); got != "" {
				t.Errorf("holds %s", got)
			}
		}},
		{"a switch has the modem when the lease changes", second, nil, func(t *testing.T, b *simBench, s *leases) {
			time.Sleep(time.Hour - time.Minute)
			release := b.Hold()
			time.Sleep(2 * time.Minute)
			if got := b.holds(); got != atFirst {
				t.Errorf("while it is held: %s", got)
			}
			release()
			time.Sleep(5 * time.Second)
			if got := b.holds(); got != atSecond {
				t.Errorf("released: %s", got)
			}
		}},
		{"the link is taken down", second, nil, func(t *testing.T, b *simBench, s *leases) {
			release := b.Hold()
			defer release()
			b.Down(t.Context())
			s.set(func() {
				if s.kept != 0 {
					t.Errorf("%d leases are still kept", s.kept)
				}
			})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &leases{grant: first, after: time.Hour, next: tt.next, err: tt.err}
				b := newSimBench(t, simOptions{ethernet: true, records: record(`{"apn": "first.test"}`), bearer: func(c *Config) { c.DHCP, c.DataAPNInAttach = s.acquire, true }})
				b.core.APNs = apns("first.test")
				b.run(func() {
					time.Sleep(30 * time.Second)
					if b.holds() != atFirst || b.state() != status.Up {
						t.Fatalf("holds %s, %s: %s", b.holds(), b.state(), b.model.Snapshot().Reason)
					}
					tt.do(t, b, s)
				})
				if s.kept != 0 {
					t.Errorf("%d leases are kept after the end", s.kept)
				}
			})
		})
	}
}
