//go:build linux && !nodemo

package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

// ctlSocket is the control channel's name in the lab's directory. One connection
// is one command: a line of JSON each way.
const ctlSocket = "ctl.sock"

const (
	maxCtlRequest = 64 << 10
	maxCtlAnswer  = 8 << 20
	ctlTimeout    = 30 * time.Second
)

// ctlRequest is a command line, and the directory that its files are relative to.
type ctlRequest struct {
	Args []string `json:"args"`
	Dir  string   `json:"dir"`
}

// ctlAnswer is what came of it: Error and Hint, or Result.
type ctlAnswer struct {
	Error  string          `json:"error,omitempty"`
	Hint   string          `json:"hint,omitempty"`
	Usage  bool            `json:"usage,omitempty"` // the command line is at fault
	Result json.RawMessage `json:"result,omitempty"`
	Text   string          `json:"text,omitempty"` // Result for a person
}

// Control runs one command on the lab whose directory is dir, and returns what it
// answers, as JSON and for a person. Either may be empty.
func Control(ctx context.Context, dir string, args []string) (result json.RawMessage, text string, err error) {
	path := filepath.Join(dir, ctlSocket)
	conn, err := (&net.Dialer{Timeout: ctlTimeout}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, "", &ExitError{Code: exitImpossible, Err: fmt.Errorf("no lab answers in %s", dir), Text: "start one with `dynamod sim --dir DIR`, or name its directory"}
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	wd, err := os.Getwd()
	if err != nil {
		return nil, "", err
	}
	if err := json.NewEncoder(conn).Encode(ctlRequest{args, wd}); err != nil {
		return nil, "", fmt.Errorf("the lab does not listen: %w", err)
	}
	var a ctlAnswer
	if err := json.NewDecoder(io.LimitReader(conn, maxCtlAnswer)).Decode(&a); err != nil {
		return nil, "", fmt.Errorf("the lab does not answer: %w", err)
	}
	if a.Error != "" {
		code := 5
		if a.Usage {
			code = 2
		}
		return nil, "", &ExitError{Code: code, Err: errors.New(a.Error), Text: a.Hint}
	}
	return a.Result, a.Text, nil
}

// listenControl opens the control channel, for the lab's owner alone.
func listenControl(dir string) (net.Listener, error) {
	path := filepath.Join(dir, ctlSocket)
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return nil, &ExitError{Code: exitImpossible, Err: fmt.Errorf("another lab runs in %s", dir), Text: "name another --dir"}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, &ExitError{Code: exitImpossible, Err: fmt.Errorf("control channel: %w", err), Text: "the path of a socket is short: try a shorter --dir"}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("control channel: %w", err)
	}
	return l, nil
}

// serveControl answers commands, one after another, until ctx ends.
func (w *World) serveControl(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("control channel: %w", err)
		}
		w.answer(ctx, conn)
	}
}

func (w *World) answer(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(ctlTimeout)) // a socket takes every deadline
	a := w.control(ctx, bufio.NewReader(io.LimitReader(conn, maxCtlRequest)))
	if err := json.NewEncoder(conn).Encode(a); err != nil {
		w.log.Debug("control channel: the client is gone", "error", err)
	}
}

// control reads one command and carries it out.
func (w *World) control(ctx context.Context, r *bufio.Reader) (a ctlAnswer) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return ctlAnswer{Error: "the command is no line of at most 64 kB"}
	}
	var req ctlRequest
	if err := json.Unmarshal(line, &req); err != nil {
		return ctlAnswer{Error: "the command is not JSON"}
	}
	result, text, err := w.command(ctx, req)
	if err != nil {
		a.Error = err.Error()
		if e, ok := errors.AsType[*ctlError](err); ok {
			a.Hint, a.Usage = e.hint, true
		}
		return a
	}
	if result != nil {
		if a.Result, err = json.Marshal(result); err != nil {
			return ctlAnswer{Error: err.Error()}
		}
	}
	a.Text = text
	return a
}

// ctlError is a command line that is at fault.
type ctlError struct{ text, hint string }

func (e *ctlError) Error() string { return e.text }
