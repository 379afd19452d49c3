package access

import (
	"net"
	"sync"
	"time"
)

// Limits of connections. Each costs some 60 KiB with TLS, and descriptors that
// the modem and the card need too.
const (
	maxConns     = 256
	maxConnsFrom = 32 // of one address
)

// Limit bounds the connections of l. One too many is closed at once: a listener
// that waits instead would let whoever holds the others keep everybody out for
// good.
func Limit(l net.Listener) net.Listener {
	return &limitListener{Listener: l, from: map[string]int{}}
}

type limitListener struct {
	net.Listener

	mu   sync.Mutex
	all  int
	from map[string]int
}

func (l *limitListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host := hostOf(c.RemoteAddr().String())
		if l.enter(host) {
			return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(host) })}, nil
		}
		c.Close()
	}
}

func (l *limitListener) enter(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= maxConns || l.from[host] >= maxConnsFrom {
		return false
	}
	l.all++
	l.from[host]++
	return true
}

func (l *limitListener) leave(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.from[host]--; l.from[host] == 0 {
		delete(l.from, host)
	}
}

type limitedConn struct {
	net.Conn
	leave func()
}

// Write gives a peer that does not read a minute.
func (c *limitedConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *limitedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}

// hostOf is an address without its port. Of IPv6 it is the network of 64 bits,
// which one host can have all of.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		return ip.Mask(net.CIDRMask(64, 128)).String()
	}
	return host
}
