// Package port opens the byte stream to a modem: a serial line or its USB
// stand-in, a pseudo terminal, a character device without line settings (smd,
// wwan0at0), or a socket. It knows no AT.
//
// Whatever the device, writes are bounded by a context, a closed port writes
// nothing any more, and a device that vanished is told apart from a port that
// was closed.
//
// A device is locked, so that two daemons do not read each other's answers.
package port

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

var (
	// ErrClosed means that Close was called.
	ErrClosed = errors.New("port is closed")
	// ErrGone means that the device vanished: unplugged, reset, or the other
	// end closed the connection.
	ErrGone = errors.New("device is gone")
	// ErrNoDevice means that there is nothing of that name.
	ErrNoDevice = errors.New("no such device")
	// ErrPermission means that the user may not open the device.
	ErrPermission = errors.New("permission denied: add the user to the device's group, often dialout, or run as root")
	// ErrNotPort means that the name is of something that no modem is behind.
	ErrNotPort = errors.New("wrong tty: not a modem port")
	// ErrBusy means that another program uses the device; the error is a *BusyError.
	ErrBusy = errors.New("port is in use")
	// ErrNotSupported means that the device has no modem control lines.
	ErrNotSupported = errors.New("port has no modem control lines")
)

// BusyError tells who uses a port. errors.Is finds ErrBusy in it.
type BusyError struct {
	PID     int    // 0 when it could not be found out
	Program string // as the kernel names it, at most 15 characters
}

func (e *BusyError) Error() string {
	switch {
	case e.PID == 0:
		return "port is in use by another program"
	case e.PID == os.Getpid():
		return fmt.Sprintf("port is in use by this program already (pid %d)", e.PID)
	}
	return fmt.Sprintf("port is in use by %s (pid %d)", e.Program, e.PID)
}

// Hint says what to do about it.
func (e *BusyError) Hint() string {
	switch {
	case e.PID == os.Getpid():
		return ""
	case e.Program == mmProgram:
		return `install mmcli, so that it can be asked to let the modem go, or give the modem ENV{ID_MM_DEVICE_IGNORE}="1" in a udev rule`
	}
	return "stop it, or let it ignore this modem"
}

// Is makes errors.Is(err, ErrBusy) true.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// WriteError tells how much of a write was done when it failed.
type WriteError struct {
	N   int
	Err error // the context's, ErrClosed, or ErrGone with its cause
}

func (e *WriteError) Error() string { return fmt.Sprintf("write, %d bytes done: %v", e.N, e.Err) }
func (e *WriteError) Unwrap() error { return e.Err }

// Written returns the number of bytes that were written.
func (e *WriteError) Written() int { return e.N }

// Options are the settings of a Port. The zero value works.
type Options struct {
	Baud   int          // of a serial line; 0 means 115200. USB modems ignore it
	Logger *slog.Logger // nil discards
	Tree   Tree         // where a place on USB is looked up
}

const defaultBaud = 115200

// Port is an open port. Its methods may be called from any goroutine.
type Port struct {
	name string
	io   stream

	writing chan struct{} // holds one element while somebody writes

	mu     sync.Mutex // guards what follows, and keeps Close off the lines
	lines  lines      // nil without modem control lines
	closed chan struct{}
	once   sync.Once
	err    error // of Close
}

// stream is a net.Conn or an os.File: its Close ends a Read and a Write that
// wait, and its descriptor cannot be mixed up with a later one.
type stream interface {
	io.ReadWriteCloser
	SetWriteDeadline(time.Time) error
}

// lines are the modem control lines of a serial port.
type lines interface {
	SetDTR(bool) error
	Close() error
}

// Open opens the port that name stands for: a device path, "usb:1-1.2:3" for a
// place on USB (see Place), "unix:PATH", "unix:@NAME" for an abstract socket,
// the path of a unix socket, or "tcp:HOST:PORT".
//
// Its error is ErrNoDevice, ErrPermission, ErrNotPort or ErrBusy where one of
// these is the reason.
func Open(ctx context.Context, name string, opts Options) (*Port, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Baud <= 0 {
		opts.Baud = defaultBaud
	}
	network, address, ok := strings.Cut(name, ":")
	if network == "usb" && ok {
		place, err := ParsePlace(name)
		if err != nil {
			return nil, fmt.Errorf("open: %w", err)
		}
		if name, err = opts.Tree.Find(place); err != nil {
			return nil, fmt.Errorf("open %w", err)
		}
		ok = false
	}
	if !ok || network != "unix" && network != "tcp" {
		info, err := os.Stat(name)
		if err != nil {
			return nil, openError(name, err)
		}
		switch mode := info.Mode(); {
		case mode&os.ModeSocket != 0:
			network, address = "unix", name
		case mode&os.ModeCharDevice != 0:
			return openDevice(ctx, name, opts)
		case mode.IsDir():
			return nil, fmt.Errorf("open %s: %w: it is a directory", name, ErrNotPort)
		case mode.IsRegular():
			return nil, fmt.Errorf("open %s: %w: it is a regular file", name, ErrNotPort)
		default:
			return nil, fmt.Errorf("open %s: %w: it is neither a character device nor a socket", name, ErrNotPort)
		}
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, openError(name, err)
	}
	p := FromConn(conn)
	p.name = name
	return p, nil
}

// openError gives the common reasons their name.
func openError(name string, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = ErrNoDevice
	case errors.Is(err, os.ErrPermission):
		err = ErrPermission
	case isGone(err):
		err = fmt.Errorf("%w: %w", ErrNoDevice, bare(err))
	default:
		err = bare(err)
	}
	return fmt.Errorf("open %s: %w", name, err)
}

// bare removes the path and the operation that os puts around an error.
func bare(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// FromConn makes a port of a connection: to a simulated modem, or to a serial
// server.
func FromConn(conn net.Conn) *Port {
	name := "connection"
	if addr := conn.RemoteAddr(); addr != nil && addr.String() != "" {
		name = addr.String()
	}
	return newPort(name, conn, nil)
}

func newPort(name string, io stream, l lines) *Port {
	return &Port{name: name, io: io, lines: l, writing: make(chan struct{}, 1), closed: make(chan struct{})}
}

// String returns the name that the port was opened by.
func (p *Port) String() string { return p.name }

// Read waits for at least one byte. It fails with ErrClosed after Close, and
// with ErrGone and its cause when the device vanished.
func (p *Port) Read(b []byte) (int, error) {
	n, err := p.io.Read(b)
	if n > 0 || err == nil {
		return n, nil
	}
	return 0, p.cause(err)
}

// WriteContext writes all of b. When ctx ends first, the error is a *WriteError
// with the context's; a modem that stopped reading cannot hold the caller.
func (p *Port) WriteContext(ctx context.Context, b []byte) error {
	select {
	case p.writing <- struct{}{}:
		defer func() { <-p.writing }()
	case <-ctx.Done():
		return &WriteError{Err: ctx.Err()}
	case <-p.closed:
		return &WriteError{Err: ErrClosed}
	}
	if err := ctx.Err(); err != nil {
		return &WriteError{Err: err}
	}
	select {
	case <-p.closed:
		return &WriteError{Err: ErrClosed}
	default:
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		p.io.SetWriteDeadline(time.Unix(1, 0))
	})
	n, err := p.io.Write(b)
	if !stop() {
		<-ended
		p.io.SetWriteDeadline(time.Time{})
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
		return &WriteError{N: n, Err: ctx.Err()}
	}
	return &WriteError{N: n, Err: p.cause(err)}
}

// cause tells a vanished device from a closed port.
func (p *Port) cause(err error) error {
	select {
	case <-p.closed:
		return ErrClosed
	default:
	}
	if err == io.EOF {
		return fmt.Errorf("%s: %w", p.name, ErrGone)
	}
	return fmt.Errorf("%s: %w: %w", p.name, ErrGone, bare(err))
}

// SetDTR raises or drops Data Terminal Ready. Ports without modem control lines
// fail with ErrNotSupported.
func (p *Port) SetDTR(on bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closed:
		return ErrClosed
	default:
	}
	if p.lines == nil {
		return ErrNotSupported
	}
	if err := retry(func() error { return p.lines.SetDTR(on) }); err != nil {
		if notSupported(err) {
			return ErrNotSupported
		}
		return fmt.Errorf("%s: set DTR: %w", p.name, err)
	}
	return nil
}

// DropDTR drops Data Terminal Ready for d, which makes a modem hang up and
// leave data mode (V.250, &D2). Without it the port of a broken data call stays
// in data mode.
func (p *Port) DropDTR(ctx context.Context, d time.Duration) error {
	if err := p.SetDTR(false); err != nil {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	var err error
	select {
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	case <-p.closed:
		return ErrClosed
	}
	if up := p.SetDTR(true); up != nil {
		return up
	}
	return err
}

// Close closes the port and ends a Read and a write that wait. It may be called
// more than once.
func (p *Port) Close() error {
	p.once.Do(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		close(p.closed)
		p.err = p.io.Close()
		if p.lines != nil {
			p.lines.Close()
		}
	})
	return p.err
}
