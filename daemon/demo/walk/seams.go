//go:build linux && !nodemo

package walk

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"dynamod/netlink"
	"dynamod/netlink/uplink"
)

// ErrDead is what a daemon is told that was stopped.
var ErrDead = errors.New("this daemon is dead")

// Line stands between a modem, which has the returned end, and its port: each AT
// command is a point, and those that carry APDUs are of a kind of their own.
func Line(g Gate, port io.ReadWriteCloser) io.ReadWriteCloser {
	return &line{ReadWriteCloser: port, gate: g}
}

type line struct {
	io.ReadWriteCloser
	gate Gate
	rest []byte // what was read and is not handed on

	mu    sync.Mutex
	lost  bool // the answer to the present command
	heard []byte
}

// Read hands on whole commands: one that never had an effect is not seen in part.
func (l *line) Read(b []byte) (int, error) {
	for {
		if end := bytes.IndexAny(l.rest, "\r\x1a\x1b"); end >= 0 {
			command := l.rest[:end+1]
			if bytes.HasPrefix(command, []byte("AT")) && !l.enter(string(command[2:min(end, 24)])) {
				l.rest = nil
				continue
			}
			n := copy(b, command)
			l.rest = l.rest[n:]
			return n, nil
		}
		chunk := make([]byte, 4096)
		n, err := l.ReadWriteCloser.Read(chunk)
		l.rest = append(l.rest, chunk[:n]...)
		if err != nil {
			return 0, err
		}
	}
}

// enter comes to a command, and reports whether the modem gets it.
func (l *line) enter(command string) bool {
	l.mu.Lock()
	lost := l.lost
	l.mu.Unlock()
	if lost {
		l.gate.Kill() // it was not answered, and the daemon went on
		return false
	}
	kind := AT
	if strings.HasPrefix(command, "+CGLA") || strings.HasPrefix(command, "+CCH") || strings.HasPrefix(command, "+CSIM") {
		kind = APDU
	}
	switch l.gate.Enter(kind, "AT"+command) {
	case Dies, Nobody:
		return false
	case Lose:
		l.mu.Lock()
		l.lost = true
		l.mu.Unlock()
	}
	return true
}

// finals end the answer to an AT command.
var finals = [][]byte{[]byte("\r\nOK\r\n"), []byte("ERROR"), []byte("NO CARRIER")}

// Write takes the answers. One that is to be lost ends the daemon when it is whole.
func (l *line) Write(b []byte) (int, error) {
	l.mu.Lock()
	lost := l.lost
	if lost {
		l.heard = append(l.heard, b...)
	}
	heard := l.heard
	l.mu.Unlock()
	if !lost {
		return l.ReadWriteCloser.Write(b)
	}
	for _, f := range finals {
		if bytes.Contains(heard, f) {
			l.gate.Kill()
			break
		}
	}
	return len(b), nil
}

// Server makes each request to h a point.
func Server(g Gate, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch g.Enter(HTTP, path.Base(req.URL.Path)) {
		case Dies, Nobody:
			panic(http.ErrAbortHandler)
		case Lose:
			h.ServeHTTP(httptest.NewRecorder(), req)
			g.Kill()
			panic(http.ErrAbortHandler)
		}
		h.ServeHTTP(w, req)
	})
}

// Kernel makes each change of k a point.
func Kernel(g Gate, k uplink.Kernel) uplink.Kernel { return kernel{k, g} }

type kernel struct {
	uplink.Kernel
	gate Gate
}

func (k kernel) Change(ctx context.Context, c netlink.Change) error {
	fate := k.gate.Enter(Netlink, c.String())
	if fate == Dies || fate == Nobody {
		return ErrDead
	}
	err := k.Kernel.Change(ctx, c)
	if fate == Lose {
		k.gate.Kill()
		return ErrDead
	}
	return err
}

// Log makes each record of the journal a point: the orchestrator logs it when it is
// on the medium. Who is stopped before it has it torn.
func Log(g Gate, h slog.Handler) slog.Handler { return journalLog{h, g} }

type journalLog struct {
	slog.Handler
	gate Gate
}

func (l journalLog) Enabled(context.Context, slog.Level) bool { return true }

func (l journalLog) Handle(ctx context.Context, rec slog.Record) error {
	if rec.Message == "activation" {
		state := ""
		rec.Attrs(func(a slog.Attr) bool {
			if a.Key == "state" {
				state = a.Value.String()
			}
			return true
		})
		if l.gate.Enter(Journal, state) == Lose {
			l.gate.Kill()
		}
	}
	if !l.Handler.Enabled(ctx, rec.Level) {
		return nil
	}
	return l.Handler.Handle(ctx, rec)
}

// Tear cuts the last record of the journal in a state directory in two, as a stop
// in the write does.
func Tear(state string) error {
	file := filepath.Join(state, "journal")
	b, err := os.ReadFile(file)
	if err != nil || len(b) == 0 {
		return err
	}
	begin := bytes.LastIndexByte(b[:len(b)-1], '\n') + 1
	return os.WriteFile(file, b[:begin+(len(b)-begin)/2], 0o600)
}
