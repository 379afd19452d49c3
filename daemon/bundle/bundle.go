// Package bundle writes the archive that somebody who helps asks for: what the
// box is, what it did and how it is now, without secrets.
package bundle

import (
	"archive/tar"
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
	Name  string // below dynamod-bundle/
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
	archive := tar.NewWriter(zip)
	put := func(name string, text []byte) error {
		if cut := len(text) - MaxPart; cut > 0 {
			text = append(fmt.Appendf(nil, "(%d bytes before this are left out)\n", cut), text[cut:]...)
		}
		h := tar.Header{Name: "dynamod-bundle/" + name, Mode: 0o600, Size: int64(len(text)), ModTime: now, Typeflag: tar.TypeReg}
		if err := archive.WriteHeader(&h); err != nil {
			return err
		}
		if _, err := archive.Write(text); err != nil {
			return err
		}
		return archive.Flush()
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
	if err := archive.Close(); err != nil {
		return err
	}
	return zip.Close()
}
