package task

import (
	"fmt"
	"sync"
	"time"
)

// Pulse tells whether a loop comes round. Before each thing that may block the
// loop says how long that takes at most; while it waits for something to do, it
// rests. A nil Pulse is one that nobody feels. Its methods may be called from
// any goroutine.
type Pulse struct {
	mu    sync.Mutex
	doing string
	since time.Time
	limit time.Duration
}

// Work says what the loop does now, and for how long at most.
func (p *Pulse) Work(doing string, limit time.Duration) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doing, p.since, p.limit = doing, time.Now(), limit
}

// Rest says that the loop waits for something to do.
func (p *Pulse) Rest() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = 0
}

// Check returns an error if the loop is at something for longer than that may
// take.
func (p *Pulse) Check() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if took := time.Since(p.since); p.limit > 0 && took > p.limit {
		return fmt.Errorf("%s takes %s, which is longer than %s", p.doing, took.Round(time.Second), p.limit)
	}
	return nil
}
