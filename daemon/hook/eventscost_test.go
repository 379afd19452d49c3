//go:build !race

// The race detector has memory of its own beside each stack.

package hook

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"dynamod/daemon/hook/access"
	"dynamod/daemon/status"
)

// listeners is how many clients of /v1/events are measured, and what they may cost
// together.
const (
	listeners     = 200
	listenersCost = 8 << 20
)

// TestEventStreamsCost measures the daemon's memory with many clients of
// /v1/events, each of which has got an event; they are in another process.
func TestEventStreamsCost(t *testing.T) {
	if address := os.Getenv("DYNAMOD_TEST_EVENTS"); address != "" {
		listenToEvents(t, address, strings.Fields(os.Getenv("DYNAMOD_TEST_TOKENS")))
		return
	}
	for _, row := range []struct{ name, network string }{{"unix socket", "unix"}, {"TLS", "tcp"}} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			var tokens []string // a caller may ask 60 times at once
			keys := filepath.Join(dir, "keys")
			for i := range listeners / 40 {
				token, k := access.NewToken(fmt.Sprint("noc", i), access.Read)
				tokens = append(tokens, token)
				if err := access.Add(keys, k, os.WriteFile); err != nil {
					t.Fatal(err)
				}
			}
			cert, err := access.OwnCertificate(dir, time.Now().Add(-time.Hour), nil, os.WriteFile)
			if err != nil {
				t.Fatal(err)
			}
			at := "127.0.0.1:0"
			if row.network == "unix" {
				at = filepath.Join(dir, "socket")
			}
			l, err := net.Listen(row.network, at)
			if err != nil {
				t.Fatal(err)
			}
			model := status.New("test", time.Now)
			s := New(&fakeDaemon{}, model, slog.New(slog.DiscardHandler))
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				if row.network == "unix" {
					ended <- s.Serve(ctx, l)
					return
				}
				ended <- s.ServeTLS(ctx, l, access.TLS(cert, nil, time.Now), access.Options{
					Keys: access.OpenFile(keys), Audit: access.OpenAudit(dir), Log: slog.New(slog.DiscardHandler), Now: time.Now, Sane: func() bool { return true },
				})
			}()
			defer func() {
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}()
			used := func() int64 {
				for range 4 { // what was in pools, and each stack by half
					runtime.GC()
				}
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return int64(m.HeapInuse + m.StackInuse)
			}
			before := used()
			clients := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEventStreamsCost$", "-test.count=1")
			clients.Env = append(os.Environ(), "DYNAMOD_TEST_EVENTS="+row.network+" "+l.Addr().String(), "DYNAMOD_TEST_TOKENS="+strings.Join(tokens, " "))
			clients.Stderr = os.Stderr
			hold, err := clients.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := clients.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := clients.Start(); err != nil {
				t.Fatal(err)
			}
			defer clients.Wait()
			defer hold.Close()
			lines := bufio.NewScanner(out)
			await := func(word string) {
				t.Helper()
				for lines.Scan() {
					if lines.Text() == word {
						return
					}
					t.Log(lines.Text())
				}
				t.Fatalf("the clients ended before %q", word)
			}
			await("listening")
			model.Log("one event for all")
			await("heard")
			cost := used() - before
			t.Logf("%d clients cost %d KiB, %.1f KiB each", listeners, cost>>10, float64(cost)/listeners/1024)
			if cost > listenersCost {
				t.Errorf("%d clients cost %d bytes, more than %d", listeners, cost, listenersCost)
			}
		})
	}
}

// listenToEvents is the other process.
func listenToEvents(t *testing.T, address string, tokens []string) {
	network, to, _ := strings.Cut(address, " ")
	var streams []*bufio.Reader
	hear := func(r *bufio.Reader, what string) {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(line, what) {
				return
			}
		}
	}
	for i := range listeners {
		d := net.Dialer{}
		if network == "tcp" { // 20 from each address
			d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i/20))}
		}
		c, err := d.Dial(network, to)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if network == "tcp" {
			c = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) // what it costs is asked here, not whom it trusts
		}
		r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1/v1/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+tokens[i/40])
		if err := r.Write(c); err != nil {
			t.Fatal(err)
		}
		stream := bufio.NewReader(c)
		hear(stream, "event: status")
		streams = append(streams, stream)
	}
	fmt.Println("listening")
	for _, s := range streams {
		hear(s, "one event for all")
	}
	fmt.Println("heard")
	_, _ = io.Copy(io.Discard, os.Stdin)
}
