package port

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// openDevice opens a character device.
//
// The library sets the line up, drives DTR and takes TIOCEXCL. The bytes go
// through a descriptor of our own, which also holds the lock: the library's
// Write can block for ever and, after Close, can write into the file that got
// its descriptor's number. Ours does not block, belongs to Go's poller, and
// cannot be mistaken for a later one.
func openDevice(ctx context.Context, name string, opts Options) (_ *Port, err error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	fd, err := openRetry(name)
	if err != nil {
		if err == unix.EBUSY {
			err = holder(name, -1)
			return nil, fmt.Errorf("open %s: %w", name, err)
		}
		return nil, openError(name, err)
	}
	file := os.NewFile(uintptr(fd), name)
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	if err := retry(func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) }); err != nil {
		if err == unix.EWOULDBLOCK {
			return nil, fmt.Errorf("open %s: %w", name, holder(name, fd))
		}
		return nil, fmt.Errorf("open %s: lock: %w", name, err)
	}
	if busy := lockFile(name); busy != nil {
		return nil, fmt.Errorf("open %s: %w", name, busy)
	}
	if err := retry(func() error { _, err := unix.IoctlGetTermios(fd, unix.TCGETS); return err }); err != nil {
		return plainDevice(name, file, fd, opts)
	}
	// Root may open a tty that somebody took for himself with TIOCEXCL.
	// ModemManager does that, and does not lock.
	other, found := user(fd)
	exclusive := 0
	if retry(func() (err error) { exclusive, err = unix.IoctlGetInt(fd, unix.TIOCGEXCL); return err }) == nil && exclusive != 0 {
		if found {
			return nil, fmt.Errorf("open %s: %w", name, other)
		}
		// Its owner is dead. The flag outlives it where the other end of the
		// line keeps the tty, as a pseudo terminal's does.
		ioctl(fd, unix.TIOCNXCL, 0)
	} else if found {
		opts.Logger.Warn("another program has the modem port open; answers may get lost",
			"port", name, "program", other.Program, "pid", other.PID)
	}
	line, err := openSerial(name, fd, opts.Baud)
	var bad *serial.PortError
	if errors.As(err, &bad) && bad.Code() == serial.InvalidSerialPort {
		opts.Logger.Debug("no serial line, used as a plain device", "port", name, "err", err)
		return plainDevice(name, file, fd, opts)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: set the line up: %w", name, err)
	}
	if isPTY(fd) {
		// The other end keeps the terminal, and the flag with it, when we are
		// killed: an ordinary user could never open it again. The lock suffices.
		ioctl(fd, unix.TIOCNXCL, 0)
	}
	if err := file.SetWriteDeadline(time.Time{}); err != nil {
		line.Close()
		return nil, fmt.Errorf("open %s: %w: it cannot be waited on", name, ErrNotPort)
	}
	return newPort(name, tty{file}, line), nil
}

// retry repeats a system call that a signal cut short. Go's runtime sends
// SIGURG to its own threads to preempt them, at any moment, and only the calls
// of package os are repeated by themselves.
func retry(call func() error) error {
	for {
		if err := call(); !interrupted(err) {
			return err
		}
	}
}

// interrupted looks into the library's errors too, which wrap nothing.
func interrupted(err error) bool {
	if errors.Is(err, unix.EINTR) {
		return true
	}
	var line *serial.PortError
	return errors.As(err, &line) && strings.Contains(line.Error(), unix.EINTR.Error())
}

func ioctl(fd int, req uint, value int) error {
	return retry(func() error { return unix.IoctlSetInt(fd, req, value) })
}

func openRetry(name string) (fd int, err error) {
	err = retry(func() (err error) {
		fd, err = unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

// plainDevice is for nodes without line settings, such as smd8.
func plainDevice(name string, file *os.File, fd int, opts Options) (*Port, error) {
	if err := file.SetWriteDeadline(time.Time{}); err != nil {
		file.Close()
		return nil, fmt.Errorf("open %s: %w: it cannot be waited on", name, ErrNotPort)
	}
	if other, found := user(fd); found {
		opts.Logger.Warn("another program has the modem port open; answers may get lost",
			"port", name, "program", other.Program, "pid", other.PID)
	}
	return newPort(name, locked{file}, nil), nil
}

// openSerial lets the library set the line up. Its descriptor would be
// inherited by every program that we start, and keep the port busy.
func openSerial(name string, fd, baud int) (serial.Port, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	var line serial.Port
	err := retry(func() (err error) {
		line, err = serial.Open(name, &serial.Mode{BaudRate: baud, DataBits: 8, Parity: serial.NoParity, StopBits: serial.OneStopBit})
		return err
	})
	if err != nil {
		return nil, err
	}
	var want unix.Stat_t
	if err := unix.Fstat(fd, &want); err != nil {
		return line, nil
	}
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		other, err := strconv.Atoi(entry.Name())
		var st unix.Stat_t
		if err == nil && other != fd && unix.Fstat(other, &st) == nil && st.Rdev == want.Rdev && st.Ino == want.Ino && st.Dev == want.Dev {
			unix.CloseOnExec(other)
		}
	}
	return line, nil
}

// isPTY reports the terminal end of a pseudo terminal (devices.txt: 136 to 143).
func isPTY(fd int) bool {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false
	}
	major := unix.Major(uint64(st.Rdev))
	return major >= 136 && major <= 143
}

// tty drops what the modem did not take before it closes: the kernel would wait
// up to 30 s for a modem that is stuck.
type tty struct{ *os.File }

func (t tty) Close() error {
	if raw, err := t.File.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { ioctl(int(fd), unix.TCFLSH, unix.TCOFLUSH) })
	}
	return locked(t).Close()
}

// locked is a file with our lock. A program that is just being started has a copy of each
// descriptor until it is there, and the lock is that of the last copy: it is given
// back first.
type locked struct{ *os.File }

func (l locked) Close() error {
	if raw, err := l.File.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { retry(func() error { return unix.Flock(int(fd), unix.LOCK_UN) }) })
	}
	return l.File.Close()
}

// dieWithUs ends the program when the thread that started it ends.
func dieWithUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}

// isGone reports the errors of a device that has a node and nothing behind it.
func isGone(err error) bool {
	return errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EIO) ||
		errors.Is(err, unix.ECONNREFUSED)
}

// notSupported reports the errors of a terminal without modem control lines.
func notSupported(err error) bool {
	return errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP)
}
