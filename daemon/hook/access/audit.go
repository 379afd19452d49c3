package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Entry is one line of the audit log: who did what, when, and what came of it.
type Entry struct {
	Time   time.Time `json:"time"`
	Caller string    `json:"caller,omitempty"` // of the keys file, or "uid 1000" on the unix socket
	Way    string    `json:"way,omitempty"`    // token, signature, certificate, socket
	From   string    `json:"from,omitempty"`   // address
	What   string    `json:"what"`             // method and route, such as "POST /v1/activations"
	Object string    `json:"object,omitempty"` // run or ICCID of the path
	Status int       `json:"status"`
	Code   string    `json:"code,omitempty"`     // of a problem
	Denied int       `json:"repeated,omitempty"` // how many more were turned away like this since
}

// Audit keeps the last entries in two files, "audit" and before it "audit.1",
// of half the size each, so that a flash chip is only ever appended to.
type Audit struct {
	dir string
	max int64

	mu   sync.Mutex
	file *os.File
	size int64
}

// auditSize bounds both files together.
const auditSize = 64 << 10

// OpenAudit opens the log in dir.
func OpenAudit(dir string) *Audit { return &Audit{dir: dir, max: auditSize / 2} }

// Write appends one entry. It is not synced: a power cut may cost the last ones,
// the flash would wear with each.
func (a *Audit) Write(e Entry) error {
	// What a caller put into the path is no longer than what a file can take.
	e.What, e.Object = clip(e.What), clip(e.Object)
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	line = append(line, '\n')
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.append(line); err != nil {
		a.close()
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

func (a *Audit) append(line []byte) error {
	path := filepath.Join(a.dir, "audit")
	if a.file != nil && a.size+int64(len(line)) > a.max {
		a.close()
		if err := os.Rename(path, path+".1"); err != nil {
			return err
		}
	}
	if a.file == nil {
		if err := os.MkdirAll(a.dir, 0o700); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			f.Close()
			return err
		}
		a.file, a.size = f, info.Size()
		// A line that a power cut tore shall not swallow the next.
		if last := make([]byte, 1); a.size > 0 {
			if _, err := f.ReadAt(last, a.size-1); err == nil && last[0] != '\n' {
				line = append([]byte{'\n'}, line...)
			}
		}
		if a.size+int64(len(line)) > a.max {
			return a.append(line)
		}
	}
	n, err := a.file.Write(line)
	a.size += int64(n)
	return err
}

func (a *Audit) close() {
	if a.file != nil {
		a.file.Close()
		a.file = nil
	}
}

// Close closes the file; a later Write opens it again.
func (a *Audit) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.close()
	return nil
}

// Entries returns what is kept, oldest first. Lines that are damaged are left out.
func (a *Audit) Entries() ([]Entry, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []Entry
	for _, name := range []string{"audit.1", "audit"} {
		text, err := os.ReadFile(filepath.Join(a.dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("audit: %w", err)
		}
		for line := range bytes.Lines(text) {
			var e Entry
			if json.Unmarshal(line, &e) == nil && e.What != "" {
				out = append(out, e)
			}
		}
	}
	return out, nil
}
