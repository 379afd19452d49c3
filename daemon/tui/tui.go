// Package tui is dynamod's terminal interface: a client of the daemon's socket that
// a field engineer has in an ssh session or on a serial console. It decides nothing
// itself. What it asks for goes on in the daemon when the line drops, and the next
// one shows it.
package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
)

// framesPerSecond is how often the screen is compared with what it should be. What
// has not changed is not written.
const framesPerSecond = 20

// Options say where the interface is shown.
type Options struct {
	Client Client
	Socket string // for people: where the daemon is
	In     *os.File
	Out    *os.File
	Getenv func(string) string
	Now    func() time.Time
}

// Run shows the interface until the user leaves it or ctx ends.
func Run(ctx context.Context, o Options) error { return run(ctx, o, screen{o.Out}) }

// output is a terminal.
type output interface {
	io.ReadWriteCloser
	Fd() uintptr
}

func run(ctx context.Context, o Options, out output) (err error) {
	// A line that drops and ^\ end it in order, too.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	t := themeFor(o.Getenv)
	profile := colorprofile.ANSI
	switch {
	case t.plain:
		profile = colorprofile.NoTTY
	case !t.colour:
		profile = colorprofile.ASCII
	}
	m := newModel(ctx, o.Client, o.Socket, t, o.Now)
	var p *tea.Program
	in := keyboard{o.In, func() { p.Quit() }}
	p = tea.NewProgram(m,
		tea.WithoutSignalHandler(), tea.WithFPS(framesPerSecond), tea.WithColorProfile(profile),
		tea.WithInput(in), tea.WithOutput(out), tea.WithEnvironment(environ(o.Getenv)))
	feeding, done := context.WithCancel(ctx)
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		follow(feeding, o.Client, p.Send)
	}()
	// Not by the library's own context: that end does not wait for its reader.
	unbind := context.AfterFunc(ctx, func() { p.Quit() })
	_, err = p.Run()
	unbind()
	done()
	<-fed
	switch {
	case errors.Is(err, tea.ErrProgramPanic):
		return errors.New("the terminal interface has failed; the daemon goes on")
	case err != nil && ctx.Err() == nil:
		return fmt.Errorf("terminal: %w", err)
	}
	return nil
}

// environ is what the library may know of the environment. SSH_TTY keeps it from
// asking the terminal what it can: an answer that comes late, over a slow line, is
// typed into the shell.
func environ(getenv func(string) string) []string {
	env := []string{"SSH_TTY=none"}
	for _, name := range []string{"TERM", "COLUMNS", "LINES"} {
		if v := getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}
