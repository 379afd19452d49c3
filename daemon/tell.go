package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"dynamod/daemon/hook"
)

// tell asks the daemon for what is at path and prints it: with --json as it
// came, fields of a newer daemon included, else by write. It returns it too.
func tell[T any](ctx context.Context, s std, c *hook.Client, asJSON bool, path string, write func(io.Writer, T)) (v T, err error) {
	return tellAfter(ctx, s, c, asJSON, "GET", path, nil, write)
}

// tellAfter is tell for what the daemon answers to a change.
func tellAfter[T any](ctx context.Context, s std, c *hook.Client, asJSON bool, method, path string, body any, write func(io.Writer, T)) (v T, err error) {
	var raw json.RawMessage
	if err = c.Do(ctx, method, path, nil, body, &raw); err != nil {
		return v, err
	}
	if err = json.Unmarshal(raw, &v); err != nil {
		return v, err
	}
	if asJSON {
		return v, printRaw(s.out, raw)
	}
	write(s.out, v)
	return v, nil
}

// printRaw writes the daemon's JSON as one line.
func printRaw(w io.Writer, raw json.RawMessage) error {
	var line bytes.Buffer
	if err := json.Compact(&line, raw); err != nil {
		return err
	}
	line.WriteByte('\n')
	_, err := w.Write(line.Bytes())
	return err
}

// rower returns what writes a name and a value in each line, the values below
// each other. One without value is left out.
func rower(w io.Writer, width int) func(name, value string) {
	return func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-*s %s\n", width, name, clean(value, ""))
		}
	}
}
