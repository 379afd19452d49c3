//go:build linux && !nodemo

package demo

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/demo/walk"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

// A daemon that is killed before the reports of a switch have left is started
// again while there is no link: they leave when there is one, not at some later time.
func TestReportsGoWithTheLink(t *testing.T) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hup) })
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newCrashWorld(t, crashStory{power: true}, dir)
		defer w.close()
		report := func(_ int, p walk.Point) bool { return p.Kind == walk.HTTP && p.State == "notifying" }
		first := newReaper(filepath.Join(dir, "box"), filepath.Join(dir, "frozen"), report, false)
		if err := w.before(first); !first.Dead() {
			t.Fatalf("it was not killed: %v", err)
		}
		if err := w.stopped(first); err != nil {
			t.Fatal(err)
		}
		r := newReaper(filepath.Join(dir, "box"), filepath.Join(dir, "frozen2"), nil, false)
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
