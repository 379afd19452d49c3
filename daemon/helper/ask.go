package helper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// ErrNone means that no helper answers at its socket.
var ErrNone = errors.New("no helper answers")

const (
	dialTime   = 5 * time.Second
	answerTime = 15 * time.Second // a port is off for a while
)

// Ask has the helper at a socket carry out a request, and returns what it says was done.
// Its error is ErrNone, an *Error or the system's.
func Ask(ctx context.Context, socket string, req Request) (done string, err error) {
	conn, done, err := ask(ctx, socket, req, nil)
	if err == nil {
		conn.Close()
	}
	return done, err
}

// AskPPPD has the helper run pppd on a tty that is open here. What is returned is the
// wire to ppp.Host.
func AskPPPD(ctx context.Context, socket string, tty *os.File, args []string) (net.Conn, error) {
	conn, _, err := ask(ctx, socket, Request{PPPD, args}, tty)
	return conn, err
}

func ask(ctx context.Context, socket string, req Request, tty *os.File) (net.Conn, string, error) {
	d := net.Dialer{Timeout: dialTime}
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, "", fmt.Errorf("%w at %s: %w", ErrNone, socket, err)
	}
	done, err := exchange(ctx, conn.(*net.UnixConn), req, tty)
	if err != nil {
		conn.Close()
		return nil, "", err
	}
	return conn, done, nil
}

func exchange(ctx context.Context, conn *net.UnixConn, req Request, tty *os.File) (string, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return "", err
	}
	if err := send(conn, []byte(req.String()+"\n"), tty); err != nil {
		return "", err
	}
	line, err := readLine(conn)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return "", fmt.Errorf("the helper does not answer: %w", err)
	}
	if !stop() {
		return "", ctx.Err()
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return "", err
	}
	return parseAnswer(line)
}

// readLine reads one line and not a byte behind it, which is somebody else's.
func readLine(conn io.Reader) (string, error) {
	line, c := make([]byte, 0, 128), make([]byte, 1)
	for len(line) <= maxLine {
		if _, err := io.ReadFull(conn, c); err != nil {
			return "", err
		}
		if c[0] == '\n' {
			return string(line), nil
		}
		line = append(line, c[0])
	}
	return "", errors.New("a line that is too long")
}
