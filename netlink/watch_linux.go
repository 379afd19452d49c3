package netlink

import (
	"context"
	"errors"
	"net"
	"time"

	mdnetlink "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// watchGroups are the announcements that may change a Snapshot.
var watchGroups = []uint32{
	unix.RTNLGRP_LINK,
	unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
	unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
	unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
}

// Watch calls changed once as soon as the kernel's announcements are subscribed to, and after each announcement from
// then on, until ctx ends; then it returns nil. It does not say what changed: take a Snapshot. When announcements
// were lost (ENOBUFS) it calls changed as well, so nothing is missed. changed is called by one goroutine at a time and
// should not block for long.
func (c *Conn) Watch(ctx context.Context, changed func()) error {
	nc, err := c.dialWatch()
	if err != nil {
		return &OpError{Op: "watch links, addresses and routes", Err: err}
	}
	defer nc.Close()
	for _, g := range watchGroups {
		if err := nc.JoinGroup(g); err != nil {
			return &OpError{Op: "watch links, addresses and routes", Err: err}
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	changed()
	for {
		_, err := nc.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil, errors.Is(err, unix.ENOBUFS):
			changed()
		default:
			return &OpError{Op: "watch links, addresses and routes", Err: kernelError(err)}
		}
	}
}

func (c *Conn) dialWatch() (*mdnetlink.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, net.ErrClosed
	}
	return mdnetlink.Dial(unix.NETLINK_ROUTE, &mdnetlink.Config{NetNS: c.netns})
}
