package uplink

import (
	"context"
	"fmt"

	"dynamod/netlink"
)

// Up sets an interface up and leaves it without address, as DHCP needs it. It is nothing new if the interface is up.
func Up(ctx context.Context, k Kernel, iface string) error {
	st, err := Read(ctx, k, Spec{Interface: iface})
	switch {
	case err != nil:
		return err
	case !st.Present:
		return &ApplyError{Interface: iface, Err: ErrNoInterface}
	case st.Link.Up:
		return nil
	}
	if err := k.Change(ctx, updown(st.Link, true).Kernel); err != nil {
		return &ApplyError{Interface: iface, Err: err}
	}
	return nil
}

// WaitCarrier waits until the other end of an interface that is up is there: a modem that plays a network card plugs
// its cable in when the data context is active. It returns ctx's error if it does not.
func WaitCarrier(ctx context.Context, k Kernel, iface string) (netlink.Link, error) {
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var last Status
	err := Watch(wctx, k, Spec{Interface: iface}, func(st Status) {
		if last = st; st.Present && st.Link.Carrier {
			cancel()
		}
	})
	switch {
	case err != nil:
		return netlink.Link{}, err
	case last.Present && last.Link.Carrier:
		return last.Link, nil
	case !last.Present:
		return netlink.Link{}, fmt.Errorf("uplink %s: %w: %w", iface, ErrNoInterface, context.Cause(ctx))
	}
	return netlink.Link{}, fmt.Errorf("uplink %s: no carrier: %w", iface, context.Cause(ctx))
}
