//go:build linux && !nodemo

package demo

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/dynamo/dynamosim"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

// A prepaid line uses its credit up, is walled in by the network, and gets out by a
// top-up, in one session from beginning to end.
func TestCreditIsUsedUp(t *testing.T) {
	inCrashWorld(t, crashStory{}, func(t *testing.T, w *crashWorld) {
		ln, err := w.n.ListenInternet("tcp", netip.AddrPortFrom(netlab.PortalAddr, 443).String())
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		go func() { // takes all and says nothing
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				go func() { _, _ = io.Copy(io.Discard, c) }()
			}
		}()
		operator := dynamosim.New(Operator, time.Now)
		operator.AddLine(w.old, dynamosim.Prepaid, 0.2, 30*24*time.Hour)
		w.Operator.Meter(w.old, operator)
		r := w.newReaper(nil, false)
		err = w.daemon(r, func(ctx context.Context, c *hook.Client) error {
			state := func(want status.State) error {
				_, err := r.until(ctx, c, time.Hour, func(s status.Snapshot) bool { return s.State == want && s.SIM != nil && s.SIM.ICCID == w.old })
				return err
			}
			send := func(to netip.Addr, bytes int) error {
				conn, err := w.n.Dial(ctx, "tcp", net.JoinHostPort(to.String(), "443"))
				if err != nil {
					return err
				}
				defer conn.Close()
				_, err = conn.Write(make([]byte, bytes))
				return err
			}
			if err := state(status.Up); err != nil {
				return err
			}
			calls := w.Modem.Stats().Activations
			if err := send(netlab.PortalAddr, 100_000); err != nil {
				return err
			}
			time.Sleep(2 * meterPause)
			if w.Operator.Walled() {
				t.Error("walled in with half of the credit left")
			}
			if err := send(netlab.PortalAddr, 100_000); err != nil {
				return err
			}
			if err := state(status.Limited); err != nil {
				return fmt.Errorf("used up: %w", err)
			}
			if err := send(netlab.SMDPAddr, 1); err == nil {
				t.Error("the internet is reached without credit")
			}
			if err := send(netlab.PortalAddr, 100_000); err != nil {
				return fmt.Errorf("the portal: %w", err)
			}
			if err := operator.TopUp(w.old, 1, time.Hour); err != nil {
				return err
			}
			if err := state(status.Up); err != nil {
				return fmt.Errorf("topped up: %w", err)
			}
			if n := w.Modem.Stats().Activations; n != calls {
				t.Errorf("%d data calls were made after the first", n-calls)
			}
			// What the garden carried was free, and the operator takes the rest.
			if !operator.Use(w.old, 0.9) || operator.Use(w.old, 0.1) {
				t.Error("not what was used was charged")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
