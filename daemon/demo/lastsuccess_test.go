//go:build linux && !nodemo

package demo

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"dynamod/daemon/hook"
	"dynamod/daemon/learned"
)

// What the way back goes by is when a profile last carried traffic, not when it
// began to: after the daemon's end to the minute, after a power cut to the day.
func TestLastSuccess(t *testing.T) {
	inCrashWorld(t, crashStory{}, func(t *testing.T, w *crashWorld) {
		noted := func(within time.Duration) {
			t.Helper()
			s, err := learned.Open(filepath.Join(w.dir, "box", "state", "learned.json"), time.Now)
			if err != nil {
				t.Fatal(err)
			}
			if at, ok := s.Worked(w.old); !ok || time.Since(at) > within {
				t.Errorf("the file says %v, %v, it is %v now", at, ok, time.Now())
			}
		}
		r := w.newReaper(nil, false)
		err := w.daemon(r, func(ctx context.Context, c *hook.Client) error {
			if err := w.settled(ctx, r, c); err != nil {
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
