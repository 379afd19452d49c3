package main

import (
	"log/slog"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"dynamod/daemon/config"
)

// harden takes from this process what a daemon never needs: what it runs gets no
// rights that it has not itself, and its memory, with codes in it, is written to no
// core file. Where the system does not let it, the daemon runs all the same.
func harden(cfg *config.Config, log *slog.Logger) {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		log.Debug("core files stay possible", "error", err)
	}
	// A pppd of ours may have an AppArmor profile of its own; one that the helper runs is
	// none of ours.
	if cfg.Bearer.PPP != config.PPPOff && os.Geteuid() == 0 {
		return
	}
	// All threads, which a build with cgo cannot do.
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		log.Debug("no_new_privs is not set", "error", errno)
	}
}
