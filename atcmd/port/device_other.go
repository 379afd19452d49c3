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

func retry(call func() error) error { return call() }
func isGone(error) bool             { return false }
func notSupported(error) bool       { return false }

func dieWithUs(*exec.Cmd) {}
