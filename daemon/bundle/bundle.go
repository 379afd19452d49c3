// Package bundle writes the archive that somebody who helps asks for: what the
// box is, what it did and how it is now, without secrets.
package bundle

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// MaxPart bounds one file of the archive; the end of a longer one is kept.
const MaxPart = 512 << 10

// Part is one file of the archive.
type Part struct {
	Name  string // below dynamod-bundle/, at most 85 bytes
	Write func(ctx context.Context, w io.Writer) error
}

// JSON is a part that holds a value.
func JSON(name string, get func(ctx context.Context) (any, error)) Part {
	return Part{name, func(ctx context.Context, w io.Writer) error {
		v, err := get(ctx)
		if err != nil {
			return err
		}
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false) // a secret with an & is known as it is
		return e.Encode(v)
	}}
}

// partTime bounds the making of one part.
const partTime = 2 * time.Minute

// Write writes the archive part by part, as tar.gz. A part that cannot be told is
// named in errors.txt, and does not keep the others from being told. The error is
// of w, or ctx's.
func Write(ctx context.Context, w io.Writer, now time.Time, r *Redactor, parts []Part) error {
	zip := gzip.NewWriter(w)
	put := func(name string, text []byte) error {
		if cut := len(text) - MaxPart; cut > 0 {
			text = append(fmt.Appendf(nil, "(%d bytes before this are left out)\n", cut), text[cut:]...)
		}
		for _, b := range [][]byte{header("dynamod-bundle/"+name, len(text), now), text, make([]byte, -len(text)&(block-1))} {
			if _, err := zip.Write(b); err != nil {
				return err
			}
		}
		return nil
	}
	var failed bytes.Buffer
	for _, p := range parts {
		var b bytes.Buffer
		limited, done := context.WithTimeout(ctx, partTime)
		err := p.Write(limited, &b)
		done()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			fmt.Fprintf(&failed, "%s: %v\n", p.Name, err)
		}
		if b.Len() == 0 && err != nil {
			continue
		}
		if err := put(p.Name, r.Redact(b.Bytes())); err != nil {
			return err
		}
	}
	if failed.Len() > 0 {
		if err := put("errors.txt", r.Redact(failed.Bytes())); err != nil {
			return err
		}
	}
	if _, err := zip.Write(make([]byte, 2*block)); err != nil {
		return err
	}
	return zip.Close()
}

// block is what everything in a tar archive is a multiple of.
const block = 512

// header is that of a regular file in the ustar format (POSIX.1, pax, "ustar
// Interchange Format"). Package archive/tar, which the tests read it by, knows
// all formats, and takes 40 kB of a router's binary.
func header(name string, size int, changed time.Time) []byte {
	h := make([]byte, block)
	for _, field := range []struct {
		at, width int
		text      string
	}{
		{0, 100, name},
		{100, 8, "0000600"},
		{108, 8, "0000000"}, // user and group
		{116, 8, "0000000"},
		{124, 12, fmt.Sprintf("%011o", size)},
		{136, 12, fmt.Sprintf("%011o", max(changed.Unix(), 0))},
		{148, 8, "        "}, // the sum, while it is made
		{156, 1, "0"},
		{257, 8, "ustar\x0000"},
	} {
		copy(h[field.at:field.at+field.width], field.text)
	}
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00", sum))
	return h
}
