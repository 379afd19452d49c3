package tui

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/term"
)

// guarded is set in the environment of the process that has the screen.
const guarded = "DYNAMOD_TUI_GUARDED"

// restore leaves the alternate screen, shows the cursor, ends bracketed paste,
// attributes and margins. A terminal that knows one of these not ignores it.
const restore = "\x1b[?1049l\x1b[?25h\x1b[?2004l\x1b[0m\x1b[r\r\n"

// ErrKilled means that the process with the screen was killed, or crashed. The
// terminal is as it was.
var ErrKilled = errors.New("the terminal interface was killed; the daemon goes on")

// Guarded calls f in a process of its own, this program with the same arguments,
// and restores the terminal when that is killed: nobody can do so for itself. When
// the guard is killed, the other ends in order.
func Guarded(ctx context.Context, tty *os.File, f func(context.Context) error) error {
	if os.Getenv(guarded) != "" {
		os.Unsetenv(guarded)
		return f(ctx)
	}
	before, err := term.GetState(int(tty.Fd()))
	if err != nil {
		return f(ctx) // no terminal that could be restored
	}
	// The system ends the child when the thread goes that has started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	child := exec.Command("/proc/self/exe", os.Args[1:]...)
	child.Args[0] = os.Args[0]
	child.Env = append(os.Environ(), guarded+"=1")
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	// A hangup may come as often as it likes, while a second SIGTERM kills; and each
	// thread of a guard that is killed sends one.
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGHUP}
	if err := child.Start(); err != nil {
		return f(ctx) // without /proc, or without memory for two
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		end := ctx.Done()
		for {
			select {
			case s := <-signals:
				_ = child.Process.Signal(s)
			case <-end:
				_, end = child.Process.Signal(syscall.SIGTERM), nil
			case <-ended:
				return
			}
		}
	}()
	err = child.Wait()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return err
	}
	// A program of Go's that panics ends with 2, which here is a wrong command line;
	// the guard's own has passed.
	if exit.Exited() && exit.ExitCode() != 2 {
		return &ExitError{exit.ExitCode()}
	}
	_ = term.Restore(int(tty.Fd()), before)
	_, _ = tty.WriteString(restore)
	return ErrKilled
}

// ExitError is the exit code of a process that has said itself what was wrong.
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return "" }

// ExitCode is the code to end with.
func (e *ExitError) ExitCode() int { return e.Code }
