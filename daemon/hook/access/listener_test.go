package access

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimitListener(t *testing.T) {
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Limit(in)
	defer l.Close()
	accepted := make(chan net.Conn, maxConns)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	// dial connects from 127.0.0.host.
	dial := func(host byte) net.Conn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, host)}}
		c, err := d.Dial("tcp", in.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	closed := func(name string, c net.Conn, want bool) {
		t.Helper()
		at := time.Now().Add(time.Minute)
		if !want {
			at = time.Unix(1, 0) // what is closed had its time
		}
		c.SetReadDeadline(at)
		_, err := c.Read(make([]byte, 1))
		if got := !errors.Is(err, os.ErrDeadlineExceeded); got != want {
			t.Errorf("%s: closed %v, want %v (%v)", name, got, want, err)
		}
	}
	conns := func() []*limitedConn {
		in := l.(*limitListener)
		in.mu.Lock()
		defer in.mu.Unlock()
		return slices.Clone(in.conns)
	}
	known := func(c net.Conn) { c.(*limitedConn).known.Store(true) }

	first := dial(1)
	known(<-accepted)
	second := dial(1)
	<-accepted
	var held []net.Conn
	for range maxConnsFrom - 2 {
		held = append(held, dial(1))
		<-accepted
	}
	// One too many: the oldest stranger of the same address goes.
	dial(1)
	over := <-accepted
	closed("the oldest stranger", second, true)
	closed("a caller", first, false)
	closed("a later stranger", held[0], false)
	// Somebody else is not in the way, whatever the first has.
	other := dial(2)
	<-accepted
	closed("a stranger of before", held[0], false)
	// Where all are callers the new one goes.
	for _, c := range conns() {
		known(c)
	}
	closed("one too many callers", dial(1), true)
	closed("another's", other, false)
	over.Close()
	over.Close() // counts once
	dial(1)
	known(<-accepted)
	closed("closing twice made room for two", dial(1), true)

	// All together: the oldest stranger of any address goes.
	stranger := dial(3)
	<-accepted
	for i := 0; len(conns()) < maxConns; i++ {
		dial(byte(4 + i/maxConnsFrom))
		<-accepted
	}
	dial(99)
	<-accepted
	closed("the oldest stranger of all", stranger, true)
	closed("a caller in the crowd", first, false)
	if n := len(conns()); n != maxConns {
		t.Errorf("%d connections", n)
	}
}

// fakeListener gives connections that come from where it is told.
type fakeListener struct{ from chan string }

func (l fakeListener) Accept() (net.Conn, error) {
	address, ok := <-l.from
	if !ok {
		return nil, net.ErrClosed
	}
	ours, theirs := net.Pipe()
	theirs.Close()
	return fakeConn{ours, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))}, nil
}
func (l fakeListener) Close() error   { return nil }
func (l fakeListener) Addr() net.Addr { return &net.TCPAddr{} }

type fakeConn struct {
	net.Conn
	from net.Addr
}

func (c fakeConn) RemoteAddr() net.Addr { return c.from }

// TestHandshakeFlood: no address, and not all together, make the router spend more than
// so many handshakes; who came as a caller lately is not held up by the others.
func TestHandshakeFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := fakeListener{make(chan string)}
		l := Limit(in)
		let := map[string]int{}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				limited := c.(*limitedConn)
				let[limited.host]++
				if limited.host == "192.0.2.77" {
					keep(context.WithValue(t.Context(), connKey{}, limited))
				}
				c.Close() // the handshake was enough
			}
		}()
		come := func(host string, n int) int {
			before := let[host]
			for range n {
				in.from <- host + ":1"
			}
			synctest.Wait()
			return let[host] - before
		}
		if n := come("192.0.2.1", 1000); n != handshakesFrom.burst {
			t.Errorf("%d handshakes of one address at once", n)
		}
		time.Sleep(time.Second)
		if n := come("192.0.2.1", 1000); n != 10 {
			t.Errorf("%d handshakes a second of one address", n)
		}
		if n := come("192.0.2.77", 1); n != 1 {
			t.Error("a caller does not come in beside it")
		}
		time.Sleep(time.Minute)
		total := 0
		for i := range 100 {
			total += come(fmt.Sprintf("198.51.100.%d", i), 100)
		}
		if total != handshakes.burst {
			t.Errorf("%d handshakes of many at once", total)
		}
		if n := come("203.0.113.5", 1); n != 0 {
			t.Error("a stranger comes in during a flood")
		}
		if n := come("192.0.2.77", 1); n != 1 {
			t.Error("a caller of before does not come in during a flood")
		}
		time.Sleep(25 * time.Millisecond)
		if n := come("203.0.113.5", 10); n != 1 {
			t.Errorf("%d handshakes in a fortieth of a second", n)
		}
		for range 3 { // one that comes more often than once a day stays known
			time.Sleep(20 * time.Hour)
			for i := range 100 {
				come(fmt.Sprintf("198.51.100.%d", i), 100)
			}
			if n := come("192.0.2.77", 1); n != 1 {
				t.Fatal("a caller who comes each day does not come in during a flood")
			}
		}
		close(in.from)
		<-ended
	})
}

func TestHostOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:80":              "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::",
		"[2001:db8:1:2::1]:81":      "2001:db8:1:2::",
		"[fe80::1%eth0]:80":         "fe80::",
		"[::ffff:192.0.2.1]:80":     "192.0.2.1",
		"@":                         "@",
	} {
		if got := hostOf(address); got != want {
			t.Errorf("hostOf(%s) = %s, want %s", address, got, want)
		}
	}
}

// On the unix socket one user leaves room for the others, and who has said nothing
// gives his place to who comes.
func TestLimitLocal(t *testing.T) {
	l := LimitLocal(nil).(*limitListener)
	enter := func(user string) (c, over *limitedConn, ok bool) {
		c = &limitedConn{host: user, from: l}
		over, ok = l.enter(c)
		return c, over, ok
	}
	silent, _, _ := enter("uid 1000")
	for range maxLocalFrom - 1 {
		c, _, _ := enter("uid 1000")
		keep(context.WithValue(t.Context(), connKey{}, c))
	}
	if _, over, ok := enter("uid 1000"); !ok || over != silent {
		t.Errorf("the silent one did not give way: %v", ok)
	}
	for _, c := range l.conns {
		c.known.Store(true)
	}
	if _, _, ok := enter("uid 1000"); ok {
		t.Error("one user has more than his share")
	}
	for range maxLocal - maxLocalFrom {
		if c, over, ok := enter("uid 0"); !ok || over != nil {
			t.Fatal("another user does not get in")
		} else {
			c.known.Store(true)
		}
	}
	if _, _, ok := enter("uid 1001"); ok {
		t.Error("there is no bound for all")
	}
}
