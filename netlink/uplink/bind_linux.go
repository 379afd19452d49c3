package uplink

import (
	"os"

	"golang.org/x/sys/unix"
)

// bind ties a socket to the interface (SO_BINDTODEVICE) before it connects.
func (d Dialer) bind(fd uintptr) error {
	if d.Interface != "" {
		if err := unix.BindToDevice(int(fd), d.Interface); err != nil {
			return os.NewSyscallError("bind to "+d.Interface, err)
		}
	}
	if d.RecvBuffer != 0 {
		return os.NewSyscallError("setsockopt SO_RCVBUF", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, d.RecvBuffer))
	}
	return nil
}
