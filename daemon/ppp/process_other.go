//go:build !linux

package ppp

import (
	"errors"
	"os"
	"os/exec"
)

var terminate = os.Interrupt

func detach(*exec.Cmd) {}

func openTTY(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func flush(*os.File) {}
