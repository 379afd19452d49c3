package modem

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"dynamod/atcmd/dialect"
)

// ErrNotUp means that the modem accepted a data call that then did not come up.
var ErrNotUp = errors.New("the data call did not come up")

// settle waits for a call that comes up after its commands were answered.
func (m *Modem) settle(ctx context.Context, dial *dialect.DataCall, call Call) error {
	if dial.Settle <= 0 {
		return nil
	}
	ctx, done := context.WithTimeoutCause(ctx, dial.Settle.Std(), ErrNotUp)
	defer done()
	for {
		up, err := m.Status(ctx, call)
		switch {
		case up:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("context %d: %w", call.Context.CID, context.Cause(ctx))
		case err != nil && !answered(err):
			return err
		}
		if pause(ctx, time.Second) != nil {
			return fmt.Errorf("context %d: %w", call.Context.CID, context.Cause(ctx))
		}
	}
}

// madeUpNet is the address of +CGPADDR in the /24 that the modem plays around
// it, with the first host of that as the gateway. What +CGCONTRDP says of name
// servers and MTU is kept; its gateway, if it tells one, is the network's and
// not the modem's.
func (m *Modem) madeUpNet(ctx context.Context, cid int) (IPConfig, error) {
	addrs, err := m.Addresses(ctx, cid)
	if err != nil {
		return IPConfig{}, err
	}
	c := leaseOf(cid, addrs)
	known, err := m.DynamicParameters(ctx, cid)
	if err != nil && !answered(err) {
		return IPConfig{}, err
	}
	c.DNS, c.MTU, c.APN = known.DNS, known.MTU, known.APN
	for i, p := range c.Addrs {
		if !p.Addr().Is4() {
			continue
		}
		b := p.Addr().As4()
		b[3] = 1
		if gateway := netip.AddrFrom4(b); gateway != p.Addr() {
			c.Addrs[i] = netip.PrefixFrom(p.Addr(), 24)
			c.Gateway = append(c.Gateway, gateway)
		}
	}
	return c, nil
}

// defineAttach gives the context of the initial EPS bearer to modems that take
// it by a command of their own, beside +CGDCONT. What it says is
// advice to the modem: one that does not take it attaches by +CGDCONT.
func (m *Modem) defineAttach(ctx context.Context, c Context, v dialect.Values) error {
	if c.CID != m.d.Attach.CID || len(m.d.Attach.Define) == 0 {
		return nil
	}
	if _, err := m.run(ctx, m.d.Attach.Define, 0, v); err != nil && !answered(err) {
		return err
	}
	return nil
}
