package access

import (
	"errors"
	"net"
	"os"
	"slices"
	"testing"
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
