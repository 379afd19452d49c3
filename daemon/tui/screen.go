package tui

import (
	"bytes"
	"os"
)

// screen is the terminal's output without the requests that nothing here needs
// and that old terminals show as text: the keyboard protocols of kitty and xterm.
// Each of the program's writes holds whole sequences.
type screen struct{ *os.File }

var unwanted = [][]byte{
	[]byte("\x1b[>4;2m"), []byte("\x1b[>4m"), // modifyOtherKeys on, off
	[]byte("\x1b[>1u"), []byte("\x1b[<1u"), []byte("\x1b[=1;1u"), []byte("\x1b[?u"), // kitty: push, pop, set, ask
}

func (s screen) Write(b []byte) (int, error) {
	out := b
	for _, seq := range unwanted {
		if bytes.Contains(out, seq) {
			out = bytes.ReplaceAll(out, seq, nil)
		}
	}
	if len(out) > 0 {
		if _, err := s.File.Write(out); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// keyboard is the terminal's input. One that has ended, because its line was
// dropped, ends the program.
type keyboard struct {
	*os.File
	gone func()
}

func (k keyboard) Read(b []byte) (int, error) {
	n, err := k.File.Read(b)
	if err != nil {
		go k.gone() // which waits for the program, and that for this reader
	}
	return n, err
}
