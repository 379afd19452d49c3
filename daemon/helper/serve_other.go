//go:build !linux

package helper

import (
	"context"
	"errors"
	"net"
	"os"
	"time"
)

// Serve is not possible here.
func (r *Root) Serve(context.Context, *net.UnixConn, int) error { return errors.ErrUnsupported }

func send(*net.UnixConn, []byte, *os.File) error { return errors.ErrUnsupported }

func (r *Root) checkTTY(*os.File) error { return errors.ErrUnsupported }

func setClock(time.Time) error { return errors.ErrUnsupported }

// FromStdin is not possible here.
func FromStdin(*os.File) (*net.UnixConn, error) { return nil, errors.ErrUnsupported }
