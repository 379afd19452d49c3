package hook

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/status"
)

// A daemon that is stopped or hangs has taken a request all the same. Who asks is told,
// and a reader that takes its time is not.
func TestSilentDaemon(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
	for _, row := range []struct {
		name  string
		serve func(w io.Writer)
		ask   func(ctx context.Context, c *Client) error
		after time.Duration
	}{
		{"status", func(io.Writer) {}, func(ctx context.Context, c *Client) error {
			return c.Do(ctx, "GET", "/v1/status", nil, nil, new(status.Snapshot))
		}, 2 * answerTime},
		{"status, in the middle", func(w io.Writer) { io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{") }, func(ctx context.Context, c *Client) error {
			return c.Do(ctx, "GET", "/v1/status", nil, nil, new(status.Snapshot))
		}, 2 * answerTime},
		{"a request that may take its time", func(io.Writer) {}, func(ctx context.Context, c *Client) error {
			return c.Do(ctx, "POST", "/v1/notifications/deliver", nil, nil, nil)
		}, 2 * answerTime},
		{"events", func(io.Writer) {}, func(ctx context.Context, c *Client) error {
			return c.Events(ctx, func(string, []byte) bool { return true })
		}, silence},
		{"events, kept alive for an hour", func(w io.Writer) {
			io.WriteString(w, head)
			for range 120 {
				io.WriteString(w, ":\n\n")
				time.Sleep(30 * time.Second)
			}
		}, func(ctx context.Context, c *Client) error {
			return c.Events(ctx, func(string, []byte) bool { return true })
		}, 119*30*time.Second + silence},
		{"events, for a slow reader", func(w io.Writer) { io.WriteString(w, head+"event: log\ndata: \"\"\n\n") }, func(ctx context.Context, c *Client) error {
			return c.Events(ctx, func(string, []byte) bool { time.Sleep(time.Hour); return true })
		}, time.Hour + silence},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, l := InProcess()
				defer l.Close()
				go func() {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					defer conn.Close()
					in := bufio.NewReader(conn)
					if _, err := http.ReadRequest(in); err != nil { // what comes before it is no answer to it
						return
					}
					go io.Copy(io.Discard, in)
					row.serve(conn)
					<-t.Context().Done()
				}()
				begin := time.Now()
				err := row.ask(t.Context(), c)
				if !errors.Is(err, errSilent) || errors.Is(err, net.ErrClosed) {
					t.Errorf("%v", err)
				}
				if took := time.Since(begin); took != row.after {
					t.Errorf("after %v, want %v", took, row.after)
				}
			})
		})
	}
}

// What takes its time is waited for while the daemon answers others.
func TestSlowAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l := InProcess()
		asked := 0
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/healthz" {
				asked++
				return
			}
			time.Sleep(10*time.Minute - time.Second)
			w.WriteHeader(http.StatusNoContent)
		})}
		go s.Serve(l)
		defer s.Close()
		if err := c.Do(t.Context(), "POST", "/v1/profiles/89/enable", nil, nil, nil); err != nil {
			t.Error(err)
		}
		if asked != 19 {
			t.Errorf("the daemon was asked %d times whether it is there", asked)
		}
	})
}
