//go:build linux && !nodemo

package demo

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/sgp26"
	"dynamod/euicc/smdpsim"
)

// withOtherCard is a modem of the lab with another card: one without reports.
func (w *crashWorld) withOtherCard() (*atsim.Modem, error) {
	eum, err := sgp26.NewEUM(w.CI, time.Now(), iin)
	if err != nil {
		return nil, err
	}
	eid, err := newEID()
	if err != nil {
		return nil, err
	}
	id, err := sgp26.NewEUICC(eum, eid, time.Now())
	if err != nil {
		return nil, err
	}
	card, err := euiccsim.New(euiccsim.Config{EID: eid, EUICC: id, EUM: eum.Cert, CI: []*x509.Certificate{w.CI.Cert}})
	if err != nil {
		return nil, err
	}
	return atsim.New(atsim.Config{Personality: "quectel", Card: card.APDU, Network: w.Operator, DataUp: w.Operator.dataUp, DataDown: w.Operator.dataDown})
}

// plugIn gives the router a modem in place of the one that was unplugged.
func (w *crashWorld) plugIn(m *atsim.Modem) {
	w.Modem = m
	w.replug <- struct{}{}
}

// The server does not take reports while the modem is there. It is unplugged, and
// they reach the server over the router's other uplink; from the card they go when
// it is back, and from no other one.
func TestReportsWithoutTheModem(t *testing.T) {
	inCrashWorld(t, crashStory{uplink: true}, func(t *testing.T, w *crashWorld) {
		r := w.newReaper(nil, false)
		err := w.daemon(r, func(ctx context.Context, c *hook.Client) error {
			if err := w.Server.SetFault(smdpsim.Fault{Kind: smdpsim.FaultDropRequest, Function: smdpsim.HandleNotification}); err != nil {
				return err
			}
			if err := w.activate(ctx, r, c); err != nil {
				return err
			}
			owed := w.Card.Pending()
			if len(owed) < 2 {
				return fmt.Errorf("%d reports are owed, the test wants installation and enabling", len(owed))
			}
			await := func(what string, is func(status.Snapshot) bool) error {
				if _, err := r.until(ctx, c, 48*time.Hour, is); err != nil {
					return fmt.Errorf("%s: %w", what, err)
				}
				return nil
			}
			present := func(is bool) func(status.Snapshot) bool {
				return func(s status.Snapshot) bool {
					return s.Modem != nil && s.Modem.Present == is && (!is || s.Card != nil && s.Card.EID != "")
				}
			}
			mine := w.Modem
			if err := errors.Join(w.unplug(0), await("unplugged", present(false))); err != nil {
				return err
			}
			w.Server.ClearFaults()
			if err := await("delivered without the modem", func(s status.Snapshot) bool { return s.Outbox.Pending == 0 }); err != nil {
				return err
			}
			got := w.Server.Notifications()
			if len(got) != len(owed) {
				return fmt.Errorf("the server has %d reports of %d", len(got), len(owed))
			}
			for i, n := range got {
				if n.Seq != owed[i].Sequence || !n.Verified {
					return fmt.Errorf("report %d is number %d, verified %v, want number %d", i, n.Seq, n.Verified, owed[i].Sequence)
				}
			}
			other, err := w.withOtherCard()
			if err != nil {
				return err
			}
			w.plugIn(other)
			if err := await("another card", present(true)); err != nil {
				return err
			}
			time.Sleep(20 * time.Minute)
			if left := len(w.Card.Pending()); left != len(owed) {
				return fmt.Errorf("%d reports are on the card that is elsewhere", left)
			}
			if err := errors.Join(w.unplug(0), await("unplugged again", present(false))); err != nil {
				return err
			}
			w.plugIn(mine)
			if err := await("the card is back", present(true)); err != nil {
				return err
			}
			time.Sleep(20 * time.Minute)
			var left []hook.Notification
			if err := c.Do(ctx, http.MethodGet, "/v1/notifications", nil, nil, &left); err != nil {
				return err
			}
			if on := w.Card.Pending(); len(on) != 0 || len(left) != 0 || len(w.Server.Notifications()) != len(got) {
				return fmt.Errorf("%d on the card, %d in the outbox, %d at the server", len(on), len(left), len(w.Server.Notifications()))
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
