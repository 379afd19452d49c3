//go:build !notui

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// TestTUIRestoresTheTerminal ends the interface in every way that there is, and
// looks at what it leaves on the terminal. Of the two processes one has the screen
// and the other one watches over it.
func TestTUIRestoresTheTerminal(t *testing.T) {
	t.Setenv("TERM", "vt100")
	for _, tt := range []struct {
		name   string
		signal syscall.Signal // 0: q is pressed
		child  bool           // it is for the process with the screen
		code   int
	}{
		{name: "q"},
		{name: "a console that is shut down", signal: syscall.SIGTERM},
		{name: "a line that drops", signal: syscall.SIGHUP},
		{name: "kill of the one with the screen", signal: syscall.SIGTERM, child: true},
		{name: "out of memory", signal: syscall.SIGKILL, child: true, code: exitFailed},
		{name: "a crash", signal: syscall.SIGSEGV, child: true, code: exitFailed},
		{name: "kill -9 of the watch", signal: syscall.SIGKILL, code: -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := startConsole(t, "empty", &pty.Winsize{Rows: 24, Cols: 80}, "tui")
			c.expect("[1 Overview]", "")
			now, err := termios(c.tty)
			if err != nil || now.Lflag&unix.ICANON != 0 {
				t.Fatalf("the terminal is not raw: %+v, %v", now, err)
			}
			pid := c.cmd.Process.Pid
			if tt.child {
				pid = childOf(t, pid)
			}
			if tt.signal == 0 {
				c.expect("", "q")
			} else if err := syscall.Kill(pid, tt.signal); err != nil {
				t.Fatal(err)
			}
			if tt.code == -1 { // it cannot be waited for: the other one ends by itself
				c.expect("\x1b[?1049l", "")
			}
			code, text := c.end()
			if code != tt.code {
				t.Errorf("exit code %d, want %d:\n%q", code, tt.code, text)
			}
			if i := strings.LastIndex(text, "\x1b[?1049h"); i < 0 || !strings.Contains(text[i:], "\x1b[?1049l") || !strings.Contains(text[i:], "\x1b[?25h") {
				t.Errorf("the screen is not restored: %q", text)
			}
			limit := time.After(time.Minute)
			for { // the one that was orphaned may have its last words still to say
				after, err := termios(c.tty)
				if err != nil || after.Lflag&unix.ICANON != 0 && after.Lflag&unix.ECHO != 0 && after.Iflag&unix.ICRNL != 0 && after.Oflag&unix.OPOST != 0 {
					break
				}
				select {
				case <-limit:
					t.Fatalf("the terminal is left as %+v", after)
				default:
				}
			}
		})
	}
}

// termios are the settings of a terminal, asked for at its other end.
func termios(tty *os.File) (set *unix.Termios, err error) {
	control(tty, func(fd int) { set, err = unix.IoctlGetTermios(fd, unix.TCGETS) })
	return set, err
}

// childOf is the process that pid has started.
func childOf(t *testing.T, pid int) int {
	t.Helper()
	tasks, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "children"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range tasks {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for child := range strings.FieldsSeq(string(b)) {
			if n, err := strconv.Atoi(child); err == nil {
				return n
			}
		}
	}
	t.Fatal("there is no second process")
	return 0
}

// Without a terminal it says what to do, and without a daemon it waits for one.
func TestTUIWithout(t *testing.T) {
	var out, errs strings.Builder
	if code := run(t.Context(), []string{"tui", "--socket", "/nowhere"}, std{strings.NewReader(""), &out, &errs}); code != exitWaiting || !strings.Contains(errs.String(), "ssh -t") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	if !slices.ContainsFunc(commands(), func(c command) bool { return c.name == "tui" }) {
		t.Error("there is no such command")
	}
}
