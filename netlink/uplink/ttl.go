package uplink

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"
)

// LookupTTL is LookupNetIP, and how long the name servers say that the answer holds: the shortest time of its records,
// 0 where that is not known. An address holds for ever, which is 0 too.
func (d Dialer) LookupTTL(ctx context.Context, network, host string) ([]netip.Addr, time.Duration, error) {
	var t shortest
	addrs, err := d.lookUp(ctx, network, host, func(c net.Conn) net.Conn {
		if u, ok := c.(*net.UDPConn); ok {
			return watched{u, &t}
		}
		return c // by TCP the answer comes in pieces: rare enough to be asked for again soon
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	return addrs, t.ttl, err
}

// shortest is the shortest time of the answers so far; both families are asked for at once.
type shortest struct {
	mu  sync.Mutex
	ttl time.Duration
}

// watched is a connection to a name server. The resolver tells datagrams from a stream by the method set, so that it has
// to be all of a *net.UDPConn's.
type watched struct {
	*net.UDPConn
	t *shortest
}

func (w watched) Read(b []byte) (int, error) {
	n, err := w.UDPConn.Read(b)
	if err == nil {
		if ttl, ok := answerTTL(b[:n]); ok {
			w.t.mu.Lock()
			if w.t.ttl == 0 || ttl < w.t.ttl {
				w.t.ttl = ttl
			}
			w.t.mu.Unlock()
		}
	}
	return n, err
}

const (
	dnsHeader = 12
	maxTTL    = 24 * time.Hour // more is nobody's wish (RFC 8767 section 4 says to cap it)
)

// answerTTL is the shortest time to live of a message's answer records (RFC 1035 section 4.1), at least a second. There
// is none in a message without answers, nor in one that is cut off.
func answerTTL(msg []byte) (time.Duration, bool) {
	if len(msg) < dnsHeader {
		return 0, false
	}
	questions, answers := binary.BigEndian.Uint16(msg[4:]), binary.BigEndian.Uint16(msg[6:])
	b := msg[dnsHeader:]
	for range questions {
		if b = skipName(b); len(b) < 4 {
			return 0, false
		}
		b = b[4:]
	}
	if answers == 0 {
		return 0, false
	}
	ttl := maxTTL
	for range answers {
		if b = skipName(b); len(b) < 10 {
			return 0, false
		}
		// A number with the highest bit set stands for 0 (RFC 2181 section 8).
		if s := binary.BigEndian.Uint32(b[4:]); s>>31 != 0 {
			ttl = 0
		} else {
			ttl = min(ttl, time.Duration(s)*time.Second)
		}
		size := 10 + int(binary.BigEndian.Uint16(b[8:]))
		if len(b) < size {
			return 0, false
		}
		b = b[size:]
	}
	return max(ttl, time.Second), true
}

// skipName is what follows a name (RFC 1035 section 4.1.4), nothing where it does not end.
func skipName(b []byte) []byte {
	for len(b) > 0 {
		switch n := int(b[0]); {
		case n == 0:
			return b[1:]
		case n >= 0xc0: // the rest is elsewhere
			return b[min(2, len(b)):]
		case len(b) <= n:
			return nil
		default:
			b = b[n+1:]
		}
	}
	return nil
}
