package es9p

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// dialer opens the TLS connections of a Client's http.Transport. It does so
// itself because a Transport knows no connection without a request: connect
// makes one ahead, and the next request to the same address takes it.
type dialer struct {
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	tls    *tls.Config
	shaken func()       // called after each handshake, also after one that failed
	clock  func() error // says that certificates cannot be checked

	mu    sync.Mutex
	ahead map[string]*aheadConn // by host:port
	live  map[string]int        // open connections by host:port
}

// aheadConn is a connection that no request has taken yet.
type aheadConn struct {
	done chan struct{} // closed when conn or err is set
	conn net.Conn
	err  error
}

// failed reports whether the connection is known not to have come about.
func (a *aheadConn) failed() bool {
	select {
	case <-a.done:
		return a.err != nil
	default:
		return false
	}
}

// connect opens a connection to address for the next request to take, unless
// there is one.
func (d *dialer) connect(ctx context.Context, address string) error {
	d.mu.Lock()
	if a := d.ahead[address]; a != nil && !a.failed() || d.live[address] > 0 {
		d.mu.Unlock()
		return nil
	}
	a := &aheadConn{done: make(chan struct{})}
	d.ahead[address] = a
	d.mu.Unlock()
	a.conn, a.err = d.open(ctx, "tcp", address)
	close(a.done)
	return a.err
}

// DialTLS is the Transport's: it takes the connection that was, or is being,
// opened ahead, else it opens one.
func (d *dialer) DialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	d.mu.Lock()
	a := d.ahead[address]
	d.mu.Unlock()
	if a == nil {
		return d.open(ctx, network, address)
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	d.mu.Lock()
	mine := d.ahead[address] == a
	if mine {
		delete(d.ahead, address)
	}
	d.mu.Unlock()
	if !mine {
		return d.open(ctx, network, address)
	}
	if secure, ok := a.conn.(*tls.Conn); ok {
		secure.NetConn().(*liveConn).waited = true
	}
	return a.conn, a.err
}

// waited reports whether a connection that the Transport took was opened ahead.
func waited(conn net.Conn) bool {
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return false
	}
	live, ok := secure.NetConn().(*liveConn)
	return ok && live.waited
}

func (d *dialer) open(ctx context.Context, network, address string) (net.Conn, error) {
	if err := d.clock(); err != nil {
		return nil, err
	}
	conn, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.count(address, 1)
	conn = &liveConn{Conn: conn, closed: func() { d.count(address, -1) }}
	cfg := d.tls.Clone()
	if cfg.ServerName, _, err = net.SplitHostPort(address); err != nil {
		conn.Close()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	secure := tls.Client(conn, cfg)
	err = secure.HandshakeContext(ctx)
	d.shaken()
	if err != nil {
		conn.Close()
		return nil, d.explain(ctx, network, address, err)
	}
	return secure, nil
}

func (d *dialer) count(address string, n int) {
	d.mu.Lock()
	d.live[address] += n
	d.mu.Unlock()
}

// close closes the connections that nobody has taken.
func (d *dialer) close() {
	d.mu.Lock()
	waiting := d.ahead
	d.ahead = map[string]*aheadConn{}
	d.mu.Unlock()
	for _, a := range waiting {
		<-a.done
		if a.conn != nil {
			a.conn.Close()
		}
	}
}

// liveConn tells when it is closed.
type liveConn struct {
	net.Conn
	waited bool // it was opened ahead; set before a request has it
	once   sync.Once
	closed func()
}

func (c *liveConn) Close() error {
	c.once.Do(c.closed)
	return c.Conn.Close()
}
