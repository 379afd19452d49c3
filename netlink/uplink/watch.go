package uplink

import (
	"context"
	"sync"
)

// Watch calls report with the Status at once, and again each time that it differs from the one before, until ctx ends;
// then it returns nil. Bursts of announcements are taken together. The DNS file is read along, but nobody announces its
// changes. report is called by one goroutine, the caller's.
func Watch(ctx context.Context, k Kernel, s Spec, report func(Status)) error {
	if err := checkInterface(s.Interface); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()

	changed := make(chan struct{}, 1)
	ended := make(chan error, 1)
	wg.Go(func() {
		ended <- k.Watch(ctx, func() {
			select {
			case changed <- struct{}{}:
			default: // one is waiting already; it will see this change too
			}
		})
	})
	var last *Status
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			if ctx.Err() != nil {
				return nil
			}
			return err
		case <-changed:
		}
		st, err := Read(ctx, k, s)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if last == nil || !last.Equal(st) {
			last = &st
			report(st)
		}
	}
}
