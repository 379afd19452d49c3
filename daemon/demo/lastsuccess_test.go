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

	"dynamod/daemon/hook"
	"dynamod/daemon/learned"
)

// What the way back goes by is when a profile last carried traffic, not when it
// began to: after the daemon's end to the minute, after a power cut to the day.
func TestLastSuccess(t *testing.T) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hup) })
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newCrashWorld(t, crashStory{}, dir)
		defer w.close()
		noted := func(within time.Duration) {
			t.Helper()
			s, err := learned.Open(filepath.Join(dir, "box", "state", "learned.json"), time.Now)
			if err != nil {
				t.Fatal(err)
			}
			if at, ok := s.Worked(w.old); !ok || time.Since(at) > within {
				t.Errorf("the file says %v, %v, it is %v now", at, ok, time.Now())
			}
		}
		r := newReaper(filepath.Join(dir, "box"), filepath.Join(dir, "frozen"), nil, false)
		err := w.daemon(r, func(ctx context.Context, c *hook.Client) error {
			if err := w.settled(ctx, c); err != nil {
				return err
			}
			time.Sleep(60 * time.Hour)
			noted(25 * time.Hour)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		noted(5 * time.Minute)
	})
}
