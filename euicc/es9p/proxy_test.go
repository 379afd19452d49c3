package es9p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// httpProxy is a proxy that answers CONNECT with what the test says, and then
// passes bytes on to the server it was asked for.
func httpProxy(t *testing.T, server string, answer string, asked chan<- string) *url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				asked <- fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.Header)
				if answer == "" { // silent until the other side goes
					_, _ = io.Copy(io.Discard, c)
					return
				}
				if _, err := io.WriteString(c, answer); err != nil || !strings.Contains(answer, " 200 ") {
					return
				}
				s, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer s.Close()
				go func() { _, _ = io.Copy(s, c) }()
				_, _ = io.Copy(c, s)
			}()
		}
	}()
	return &url.URL{Scheme: "http", Host: l.Addr().String()}
}

func TestThrough(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://192.0.2.1:1") // is not looked at
	var server string
	i := newIssuer(t)
	c := serve(t, i, i.issue(t, host, now.AddDate(0, 0, -1), now.AddDate(1, 0, 0)), body(`{`+success+`,"transactionId":"01","serverSigned1":"AQ==","serverSignature1":"AQ==","euiccCiPKIdToBeUsed":"AQ==","serverCertificate":"AQ=="}`),
		func(c *Config) { server = c.Resolve["SMDP.example.com"] })
	if _, err := initiate(t.Context(), c); err != nil {
		t.Fatalf("without proxy: %v", err)
	}
	for _, tt := range []struct {
		name, answer string
		ok           func(error) bool
	}{
		{"through", "HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n", func(err error) bool { return err == nil }},
		{"wants a password", "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", func(err error) bool {
			e, ok := errors.AsType[*ProxyError](err)
			return ok && e.Status == 407
		}},
		{"is none", "SSH-2.0-x\r\n", func(err error) bool { return strings.Contains(err.Error(), "cannot be understood") }},
		{"speaks for the server", "HTTP/1.1 200 OK\r\n\r\nhello", func(err error) bool { return strings.Contains(err.Error(), "in the server's place") }},
		{"silent", "", func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
	} {
		asked := make(chan string, 4)
		proxy := httpProxy(t, server, tt.answer, asked)
		c := serve(t, i, i.issue(t, host, now.AddDate(0, 0, -1), now.AddDate(1, 0, 0)), body(`{}`), func(c *Config) {
			c.Resolve, c.Dial = nil, Through(proxy, nil)
			if tt.answer == "" {
				c.Timeout = 50 * time.Millisecond
			}
		})
		_, err := initiate(t.Context(), c)
		if !tt.ok(err) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := <-asked; got != "CONNECT "+host+":443 map[]" {
			t.Errorf("%s: proxy was asked %q", tt.name, got)
		}
	}
}

func TestThroughUnreachable(t *testing.T) {
	refuse := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") }
	if _, err := Through(&url.URL{Host: "192.0.2.1:1"}, refuse)(t.Context(), "tcp", "a:1"); err == nil || !strings.Contains(err.Error(), "proxy: no route") {
		t.Errorf("got %v", err)
	}
	called := false
	plain := Through(nil, func(context.Context, string, string) (net.Conn, error) { called = true; return nil, nil })
	if _, err := plain(t.Context(), "tcp", "a:1"); err != nil || !called {
		t.Error("no proxy is not the dial itself")
	}
}
