package atsim

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// port is one AT channel of the modem. Its settings live as long as the port
// is plugged in, also while nobody has it open.
type port struct {
	m    *Modem
	set  settings    // guarded by Modem.state
	echo atomic.Bool // ATE, read by the input side

	out     chan []byte // to the writer; an answer waits for room, a URC does not
	open    atomic.Bool // somebody reads what we write
	closing chan struct{}

	mu     sync.Mutex
	busy   bool     // a command line runs: URCs are held
	data   bool     // in data mode: URCs are dropped
	held   [][]byte // URCs that wait for the final result code
	line   []byte   // command line so far
	hunt   bool     // skipping to the next AT
	last   []byte   // previous command line, for A/
	prompt *prompt  // a +CMGS waits for its text

	call      *call // data mode or suspended data mode; port goroutine only
	hangup    chan struct{}
	executing atomic.Bool

	unplugged chan struct{}
	replug    time.Duration
}

// prompt collects the text that a command asked for with "> " (TS 27.005 3.5.1).
type prompt struct {
	text []byte
	done func(x *exec, text string) error
}

const (
	maxHeld    = 1024 // URCs held back during one command
	outBacklog = 512  // writes that wait for a slow client
)

func newPort(m *Modem) *port {
	p := &port{
		m:         m,
		out:       make(chan []byte, outBacklog),
		hangup:    make(chan struct{}, 1),
		unplugged: make(chan struct{}),
		hunt:      true,
	}
	p.resetSettings()
	return p
}

// unplug ends the port's service. The caller holds the modem's state.
func (p *port) unplug(replug time.Duration) {
	if !p.gone() {
		p.replug = replug
		close(p.unplugged)
	}
}

// gone tells whether the port was unplugged.
func (p *port) gone() bool {
	select {
	case <-p.unplugged:
		return true
	default:
		return false
	}
}

// serve runs the port on one byte stream. It closes rw and leaves no goroutine.
func (p *port) serve(ctx context.Context, rw io.ReadWriteCloser) error {
	p.m.faults.heal(HealPort)
	if wrap := p.m.cfg.Wrap; wrap != nil {
		rw = wrap(rw)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := make(chan []byte, 16)
	var wg sync.WaitGroup
	wg.Go(func() { // reader
		defer close(in)
		p.read(ctx, rw, in)
	})
	wg.Go(func() { // writer
		if err := p.write(ctx, rw); err != nil {
			cancel()
		}
	})
	wg.Go(func() { // closer
		select {
		case <-ctx.Done():
		case <-p.unplugged:
			cancel()
		}
		rw.Close()
	})
	p.open.Store(true)
	p.loop(ctx, in)
	p.open.Store(false)
	p.endCall("")
	// A client may close its sending side and still read.
	last, done := context.WithTimeout(ctx, 2*time.Second)
	p.drain(last)
	done()
	cancel()
	for range in { // lets the reader end
	}
	wg.Wait()
	p.forget()
	if p.gone() {
		return ErrUnplugged
	}
	return nil
}

// forget drops what a client left behind, so that the next one starts clean.
func (p *port) forget() {
	p.mu.Lock()
	p.busy, p.data, p.held, p.prompt = false, false, nil, nil
	p.mu.Unlock()
	p.line, p.hunt = nil, true
	for {
		select {
		case <-p.out:
		case <-p.hangup:
		default:
			return
		}
	}
}

func (p *port) read(ctx context.Context, rw io.Reader, in chan<- []byte) {
	buf := make([]byte, 4096)
	for {
		n, err := rw.Read(buf)
		if n > 0 {
			p.m.stats.bytesIn.Add(int64(n))
			if p.m.cfg.Baud > 0 {
				sleep(ctx, p.m.airtime(n))
			}
			if p.executing.Load() && (p.m.habits.DropWhileBusy || p.m.faults.on("busy-drop")) {
				continue
			}
			select {
			case in <- bytes.Clone(buf[:n]):
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// airtime is how long n bytes take at 8N1.
func (m *Modem) airtime(n int) time.Duration {
	return time.Duration(n) * 10 * time.Second / time.Duration(m.cfg.Baud)
}

func (p *port) write(ctx context.Context, rw io.Writer) error {
	for {
		var b []byte
		select {
		case b = <-p.out:
		case <-ctx.Done():
			return nil
		}
		if b == nil { // a mark: everything before it is written
			p.closing <- struct{}{}
			continue
		}
		for len(b) > 0 {
			n, gap := len(b), time.Duration(0)
			if k := p.m.habits.SplitBytes; k > 0 && n > k {
				n, gap = k, p.m.habits.SplitGap
			}
			if p.m.cfg.Baud > 0 { // pieces of 20 ms
				n = min(n, max(1, p.m.cfg.Baud/500))
				sleep(ctx, p.m.airtime(n))
			}
			if _, err := rw.Write(b[:n]); err != nil {
				return err
			}
			p.m.stats.bytesOut.Add(int64(n))
			sleep(ctx, gap)
			if ctx.Err() != nil {
				return nil
			}
			b = b[n:]
		}
	}
}

// drain waits until what was sent is written.
func (p *port) drain(ctx context.Context) {
	p.closing = make(chan struct{}, 1)
	select {
	case p.out <- nil:
	case <-ctx.Done():
		return
	}
	select {
	case <-p.closing:
	case <-ctx.Done():
	}
}

// send queues bytes of an answer and waits for room.
func (p *port) send(ctx context.Context, b []byte) {
	if len(b) == 0 {
		return
	}
	select {
	case p.out <- b:
	case <-ctx.Done():
	}
}

// urc queues an unsolicited result code, or holds it until the running command
// has had its final result code. The caller holds the modem's state.
func (p *port) urc(line string) {
	if !p.open.Load() {
		return
	}
	b := []byte(p.set.frame(line))
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.data:
		p.m.stats.urcsDropped.Add(1)
		return
	case p.busy && len(p.held) < maxHeld:
		p.held = append(p.held, b)
	case p.busy:
		p.m.stats.urcsDropped.Add(1)
		return
	default:
		select {
		case p.out <- b:
		default:
			p.m.stats.urcsDropped.Add(1)
			return
		}
	}
	p.m.stats.urcs.Add(1)
}

func (p *port) begin() {
	p.executing.Store(true)
	p.mu.Lock()
	p.busy = true
	p.mu.Unlock()
}

// end lets the held URCs go, in order and behind the answer.
func (p *port) end(ctx context.Context) {
	for {
		p.mu.Lock()
		held := p.held
		p.held = nil
		if len(held) == 0 {
			p.busy = false
			p.mu.Unlock()
			break
		}
		p.mu.Unlock()
		p.send(ctx, bytes.Join(held, nil))
		if ctx.Err() != nil {
			break
		}
	}
	p.executing.Store(false)
}

// loop takes input until the stream ends.
func (p *port) loop(ctx context.Context, in <-chan []byte) {
	for {
		var tick <-chan time.Time
		if p.call != nil && p.call.online {
			tick = p.call.escapeTimer()
		}
		select {
		case <-ctx.Done():
			return
		case <-p.hangup:
			p.endCall(resNoCarrier.text)
		case <-tick:
			p.escape(ctx)
		case b, ok := <-in:
			if !ok {
				return
			}
			for len(b) > 0 && ctx.Err() == nil {
				if p.call != nil && p.call.online {
					p.call.input(b)
					break
				}
				b = p.input(ctx, b)
			}
		}
	}
}

// input takes characters up to the end of a command line, runs the line and
// returns what is left (V.250 5.2.1).
func (p *port) input(ctx context.Context, b []byte) []byte {
	for i, c := range b {
		if p.prompt != nil {
			if p.promptByte(ctx, c) {
				return b[i+1:]
			}
			continue
		}
		switch {
		case p.hunt:
			p.huntByte(c)
			if p.hunt || c != '/' {
				continue
			}
			p.hunt = true
			p.echoes(ctx, b[:i+1])
			p.run(ctx, string(p.last))
			return b[i+1:]
		case c == '\r':
			p.echoes(ctx, b[:i+1])
			line := string(p.line)
			p.last = append(p.last[:0], p.line...)
			p.line, p.hunt = p.line[:0], true
			p.run(ctx, line)
			return b[i+1:]
		case c == '\b' || c == 0x7F:
			if len(p.line) > 0 {
				p.line = p.line[:len(p.line)-1]
			}
		case c == 0x1B: // an abandoned line
			p.line, p.hunt = p.line[:0], true
		case c == '\n':
		case len(p.line) <= maxLine:
			p.line = append(p.line, c)
		}
	}
	p.echoes(ctx, b)
	return nil
}

// huntByte looks for the AT or A/ that starts a command line. Anything before
// it is ignored.
func (p *port) huntByte(c byte) {
	switch {
	case c == 'a' || c == 'A':
		p.line = append(p.line[:0], c)
	case len(p.line) == 1 && (c == 't' || c == 'T' || c == '/'):
		p.line, p.hunt = p.line[:0], false
	default:
		p.line = p.line[:0]
	}
}

// echoes sends characters back (ATE1), in two pieces with a URC between them
// if the split-echo fault says so.
func (p *port) echoes(ctx context.Context, b []byte) {
	if !p.echo.Load() {
		return
	}
	if len(b) > 4 {
		if f, ok := p.m.faults.take("split-echo", command{}); ok {
			k := len(b) / 2
			p.send(ctx, bytes.Clone(b[:k]))
			if f.Text != "" {
				p.send(ctx, []byte("\r\n"+f.Text+"\r\n"))
			}
			sleep(ctx, f.Delay)
			b = b[k:]
		}
	}
	p.send(ctx, bytes.Clone(b))
}

func (p *port) promptByte(ctx context.Context, c byte) (done bool) {
	if p.echo.Load() && c != 0x1A && c != 0x1B {
		p.send(ctx, []byte{c})
	}
	switch c {
	case 0x1A, 0x1B:
		pr := p.prompt
		p.prompt = nil
		p.answer(ctx, func(x *exec) error {
			if c == 0x1B {
				return nil
			}
			return pr.done(x, strings.TrimSpace(string(pr.text)))
		})
		return true
	default:
		if len(p.prompt.text) < maxLine {
			p.prompt.text = append(p.prompt.text, c)
		}
	}
	return false
}

// run executes a command line and sends its answer.
func (p *port) run(ctx context.Context, line string) {
	p.m.stats.lines.Add(1)
	p.answer(ctx, func(x *exec) error {
		if len(line) > maxLine {
			return resError
		}
		cmds, err := parseLine(line)
		if err != nil {
			p.m.log.Debug("command line refused", "length", len(line))
			return resError
		}
		for _, c := range cmds {
			if err := x.do(c); err != nil {
				return err
			}
			if x.silent || x.stop {
				return nil
			}
		}
		return nil
	})
}

// answer runs f with the modem's state held and sends what it produced.
func (p *port) answer(ctx context.Context, f func(*exec) error) {
	p.begin()
	defer p.end(ctx)
	if p.m.state.acquire(ctx) != nil {
		return
	}
	// The line may have come in the moment in which the plug was pulled: what has
	// no power any more does not say that it has no card.
	if p.gone() {
		p.m.state.release()
		return
	}
	x := &exec{m: p.m, p: p, ctx: ctx}
	err := f(x)
	var final string
	switch {
	case err != nil:
		final = p.set.final(err)
	case !x.stop:
		final = p.set.code(resOK)
	}
	x.finish(final)
	p.m.state.release()

	sleep(ctx, x.late)
	for _, piece := range x.pieces {
		p.send(ctx, []byte(piece))
	}
	if x.online != nil && err == nil {
		p.goOnline(ctx, x.online)
	}
	if x.then != nil {
		p.drain(ctx)
		if p.m.state.acquire(ctx) == nil {
			x.then(ctx)
			p.m.state.release()
		}
	}
	p.m.kick()
}
