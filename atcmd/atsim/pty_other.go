//go:build !linux

package atsim

import (
	"context"
	"errors"
)

var errNoPTY = errors.New("atsim: pseudo-terminals are only made on Linux")

type ptyPair struct{}

// OpenPTY needs Linux.
func (m *Modem) OpenPTY() (string, error) { return "", errNoPTY }

// ServePTY needs Linux.
func (m *Modem) ServePTY(context.Context, string) error { return errNoPTY }
