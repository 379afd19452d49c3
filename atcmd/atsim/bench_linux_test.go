package atsim

import (
	"bufio"
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkCGLA is an APDU's way through the modem and back: over a pipe and
// over a pseudo-terminal.
func BenchmarkCGLA(b *testing.B) {
	line := `AT+CGLA=1,520,"` + storeData(strings.Repeat("5A", 255)) + "\"\r"
	run := func(b *testing.B, rw io.ReadWriter) {
		r := bufio.NewReader(rw)
		until := func(want string) {
			for {
				l, err := r.ReadString('\n')
				if err != nil {
					b.Fatal(err)
				}
				if strings.HasPrefix(l, want) {
					return
				}
			}
		}
		io.WriteString(rw, "ATE0\r")
		until("OK")
		io.WriteString(rw, `AT+CCHO="`+isdrAID+"\"\r")
		until("OK")
		b.ReportAllocs()
		for b.Loop() {
			if _, err := io.WriteString(rw, line); err != nil {
				b.Fatal(err)
			}
			until("OK")
		}
	}
	serve := func(b *testing.B, f func(ctx context.Context, m *Modem) error) {
		m, err := New(Config{Card: newTestCard().apdu})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan error, 1)
		go func() { done <- f(ctx, m) }()
		b.Cleanup(func() {
			cancel()
			<-done
		})
	}
	b.Run("pipe", func(b *testing.B) {
		ours, theirs := net.Pipe()
		serve(b, func(ctx context.Context, m *Modem) error { return m.Serve(ctx, theirs) })
		run(b, ours)
		ours.Close()
	})
	b.Run("pty", func(b *testing.B) {
		link := filepath.Join(b.TempDir(), "modem")
		serve(b, func(ctx context.Context, m *Modem) error { return m.ServePTY(ctx, link) })
		f := openSlave(b, link)
		defer f.Close()
		run(b, f)
	})
}
