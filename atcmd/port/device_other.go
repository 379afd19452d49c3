//go:build !linux

package port

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
)

func openDevice(_ context.Context, name string, _ Options) (*Port, error) {
	return nil, fmt.Errorf("open %s: %w", name, errors.New("serial devices need Linux; use a socket here"))
}

// Holder tells who has a device open; here nobody can say.
func Holder(string) (BusyError, bool) { return BusyError{}, false }

// Program is the name of a process; here it is not known.
func Program(int) string { return "another program" }

func retry(call func() error) error { return call() }
func isGone(error) bool             { return false }
func notSupported(error) bool       { return false }

func dieWithUs(*exec.Cmd) {}
