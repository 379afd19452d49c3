package atsim

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// call is a port's data session: ATD or +CGDATA to NO CARRIER.
type call struct {
	p      *port
	cid    int
	lease  Lease
	cancel context.CancelFunc
	in     *pipe
	wg     sync.WaitGroup

	quiet  bool // hung up by the client, who gets no NO CARRIER
	online bool // false after +++, until ATO
	plus   int  // plus signs of a possible escape sequence
	last   time.Time
	guard  time.Duration
}

// dial is ATD. Of dial strings the modem serves the packet domain's,
// *99[*[<called address>][*[<L2P>][*<cid>]]]# (TS 27.007 10.2.1.1); it has no
// voice, so any other number gets NO CARRIER.
func dial(x *exec) error {
	s, ok := strings.CutPrefix(strings.ToUpper(x.cmd.text), "T")
	if !ok {
		s = strings.TrimPrefix(s, "P")
	}
	s, ok = strings.CutSuffix(strings.ReplaceAll(s, " ", ""), "#")
	if !ok || s != "*99" && !strings.HasPrefix(s, "*99*") {
		return resNoCarrier
	}
	cid := 1
	if parts := strings.Split(s[1:], "*"); len(parts) >= 4 && parts[3] != "" {
		n, err := strconv.Atoi(parts[3])
		if err != nil {
			return resError
		}
		cid = n
	}
	return connect(x, cid)
}

// cgdata is +CGDATA=<L2P>,<cid> (TS 27.007 10.1.12).
func cgdata(x *exec) error {
	if l2p := strings.ToUpper(x.str(0)); l2p != "" && l2p != "PPP" {
		return cmeNotSupported
	}
	cid, err := x.int(1, 1, 1, maxCID)
	if err != nil {
		return err
	}
	return connect(x, cid)
}

// connect activates a context and puts the port into data mode. A failure is
// NO CARRIER to a dial command (V.250 6.3.1).
func connect(x *exec, cid int) error {
	c := x.m.packet.contexts[cid]
	if x.p.call != nil || c != nil && (c.ppp != nil || c.linkUp) {
		return resNoCarrier
	}
	if err := x.m.activate(x, cid); err != nil {
		if x.cmd.name == "D" {
			return resNoCarrier
		}
		return err
	}
	c = x.m.packet.contexts[cid]
	c.ppp = x.p
	x.online = &call{p: x.p, cid: cid, lease: c.lease, in: newPipe()}
	x.online.guard = time.Duration(x.p.set.sregs[12]) * 20 * time.Millisecond
	x.stop = true
	x.suffix = x.p.set.code(resConnect)
	return nil
}

// goOnline starts data mode, after CONNECT was sent.
func (p *port) goOnline(ctx context.Context, c *call) {
	p.mu.Lock()
	p.data = true
	p.m.stats.urcsDropped.Add(int64(len(p.held))) // no place for them in the data
	p.held = nil
	p.mu.Unlock()
	c.online, c.plus, c.last = true, 0, time.Now()
	if p.call == c {
		return
	}
	p.call = c
	ctx, c.cancel = context.WithCancel(ctx)
	c.wg.Go(func() {
		if p.m.cfg.Data == nil {
			io.Copy(io.Discard, c.in)
			return
		}
		err := p.m.cfg.Data(ctx, c.cid, c.lease, &callStream{ctx, c})
		if ctx.Err() == nil {
			p.m.log.Debug("data call ended by its far side", "cid", c.cid, "err", err)
			p.hangUp()
		}
	})
}

// hangUp asks the port's goroutine to end its call.
func (p *port) hangUp() {
	select {
	case p.hangup <- struct{}{}:
	default:
	}
}

// endCall ends a call, takes its context down and says final, if it is not empty.
func (p *port) endCall(final string) {
	c := p.call
	if c == nil {
		return
	}
	p.call = nil
	c.cancel()
	c.in.close()
	c.wg.Wait()
	p.mu.Lock()
	p.data = false
	p.mu.Unlock()
	p.m.state.lock()
	defer p.m.state.release()
	if ctx := p.m.packet.contexts[c.cid]; ctx != nil && ctx.ppp == p {
		ctx.ppp = nil
		p.m.deactivate(c.cid, "ME PDN DEACT")
	}
	if final != "" && !c.quiet {
		p.urc(final)
	}
}

// endCallsOf is ATZ's and AT&F's: they hang up (V.250 6.1.1). The caller holds
// the state, so the port's own goroutine ends the call afterwards.
func (m *Modem) endCallsOf(p *port) {
	if p.call != nil {
		p.call.quiet = true
		p.hangUp()
	}
}

// hangUp is ATH.
func hangUp(x *exec) error {
	x.m.endCallsOf(x.p)
	return nil
}

// goBack is ATO: back to data mode after +++.
func goBack(x *exec) error {
	if x.p.call == nil {
		return resNoCarrier
	}
	x.online, x.stop = x.p.call, true
	x.suffix = x.p.set.code(resConnect)
	return nil
}

// input takes bytes of data mode and looks for the escape sequence: three plus
// signs with silence before and behind them (S12, in fiftieths of a second).
func (c *call) input(b []byte) {
	now := time.Now()
	quiet := now.Sub(c.last) >= c.guard
	c.last = now
	if len(bytes.Trim(b, "+")) == 0 && c.plus+len(b) <= 3 && (quiet || c.plus > 0) {
		c.plus += len(b)
		return
	}
	if c.plus > 0 {
		c.in.write([]byte("+++"[:c.plus]))
		c.plus = 0
	}
	c.in.write(b)
}

// escapeTimer runs out when the escape sequence is complete.
func (c *call) escapeTimer() <-chan time.Time {
	if c.plus != 3 {
		return nil
	}
	return time.After(time.Until(c.last.Add(c.guard)))
}

// escape suspends data mode.
func (p *port) escape(ctx context.Context) {
	p.call.online, p.call.plus = false, 0
	p.mu.Lock()
	p.data = false
	p.mu.Unlock()
	p.answer(ctx, func(*exec) error { return nil })
}

// callStream is what Config.Data reads and writes.
type callStream struct {
	ctx context.Context
	c   *call
}

func (s *callStream) Read(b []byte) (int, error) { return s.c.in.Read(b) }

func (s *callStream) Write(b []byte) (int, error) {
	s.c.p.mu.Lock()
	online := s.c.p.data
	s.c.p.mu.Unlock()
	if online { // what comes while the call is suspended is lost
		s.c.p.send(s.ctx, bytes.Clone(b))
	}
	if s.ctx.Err() != nil {
		return 0, io.ErrClosedPipe
	}
	return len(b), nil
}

// pipe is a bounded buffer from the port to the data side. What does not fit is
// lost, as on a link whose far side is slow.
type pipe struct {
	mu     sync.Mutex
	buf    []byte
	closed bool
	ready  chan struct{}
}

const maxPipe = 1 << 20

func newPipe() *pipe { return &pipe{ready: make(chan struct{}, 1)} }

func (p *pipe) wake() {
	select {
	case p.ready <- struct{}{}:
	default:
	}
}

func (p *pipe) write(b []byte) {
	p.mu.Lock()
	if len(p.buf)+len(b) <= maxPipe {
		p.buf = append(p.buf, b...)
	}
	p.mu.Unlock()
	p.wake()
}

func (p *pipe) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.wake()
}

func (p *pipe) Read(b []byte) (int, error) {
	for {
		p.mu.Lock()
		if len(p.buf) > 0 {
			n := copy(b, p.buf)
			p.buf = p.buf[n:]
			p.mu.Unlock()
			return n, nil
		}
		closed := p.closed
		p.mu.Unlock()
		if closed {
			return 0, io.EOF
		}
		<-p.ready
	}
}
