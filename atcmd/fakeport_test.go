package atcmd

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakePort is a modem's end of an in-memory wire. Its handler is called with
// each line that the session wrote, in order, and writes what it likes.
type fakePort struct {
	out chan string // to the session, each element one read
	in  chan string // from the session

	mu      sync.Mutex
	rest    string
	stuck   chan struct{} // while not nil, writes block
	written []string
	closed  chan struct{}
	once    sync.Once
	gone    chan struct{}
}

func newFakePort() *fakePort {
	return &fakePort{
		out:    make(chan string, 1<<16),
		in:     make(chan string, 1<<12),
		closed: make(chan struct{}),
		gone:   make(chan struct{}),
	}
}

var errFakeGone = errors.New("input/output error")

func (p *fakePort) Read(b []byte) (int, error) {
	if p.rest == "" {
		select {
		case p.rest = <-p.out:
		case <-p.closed:
			return 0, io.ErrClosedPipe
		case <-p.gone:
			return 0, errFakeGone
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

type partialError struct {
	n   int
	err error
}

func (e partialError) Error() string { return e.err.Error() }
func (e partialError) Unwrap() error { return e.err }
func (e partialError) Written() int  { return e.n }

func (p *fakePort) WriteContext(ctx context.Context, b []byte) error {
	p.mu.Lock()
	stuck := p.stuck
	p.mu.Unlock()
	if stuck != nil {
		select {
		case <-stuck:
		case <-ctx.Done():
			return partialError{0, ctx.Err()}
		case <-p.closed:
			return io.ErrClosedPipe
		}
	}
	select {
	case <-p.closed:
		return io.ErrClosedPipe
	case <-p.gone:
		return errFakeGone
	default:
	}
	p.mu.Lock()
	p.written = append(p.written, string(b))
	p.mu.Unlock()
	select {
	case p.in <- string(b):
	case <-p.closed:
	}
	return nil
}

func (p *fakePort) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// send writes to the session as one read.
func (p *fakePort) send(text string) { p.out <- text }

// lines returns what the session wrote so far.
func (p *fakePort) lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.written...)
}

// serve answers each line until the test ends.
func (p *fakePort) serve(t *testing.T, answer func(line string)) {
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			select {
			case line := <-p.in:
				answer(line)
			case <-p.closed:
				return
			}
		}
	}()
	t.Cleanup(func() { p.Close(); wg.Wait() })
}

// answers is a modem that knows fixed answers.
func answers(p *fakePort, table map[string]string) func(string) {
	return func(line string) {
		line = strings.TrimRight(line, "\r\n")
		if a, ok := table[line]; ok {
			p.send(a)
			return
		}
		if a, ok := resyncAnswer(line); ok {
			p.send(a)
			return
		}
		p.send("\r\nERROR\r\n")
	}
}

func resyncAnswer(line string) (string, bool) {
	switch strings.TrimRight(line, "\r\n") {
	case "AT+CMEE?":
		return "\r\n+CMEE: 1\r\n\r\nOK\r\n", true
	case "AT+CSCS?":
		return "\r\n+CSCS: \"GSM\"\r\n\r\nOK\r\n", true
	case "AT+CFUN?":
		return "\r\n+CFUN: 1\r\n\r\nOK\r\n", true
	}
	return "", false
}

func newTestSession(t *testing.T, p *fakePort, opts Options) *Session {
	s := New(p, opts)
	t.Cleanup(func() { s.Close() })
	return s
}

func ctxFor(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
