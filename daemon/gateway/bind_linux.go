package gateway

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// bindTo makes a socket leave by one interface, whatever the routes say.
func bindTo(ifname string) func(network, address string, c syscall.RawConn) error {
	if ifname == "" {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if cerr := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), ifname) }); cerr != nil {
			return cerr
		}
		return err
	}
}
