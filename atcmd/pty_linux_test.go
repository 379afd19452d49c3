package atcmd_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"dynamod/atcmd"
	"dynamod/atcmd/port"
)

// modemEnd answers "+ECHO=n" with n, in pieces, until its end is closed.
func modemEnd(t *testing.T, rw io.ReadWriteCloser) {
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		r := bufio.NewReader(rw)
		for {
			line, err := r.ReadString('\r')
			if err != nil {
				return
			}
			if _, n, ok := strings.Cut(strings.TrimSpace(line), "+ECHO="); ok {
				for _, piece := range []string{line, "\r\n+CREG: 1\r", "\n+ECHO: " + n, "\r\n\r\nOK\r", "\n"} {
					io.WriteString(rw, piece)
				}
			}
		}
	}()
	t.Cleanup(func() { rw.Close(); wg.Wait() })
}

// TestSessionOnDevices runs commands over a real terminal and a connection, and
// unplugs both.
func TestSessionOnDevices(t *testing.T) {
	devices := map[string]func(t *testing.T) (*port.Port, io.ReadWriteCloser){
		"pty": func(t *testing.T) (*port.Port, io.ReadWriteCloser) {
			master, slave, err := pty.Open()
			if err != nil {
				t.Skip("no pseudo terminals here:", err)
			}
			defer slave.Close()
			defer master.Close()
			// A master that does not block is really closed by Close.
			fd, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 0)
			if err == nil {
				err = unix.SetNonblock(fd, true)
			}
			if err != nil {
				t.Fatal(err)
			}
			p, err := port.Open(t.Context(), slave.Name(), port.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return p, os.NewFile(uintptr(fd), "modem")
		},
		"connection": func(t *testing.T) (*port.Port, io.ReadWriteCloser) {
			a, b := net.Pipe()
			return port.FromConn(a), b
		},
	}
	for name, open := range devices {
		t.Run(name, func(t *testing.T) {
			p, modem := open(t)
			modemEnd(t, modem)
			s := atcmd.New(p, atcmd.Options{Timeout: time.Minute})
			defer s.Close()
			urcs := s.Subscribe("+CREG")
			for _, n := range []string{"1", strings.Repeat("80E2", 130)} {
				reply, err := s.Do(t.Context(), atcmd.Command{Text: "+ECHO=" + n})
				if err != nil || len(reply.Lines) != 1 || reply.Lines[0] != "+ECHO: "+n {
					t.Fatalf("got %q, %v", reply.Lines, err)
				}
				if u := <-urcs.C(); u.Line != "+CREG: 1" {
					t.Errorf("URC %+v", u)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			time.AfterFunc(time.Millisecond, func() { modem.Close() })
			if _, err := s.Do(ctx, atcmd.Command{Text: "+COPS=?"}); !errors.Is(err, atcmd.ErrGone) || !errors.Is(err, port.ErrGone) {
				t.Errorf("unplugged: %v", err)
			}
			<-s.Done()
			if !errors.Is(s.Err(), atcmd.ErrGone) {
				t.Errorf("session: %v", s.Err())
			}
		})
	}
}
