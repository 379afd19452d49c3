//go:build !linux

package gpio

import (
	"errors"
	"unsafe"
)

type kernel struct{}

func (kernel) Open(string) (int, error)              { return -1, errors.ErrUnsupported }
func (kernel) Ioctl(int, uint, unsafe.Pointer) error { return errors.ErrUnsupported }
func (kernel) Close(int) error                       { return errors.ErrUnsupported }
