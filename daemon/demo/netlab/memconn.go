package netlab

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// memListener accepts connections in memory.
type memListener struct {
	net    *Simulated
	site   site
	accept chan net.Conn
	done   chan struct{}
	once   sync.Once
}

// ListenInternet opens a server in the internet: TCP, at one address.
func (s *Simulated) ListenInternet(network, address string) (net.Listener, error) {
	return s.listen(network, address, false)
}

// ListenCarrier opens a server at the carrier.
func (s *Simulated) ListenCarrier(network, address string) (net.Listener, error) {
	return s.listen(network, address, true)
}

// firstPort is what port 0 becomes.
const firstPort = 32768

func (s *Simulated) listen(network, address string, carrier bool) (net.Listener, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (net.Listener, error) {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: net.TCPAddrFromAddrPort(at), Err: err}
	}
	if network != "tcp" && network != "tcp4" {
		return fail(net.UnknownNetworkError(network))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fail(net.ErrClosed)
	}
	if at.Port() == 0 {
		for port := uint16(firstPort); s.listeners[site{carrier, at}] != nil || at.Port() == 0; port++ {
			at = netip.AddrPortFrom(at.Addr(), port)
		}
	}
	l := &memListener{net: s, site: site{carrier, at}, accept: make(chan net.Conn), done: make(chan struct{})}
	if s.listeners[l.site] != nil {
		return fail(syscall.EADDRINUSE)
	}
	s.listeners[l.site] = l
	return l, nil
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.net.mu.Lock()
		delete(l.net.listeners, l.site)
		l.net.mu.Unlock()
	})
	return nil
}

func (l *memListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.site.addr) }

// memConn is one end of a connection; the router's end counts what crosses the cell.
type memConn struct {
	net.Conn
	net           *Simulated // nil at the server's end, and by eth0
	local, remote net.Addr
	to            netip.AddrPort
	carrier       bool // its server is the carrier's
}

func (s *Simulated) connect(ctx context.Context, ln *memListener, p path, to netip.AddrPort) (net.Conn, error) {
	here, there := net.Pipe()
	local, remote := net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.source, firstPort)), net.TCPAddrFromAddrPort(to)
	client := &memConn{Conn: here, local: local, remote: remote, to: to, carrier: ln.site.carrier}
	if p.cell {
		client.net = s
		s.mu.Lock()
		s.conns[client] = true
		s.mu.Unlock()
	}
	select {
	case ln.accept <- &memConn{Conn: there, local: remote, remote: local}:
		return client, nil
	case <-ln.done:
		_ = client.Close()
		return nil, syscall.ECONNREFUSED
	case <-ctx.Done():
		_ = client.Close()
		return nil, ctx.Err()
	}
}

func (c *memConn) LocalAddr() net.Addr  { return c.local }
func (c *memConn) RemoteAddr() net.Addr { return c.remote }

func (c *memConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.net != nil && n > 0 {
		c.net.mu.Lock()
		c.net.n.Down++
		c.net.n.DownBytes += int64(n)
		c.net.mu.Unlock()
	}
	return n, err
}

func (c *memConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if c.net != nil && n > 0 {
		c.net.mu.Lock()
		c.net.n.Up++
		c.net.n.UpBytes += int64(n)
		c.net.mu.Unlock()
	}
	return n, err
}

func (c *memConn) Close() error {
	if c.net != nil {
		c.net.mu.Lock()
		delete(c.net.conns, c)
		c.net.mu.Unlock()
	}
	return c.Conn.Close()
}
