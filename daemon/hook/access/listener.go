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

	maxLocal     = 256
	maxLocalFrom = 224 // of one user: the others, root with them, still get in
)

// Rates of new connections: each begins with a TLS handshake, a few milliseconds of
// a router's processor.
var (
	handshakesFrom = rate{100, time.Second / 10} // of one address
	handshakes     = rate{400, time.Second / 40} // of all that no caller came from lately
)

// Limit bounds the connections of l. One too many takes the place of the oldest on
// which nobody has said yet who he is, so that whoever holds many keeps out no
// caller: neither from his own address, which may be that of a whole network, nor
// from others. Where there is no such one it is closed itself.
//
// New connections are held to a rate, too, for each address and for all together;
// addresses that a caller came from have a share of their own. What is above it is
// closed before a handshake.
func Limit(l net.Listener) net.Listener {
	return &limitListener{
		Listener: l, most: maxConns, mostFrom: maxConnsFrom, nameOf: func(c net.Conn) string { return hostOf(c.RemoteAddr().String()) },
		perHost: newLimiter(handshakesFrom), strangers: newLimiter(handshakes), friends: newLimiter(rate{2, friendly}),
	}
}

// LimitLocal is Limit for the unix socket, where a user takes the place of an
// address, whoever has sent a request is known, and nothing has a rate: who may use
// the socket may still leave the modem without descriptors.
func LimitLocal(l net.Listener) net.Listener {
	return &limitListener{Listener: l, most: maxLocal, mostFrom: maxLocalFrom, nameOf: peerOf}
}

// friendly is how long, at least, an address is known for that of a caller.
const friendly = 24 * time.Hour

type limitListener struct {
	net.Listener
	most, mostFrom int // connections, and those of one name
	nameOf         func(net.Conn) string

	// All three are nil on the unix socket.
	perHost   *limiter
	strangers *limiter
	friends   *limiter // its names are those of which a caller came lately; a burst of two, so that who comes daily stays one

	mu    sync.Mutex
	conns []*limitedConn // the oldest first
}

func (l *limitListener) Accept() (net.Conn, error) {
	for {
		in, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &limitedConn{Conn: in, host: l.nameOf(in), from: l}
		if !l.mayBegin(c.host) {
			in.Close()
			continue
		}
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

// mayBegin reports whether a handshake may be spent on an address.
func (l *limitListener) mayBegin(host string) bool {
	if l.perHost == nil {
		return true
	}
	if _, ok := l.perHost.take(host); !ok {
		return false
	}
	if l.friends.spent(host) {
		return true
	}
	_, ok := l.strangers.take("")
	return ok
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
	if from >= l.mostFrom {
		of = same
	}
	if from >= l.mostFrom || len(l.conns) >= l.most {
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
	host  string // or the user, of a unix socket
	from  *limitListener
	known atomic.Bool // a caller was let in on it

	bounded atomic.Bool // the server has set a deadline for writes
}

type connKey struct{}

// withLimited keeps the connection, that below TLS if there is one, for known.
func withLimited(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if limited, ok := c.(*limitedConn); ok {
		return context.WithValue(ctx, connKey{}, limited)
	}
	return ctx
}

// keep says that somebody who is known uses the connection of ctx.
func keep(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(*limitedConn); ok {
		if !c.known.Swap(true) && c.from.friends != nil {
			c.from.friends.take(c.host)
		}
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

// CloseWrite lets net/http send the last answer of a unix socket's connection to its
// end before it closes. TLS has its own.
func (c *limitedConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
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
