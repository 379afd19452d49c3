package port

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// openPTY returns the modem's end of a pseudo terminal and the path of ours.
// The modem's end does not block, so that closing it really closes it.
func openPTY(t *testing.T) (*os.File, string) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Skip("no pseudo terminals here:", err)
	}
	name := slave.Name()
	fd, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	master.Close()
	slave.Close()
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	modem := os.NewFile(uintptr(fd), "modem end of "+name)
	t.Cleanup(func() { modem.Close() })
	return modem, name
}

func open(t *testing.T, name string) *Port {
	t.Helper()
	p, err := Open(t.Context(), name, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestPTYCarriesBytes(t *testing.T) {
	modem, name := openPTY(t)
	p := open(t, name)
	if err := p.WriteContext(within(t), []byte("AT\r")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	n, err := io.ReadAtLeast(modem, b, 3)
	if err != nil || string(b[:n]) != "AT\r" {
		t.Fatalf("modem got %q, %v: the line is not raw", b[:n], err)
	}
	modem.Write([]byte("\r\n\x11\x13\x03OK\r\n"))
	want := "\r\n\x11\x13\x03OK\r\n"
	n, err = io.ReadAtLeast(p, b, len(want))
	if err != nil || string(b[:n]) != want {
		t.Fatalf("we got %q, %v: the line is not raw", b[:n], err)
	}
	if p.String() != name {
		t.Errorf("name %q", p)
	}
}

// reading starts a Read and returns its error.
func reading(p *Port) <-chan error {
	done := make(chan error, 1)
	go func() {
		b := make([]byte, 64)
		for {
			if _, err := p.Read(b); err != nil {
				done <- err
				return
			}
		}
	}()
	return done
}

func TestUnplugIsGone(t *testing.T) {
	modem, name := openPTY(t)
	p := open(t, name)
	done := reading(p)
	modem.Close()
	if err := <-done; !errors.Is(err, ErrGone) || errors.Is(err, ErrClosed) {
		t.Errorf("read: %v", err)
	}
	err := p.WriteContext(within(t), []byte("AT\r"))
	if !errors.Is(err, ErrGone) {
		t.Errorf("write: %v", err)
	}
	p.Close()
	if _, err := p.Read(make([]byte, 1)); err != ErrClosed {
		t.Errorf("read after close: %v", err)
	}
	if _, err := Open(t.Context(), name, Options{}); !errors.Is(err, ErrNoDevice) {
		t.Errorf("open again: %v", err)
	}
}

func TestCloseEndsRead(t *testing.T) {
	_, name := openPTY(t)
	p := open(t, name)
	done := reading(p)
	p.Close()
	if err := <-done; err != ErrClosed {
		t.Errorf("read: %v", err)
	}
	if err := p.WriteContext(within(t), []byte("AT\r")); !errors.Is(err, ErrClosed) {
		t.Errorf("write: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

// TestNoWriteAfterClose is the hazard of the serial library: after Close its
// Write goes into the file that got the same descriptor number.
func TestNoWriteAfterClose(t *testing.T) {
	_, name := openPTY(t)
	p := open(t, name)
	p.Close()
	path := filepath.Join(t.TempDir(), "victim")
	var victims []*os.File
	for range 16 {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		victims = append(victims, f)
	}
	p.WriteContext(within(t), []byte("AT+CFUN=0\r"))
	p.SetDTR(false)
	p.Close()
	if b, err := os.ReadFile(path); err != nil || len(b) != 0 {
		t.Errorf("an unrelated file has %q, %v", b, err)
	}
	for _, f := range victims {
		if _, err := f.Stat(); err != nil {
			t.Errorf("an unrelated file was closed: %v", err)
		}
	}
}

// TestStuckWrite fills a pseudo terminal that nobody reads. The library's Write
// would wait for ever, and its Close would not free it.
func TestStuckWrite(t *testing.T) {
	modem, name := openPTY(t)
	p := open(t, name)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	big := bytes.Repeat([]byte("x"), 1<<20)
	err := p.WriteContext(ctx, big)
	var partial *WriteError
	if !errors.As(err, &partial) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("write: %v", err)
	}
	if partial.Written() >= len(big) {
		t.Errorf("%d bytes written", partial.Written())
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.WriteContext(canceled, []byte("AT\r")); !errors.As(err, &partial) || partial.N != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("write with an ended context: %v", err)
	}
	// The port is usable again as soon as the modem reads.
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		tail, b := []byte(nil), make([]byte, 1<<16)
		for !bytes.HasSuffix(tail, []byte("END")) {
			n, err := modem.Read(b)
			if err != nil {
				return
			}
			tail = append(tail[max(0, len(tail)-3):], b[:n]...)
		}
	}()
	if err := p.WriteContext(within(t), []byte("END")); err != nil {
		t.Errorf("write after the modem went on: %v", err)
	}
	<-drained
}

func TestCloseEndsStuckWrite(t *testing.T) {
	master, name := openPTY(t)
	p := open(t, name)
	done := make(chan error, 2)
	for range 2 {
		go func() { done <- p.WriteContext(context.Background(), bytes.Repeat([]byte("x"), 1<<20)) }()
	}
	if _, err := master.Read(make([]byte, 1)); err != nil { // one of them has begun
		t.Fatal(err)
	}
	p.Close()
	for range 2 {
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Errorf("write: %v", err)
		}
	}
}

func TestNoModemLinesOnPTY(t *testing.T) {
	_, name := openPTY(t)
	p := open(t, name)
	if err := p.SetDTR(true); err != ErrNotSupported {
		t.Errorf("SetDTR: %v", err)
	}
	if err := p.DropDTR(within(t), time.Hour); err != ErrNotSupported {
		t.Errorf("DropDTR: %v", err)
	}
	p.Close()
	if err := p.SetDTR(true); err != ErrClosed {
		t.Errorf("SetDTR after close: %v", err)
	}
}

// fakeLines are modem control lines that note what was set.
type fakeLines struct{ set []bool }

func (f *fakeLines) SetDTR(on bool) error { f.set = append(f.set, on); return nil }
func (f *fakeLines) Close() error         { return nil }

func TestDropDTR(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	f := &fakeLines{}
	p := newPort("test", a, f)
	defer p.Close()
	if err := p.DropDTR(within(t), time.Millisecond); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.DropDTR(ctx, time.Hour); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	if want := []bool{false, true, false, true}; len(f.set) != 4 || f.set[1] != want[1] || f.set[3] != want[3] {
		t.Errorf("DTR was set to %v", f.set)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(dir, "socket")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	tests := []struct {
		name, path string
		want       error
		text       string
	}{
		{"no such device", filepath.Join(dir, "ttyUSB9"), ErrNoDevice, "no such device"},
		{"directory", dir, ErrNotPort, "it is a directory"},
		{"regular file", file, ErrNotPort, "it is a regular file"},
		{"fifo", fifo, ErrNotPort, "neither a character device nor a socket"},
		{"not a modem", os.DevNull, ErrNotPort, "cannot be waited on"},
		{"socket of a dead process", stale, ErrNoDevice, "connection refused"},
		{"abstract socket of nobody", "unix:@dynamod-nobody-" + strconv.Itoa(os.Getpid()), ErrNoDevice, "no such device"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(t.Context(), tt.path, Options{})
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) || !strings.HasPrefix(err.Error(), "open "+tt.path+": ") {
				t.Errorf("error %v", err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, os.DevNull, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestPermission(t *testing.T) {
	if os.Getuid() == 0 {
		if got := openError("/dev/ttyUSB2", &os.PathError{Op: "open", Path: "/dev/ttyUSB2", Err: unix.EACCES}); !errors.Is(got, ErrPermission) || !strings.Contains(got.Error(), "dialout") {
			t.Errorf("error %v", got)
		}
		return
	}
	_, name := openPTY(t)
	if err := os.Chmod(name, 0); err != nil {
		t.Skip(err)
	}
	if _, err := Open(t.Context(), name, Options{}); !errors.Is(err, ErrPermission) {
		t.Errorf("error %v", err)
	}
}

// TestPlainDevice uses a character device that can be waited on and has no line
// settings, as smd8 has none.
func TestPlainDevice(t *testing.T) {
	p, err := Open(t.Context(), "/dev/urandom", Options{})
	if err != nil {
		t.Skip(err)
	}
	if n, err := p.Read(make([]byte, 16)); n == 0 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	if err := p.WriteContext(within(t), []byte("AT\r")); err != nil {
		t.Error(err)
	}
	if err := p.SetDTR(true); err != ErrNotSupported {
		t.Errorf("SetDTR: %v", err)
	}
	p.Close()
	if _, err := p.Read(make([]byte, 16)); err != ErrClosed {
		t.Errorf("read after close: %v", err)
	}
}

func TestSockets(t *testing.T) {
	dir := t.TempDir()
	abstract := "@dynamod-port-test-" + strconv.Itoa(os.Getpid())
	tests := []struct{ name, network, listen, open string }{
		{"unix socket", "unix", filepath.Join(dir, "a"), filepath.Join(dir, "a")},
		{"unix socket by name", "unix", filepath.Join(dir, "b"), "unix:" + filepath.Join(dir, "b")},
		{"abstract socket", "unix", abstract, "unix:" + abstract},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen(tt.network, tt.listen)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			p := open(t, tt.open)
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if err := p.WriteContext(within(t), []byte("AT\r")); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 3)
			if _, err := io.ReadFull(conn, b); err != nil || string(b) != "AT\r" {
				t.Errorf("modem got %q, %v", b, err)
			}
			done := reading(p)
			conn.Close()
			if err := <-done; !errors.Is(err, ErrGone) {
				t.Errorf("read: %v", err)
			}
		})
	}
}

// TestCopyKeepsNoLock: a program that is being started while a port is closed has a
// copy of its descriptor for a moment, and does not keep the port busy.
func TestCopyKeepsNoLock(t *testing.T) {
	_, name := openPTY(t)
	for range 2 {
		p, err := Open(t.Context(), name, Options{})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := p.io.(tty).File.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			copied, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				t.Error(err)
			}
			t.Cleanup(func() { unix.Close(copied) })
		})
		p.Close()
	}
}
