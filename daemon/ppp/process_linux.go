package ppp

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

const terminate = syscall.SIGTERM

// detach gives pppd a session of its own, so that no ^C is for it, and ends it with
// the thread that starts it.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: terminate}
}

// openTTY opens a port beside its users and does not wait for a carrier.
func openTTY(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
}

// flush forgets what came in and was not read.
func flush(tty *os.File) {
	if raw, err := tty.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { unix.IoctlSetInt(int(fd), unix.TCFLSH, unix.TCIFLUSH) })
	}
}
