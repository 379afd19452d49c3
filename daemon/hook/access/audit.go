package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"
)

// Entry is one line of the audit log: who did what, when, and what came of it.
type Entry struct {
	Time   time.Time `json:"time"`
	Caller string    `json:"caller,omitempty"` // of the keys file, or "uid 1000" on the unix socket
	Way    string    `json:"way,omitempty"`    // token, signature, certificate, socket
	From   string    `json:"from,omitempty"`   // address, or the user of a browser on the unix socket
	What   string    `json:"what"`             // method and route, such as "POST /v1/activations", and force, no_way_back, accept_limited where they are true
	Object string    `json:"object,omitempty"` // run or ICCID of the path, or the run that began
	Status int       `json:"status"`
	Code   string    `json:"code,omitempty"`     // of a problem
	Denied int       `json:"repeated,omitempty"` // how many more were turned away like this since
}

// Audit keeps the last entries in two files, "audit" and before it "audit.1",
// of half the size each, so that a flash chip is only ever appended to. Who was
// turned away and is not known is in "strangers" and "strangers.1": he may come as
// often as he likes and pushes out nothing but his like.
type Audit struct {
	known, strangers roll
}

// auditSize and strangersSize bound both files together.
const (
	auditSize     = 64 << 10
	strangersSize = 16 << 10
)

// OpenAudit opens the log in dir.
func OpenAudit(dir string) *Audit {
	return &Audit{
		known:     roll{path: filepath.Join(dir, "audit"), max: auditSize / 2},
		strangers: roll{path: filepath.Join(dir, "strangers"), max: strangersSize / 2},
	}
}

// Write appends one entry. It is not synced: a power cut may cost the last ones,
// the flash would wear with each.
func (a *Audit) Write(e Entry) error {
	// What a caller put into the path is no longer than what a file can take.
	e.What, e.Object = clip(e.What), clip(e.Object)
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	to := &a.known
	if e.Caller == "" && e.Way == "" {
		to = &a.strangers
	}
	if err := to.write(append(line, '\n')); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// maxText bounds a text of an entry, in bytes. As JSON it may have six times as
// many.
const maxText = 100

func clip(text string) string {
	if len(text) > maxText {
		return text[:maxText]
	}
	return text
}

// Close closes the files; a later Write opens them again.
func (a *Audit) Close() error {
	for _, r := range []*roll{&a.known, &a.strangers} {
		r.mu.Lock()
		r.close()
		r.mu.Unlock()
	}
	return nil
}

// Entries returns what is kept by time, oldest first. Lines that are damaged are
// left out.
func (a *Audit) Entries() ([]Entry, error) {
	var out []Entry
	for _, r := range []*roll{&a.strangers, &a.known} {
		text, err := r.read()
		if err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		for line := range bytes.Lines(text) {
			var e Entry
			if json.Unmarshal(line, &e) == nil && e.What != "" {
				out = append(out, e)
			}
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Time.Before(out[j].Time) })
	return out, nil
}

// roll is a file that is appended to up to a size, and then takes the place of the
// one before it.
type roll struct {
	path string
	max  int64 // of one file

	mu   sync.Mutex
	file *os.File
	size int64
}

// write appends a line, which is shorter than max.
func (r *roll) write(line []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.append(line)
	if err != nil {
		r.close()
	}
	return err
}

func (r *roll) append(line []byte) error {
	if r.file != nil && r.size+int64(len(line)) > r.max {
		r.close()
		if err := os.Rename(r.path, r.path+".1"); err != nil {
			return err
		}
	}
	if r.file == nil {
		if err := os.MkdirAll(filepath.Dir(r.path), 0o700); err != nil {
			return err
		}
		f, err := os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			f.Close()
			return err
		}
		r.file, r.size = f, info.Size()
		// A line that a power cut tore shall not swallow the next.
		if last := make([]byte, 1); r.size > 0 {
			if _, err := f.ReadAt(last, r.size-1); err == nil && last[0] != '\n' {
				line = append([]byte{'\n'}, line...)
			}
		}
		if r.size > 0 && r.size+int64(len(line)) > r.max {
			return r.append(line)
		}
	}
	n, err := r.file.Write(line)
	r.size += int64(n)
	return err
}

func (r *roll) close() {
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}

func (r *roll) read() (text []byte, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, path := range []string{r.path + ".1", r.path} {
		t, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		text = append(text, t...)
	}
	return text, nil
}
