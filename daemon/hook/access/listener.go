package access

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of connections. Each costs some 40 KiB with TLS, and descriptors that
// the modem and the card need too.
const (
	maxConns     = 256
	maxConnsFrom = 32 // of one address
)

// Limit bounds the connections of l. One too many takes the place of the oldest on
// which nobody has said yet who he is, so that whoever holds many keeps out no
// caller: neither from his own address, which may be that of a whole network, nor
// from others. Where there is no such one it is closed itself.
func Limit(l net.Listener) net.Listener { return &limitListener{Listener: l} }

type limitListener struct {
	net.Listener

	mu    sync.Mutex
	conns []*limitedConn // the oldest first
}

func (l *limitListener) Accept() (net.Conn, error) {
	for {
		in, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &limitedConn{Conn: in, host: hostOf(in.RemoteAddr().String()), from: l}
		over, ok := l.enter(c)
		if over != nil {
			over.Conn.Close()
		}
		if ok {
			return c, nil
		}
		in.Close()
	}
}

// enter takes c up, if need be in place of over.
func (l *limitListener) enter(c *limitedConn) (over *limitedConn, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	same := func(o *limitedConn) bool { return o.host == c.host }
	anybody := func(*limitedConn) bool { return true }
	from := 0
	for _, o := range l.conns {
		if same(o) {
			from++
		}
	}
	of := anybody
	if from >= maxConnsFrom {
		of = same
	}
	if from >= maxConnsFrom || len(l.conns) >= maxConns {
		i := slices.IndexFunc(l.conns, func(o *limitedConn) bool { return of(o) && !o.known.Load() })
		if i < 0 {
			return nil, false
		}
		over = l.conns[i]
		l.conns = slices.Delete(l.conns, i, i+1)
	}
	l.conns = append(l.conns, c)
	return over, true
}

func (l *limitListener) leave(c *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.conns, c); i >= 0 {
		l.conns = slices.Delete(l.conns, i, i+1)
	}
}

type limitedConn struct {
	net.Conn
	host  string
	from  *limitListener
	known atomic.Bool // a caller was let in on it

	bounded atomic.Bool // the server has set a deadline for writes
}

type connKey struct{}

// withLimited keeps the connection below TLS for known.
func withLimited(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		if limited, ok := t.NetConn().(*limitedConn); ok {
			return context.WithValue(ctx, connKey{}, limited)
		}
	}
	return ctx
}

// keep says that somebody who is known uses the connection of ctx.
func keep(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(*limitedConn); ok {
		c.known.Store(true)
	}
}

// Write gives a peer that does not read a minute.
func (c *limitedConn) Write(b []byte) (int, error) {
	if !c.bounded.Load() {
		if err := c.Conn.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(b)
}

// SetWriteDeadline is how TLS bounds its last word, which is not given the minute.
func (c *limitedConn) SetWriteDeadline(t time.Time) error {
	c.bounded.Store(!t.IsZero())
	return c.Conn.SetWriteDeadline(t)
}

func (c *limitedConn) Close() error {
	c.from.leave(c)
	return c.Conn.Close()
}

// hostOf is an address without its port. Of IPv6 it is the network of 64 bits,
// which one host can have all of.
func hostOf(address string) string {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return address
	}
	ip := ap.Addr().Unmap()
	if !ip.Is4() {
		if network, err := ip.WithZone("").Prefix(64); err == nil {
			ip = network.Addr()
		}
	}
	return ip.String()
}
