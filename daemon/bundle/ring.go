package bundle

import (
	"bytes"
	"context"
	"io"
	"sync"
)

// Ring keeps the last of what is written to it. Its zero value is empty and ready,
// and its methods may be called from any goroutine.
type Ring struct {
	mu   sync.Mutex
	kept []byte
}

// ringBytes is what a Ring keeps at least, once there was as much.
const ringBytes = 64 << 10

// Write keeps b.
func (r *Ring) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, b[max(0, len(b)-ringBytes):]...)
	if over := len(r.kept) - 2*ringBytes; over > 0 {
		n := copy(r.kept, r.kept[len(r.kept)-ringBytes:])
		r.kept = r.kept[:n]
	}
	return len(b), nil
}

// Part is the file of the archive that holds what is kept, from the first whole
// line on.
func (r *Ring) Part(name string) Part {
	return Part{name, func(_ context.Context, w io.Writer) error {
		r.mu.Lock()
		text := bytes.Clone(r.kept)
		r.mu.Unlock()
		if i := bytes.IndexByte(text, '\n'); len(text) >= ringBytes && i >= 0 {
			text = text[i+1:]
		}
		_, err := w.Write(text)
		return err
	}}
}
