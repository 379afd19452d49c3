//go:build linux && !nodemo

package demo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBench talks to a modem that was started for outside programs, on its pty
// and on its abstract socket at once.
func TestBench(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	pty := filepath.Join(t.TempDir(), "modem")
	name := fmt.Sprintf("dynamod-bench-%d", os.Getpid())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- RunBench(ctx, Bench{Dialect: "fibocom-fm350", PTY: pty, Abstract: "@" + name, Log: slog.New(slog.DiscardHandler), Out: w})
		w.Close()
	}()
	var said bytes.Buffer
	for sc := bufio.NewScanner(r); sc.Scan(); {
		if said.WriteString(sc.Text() + "\n"); sc.Text() == "ready" {
			break
		}
	}
	go io.Copy(io.Discard, r)
	for _, want := range []string{"FM350-GL; eUICC by AT: cgla (field)", "profile " + benchICCID + " is enabled", pty, "@" + name} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it says\n%s, not %s", said.String(), want)
		}
	}
	socket, err := net.Dial("unix", "@"+name)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	tty, err := os.OpenFile(pty, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	for where, port := range map[string]io.ReadWriter{"socket": socket, "pty": tty} {
		if got := ask(t, port, "ATE0;+CPIN?"); !strings.Contains(got, "+CPIN: READY") {
			t.Errorf("%s: %q", where, got)
		}
		if got := ask(t, port, `AT+CCHO="A0000005591010FFFFFFFF8900000100"`); !strings.Contains(got, "\r\n1\r\n") && !strings.Contains(got, "\r\n2\r\n") {
			t.Errorf("%s: +CCHO answers %q, not a bare handle", where, got)
		}
	}
	// A second modem cannot have the name.
	err = RunBench(ctx, Bench{Dialect: "generic", Abstract: name, Log: slog.New(slog.DiscardHandler), Out: io.Discard})
	if e, ok := errors.AsType[*ExitError](err); !ok || e.Hint() == "" {
		t.Errorf("the same name again: %v", err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestBenchFaults: faults from the start, in the words of sim ctl.
func TestBenchFaults(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	pty := filepath.Join(t.TempDir(), "modem")
	done := make(chan error, 1)
	go func() {
		done <- RunBench(ctx, Bench{Dialect: "generic", PTY: pty, Log: slog.New(slog.DiscardHandler), Out: io.Discard,
			Faults: []string{"card pin-locked", "modem cme command=+CSQ code=4 times=1"}})
	}()
	if err := waitFile(ctx, pty); err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(pty, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	ask(t, tty, "ATE0;+CMEE=1")
	for _, row := range [][2]string{{"AT+CSQ", "+CME ERROR: 4"}, {"AT+CSQ", "+CSQ:"}, {"AT+CPIN?", "+CPIN: SIM PIN"}, {"AT+CPIN=1234", "OK"}, {"AT+CPIN?", "+CPIN: READY"}} {
		if got := ask(t, tty, row[0]); !strings.Contains(got, row[1]) {
			t.Errorf("%s: %q, want %s", row[0], got, row[1])
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, line := range []string{"", "modem", "modem melt", "network no-data", "card status", "modem detach", "modem unplug delay=2s", "modem urc-storm times=5"} {
		err := RunBench(t.Context(), Bench{Dialect: "generic", PTY: pty, Log: slog.New(slog.DiscardHandler), Out: io.Discard, Faults: []string{line}})
		if e, ok := errors.AsType[*ExitError](err); !ok || e.Code != 2 || e.Hint() == "" {
			t.Errorf("fault %q: %v", line, err)
		}
	}
}

// ask sends a command and returns what comes until its final result code.
func ask(t *testing.T, rw io.ReadWriter, cmd string) string {
	t.Helper()
	if d, ok := rw.(interface{ SetReadDeadline(time.Time) error }); ok {
		_ = d.SetReadDeadline(time.Now().Add(10 * time.Second)) // a tty has none
	}
	if _, err := io.WriteString(rw, cmd+"\r"); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	buf := make([]byte, 256)
	for !strings.Contains(got.String(), "\r\nOK\r\n") && !strings.Contains(got.String(), "ERROR") {
		n, err := rw.Read(buf)
		if err != nil {
			t.Fatalf("%s: %v after %q", cmd, err, got.String())
		}
		got.Write(buf[:n])
	}
	return got.String()
}
