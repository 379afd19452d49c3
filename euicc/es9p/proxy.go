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
	"time"
)

// ProxyError is a proxy that does not let us through.
type ProxyError struct {
	Proxy  string // host and port
	Status int    // its HTTP status
}

func (e *ProxyError) Error() string {
	return fmt.Sprintf("proxy %s answered HTTP %d", e.Proxy, e.Status)
}

// Through returns a Dial for Config that opens its connections through an HTTP
// proxy, by CONNECT (RFC 9110, 9.3.6). The proxy is reached with dial; it
// resolves the names of the servers, and TLS is ours from end to end. A nil proxy
// returns dial as it is. Nothing is ever taken from the environment.
func Through(proxy *url.URL, dial func(ctx context.Context, network, address string) (net.Conn, error)) func(ctx context.Context, network, address string) (net.Conn, error) {
	if proxy == nil {
		return dial
	}
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, proxy.Host)
		if err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
		// Whatever the proxy does, ctx ends it.
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		err = openTunnel(conn, proxy.Host, address)
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			_ = conn.Close()
			if cause := ctx.Err(); cause != nil {
				err = cause
			}
			return nil, err
		}
		return conn, nil
	}
}

func openTunnel(conn net.Conn, proxy, address string) error {
	if _, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", address, address); err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	// The server behind it speaks only after us, so that nothing of its own is
	// read ahead here.
	r := bufio.NewReader(io.LimitReader(conn, maxHeader))
	answer, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return fmt.Errorf("proxy: answer cannot be understood: %w", err)
	}
	_ = answer.Body.Close()
	switch {
	case answer.StatusCode/100 != 2:
		return &ProxyError{Proxy: proxy, Status: answer.StatusCode}
	case r.Buffered() > 0:
		return errors.New("proxy: it speaks in the server's place")
	}
	return nil
}
