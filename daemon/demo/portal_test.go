//go:build linux && !nodemo

package demo

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

// A prepaid profile that has to be topped up through its own portal stays enabled
// where that is asked for, also over a power cut, and is a good one when it is paid.
func TestPortalThatIsWanted(t *testing.T) {
	for _, cut := range []string{"", "agreed", "enabling", "probing", "committed"} {
		t.Run("power cut at "+cut, func(t *testing.T) {
			story := crashStory{power: true, prepare: func(l *Lab) {
				l.Operator.SetLine(l.Profiles[0].ICCID, Line{Portal: "http://pay.lab.test/"})
			}}
			inCrashWorld(t, story, func(t *testing.T, w *crashWorld) {
				fresh := w.Profiles[0].ICCID
				r := w.newReaper(nil, false)
				r.Reach = func(state string) {
					if state == cut {
						r.Kill()
					}
				}
				limited := func(s status.Snapshot) bool {
					return s.Run != nil && s.Run.Ended != nil && s.Run.Outcome == status.Committed && s.State == status.Limited && s.SIM.ICCID == fresh
				}
				err := w.daemon(r, func(ctx context.Context, c *hook.Client) error {
					if err := w.settled(ctx, r, c); err != nil {
						return err
					}
					req := hook.ActivationRequest{Code: w.Profiles[0].Code, Consent: true, AcceptLimited: true}
					if err := c.Do(ctx, http.MethodPost, "/v1/activations", nil, req, nil); err != nil {
						return err
					}
					_, err := r.until(ctx, c, time.Hour, limited)
					return err
				})
				if err != nil && !r.Dead() || r.Dead() != (cut != "") {
					t.Fatalf("stopped: %v, %v", r.Dead(), err)
				}
				if err := w.stopped(r); err != nil {
					t.Fatal(err)
				}
				r = w.newReaper(nil, false)
				err = w.daemon(r, func(ctx context.Context, c *hook.Client) error {
					if _, err := r.until(ctx, c, time.Hour, limited); err != nil {
						return err
					}
					w.Operator.SetLine(fresh, Line{})
					w.n.Portal("")
					if _, err := r.until(ctx, c, time.Hour, func(s status.Snapshot) bool { return s.State == status.Up }); err != nil {
						return fmt.Errorf("when it is paid: %w", err)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}
