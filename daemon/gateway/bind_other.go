//go:build !linux

package gateway

import "syscall"

func bindTo(string) func(network, address string, c syscall.RawConn) error { return nil }
