//go:build !nodemo

package main

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHelper: the verbs as a person calls them, and the one that systemd does.
func TestHelper(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	program, err := exec.LookPath("dynamod")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "dynamod") // one that others may enter
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	own := filepath.Join(dir, "dynamod")
	if err := os.WriteFile(own, text, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	const nothing, socket = "", "\x00" // no socket, and one without a request
	for _, tt := range []struct {
		name  string
		uid   uint32
		args  string
		in    string // on a unix socket; nothing is no socket
		exit  int
		says  string // on stderr
		reply string // on the socket
	}{
		{"not root", ordinary, "usb-power 1-2 cycle", nothing, exitRefused, "dynamod: helper usb-power: only root may do this\nhint: `sudo dynamod helper usb-power`; the daemon's own user asks over /run/dynamod-helper.sock", ""},
		{"not root, the clock", ordinary, "clock 2026-11-24T12:00:00Z", nothing, exitRefused, "only root may do this", ""},
		{"not root, serving", ordinary, "serve", socket, exitRefused, "only root may do this", ""},
		{"pppd by hand", 0, "pppd /dev/ttyUSB3", nothing, exitRefused, "pppd is run for a daemon alone, on the port that it has opened", ""},
		{"pppd, not root", ordinary, "pppd /dev/ttyUSB3", nothing, exitRefused, "only root may do this", ""},
		{"no such port", 0, "usb-power 200-250 cycle", nothing, exitWaiting, "there is no USB port for 200-250", ""},
		{"a path", 0, "usb-power ../../x off", nothing, exitRefused, "is not a USB device", ""},
		{"without a word", 0, "usb-power 1-2", nothing, exitUsage, "needs a USB device", ""},
		{"a build without a date", 0, "clock 2026-11-24T12:00:00Z", nothing, exitRefused, "does not know when it was built", ""},
		{"no time", 0, "clock now", nothing, exitRefused, "no number of seconds", ""},
		{"no verb", 0, "", nothing, exitUsage, "helper needs a verb", ""},
		{"a command", 0, "sh -c id", nothing, exitUsage, "helper cannot do that", ""},
		{"no socket", 0, "serve --user 54321", nothing, exitUsage, "standard input is no unix socket", ""},
		{"no such user", 0, "serve --user no-such-user", socket, exitFailed, "unknown user no-such-user", ""},
		{"a request", 0, "serve --user 54321", "usb-power 200-250 cycle\n", exitWaiting, "there is no USB port for 200-250", "error missing there is no USB port for 200-250\n"},
		{"another verb", 0, "serve --user 54321", "sh\n", exitRefused, "no such verb", "error refused no such verb\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), own, append([]string{"helper"}, strings.Fields(tt.args)...)...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: tt.uid, Gid: tt.uid}}
			var stderr strings.Builder
			cmd.Stderr = &stderr
			var caller net.Conn
			if tt.in != nothing {
				fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
				if err != nil {
					t.Fatal(err)
				}
				in, mine := os.NewFile(uintptr(fds[0]), "in"), os.NewFile(uintptr(fds[1]), "mine")
				defer in.Close()
				cmd.Stdin = in
				if caller, err = net.FileConn(mine); err != nil {
					t.Fatal(err)
				}
				mine.Close()
				defer caller.Close()
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			reply := ""
			if caller != nil {
				cmd.Stdin.(*os.File).Close()
				if tt.in != socket {
					io.WriteString(caller, tt.in)
				}
				b, _ := io.ReadAll(caller)
				reply = string(b)
			}
			cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != tt.exit || !strings.Contains(stderr.String(), tt.says) || reply != tt.reply {
				t.Errorf("exit %d, %s, reply %q", got, stderr.String(), reply)
			}
		})
	}
}
