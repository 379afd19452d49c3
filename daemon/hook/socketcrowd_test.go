package hook

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"dynamod/daemon/status"
)

// 1,000 connections of one user to the socket leave room for other users, and
// descriptors for the modem; who only holds them keeps out nobody.
func TestSocketUnderAttack(t *testing.T) {
	const many, most = 1000, 224
	for _, row := range []struct {
		name, first string
		shut        bool // for one more of that user
	}{
		{"silent", "", false},
		{"streams", "GET /v1/events HTTP/1.1\r\nHost: dynamod\r\n\r\n", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, _, path := serve(t, &fakeDaemon{})
			said := make(chan bool, 2*many) // true for an answer, false for the end
			for range many {
				conn, err := net.Dial("unix", path)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				io.WriteString(conn, row.first) // it may be closed already
				go func() {                     // one whose request came as it was to make room is answered, and closed
					in := bufio.NewReader(conn)
					if line, _ := in.ReadString('\n'); strings.HasPrefix(line, "HTTP/1.1 200 ") {
						said <- true
					}
					io.Copy(io.Discard, in)
					said <- false
				}()
			}
			answered, closed := 0, 0
			for closed < many-most || row.first != "" && answered < most {
				select {
				case ok := <-said:
					if ok {
						answered++
					} else {
						closed++
					}
				case <-time.After(time.Minute):
					t.Fatalf("%d answered, %d closed of %d", answered, closed, many)
				}
			}
			if closed > many-most {
				t.Errorf("%d answered, %d closed of %d", answered, closed, many)
			}
			err := c.Do(t.Context(), http.MethodGet, "/v1/status", nil, nil, new(status.Snapshot))
			if (err != nil) != row.shut {
				t.Errorf("one more of that user: %v", err)
			}
		})
	}
}
