package uplink

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// bind ties a socket to the interface (SO_BINDTODEVICE) before it connects.
func (d Dialer) bind(network string, fd uintptr) error {
	if d.Interface != "" {
		if err := unix.BindToDevice(int(fd), d.Interface); err != nil {
			return os.NewSyscallError("bind to "+d.Interface, err)
		}
	}
	if d.Mark != 0 {
		if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(d.Mark)); err != nil {
			return os.NewSyscallError("setsockopt SO_MARK", err)
		}
	}
	if d.RecvBuffer != 0 && strings.HasPrefix(network, "tcp") {
		// The kernel takes no less than some 2 kB for the buffer, and makes at most half of
		// it the first window. What a driver wraps a packet in may be longer: the kernel
		// takes one such packet all the same.
		return os.NewSyscallError("setsockopt SO_RCVBUF", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, d.RecvBuffer))
	}
	return nil
}
