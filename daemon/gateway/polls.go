package gateway

import (
	"context"
	"errors"
	"time"

	"dynamod/daemon/dynamo"
	"dynamod/daemon/dynamo/call"
	"dynamod/daemon/dynamo/directory"
	"dynamod/daemon/hook"
)

// How often the directory service is asked for what a portal has left there. A question
// on a connection that is open costs some hundred bytes.
const (
	pollSoon  = 5 * time.Second // as long as somebody may look at the screen
	soon      = 10 * time.Minute
	pollLater = time.Minute
	pollTime  = 2 * time.Hour
)

// expect has the directory service take the answer of a visit that was opened on
// another device.
func (g *Gateway) expect(ctx context.Context, v *hook.PortalVisit) {
	if len(v.CallbackHosts) == 0 || g.config().Dynamo.Directory == "" {
		return
	}
	if err := g.ask(ctx, func(ctx context.Context, c *directory.Client) error {
		return c.ExpectVisit(ctx, v.Transaction, v.CallbackHosts)
	}); err != nil {
		g.log.Warn("a portal's answer will not come by the directory service", "error", err)
		return
	}
	v.Way = dynamo.WayDirectory
	select {
	case g.opened <- struct{}{}:
	default:
	}
}

// keepPolls fetches the answers of visits that were opened on another device, until
// ctx ends.
func (g *Gateway) keepPolls(ctx context.Context) error {
	read := map[string]int{} // callbacks of a visit that were read, -1 where none is expected
	for {
		next := g.poll(ctx, read)
		var timer *time.Timer
		var due <-chan time.Time
		if next > 0 {
			timer = time.NewTimer(next)
			due = timer.C
		}
		select {
		case <-ctx.Done():
		case <-g.opened:
		case <-due:
		}
		if timer != nil {
			timer.Stop()
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// poll asks for each visit that may be answered. It returns when to ask again, 0 for
// never, as without a service that could have an answer.
func (g *Gateway) poll(ctx context.Context, read map[string]int) (next time.Duration) {
	if g.config().Dynamo.Directory == "" {
		return 0
	}
	for _, v := range g.visits.Visits() {
		age := g.clock.now().Sub(v.Begun)
		if read[v.ID] < 0 || age > pollTime || v.Kind != "" && !v.Held {
			continue
		}
		wait := pollLater
		if age < soon {
			wait = pollSoon
		}
		var list []string
		err := g.ask(ctx, func(ctx context.Context, c *directory.Client) (err error) {
			list, err = c.VisitCallbacks(ctx, v.ID, read[v.ID])
			return err
		})
		if e, ok := errors.AsType[*call.Error](err); ok {
			if e.Code == call.CodeUnknown {
				read[v.ID] = -1
				continue
			}
			wait = max(pollLater, e.RetryAfter)
		}
		for _, text := range list {
			_, err := g.accept(ctx, []byte(text), dynamo.Arrival{Way: dynamo.WayDirectory})
			if err != nil && !errors.As(err, new(*dynamo.Refusal)) && !errors.As(err, new(*dynamo.CallbackError)) {
				break // the disk, or the card: it is read again
			}
			read[v.ID]++
		}
		if next == 0 || wait < next {
			next = wait
		}
	}
	return next
}
