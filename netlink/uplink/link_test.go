package uplink_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"dynamod/netlink/uplink"
)

func TestUpAndCarrier(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.carrier(t, "usb0", false)
		for range 2 {
			if err := uplink.Up(ctx, w.kernel, "usb0"); err != nil {
				t.Fatal(err)
			}
		}
		short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
		defer cancel()
		if _, err := uplink.WaitCarrier(short, w.kernel, "usb0"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no cable: %v", err)
		}
		got := make(chan error, 1)
		go func() {
			l, err := uplink.WaitCarrier(ctx, w.kernel, "usb0")
			if err == nil && l.Name != "usb0" {
				err = errors.New("another link: " + l.String())
			}
			got <- err
		}()
		w.carrier(t, "usb0", true)
		if err := <-got; err != nil {
			t.Error(err)
		}
		if err := uplink.Up(ctx, w.kernel, "wwan7"); !errors.Is(err, uplink.ErrNoInterface) {
			t.Errorf("missing: %v", err)
		}
	})
}
