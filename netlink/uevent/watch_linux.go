package uevent

import (
	"context"
	"errors"
	"fmt"

	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"
)

// maxEvent is the room of an event: the kernel's buffer has 2 kB (UEVENT_BUFFER_SIZE).
const maxEvent = 4 << 10

// Watch calls heard with each event until ctx ends, and then returns nil. The kernel
// sends them to the network namespaces of its own user namespace, not of others.
func Watch(ctx context.Context, heard func(Event)) error {
	c, err := socket.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM, unix.NETLINK_KOBJECT_UEVENT, "uevent", nil)
	if err != nil {
		return fmt.Errorf("uevent: %w", err)
	}
	defer c.Close()
	if err := c.Bind(&unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		return fmt.Errorf("uevent: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { c.Close() }) // Recvfrom does not hear the end of a context with a deadline
	defer stop()
	b := make([]byte, maxEvent)
	for {
		n, from, err := c.Recvfrom(context.WithoutCancel(ctx), b, 0)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // some were lost, and may have been the ones
			heard(Event{})
			continue
		case err != nil:
			return fmt.Errorf("uevent: %w", err)
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
