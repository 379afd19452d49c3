//go:build !linux

package atsim

import (
	"io"
	"testing"
)

func openStrangersPTY(t *testing.T, _ *Modem) io.ReadWriteCloser {
	t.Helper()
	t.Skip("no pty on this system")
	return nil
}
