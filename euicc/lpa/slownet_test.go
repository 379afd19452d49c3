package lpa

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// slowNet is a network between a client and one server in a bubble's time: each
// way has a bandwidth and half of the round trip, and a connection costs a round
// trip to open. Bytes queue where TCP would buffer them; slow start and losses are
// left out, which no client could change.
type slowNet struct {
	rtt  time.Duration
	rate int // bits a second, each way
	ln   *slowListener
}

// serveSlow serves h with TLS on a slow network until the returned function is
// called.
func serveSlow(h http.Handler, cfg *tls.Config, rtt time.Duration, rate int) (*slowNet, func()) {
	n := &slowNet{rtt: rtt, rate: rate, ln: &slowListener{conns: make(chan net.Conn), done: make(chan struct{})}}
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	var wg sync.WaitGroup
	wg.Go(func() { s.Serve(tls.NewListener(n.ln, cfg)) })
	return n, func() {
		s.Close()
		wg.Wait()
	}
}

// dial is es9p.Config.Dial.
func (n *slowNet) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	select {
	case <-time.After(n.rtt):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	up, down := newPipe(n), newPipe(n)
	client, server := &slowConn{in: down, out: up}, &slowConn{in: up, out: down}
	select {
	case n.ln.conns <- server:
		return client, nil
	case <-n.ln.done:
		return nil, errors.New("nobody listens")
	}
}

type slowListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *slowListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *slowListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *slowListener) Addr() net.Addr { return slowAddr{} }

type slowAddr struct{}

func (slowAddr) Network() string { return "slow" }
func (slowAddr) String() string  { return "192.0.2.1:443" }

// slowPipe is one way of a connection.
type slowPipe struct {
	net *slowNet

	mu       sync.Mutex
	changed  chan struct{} // closed at each change
	packets  []slowPacket
	free     time.Time // when the line has sent what was given to it
	closed   bool      // by the writer
	left     bool      // by the reader
	deadline time.Time // of the reader
}

type slowPacket struct {
	at   time.Time // of arrival
	data []byte
}

func newPipe(n *slowNet) *slowPipe { return &slowPipe{net: n, changed: make(chan struct{})} }

// change wakes the reader. The lock is held.
func (p *slowPipe) change() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// send gives bytes to the line, in packets of what fits into a frame.
func (p *slowPipe) send(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	const frame = 1400
	for len(b) > 0 {
		n := min(len(b), frame)
		if now := time.Now(); p.free.Before(now) {
			p.free = now
		}
		p.free = p.free.Add(time.Duration(n) * 8 * time.Second / time.Duration(p.net.rate))
		p.packets = append(p.packets, slowPacket{p.free.Add(p.net.rtt / 2), append([]byte(nil), b[:n]...)})
		b = b[n:]
	}
	p.change()
}

// receive waits for the next bytes.
func (p *slowPipe) receive(b []byte) (int, error) {
	for {
		p.mu.Lock()
		now, changed := time.Now(), p.changed
		var wait time.Duration = -1
		if !p.deadline.IsZero() {
			if wait = p.deadline.Sub(now); wait <= 0 {
				p.mu.Unlock()
				return 0, os.ErrDeadlineExceeded
			}
		}
		switch {
		case p.left:
			p.mu.Unlock()
			return 0, net.ErrClosed
		case len(p.packets) > 0 && !p.packets[0].at.After(now):
			first := &p.packets[0]
			n := copy(b, first.data)
			if first.data = first.data[n:]; len(first.data) == 0 {
				p.packets = p.packets[1:]
			}
			p.mu.Unlock()
			return n, nil
		case len(p.packets) > 0:
			if until := p.packets[0].at.Sub(now); wait < 0 || until < wait {
				wait = until
			}
		case p.closed:
			p.mu.Unlock()
			return 0, io.EOF
		}
		p.mu.Unlock()
		if wait < 0 {
			<-changed
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-changed:
		case <-t.C:
		}
		t.Stop()
	}
}

// end is the close of one side.
func (p *slowPipe) end(side *bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*side = true
	p.change()
}

type slowConn struct{ in, out *slowPipe }

func (c *slowConn) Read(b []byte) (int, error)  { return c.in.receive(b) }
func (c *slowConn) Write(b []byte) (int, error) { c.out.send(b); return len(b), nil }
func (c *slowConn) Close() error {
	c.in.end(&c.in.left)
	c.out.end(&c.out.closed)
	return nil
}
func (c *slowConn) LocalAddr() net.Addr  { return slowAddr{} }
func (c *slowConn) RemoteAddr() net.Addr { return slowAddr{} }
func (c *slowConn) SetDeadline(t time.Time) error {
	return c.SetReadDeadline(t)
}
func (c *slowConn) SetReadDeadline(t time.Time) error {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.deadline = t
	c.in.change()
	return nil
}
func (c *slowConn) SetWriteDeadline(time.Time) error { return nil }
