package gpio

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernel is the System of this machine.
type kernel struct{}

func (kernel) Open(path string) (fd int, err error) {
	return again(func() (int, error) { return unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0) })
}

func (kernel) Ioctl(fd int, request uint, arg unsafe.Pointer) error {
	_, err := again(func() (int, error) {
		_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg))
		if e != 0 {
			return 0, e
		}
		return 0, nil
	})
	if err == unix.EINVAL || err == unix.ENOTTY {
		return fmt.Errorf("%w (lines need Linux 5.10)", err)
	}
	return err
}

func (kernel) Close(fd int) error { return unix.Close(fd) }

// again repeats a call that a signal cut short; Go's runtime sends some.
func again(call func() (int, error)) (n int, err error) {
	for err = unix.EINTR; err == unix.EINTR; {
		n, err = call()
	}
	return n, err
}
