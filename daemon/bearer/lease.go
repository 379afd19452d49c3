package bearer

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
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

// keeping is what the link has its addresses from. Leases are kept while an
// activation has the modem, too: the link may be carrying the download. What
// changes is put into effect by the bearer's looks.
type keeping struct {
	b      *Bearer
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	iccid string
	base  uplink.Spec // what no lease changes
	mtu   int         // where no lease tells one

	mu      sync.Mutex
	lease   Lease // the modem's word, or DHCP's
	six     Lease // by router advertisement
	changed bool  // one of them has, since the last look
	err     error // why the lease must not be used any longer
	heard   chan struct{}
}

func (b *Bearer) newKeeping(iccid string, base uplink.Spec) *keeping {
	k := &keeping{b: b, iccid: iccid, base: base, heard: make(chan struct{}, 1)}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

// change takes something in that the next look puts into effect.
func (k *keeping) change(f func()) {
	k.mu.Lock()
	f()
	k.changed = true
	k.mu.Unlock()
	k.b.Kick()
}

// use takes a lease, and keeps it where there is something to keep.
func (k *keeping) use(l Lease) {
	k.mu.Lock()
	k.lease = l
	k.mu.Unlock()
	if l.Keep == nil {
		return
	}
	k.tasks.Go(func() {
		err := l.Keep(k.ctx, func(next Lease) { k.change(func() { k.lease = next }) })
		if err != nil && k.ctx.Err() == nil {
			k.change(func() { k.err = err })
		}
	})
}

// listen takes what routers advertise on the interface. That it ends with an
// error is no reason to give up what there is of IPv4.
func (k *keeping) listen(identifier netip.Addr) {
	k.tasks.Go(func() {
		err := k.b.Advertised(k.ctx, k.base.Interface, identifier, func(six Lease) {
			k.change(func() { k.six = six })
			select {
			case k.heard <- struct{}{}:
			default:
			}
		})
		if err != nil && k.ctx.Err() == nil {
			k.b.Log.Warn("no IPv6 by router advertisement", "error", err)
			k.change(func() { k.six = Lease{} })
		}
	})
}

// sixTime is how long an advertisement is waited for where there is nothing
// else: three solicitations (RFC 4861, 10) and a little.
const sixTime = 15 * time.Second

// awaitSix waits for IPv6, and reports whether it came.
func (k *keeping) awaitSix(ctx context.Context) bool {
	limit := time.NewTimer(sixTime)
	defer limit.Stop()
	for {
		k.mu.Lock()
		there := len(k.six.Addrs) > 0
		k.mu.Unlock()
		if there {
			return true
		}
		select {
		case <-k.heard:
		case <-limit.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// spec is the link as it should be. What has changed is thereby taken note of.
func (k *keeping) spec() uplink.Spec {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changed = false
	s, four, six := k.b.kept(k.iccid, k.base), k.lease, k.six
	s.Addrs = slices.Concat(k.base.Addrs, four.Addrs, six.Addrs)
	s.Gateway = four.Gateway
	if len(six.Addrs) > 0 {
		s.Gateway6 = six.Gateway
	}
	s.DNS = nil
	for _, a := range slices.Concat(four.DNS, six.DNS) {
		if !slices.Contains(s.DNS, a) && len(s.DNS) < 8 {
			s.DNS = append(s.DNS, a)
		}
	}
	if len(s.DNS) == 0 {
		s.DNS = k.b.DNS
	}
	for _, mtu := range []int{four.MTU, six.MTU, k.mtu} {
		if s.MTU == 0 {
			s.MTU = mtu
		}
	}
	return s
}

// errNoAddress ends a link that has none left.
var errNoAddress = errors.New("the network gave no address")

// news reports whether the Spec has changed since it was last asked for, or why
// the link must not be used any longer.
func (k *keeping) news() (changed bool, err error) {
	if k == nil {
		return false, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil && len(k.lease.Addrs)+len(k.six.Addrs) == 0 {
		return true, errNoAddress
	}
	return k.changed, k.err
}

// end stops it, and waits.
func (k *keeping) end() {
	if k != nil {
		k.cancel()
		k.tasks.Wait()
	}
}

// carrierTime is how long DHCP waits for carrier; some drivers never show it.
const carrierTime = 10 * time.Second

// obtain gets the link's addresses: those that the modem told, DHCP's, and those
// of router advertisements, which the context's type and what the modem says
// of it decide. IPv4 does not wait for IPv6, which the next look adds.
func (b *Bearer) obtain(ctx context.Context, iccid, ifname string, call modem.Call, lease modem.Lease) (_ *keeping, err error) {
	if b.AwaitCard != nil {
		b.AwaitCard(ctx, iccid)
	}
	s := b.kept(iccid, b.Spec)
	s.Interface = ifname
	told := Lease{Addrs: lease.Config.Addrs, DNS: lease.Config.DNS, MTU: lease.Config.MTU}
	for _, gw := range lease.Config.Gateway {
		if gw.Is4() {
			told.Gateway = gw
		} else {
			s.Gateway6 = gw
		}
	}
	dhcp := lease.Source == dialect.DHCP
	made := false // a link-local address
	four, six := families(call.Context.Type, lease, dhcp)
	six = six && b.Advertised != nil && b.Apply
	identifier := lease.Config.Identifier
	if six && !dhcp && lease.Source != dialect.IPCP && identifier.IsValid() {
		// Without a link layer nobody makes the link-local address but us.
		s.Addrs = []netip.Prefix{netip.PrefixFrom(identifier, 128)}
		s.Gateway6 = netip.Addr{}
		if err := b.apply(ctx, s); err != nil {
			return nil, err
		}
		made = true
	} else {
		identifier = netip.Addr{}
	}
	k := b.newKeeping(iccid, s)
	defer func() {
		if err == nil {
			return
		}
		k.end()
		if made {
			if _, err := uplink.Down(context.WithoutCancel(ctx), b.Kernel, s); err != nil {
				b.Log.Warn("cannot take the uplink down", "error", err)
			}
		}
	}()
	if dhcp {
		if err := b.awaitCarrier(ctx, ifname); err != nil {
			return nil, err
		}
	}
	if six {
		k.listen(identifier)
	}
	switch {
	case !dhcp:
		k.use(told)
	case four:
		got, err := b.DHCP(ctx, ifname)
		if err == nil {
			k.use(got)
		} else if !six || ctx.Err() != nil || !k.awaitSix(ctx) {
			return nil, err
		}
	}
	if six && (dhcp && !four || !dhcp && len(told.Addrs) == 0) {
		k.awaitSix(ctx)
	}
	if _, err := k.news(); err != nil {
		return nil, err
	}
	return k, nil
}

// families tells which of the two the host has to ask for on the interface. A
// modem that tells addresses of one family alone got no other.
func families(t modem.PDPType, lease modem.Lease, dhcp bool) (four, six bool) {
	told4, told6 := false, lease.Config.Identifier.IsValid()
	global6 := false
	for _, p := range lease.Config.Addrs {
		told4 = told4 || p.Addr().Is4()
		global6 = global6 || p.Addr().Is6()
	}
	told6 = told6 || global6
	four, six = t != modem.IPv6, t != modem.IPv4
	if told4 != told6 {
		four, six = four && told4, six && told6
	}
	if !dhcp {
		// What it told is set as it is: an identifier alone is half of an address.
		six = six && lease.Config.Identifier.IsValid() && !global6
	}
	return four, six
}

// awaitCarrier sets the interface up, which DHCP and router solicitations need,
// and waits for the other end: a request that leaves before is lost, and the
// next one follows seconds later.
func (b *Bearer) awaitCarrier(ctx context.Context, ifname string) error {
	// Also where it is netifd's, which would not before it is told the addresses.
	if err := uplink.Up(ctx, b.Kernel, ifname); err != nil {
		return err
	}
	carrier, done := context.WithTimeout(ctx, carrierTime)
	_, err := uplink.WaitCarrier(carrier, b.Kernel, ifname)
	done()
	if err != nil {
		b.Log.Warn("no carrier yet on the modem's interface", "interface", ifname, "error", err)
	}
	return nil
}

// dropOverdue takes a link down whose lease is over while no modem is there: its
// address may be somebody else's by now (RFC 2131, 4.4.5).
func (b *Bearer) dropOverdue(ctx context.Context) {
	overdue := func() (*active, error) {
		b.mu.Lock()
		a, gone := b.active, b.radio == nil && b.held == 0
		b.mu.Unlock()
		if a == nil || !gone {
			return nil, nil
		}
		_, err := a.lease.news()
		return a, err
	}
	if _, err := overdue(); err == nil {
		return // without waiting for who has the modem
	}
	b.op.Lock()
	defer b.op.Unlock()
	if a, err := overdue(); err != nil {
		b.Log.Warn("the lease is over", "error", err)
		b.down(ctx, a, nil)
	}
}
