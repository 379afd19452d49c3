//go:build !linux

package uevent

import (
	"context"
	"errors"
)

// Watch is for Linux.
func Watch(context.Context, func(Event)) error { return errors.ErrUnsupported }
