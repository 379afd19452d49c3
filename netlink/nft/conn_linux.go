package nft

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	mdnetlink "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Kernel is the kernel's nf_tables. The zero value is that of the network namespace of
// the calling thread. It holds nothing open: each call has a socket of its own, so
// that what is left of an exchange that broke off is read by nobody.
type Kernel struct {
	// NetNS is a file descriptor of a network namespace, or 0. It is the caller's.
	NetNS int
}

// Raise puts the wall up with these hosts, in place of what is in its table. It is
// atomic: there is no moment with half of it.
func (k Kernel) Raise(ctx context.Context, w Wall, hosts []Host) error {
	err := w.Check(hosts)
	if err == nil {
		err = k.send(ctx, append(w.raise(), w.fill(hosts)...))
	}
	if errors.Is(err, unix.ENOENT) { // of an expression; tables and sets are made here
		err = ErrUnsupported
	}
	if err != nil {
		return fmt.Errorf("raise the wall on %s: %w", w.Interface, err)
	}
	return nil
}

// Fill puts hosts into the place of those that a standing wall has. It is atomic, too.
// The error is ENOENT where there is no wall.
func (k Kernel) Fill(ctx context.Context, w Wall, hosts []Host) error {
	err := w.Check(hosts)
	if err == nil {
		err = k.send(ctx, w.fill(hosts))
	}
	if err != nil {
		return fmt.Errorf("fill the wall on %s: %w", w.Interface, err)
	}
	return nil
}

// Fall takes a table away. It is no error if there is none, nor if the kernel knows no
// tables.
func (k Kernel) Fall(ctx context.Context, table string) error {
	err := checkTable(table)
	if err == nil {
		err = k.send(ctx, []mdnetlink.Message{deleteTable(table)})
	}
	if err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, ErrUnsupported) {
		return nil
	}
	return fmt.Errorf("take the wall %s down: %w", table, err)
}

// send carries messages out, all or none.
func (k Kernel) send(ctx context.Context, msgs []mdnetlink.Message) error {
	c, err := mdnetlink.Dial(unix.NETLINK_NETFILTER, &mdnetlink.Config{NetNS: k.NetNS})
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return ErrUnsupported
	}
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	sent, err := c.SendMessages(batch(msgs))
	if err != nil {
		return sendError(ctx, err)
	}
	last := sent[len(sent)-2].Header.Sequence
	for {
		// Whatever was refused comes as an error, before the acknowledgement.
		answers, err := c.Receive()
		if err != nil {
			return sendError(ctx, err)
		}
		for _, a := range answers {
			if a.Header.Sequence == last {
				return nil
			}
		}
	}
}

func sendError(ctx context.Context, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil {
		return ctx.Err()
	}
	errno, ok := errors.AsType[syscall.Errno](err)
	switch {
	case !ok:
		return err
	case errno == unix.EOPNOTSUPP:
		return ErrUnsupported
	}
	return errno
}
