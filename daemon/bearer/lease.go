package bearer

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"dynamod/netlink/uplink"
)

// Lease is an address that was obtained on the interface itself.
type Lease struct {
	Addrs   []netip.Prefix
	Gateway netip.Addr
	DNS     []netip.Addr
	MTU     int
	// Keep extends the lease in time for as long as ctx lasts, and then returns
	// nil. It calls changed with each lease that needs a change of the link. Its
	// error means that the address must not be used any longer. It is nil for a
	// lease without an end.
	Keep func(ctx context.Context, changed func(Lease)) error
}

// keeping is a lease that is being kept. It goes on while an activation has the
// modem: the link may be carrying the download. What it finds is put into
// effect by the bearer's looks.
type keeping struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	next *Lease // that is not in effect yet
	err  error  // why the address must not be used any longer
}

// keep begins to keep a lease. It returns nil where there is nothing to keep.
func (b *Bearer) keep(l Lease) *keeping {
	if l.Keep == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	k := &keeping{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(k.done)
		err := l.Keep(ctx, func(next Lease) {
			k.mu.Lock()
			k.next = &next
			k.mu.Unlock()
			b.Kick()
		})
		if err != nil && ctx.Err() == nil {
			k.mu.Lock()
			k.err = err
			k.mu.Unlock()
			b.Kick()
		}
	}()
	return k
}

// news returns the lease that is to be put into effect, nil for none, or why
// the address must not be used any longer.
func (k *keeping) news() (*Lease, error) {
	if k == nil {
		return nil, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	next := k.next
	k.next = nil
	return next, k.err
}

// end stops it, and waits.
func (k *keeping) end() {
	if k != nil {
		k.cancel()
		<-k.done
	}
}

// useLease puts a lease into a Spec. What it holds of IPv6 comes from elsewhere.
func (b *Bearer) useLease(s *uplink.Spec, l Lease) {
	six := slices.DeleteFunc(slices.Clone(s.Addrs), func(p netip.Prefix) bool { return p.Addr().Is4() })
	s.Addrs = append(slices.Clone(l.Addrs), six...)
	s.Gateway, s.DNS = l.Gateway, l.DNS
	if len(s.DNS) == 0 {
		s.DNS = b.settings().DNS
	}
	if b.Spec.MTU == 0 && l.MTU != 0 {
		s.MTU = l.MTU
	}
}
