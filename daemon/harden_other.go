//go:build !linux

package main

import (
	"log/slog"

	"dynamod/daemon/config"
)

func harden(*config.Config, *slog.Logger) {}
