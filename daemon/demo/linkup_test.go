//go:build linux && !nodemo

package demo

import (
	"context"
	"testing"
	"time"

	"dynamod/daemon/demo/walk"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

// A daemon that is killed before the reports of a switch have left is started
// again while there is no link: they leave when there is one, not at some later time.
func TestReportsGoWithTheLink(t *testing.T) {
	inCrashWorld(t, crashStory{power: true}, func(t *testing.T, w *crashWorld) {
		report := func(_ int, p walk.Point) bool { return p.Kind == walk.HTTP && p.State == "notifying" }
		first := w.newReaper(report, false)
		if err := w.before(first); !first.Dead() {
			t.Fatalf("it was not killed: %v", err)
		}
		if err := w.stopped(first); err != nil {
			t.Fatal(err)
		}
		r := w.newReaper(nil, false)
		err := w.daemon(r, func(ctx context.Context, c *hook.Client) error {
			if _, err := r.until(ctx, c, time.Hour, func(s status.Snapshot) bool { return s.State == status.Up }); err != nil {
				return err
			}
			_, err := r.until(ctx, c, 5*time.Second, func(s status.Snapshot) bool { return s.Outbox.Pending == 0 && s.Run != nil && s.Run.Ended != nil })
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}
