package hook

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/hook/access"
	"dynamod/daemon/status"
)

// Attacks are tested where they are held off: who may not come in, with replays, late
// signatures, certificates, origins, names and paths in package access (TestGuard and
// its like); header bombs, bodies, odd requests and 1,000 connections in
// TestDoorUnderAttack; addresses inside in package gateway (TestServerAddresses,
// TestReceiverAddresses). Here is what takes its time, and what wants to be written down.

// TestSlowLoris: who sends a byte a second keeps neither his connection nor others out.
func TestSlowLoris(t *testing.T) {
	for _, row := range []struct {
		name, first string
		within      time.Duration
	}{
		{"header", "GET /v1/status HTTP/1.1\r\nHost: dynamod\r\nX: ", 11 * time.Second},
		{"request line", "GET /v1/", 11 * time.Second},
		{"body", "POST /v1/activations HTTP/1.1\r\nHost: dynamod\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{", 61 * time.Second},
		{"chunks", "POST /v1/activations HTTP/1.1\r\nHost: dynamod\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", 61 * time.Second},
		{"nothing at all", "", 11 * time.Second},
		{"nothing after an answer", "GET /healthz HTTP/1.1\r\nHost: dynamod\r\n\r\n", 2*time.Minute + time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, l := InProcess()
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				s := New(&fakeDaemon{}, status.New("test", time.Now), slog.New(slog.DiscardHandler))
				ended := make(chan error, 1)
				go func() { ended <- s.Serve(ctx, l) }()
				c, err := l.(*pipeListener).dial(ctx, "", "")
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				closed := make(chan time.Duration, 1)
				go func() {
					io.Copy(io.Discard, c)
					closed <- time.Since(began)
				}()
				go func() {
					_, err := io.WriteString(c, row.first)
					for err == nil {
						time.Sleep(time.Second)
						switch row.name {
						case "chunks":
							_, err = io.WriteString(c, "1\r\n{\r\n")
						case "nothing at all", "nothing after an answer":
							return
						default:
							_, err = io.WriteString(c, "x")
						}
					}
				}()
				time.Sleep(5 * time.Second)
				if err := client.Do(ctx, "GET", "/v1/status", nil, nil, nil); err != nil {
					t.Errorf("another one meanwhile: %v", err)
				}
				time.Sleep(row.within)
				synctest.Wait()
				select {
				case took := <-closed:
					if took > row.within {
						t.Errorf("it was let go after %v", took)
					}
				default:
					t.Error("it still has its connection")
				}
				c.Close()
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestSlowLorisTLS is TestSlowLoris before a TLS handshake and after it.
func TestSlowLorisTLS(t *testing.T) {
	cert, err := access.OwnCertificate(t.TempDir(), time.Now().Add(-time.Hour), nil, os.WriteFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, first string
		shake       bool
	}{
		// A record of 16 KiB, of which a byte a second comes (RFC 8446, 5.1).
		{"handshake", "\x16\x03\x01\x40\x00\x01\x00\x3f\xfc", false},
		{"record's head", "\x16", false},
		{"header", "GET /v1/status HTTP/1.1\r\nHost: dynamod\r\nX: ", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				_, l := InProcess()
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				s := New(&fakeDaemon{}, status.New("test", time.Now), slog.New(slog.DiscardHandler))
				ended := make(chan error, 1)
				go func() {
					ended <- s.ServeTLS(ctx, l, access.TLS(cert, nil, func() time.Time { return time.Time{} }), access.Options{
						Keys: access.OpenFile(filepath.Join(dir, "keys")), Audit: access.OpenAudit(dir), Log: slog.New(slog.DiscardHandler), Now: time.Now, Sane: func() bool { return true },
					})
				}()
				dial := func() net.Conn {
					c, err := l.(*pipeListener).dial(ctx, "", "")
					if err != nil {
						t.Fatal(err)
					}
					return c
				}
				c := dial()
				if row.shake {
					c = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) // how long it is kept is asked here, not whom it trusts
				}
				began := time.Now()
				closed := make(chan time.Duration, 1)
				go func() {
					_, err := io.WriteString(c, row.first)
					go func() {
						io.Copy(io.Discard, c)
						closed <- time.Since(began)
					}()
					for err == nil {
						time.Sleep(time.Second)
						_, err = io.WriteString(c, "0")
					}
				}()
				time.Sleep(5 * time.Second)
				other := tls.Client(dial(), &tls.Config{InsecureSkipVerify: true})
				if _, err := io.WriteString(other, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"); err != nil {
					t.Error(err)
				}
				if answer, err := io.ReadAll(other); err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 OK\r\n")) {
					t.Errorf("another one meanwhile: %q, %v", answer, err)
				}
				time.Sleep(20 * time.Second)
				synctest.Wait()
				select {
				case took := <-closed:
					if took > 21*time.Second { // ten for the handshake, ten for the header
						t.Errorf("it was let go after %v", took)
					}
				default:
					t.Error("it still has its connection")
				}
				c.Close()
				other.Close()
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestLogInjection: nothing of a request begins a line of its own in the log or the
// audit, or reaches the terminal of whoever reads them.
func TestLogInjection(t *testing.T) {
	const evil = "\x1b[2Jtime=2026 level=ERROR msg=owned"
	for _, handler := range []string{"text", "json"} {
		t.Run(handler, func(t *testing.T) {
			var log lockedLog
			h := slog.Handler(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			if handler == "json" {
				h = slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})
			}
			dir := t.TempDir()
			token, k := access.NewToken("noc", access.Admin)
			if err := access.Add(filepath.Join(dir, "keys"), k, os.WriteFile); err != nil {
				t.Fatal(err)
			}
			audit := access.OpenAudit(dir)
			defer audit.Close()
			s := New(&fakeDaemon{}, status.New("test", time.Now), slog.New(h))
			guard := access.New(s.remote, access.Options{
				Keys: access.OpenFile(filepath.Join(dir, "keys")), Audit: audit, Log: slog.New(h), Now: time.Now, Sane: func() bool { return true }, Refuse: refuse,
				Route: func(r *http.Request) string { _, pattern := s.remote.Handler(r); return pattern },
			})
			for _, change := range []func(r *http.Request){
				func(r *http.Request) { r.URL.Path = "/v1/\n" + evil },
				func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/v1/activations/\n"+evil, "" },
				func(r *http.Request) { r.Method = "GET\n" + evil },
				func(r *http.Request) { r.Host = "a\n" + evil },
				func(r *http.Request) { r.RemoteAddr = "\n" + evil },
				func(r *http.Request) { r.Header.Set("Idempotency-Key", "k\n"+evil) },
				func(r *http.Request) { r.Header.Set("User-Agent", "\n"+evil) },
				func(r *http.Request) { r.Header.Set("Authorization", "Bearer x\n"+evil) },
				func(r *http.Request) { r.Header.Set("Origin", "https://\n"+evil) },
				func(r *http.Request) {
					r.Header.Set("Signature-Input", "\n"+evil)
					r.Header.Set("Signature", "\n"+evil)
				},
			} {
				r := httptest.NewRequest("POST", "https://192.0.2.1/v1/activations", strings.NewReader(`{"code": "LPA:1$smdp.example.com$X"}`))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", "Bearer "+token)
				change(r)
				w := httptest.NewRecorder()
				guard.ServeHTTP(w, r)
				if bytes.ContainsAny(w.Body.Bytes(), "\x1b") || strings.Count(w.Body.String(), "\n") != 1 {
					t.Errorf("the answer is %q", w.Body)
				}
			}
			text := log.String()
			for _, name := range []string{"audit", "strangers"} {
				b, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				for line := range strings.Lines(string(b)) {
					if err := json.Unmarshal([]byte(line), new(access.Entry)); err != nil {
						t.Errorf("%s has a line %q", name, line)
					}
				}
				text += string(b)
			}
			if strings.Contains(text, "\x1b") || text == "" {
				t.Errorf("raw characters: %q", text)
			}
			for line := range strings.Lines(log.String()) {
				if !strings.HasPrefix(line, "time=") && !strings.HasPrefix(line, `{"time":`) {
					t.Errorf("a line of its own: %q", line)
				}
			}
		})
	}
}

type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestLongBodyOfACaller: a caller's 10 MB are not read either.
func TestLongBodyOfACaller(t *testing.T) {
	d := openDoor(t)
	c, err := tls.Dial("tcp", d.addr, d.clients)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sent := make(chan int, 1)
	go func() {
		n := 0
		fmt.Fprintf(c, "POST /v1/activations HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 10000000\r\n\r\n{\"code\": \"", d.tokens[access.Activate])
		for chunk := make([]byte, 1000); n < 10_000_000; n += len(chunk) {
			for i := range chunk {
				chunk[i] = 'x'
			}
			if _, err := c.Write(chunk); err != nil {
				break
			}
		}
		sent <- n
	}()
	c.SetReadDeadline(time.Now().Add(time.Minute))
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.Contains(line, " 413 ") {
		t.Errorf("%s, %v", line, err)
	}
	c.Close()
	if n := <-sent; n > 5_000_000 {
		t.Errorf("%d bytes were read", n)
	}
	if len(d.daemon.reqs) > 0 {
		t.Error("it came through")
	}
}

// TestFormsOfOtherPages: what a page can send without being asked for leave first, a
// form or plain text, changes nothing, also without an Origin.
func TestFormsOfOtherPages(t *testing.T) {
	d := openDoor(t)
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+d.addr+"/v1/activations", strings.NewReader(`{"code": "LPA:1$smdp.example.com$X"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+d.tokens[access.Admin])
		r.Header.Set("Content-Type", kind)
		resp, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: d.clients, DisableKeepAlives: true}}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnsupportedMediaType {
			t.Errorf("%q: %s", kind, resp.Status)
		}
	}
	if len(d.daemon.reqs) > 0 {
		t.Error("one came through")
	}
}
