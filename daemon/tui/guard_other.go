//go:build !linux

package tui

import (
	"context"
	"os"
)

// Guarded calls f. Only on Linux is there a process that watches over it.
func Guarded(ctx context.Context, _ *os.File, f func(context.Context) error) error { return f(ctx) }
