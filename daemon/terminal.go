package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"
)

// errInterrupted means Ctrl-C or Ctrl-D at a prompt.
var errInterrupted = fault{exitRefused, "interrupted, nothing was done", ""}

// terminal is where questions are asked: that of standard input, or the one
// that controls the process when input and output are redirected.
type terminal struct {
	f     *os.File
	lines *term.Terminal // one for all questions: it keeps what was typed ahead
}

// openTerminal finds a terminal. Standard input is opened anew, so that a read
// that waits can be broken off and other processes on the terminal see nothing
// of it. A serial console may have no controlling terminal, so standard input
// comes first.
func openTerminal(in io.Reader) (*terminal, error) {
	paths := []string{"/dev/tty"}
	if isTerminal(in) {
		paths = []string{"/proc/self/fd/0", "/dev/tty"}
	}
	for _, path := range paths {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if !isTerminal(f) {
			f.Close()
			continue
		}
		return &terminal{f: f, lines: term.NewTerminal(f, "")}, nil
	}
	return nil, errors.New("there is no terminal")
}

// askAgain lets a person type what an irreversible verb is about once more, below
// a warning. The answer is the caller's to compare.
func askAgain(ctx context.Context, s std, verb, warning, prompt string) (string, error) {
	t, err := openTerminal(s.in)
	if err != nil {
		return "", usageError{fmt.Errorf("%s needs --yes where there is no terminal to ask on", verb), "what is deleted is gone for good, and activation codes may be used up"}
	}
	defer t.Close()
	t.Printf("%s\n", warning)
	return t.Ask(ctx, prompt, true)
}

// confirm asks whether to go on with a verb that takes the link down meanwhile.
// refused is what a no leads to.
func confirm(ctx context.Context, s std, verb, warning, question, refused string) error {
	t, err := openTerminal(s.in)
	if err != nil {
		return usageError{fmt.Errorf("%s needs --yes where there is no terminal to ask on", verb), "the link goes down meanwhile"}
	}
	defer t.Close()
	if warning != "" {
		t.Printf("%s\n", warning)
	}
	answer, err := t.Ask(ctx, question+" [y/N] ", true)
	if err != nil {
		return err
	}
	if !isYes(answer) {
		return fault{exitRefused, refused, ""}
	}
	return nil
}

func isYes(answer string) bool {
	return slices.Contains([]string{"y", "yes"}, strings.ToLower(answer))
}

func isTerminal(stream any) bool {
	is := false
	control(stream, func(fd int) { is = term.IsTerminal(fd) })
	return is
}

// terminalWidth returns the columns of a stream that is a terminal, 0 for others.
func terminalWidth(stream any) (width int) {
	control(stream, func(fd int) {
		if !term.IsTerminal(fd) {
			return
		}
		var err error
		if width, _, err = term.GetSize(fd); err != nil || width < 1 {
			width = 80 // a serial line has no size
		}
	})
	return width
}

// control calls f with a stream's file descriptor, if it has one. Unlike
// File.Fd it does not take the deadlines away.
func control(stream any, f func(fd int)) {
	file, ok := stream.(*os.File)
	if !ok {
		return
	}
	if raw, err := file.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { f(int(fd)) })
	}
}

// Printf writes text with lines that end in \n. Not during a question.
func (t *terminal) Printf(format string, args ...any) {
	fmt.Fprintf(t.f, format, args...)
}

// Ask asks for one line; what is typed is shown only with echo. It gives up
// when ctx ends.
func (t *terminal) Ask(ctx context.Context, prompt string, echo bool) (string, error) {
	var (
		before *term.State
		err    error
	)
	control(t.f, func(fd int) { before, err = term.MakeRaw(fd) })
	if err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	defer control(t.f, func(fd int) { term.Restore(fd, before) })
	if w := terminalWidth(t.f); w > 0 {
		t.lines.SetSize(w, 24)
	}
	t.f.SetReadDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { t.f.SetReadDeadline(time.Now()) })
	defer stop()
	var line string
	if echo {
		t.lines.SetPrompt(prompt)
		line, err = t.lines.ReadLine()
	} else {
		line, err = t.lines.ReadPassword(prompt)
	}
	if errors.Is(err, term.ErrPasteIndicator) {
		err = nil
	}
	if err != nil {
		fmt.Fprint(t.f, "\r\n")
		if ctx.Err() != nil || errors.Is(err, io.EOF) {
			return "", errInterrupted
		}
		return "", fmt.Errorf("terminal: %w", err)
	}
	return line, nil
}

// forget keeps no lines that were typed: they may hold a secret.
func (t *terminal) forget() { t.lines.History = noHistory{} }

type noHistory struct{}

func (noHistory) Add(string)    {}
func (noHistory) Len() int      { return 0 }
func (noHistory) At(int) string { panic("no line is kept") }

// Close closes the terminal.
func (t *terminal) Close() error { return t.f.Close() }
