//go:build linux && !nodemo

package demo

import (
	"context"
	"net/http"
	"testing"

	"dynamod/daemon/hook"
)

// A deletion whose answer was lost is settled by the card, after a reset of one that
// has fallen silent: it is done, and reported.
func TestLostDeletion(t *testing.T) {
	for _, fault := range []string{"lost tag=BF33", "power-cut-after tag=BF33"} {
		t.Run(fault, func(t *testing.T) {
			inCrashWorld(t, crashStory{}, func(t *testing.T, w *crashWorld) {
				r := w.newReaper(nil, false)
				err := w.daemon(r, func(ctx context.Context, c *hook.Client) error {
					if err := w.activate(ctx, r, c); err != nil {
						return err
					}
					if err := w.Card.Set(fault); err != nil {
						return err
					}
					return c.Do(ctx, http.MethodDelete, "/v1/profiles/"+w.old+"?confirm="+w.old, nil, nil, nil)
				})
				if err != nil {
					t.Error(err)
				}
				if left := w.Card.Installed(); len(left) != 1 || left[0].ICCID == w.old || !left[0].Enabled {
					t.Errorf("on the card: %d profiles", len(left))
				}
			})
		})
	}
}
