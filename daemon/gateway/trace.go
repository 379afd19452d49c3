package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"

	"dynamod/atcmd"
	"dynamod/daemon/hook"
)

// traceQueue is how many lines a reader of the trace may be behind.
const traceQueue = 256

// tracer hands the lines between us and the modem to whoever watches. It never
// waits for a reader.
type tracer struct {
	mu      sync.Mutex
	seq     uint64
	readers map[chan hook.TraceLine]struct{}
}

// tell is called from the session's own goroutines.
func (t *tracer) tell(now time.Time, kind, line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seq++
	l := hook.TraceLine{Seq: t.seq, Time: now, Kind: kind, Line: line}
	for c := range t.readers {
		for sent := false; !sent; {
			select {
			case c <- l:
				sent = true
			default:
				select { // the oldest makes room
				case <-c:
				default:
				}
			}
		}
	}
}

func (t *tracer) watch(ctx context.Context) <-chan hook.TraceLine {
	c := make(chan hook.TraceLine, traceQueue)
	t.mu.Lock()
	if t.readers == nil {
		t.readers = map[chan hook.TraceLine]struct{}{}
	}
	t.readers[c] = struct{}{}
	t.mu.Unlock()
	context.AfterFunc(ctx, func() {
		t.mu.Lock()
		delete(t.readers, c)
		t.mu.Unlock()
	})
	return c
}

// Trace sends the lines between us and the modem until ctx ends.
func (g *Gateway) Trace(ctx context.Context) <-chan hook.TraceLine { return g.tracer.watch(ctx) }

func (g *Gateway) trace(e atcmd.TraceEvent) {
	way, kind := "<", "received"
	if e.Sent {
		way, kind = ">", "sent"
	}
	g.log.Debug("at " + way + " " + e.Line)
	now := g.clock.now()
	g.tracer.tell(now, kind, e.Line)
	fmt.Fprintf(&g.recent, "%s %s %s\n", now.UTC().Format("2006-01-02 15:04:05.000"), way, e.Line)
}
