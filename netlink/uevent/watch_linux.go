package uevent

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// maxEvent is the room of an event: the kernel's buffer has 2 kB (UEVENT_BUFFER_SIZE).
const maxEvent = 4 << 10

// Watch calls heard with each event until ctx ends, and then returns nil. The kernel
// sends them to the network namespace that the machine started with.
func Watch(ctx context.Context, heard func(Event)) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return fmt.Errorf("uevent: %w", err)
	}
	f := os.NewFile(uintptr(fd), "uevent")
	defer f.Close()
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		return fmt.Errorf("uevent: %w", err)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("uevent: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	b := make([]byte, maxEvent)
	for {
		var n int
		var from unix.Sockaddr
		var rerr error
		err := raw.Read(func(fd uintptr) bool {
			for rerr = unix.EINTR; errors.Is(rerr, unix.EINTR); {
				n, from, rerr = unix.Recvfrom(int(fd), b, 0)
			}
			return !errors.Is(rerr, unix.EAGAIN)
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("uevent: %w", err)
		case errors.Is(rerr, unix.ENOBUFS): // some were lost, and may have been the ones
			heard(Event{})
			continue
		case rerr != nil:
			return fmt.Errorf("uevent: %w", rerr)
		}
		// Any process may send to a socket; the kernel's own number is 0.
		if sa, ok := from.(*unix.SockaddrNetlink); !ok || sa.Pid != 0 {
			continue
		}
		if e, ok := Parse(b[:n]); ok {
			heard(e)
		}
	}
}
