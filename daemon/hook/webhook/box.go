// Package webhook tells receivers on the web how runs have ended: the one of the
// configuration, and those that requests named. What is to be told is on the disk
// before anything is sent, and stays there until the receiver has taken it or a day
// of tries is over: each message arrives at least once, with an ID that stays the
// same. No receiver holds up a run, the link or another receiver.
//
// Messages are signed as Standard Webhooks says (standardwebhooks.com).
package webhook

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/durable"
)

// Backoff is the time to wait after the nth failed try: a day in all. A message
// that then fails once more is given up.
var Backoff = []time.Duration{
	10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 8 * time.Hour,
}

// Caps of what waits; the oldest is given up for the newest.
const (
	maxQueue = 32
	maxBytes = 64 << 10
	maxError = 200 // of it; a receiver may have part in it
)

// Message is one that waits to be taken.
type Message struct {
	ID    string          `json:"id"` // the same at each try
	Run   string          `json:"run"`
	URL   string          `json:"url"`
	Body  json.RawMessage `json:"body"`
	Tries int             `json:"tries,omitempty"`
	Next  time.Time       `json:"next,omitzero"` // not before
	Error string          `json:"error,omitempty"`
}

// told is what was done about one run.
type told struct {
	Callback string `json:"callback,omitempty"` // that its request named
	Called   bool   `json:"called,omitempty"`   // it has a message
	Told     bool   `json:"told,omitempty"`     // the configuration's receiver has one
}

// contents are the file.
type contents struct {
	// Configured: there was a receiver in the configuration. Runs that ended while
	// there was none are no news to a new one.
	Configured bool             `json:"configured,omitempty"`
	Runs       map[string]*told `json:"runs,omitempty"`
	Queue      []Message        `json:"queue,omitempty"` // oldest first
}

// Box is the file of what waits. Its methods may be called from any goroutine.
type Box struct {
	path string
	now  func() time.Time
	log  *slog.Logger

	mu sync.Mutex
	contents
	unsaved bool
}

// Open reads the box. It is never nil; the error says that the file was damaged and
// put aside, or cannot be read.
func Open(path string, now func() time.Time, log *slog.Logger) (*Box, error) {
	b := &Box{path: path, now: now, log: log}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	case err == nil:
		if err = json.Unmarshal(text, &b.contents); err != nil {
			b.contents = contents{}
			err = errors.Join(err, os.Rename(path, path+".damaged"))
		}
	}
	if b.Runs == nil {
		b.Runs = map[string]*told{}
	}
	for id, t := range b.Runs {
		if t == nil {
			delete(b.Runs, id)
		}
	}
	if err != nil {
		err = fmt.Errorf("webhooks: %w", err)
	}
	return b, err
}

// Keep notes the receiver that a run's request named. The first one stays: who
// repeats a request cannot lead its message elsewhere.
func (b *Box) Keep(run, url string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.Runs[run]; t != nil && t.Callback != "" {
		return nil
	}
	b.entry(run).Callback = url
	return b.save()
}

func (b *Box) entry(run string) *told {
	if b.Runs[run] == nil {
		b.Runs[run] = &told{}
	}
	return b.Runs[run]
}

// Scan makes the messages of runs that have ended, to url, which may be "", and to
// whom their requests named. list is asked for the runs while nobody can Keep one: a
// receiver is known for as long as its run is. body makes what is told of a run.
func (b *Box) Scan(list func() []activation.Record, url string, body func(activation.Record) ([]byte, error)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	runs := list()
	changed := b.unsaved
	if b.Configured != (url != "") {
		b.Configured, changed = url != "", true
		for _, r := range runs {
			if url != "" && ended(r) {
				b.entry(r.ID).Told = true
			}
		}
	}
	for id := range b.Runs {
		if !slices.ContainsFunc(runs, func(r activation.Record) bool { return r.ID == id }) {
			delete(b.Runs, id)
		}
	}
	for _, r := range runs {
		t := b.Runs[r.ID]
		if !ended(r) || t == nil && url == "" {
			continue
		}
		t = b.entry(r.ID)
		for _, to := range []struct {
			url  string
			done *bool
		}{{url, &t.Told}, {t.Callback, &t.Called}} {
			if to.url == "" || *to.done {
				continue
			}
			text, err := body(r)
			if err != nil {
				return fmt.Errorf("webhooks: %w", err)
			}
			*to.done, changed = true, true
			b.Queue = append(b.Queue, Message{ID: "msg_" + rand.Text(), Run: r.ID, URL: to.url, Body: text})
		}
	}
	if !changed {
		return nil
	}
	b.shrink()
	return b.save()
}

func ended(r activation.Record) bool { return r.State.Ended() && r.Ended != nil }

// shrink gives up the oldest messages for want of room.
func (b *Box) shrink() {
	size := 0
	for i, m := range slices.Backward(b.Queue) {
		if size += len(m.Body) + len(m.URL); size > maxBytes || len(b.Queue)-i > maxQueue {
			for _, m := range b.Queue[:i+1] {
				b.log.Warn("a webhook is given up: too many wait", "run", m.Run, "to", hostOf(m.URL))
			}
			b.Queue = slices.Delete(b.Queue, 0, i+1)
			return
		}
	}
}

// Due returns the message to send now, of those that are due that with the fewest
// tries: a receiver that is dead shall not be before one that was never tried. Else it
// returns how long there is none, 0 if none waits. It leaves out the hosts of busy.
func (b *Box) Due(busy map[string]bool) (m Message, wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	for _, x := range b.Queue {
		left := x.Next.Sub(now)
		switch {
		case busy[hostOf(x.URL)]:
		// A time that lies further ahead than any pause was written under a wrong clock.
		case x.Next.IsZero() || left <= 0 || left > slices.Max(Backoff):
			if !ok || x.Tries < m.Tries {
				m, ok = x, true
			}
		case wait == 0 || left < wait:
			wait = left
		}
	}
	if ok {
		wait = 0
	}
	return m, wait, ok
}

// Done takes a message out: its receiver has it, or never will.
func (b *Box) Done(m Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Queue = slices.DeleteFunc(b.Queue, func(x Message) bool { return x.ID == m.ID })
	return b.save()
}

// Failed puts a message off, with those that are due at the same host: each would
// take as long to fail. It reports whether the message was given up.
func (b *Box) Failed(m Message, cause error) (gone bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now().UTC()
	for i := range b.Queue {
		x := &b.Queue[i]
		switch {
		case x.ID == m.ID && x.Tries >= len(Backoff):
			gone = true
		case x.ID == m.ID:
			x.Next = now.Add(Backoff[x.Tries])
			x.Tries++
			x.Error = cause.Error()[:min(len(cause.Error()), maxError)]
		case hostOf(x.URL) == hostOf(m.URL) && !x.Next.After(now):
			x.Next = now.Add(Backoff[min(m.Tries, len(Backoff)-1)])
		}
	}
	if gone {
		b.Queue = slices.DeleteFunc(b.Queue, func(x Message) bool { return x.ID == m.ID })
	}
	return gone, b.save()
}

// PutOff tries a message again after a while, and does not count the try.
func (b *Box) PutOff(m Message, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.Queue {
		if b.Queue[i].ID == m.ID {
			b.Queue[i].Next = b.now().UTC().Add(wait)
		}
	}
}

// Waiting counts the messages that wait, and gives the last error of one.
func (b *Box) Waiting() (n int, last string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.Queue {
		last = cmp.Or(m.Error, last)
	}
	return len(b.Queue), last
}

// save writes the file. What cannot be written is held in memory and written with
// the next change. b.mu is held.
func (b *Box) save() error {
	text, err := json.Marshal(b.contents)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(b.path), 0o700)
	}
	if err == nil {
		err = durable.WriteFile(b.path, text, 0o600)
	}
	if b.unsaved = err != nil; err != nil {
		return fmt.Errorf("webhooks: %w", err)
	}
	return nil
}
