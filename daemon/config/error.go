package config

import (
	"fmt"
	"strings"
)

// Error is one thing wrong in a configuration file. It never holds the value of
// a key that could be a secret; the file has no place for secrets, only for the
// names of files that hold them.
type Error struct {
	File      string
	Line, Col int // from 1, Col in characters; 0 if the file could not be read
	Msg       string
	Hint      string // what to do about it, may be empty
	Unknown   bool   // a key or table that this version does not have
}

// Error writes "file:line:col: what is wrong" and the hint on a line of its own.
func (e *Error) Error() string {
	s := e.File
	if e.Line > 0 {
		s = fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Col)
	}
	s += ": " + e.Msg
	if e.Hint != "" {
		s += "\nhint: " + e.Hint
	}
	return s
}

// Errors are all things wrong in a file, in the order of their lines.
type Errors []*Error

// Error writes each on a line of its own, with its hint below.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// few are the first ones, as many as a person reads.
func (es Errors) few() Errors { return es[:min(len(es), maxErrors)] }

// Unwrap makes each reachable for errors.As.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}
