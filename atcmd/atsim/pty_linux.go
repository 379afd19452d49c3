package atsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ptyPair is a pseudo-terminal: the master is ours, clients open the slave.
type ptyPair struct {
	master *os.File
	path   string // of the slave
}

// openPTY makes a pseudo-terminal in raw mode.
func openPTY() (*ptyPair, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open a pseudo-terminal: /dev/ptmx: %w", err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = makeRaw(fd)
	}
	path := "/dev/pts/" + strconv.Itoa(n)
	if err == nil { // opened and closed once, it counts as hung up until a client comes
		var slave int
		if slave, err = unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err == nil {
			unix.Close(slave)
		}
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot set up a pseudo-terminal: %w", err)
	}
	// A non-blocking descriptor goes to the runtime's poller, so that closing
	// the file ends a read.
	return &ptyPair{master: os.NewFile(uintptr(fd), "/dev/ptmx"), path: path}, nil
}

// clean throws away what the last client did not read: it is none of the next
// one's business. Only the slave's own end can flush that.
func (t *ptyPair) clean() {
	fd, err := unix.Open(t.path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH)
	unix.Close(fd)
}

// makeRaw turns the line discipline's work off if it is on. A pty's two ends share their
// settings, so this reaches the slave; they outlive its being closed. Without
// it the slave would echo our URCs back to us before a client sets it up.
func makeRaw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	if t.Lflag&(unix.ECHO|unix.ICANON) == 0 && t.Oflag&unix.OPOST == 0 && t.Iflag&unix.ICRNL == 0 {
		return nil // raw, if perhaps to a client's own taste
	}
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}

// control runs f on the master's descriptor while it is open.
func (t *ptyPair) control(f func(fd int) error) error {
	raw, err := t.master.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// hungUp reports whether nobody has the slave open, and nothing is left of what
// the last client wrote.
func (t *ptyPair) hungUp() bool {
	var gone bool
	err := t.control(func(fd int) error {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		_, err := unix.Poll(fds, 0)
		for err == unix.EINTR { // the runtime interrupts its threads to preempt goroutines
			_, err = unix.Poll(fds, 0)
		}
		gone = fds[0].Revents&(unix.POLLHUP|unix.POLLIN) == unix.POLLHUP
		return err
	})
	return err != nil || gone
}

// OpenPTY makes a pseudo-terminal and returns the path that clients open. The
// next ServePTY serves it.
func (m *Modem) OpenPTY() (path string, err error) {
	t, err := openPTY()
	if err != nil {
		return "", fmt.Errorf("atsim: %w", err)
	}
	m.state.lock()
	m.pending = append(m.pending, t)
	m.state.release()
	return t.path, nil
}

// ServePTY answers AT commands on a pseudo-terminal until ctx ends: the oldest
// one of OpenPTY, or a new one. If link is not empty it becomes a symbolic link
// to the slave and is removed at the end. Clients may close and open the slave
// as often as they like; what the modem says in between is lost, its settings
// are kept. Unplugging removes the link and the terminal; when the modem is
// plugged in again, that is under another terminal. ErrUnplugged says that it
// never will be.
func (m *Modem) ServePTY(ctx context.Context, link string) error {
	for {
		t, err := m.takePTY()
		if err != nil {
			return fmt.Errorf("atsim: %w", err)
		}
		replug, err := m.servePTY(ctx, t, link)
		if err != nil || ctx.Err() != nil {
			return err
		}
		sleep(ctx, replug)
		if ctx.Err() != nil {
			return nil
		}
	}
}

func (m *Modem) takePTY() (*ptyPair, error) {
	m.state.lock()
	defer m.state.release()
	if len(m.pending) > 0 {
		t := m.pending[0]
		m.pending = m.pending[1:]
		return t, nil
	}
	return openPTY()
}

// servePTY serves one terminal until ctx ends or the modem is unplugged, and
// says then when it comes back.
func (m *Modem) servePTY(ctx context.Context, t *ptyPair, link string) (replug time.Duration, err error) {
	defer t.master.Close()
	p := newPort(m)
	if m.attach(ctx, p) != nil {
		return 0, nil
	}
	defer m.detach(p)
	if link != "" {
		if err := symlink(t.path, link); err != nil {
			return 0, fmt.Errorf("atsim: %w", err)
		}
		defer func() {
			if to, err := os.Readlink(link); err == nil && to == t.path {
				os.Remove(link)
			}
		}()
	}
	for ctx.Err() == nil {
		t.master.SetDeadline(time.Time{})
		err := p.serve(ctx, &ptyStream{t})
		if errors.Is(err, ErrUnplugged) {
			if p.replug == 0 {
				return 0, ErrUnplugged
			}
			return p.replug, nil
		}
		t.clean()
		for t.hungUp() && ctx.Err() == nil {
			t.control(makeRaw) // also after a client that came and went unseen
			select {
			case <-ctx.Done():
			case <-p.unplugged:
				return p.replug, unplugError(p.replug)
			case <-time.After(10 * time.Millisecond): // no event tells of an open
			}
		}
	}
	return 0, nil
}

func unplugError(replug time.Duration) error {
	if replug == 0 {
		return ErrUnplugged
	}
	return nil
}

// symlink makes link point to path, replacing what was there in one step.
func symlink(path, link string) error {
	tmp := filepath.Join(filepath.Dir(link), "."+filepath.Base(link)+".new")
	os.Remove(tmp)
	if err := os.Symlink(path, tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, link); err != nil {
		os.Remove(tmp)
		return err
	}
	return nil
}

// ptyStream is one client's time with the slave open.
type ptyStream struct{ *ptyPair }

// Read ends when the client closes the slave: the master then reads EIO.
func (s *ptyStream) Read(b []byte) (int, error) {
	n, err := s.master.Read(b)
	if errors.Is(err, unix.EIO) || errors.Is(err, os.ErrDeadlineExceeded) {
		err = io.EOF
	}
	return n, err
}

func (s *ptyStream) Write(b []byte) (int, error) {
	if s.hungUp() {
		return 0, io.ErrClosedPipe
	}
	return s.master.Write(b)
}

// Close ends what runs; the terminal stays for the next client.
func (s *ptyStream) Close() error { return s.master.SetDeadline(time.Unix(1, 0)) }
