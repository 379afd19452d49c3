// Package task keeps the daemon's loops running: a panic in one of them is
// contained, told, and followed by a new beginning of that loop, as long as it
// does not happen too often.
package task

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Task is a loop that runs until its context ends.
type Task struct {
	Name string
	Run  func(ctx context.Context) error
}

// The budget of one task. Whoever has used it up is better begun anew as a whole
// process, by the init system.
const (
	Budget     = 5 // panics within Window that are followed by a new beginning
	Window     = time.Hour
	firstPause = time.Second // before the new beginning; twice as long each time
)

// Panic is one panic that was contained.
type Panic struct {
	Task  string        `json:"task"`
	Value string        `json:"value"` // what was wrong, without what the data was
	Stack []string      `json:"stack"` // function and place, innermost first, without arguments
	Count int           `json:"count"` // of this task within Window
	Again time.Duration `json:"-"`     // until the task begins anew; 0 if it does not
}

// maxFrames bounds the stack that is kept.
const maxFrames = 16

// Contain calls f and returns its panic, if there was one.
func Contain(name string, f func()) (p *Panic) {
	defer func() {
		if v := recover(); v != nil {
			p = &Panic{Task: name, Value: describe(v), Stack: stack(), Count: 1}
		}
	}()
	f()
	return nil
}

// describe tells what went wrong. The runtime's own texts hold types and numbers;
// any other value may hold what a secret was in, and only its type is told.
func describe(v any) string {
	if e, ok := v.(runtime.Error); ok {
		return e.Error()
	}
	return fmt.Sprintf("a value of type %T", v)
}

// stack returns the frames below the panic.
func stack() []string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	var all []string
	for {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic" || f.Function == "runtime.sigpanic":
			all = nil // above it is only how we got here
		case f.Function != "" && !strings.HasPrefix(f.Function, "runtime."):
			all = append(all, fmt.Sprintf("%s %s:%d", f.Function, shortFile(f.File), f.Line))
		}
		if !more {
			break
		}
	}
	return all[:min(len(all), maxFrames)]
}

// shortFile keeps a file's last two names: where the program was built is
// nobody's business.
func shortFile(path string) string {
	parts := strings.Split(path, "/")
	return strings.Join(parts[max(0, len(parts)-2):], "/")
}

// BudgetError says that a task panicked too often.
type BudgetError struct {
	Panic Panic // the last one
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("%s failed %d times within %s, the last time with %s", e.Panic.Task, e.Panic.Count, Window, e.Panic.Value)
}

// Hint says what to do.
func (e *BudgetError) Hint() string {
	return "this is a mistake in the program: report it with the file that `dynamod bundle` writes; the init system should start dynamod again"
}

// Group is the tasks of one daemon.
type Group struct {
	// Panicked is told of each panic before its task begins anew; nil is fine.
	Panicked func(Panic)

	mu   sync.Mutex
	left []string // of the tasks that run
}

// Left names the tasks that have not ended yet.
func (g *Group) Left() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.left)
}

// Run runs the tasks until all have ended. The first that ends with an error, or
// panics beyond its budget, ends the context of the others; Run returns that
// error.
func (g *Group) Run(ctx context.Context, tasks ...Task) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	g.mu.Lock()
	for _, t := range tasks {
		g.left = append(g.left, t.Name)
	}
	g.mu.Unlock()
	var wg sync.WaitGroup
	errs := make(chan error, len(tasks))
	for _, t := range tasks {
		wg.Go(func() {
			if err := g.keep(ctx, t); err != nil {
				errs <- err
				stop(err)
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			g.left = slices.DeleteFunc(g.left, func(name string) bool { return name == t.Name })
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// keep runs one task, again after each panic that its budget has room for.
func (g *Group) keep(ctx context.Context, t Task) (err error) {
	var times []time.Time
	pause := firstPause
	for {
		p := Contain(t.Name, func() { err = t.Run(ctx) })
		if p == nil {
			return err
		}
		now := time.Now()
		times = slices.DeleteFunc(times, func(at time.Time) bool { return now.Sub(at) > Window })
		if len(times) == 0 {
			pause = firstPause
		}
		times = append(times, now)
		p.Count = len(times)
		if p.Count <= Budget {
			p.Again = pause
		}
		if g.Panicked != nil {
			g.Panicked(*p)
		}
		if p.Count > Budget {
			return &BudgetError{*p}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause *= 2
	}
}
