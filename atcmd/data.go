package atcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/warthog618/modem/at"
)

const (
	// dataWrite bounds one write in data mode.
	dataWrite = 30 * time.Second
	// guardTime is the silence around the escape sequence (V.250 S12 has 20 ms
	// units and most modems 50 of them), and how long DTR stays down.
	guardTime = 1100 * time.Millisecond
)

// Data dials and hands the byte stream over after CONNECT: to PPP, or to a
// transparent socket. dial has to be a call command (D, +CGDATA) or to list
// CONNECT in its Finals. Until the stream is closed, every other command fails
// with ErrDataMode; URCs inside the stream are the stream's.
//
// Read returns io.EOF after the modem wrote NO CARRIER and nothing behind it,
// when everything was read. Close hangs up, by DTR where the port has it and by the escape
// sequence elsewhere, and returns when the modem answers commands again.
func (s *Session) Data(ctx context.Context, dial Command) (io.ReadWriteCloser, error) {
	if err := s.takeTurn(ctx, dial); err != nil {
		return nil, err
	}
	d := &dataCall{
		s:    s,
		dial: dial,
		in:   make(chan []byte, 16),
		quit: make(chan struct{}),
		lost: make(chan struct{}),
	}
	r, err := s.runTurn(ctx, dial, d, func(a *at.AT) error {
		_, err := a.Command(dial.Text)
		return err
	})
	if err == nil && !matchesAny(r.reply.Final, []string{"CONNECT"}) {
		err = &FinalError{Command: dial.Name(), Final: r.reply.Final}
	}
	if err != nil {
		s.giveTurn()
		return nil, err
	}
	s.mu.Lock()
	close(s.inData)
	s.mu.Unlock()
	return d, nil
}

// dataCall is the port in data mode.
type dataCall struct {
	s    *Session
	dial Command
	in   chan []byte // from the reading goroutine
	rest []byte      // of Read
	quit chan struct{}
	once sync.Once
	err  error // of Close

	lost chan struct{} // closed after NO CARRIER
	seen int           // bytes of noCarrier that the stream ended with so far
}

const noCarrier = "\r\nNO CARRIER\r\n"

// deliver is called on the reading goroutine. It blocks while the reader of the
// stream is slow, as the port's own flow control expects. It reports false when
// the stream is closed and p was not taken.
func (d *dataCall) deliver(p []byte) bool {
	select {
	case <-d.quit:
		return false
	case <-d.lost:
		return false
	default:
	}
	for _, c := range p {
		if d.seen == len(noCarrier) {
			d.seen = 0 // more follows, so it was payload
		}
		switch {
		case c == noCarrier[d.seen]:
			d.seen++
		case c == '\r':
			d.seen = 1
		default:
			d.seen = 0
		}
	}
	chunk := append([]byte(nil), p...)
	select {
	case d.in <- chunk:
	case <-d.quit:
		return false
	case <-d.s.ctx.Done():
		return true
	}
	if d.seen == len(noCarrier) {
		close(d.lost)
	}
	return true
}

// Read implements io.Reader.
func (d *dataCall) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(d.rest) == 0 {
		select {
		case <-d.quit:
			return 0, ErrClosed
		default:
		}
		select {
		case d.rest = <-d.in:
		case <-d.quit:
			return 0, ErrClosed
		case <-d.s.ctx.Done():
			return 0, d.s.Err()
		case <-d.lost:
			select {
			case d.rest = <-d.in:
			default:
				return 0, io.EOF
			}
		}
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// Write implements io.Writer.
func (d *dataCall) Write(p []byte) (int, error) {
	select {
	case <-d.quit:
		return 0, ErrClosed
	case <-d.lost:
		return 0, io.ErrClosedPipe
	default:
	}
	ctx, cancel := context.WithTimeout(d.s.ctx, dataWrite)
	defer cancel()
	err := d.s.port.WriteContext(ctx, p)
	if err == nil {
		return len(p), nil
	}
	if end := d.s.Err(); end != nil {
		err = end
	}
	var partial interface{ Written() int }
	if errors.As(err, &partial) {
		return partial.Written(), err
	}
	return 0, err
}

// Close implements io.Closer. It may be called more than once.
func (d *dataCall) Close() error {
	d.once.Do(func() { d.err = d.close() })
	return d.err
}

func (d *dataCall) close() error {
	s := d.s
	defer s.giveTurn()
	close(d.quit)
	select {
	case <-d.lost:
	default:
		s.hangUp()
	}
	// What is left of the stream, and the result code of the escape or the
	// hang-up, are a late answer without a tag.
	dial := d.dial
	dial.Bare = true
	dial.Late = s.opts.Resync.Step
	x := newExchange(s.ctx, dial)
	x.echo = ""
	s.mu.Lock()
	if s.err == nil {
		s.unsettle(x)
	}
	settled := s.settled
	s.mu.Unlock()
	select {
	case <-settled:
	case <-s.ctx.Done():
	}
	s.mu.Lock()
	s.inData = make(chan struct{})
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("AT%s: leaving data mode: %w", d.dial.Name(), err)
	}
	return nil
}

// hangUp ends a call from data mode. Whether it worked is found out by the
// resynchronisation that follows.
func (s *Session) hangUp() {
	if err := HangUp(s.ctx, s.port); err != nil {
		s.log.Debug("hanging up", "err", err)
	}
}

// HangUp takes a port that nobody reads out of data mode, by DTR where it has
// that, else by Escape. Whether the modem heard it shows when it is asked something.
func HangUp(ctx context.Context, p Port) error {
	if p, ok := p.(interface {
		DropDTR(context.Context, time.Duration) error
	}); ok && p.DropDTR(ctx, guardTime) == nil {
		return nil
	}
	return Escape(ctx, p)
}

// Escape takes a port that nobody reads out of data mode by the escape sequence,
// and hangs up. It is for ports without DTR, and for modems that ignore it (&D0). A
// modem in command mode takes it for an odd line.
func Escape(ctx context.Context, p Port) error {
	quiet := func() error { // V.250 annex and TIES: three times S2 between two silences
		t := time.NewTimer(guardTime)
		defer t.Stop()
		select {
		case <-t.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, text := range []string{"+++", "ATH\r"} {
		if err := quiet(); err != nil {
			return err
		}
		write, done := context.WithTimeout(ctx, defaultStep)
		err := p.WriteContext(write, []byte(text))
		done()
		if err != nil {
			return err
		}
	}
	return quiet() // whoever closes the port now takes back what the modem has not read
}
