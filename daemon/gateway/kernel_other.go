//go:build !linux

package gateway

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"runtime"

	"dynamod/daemon/bearer"
	"dynamod/netlink/uplink"
)

type noKernel interface {
	uplink.Kernel
	io.Closer
}

// dialKernel fails: links, addresses and routes are set through Linux' netlink.
func dialKernel() (noKernel, error) {
	return nil, errors.New("the daemon runs on Linux only; this is built for " + runtime.GOOS)
}

func (*Gateway) acquireDHCP(context.Context, string) (bearer.Lease, error) {
	return bearer.Lease{}, errors.New("DHCP is implemented on Linux only")
}

func (*Gateway) advertised(context.Context, string, netip.Addr, func(bearer.Lease)) error {
	return errors.New("router advertisements are read on Linux only")
}
