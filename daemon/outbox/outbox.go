// Package outbox keeps copies of the notifications that an eUICC wants its
// receivers to have (SGP.22, 3.5) until they are delivered, and what it has
// signed for servers whose session was cancelled while they could not be reached
// (3.0.2).
//
// A notification is copied off the card first, offered oldest first per
// receiver, and removed from the card only after its receiver has taken it.
// One receiver's failure does not hold up another's. Each entry is a file of
// its own, so that a power cut costs none.
package outbox

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"dynamod/daemon/durable"
	"dynamod/euicc"
)

// MaxEntries bounds the outbox; with at most a few kilobytes an entry it stays
// within its 128 kB share of the state directory.
const MaxEntries = 40

// maxIssuers is how many of a card's issuers an entry keeps: cards have one to three.
const maxIssuers = 16

// ErrFull means that MaxEntries notifications wait for their receivers. They
// stay on the card.
var ErrFull = errors.New("outbox is full")

// What is too many, and too long, to go on unnoticed: operators wait for these
// reports, and do not give a code once more without them.
const (
	AlarmCount = MaxEntries * 3 / 4
	AlarmAge   = 3 * 24 * time.Hour
)

// Backoff is the time to wait after the nth failed try; the last one repeats.
var Backoff = []time.Duration{
	30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour,
}

// Entry is one notification.
type Entry struct {
	EID       string    `json:"eid"`
	Seq       int64     `json:"seq"` // the card's sequence number; zero is valid
	Operation string    `json:"operation"`
	ICCID     string    `json:"iccid,omitempty"`
	Address   string    `json:"address"` // FQDN of the receiver
	Pending   []byte    `json:"pending"` // PendingNotification as the card made it
	Added     time.Time `json:"added"`
	// Issuers are the key identifiers of those by whom the card verifies servers:
	// with them the copy is delivered when the card is not there. None are in
	// what an earlier version has kept, until the card is read again.
	Issuers [][]byte `json:"issuers,omitempty"`
	// Cancel, if not empty, is the transaction ID of a cancelled session: Pending
	// is then a CancelSessionResponse, Seq is 0, and the card keeps no copy.
	Cancel string `json:"cancel,omitempty"`

	Delivered bool      `json:"delivered,omitempty"` // taken by the receiver, still on the card
	Tries     int       `json:"tries,omitempty"`
	Next      time.Time `json:"next,omitzero"` // not before
	LastError string    `json:"last_error,omitempty"`

	unsaved bool // not on the medium, or not as it is here
}

func (e Entry) name() string {
	sum := sha256.Sum256(append([]byte(e.EID+"\x00"), e.Pending...))
	return fmt.Sprintf("%010d-%s.json", e.Seq, hex.EncodeToString(sum[:6]))
}

// Box is the outbox. Its methods may be called from any goroutine.
type Box struct {
	dir string
	now func() time.Time

	mu      sync.Mutex
	entries []Entry // by EID and sequence number
}

// Open reads the outbox in dir and makes the directory when there is none. A
// file that cannot be read as an entry is renamed to *.damaged and left out.
//
// The box is never nil. The error says why it cannot be kept on the medium: what
// it holds is offered all the same, and each change tries to write again.
func Open(dir string, now func() time.Time, log *slog.Logger) (*Box, error) {
	b := &Box{dir: dir, now: now}
	failed := os.MkdirAll(dir, 0o700)
	names, err := os.ReadDir(dir)
	if failed == nil {
		failed = err
	}
	for _, n := range names {
		path := filepath.Join(dir, n.Name())
		if strings.HasPrefix(n.Name(), ".") {
			os.Remove(path) // what a power cut left of a write
			continue
		}
		if filepath.Ext(n.Name()) != ".json" {
			continue
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			log.Error("outbox entry cannot be read and is left out", "file", n.Name(), "error", err)
			failed = errors.Join(failed, err)
			continue
		}
		var e Entry
		if err := json.Unmarshal(raw, &e); err != nil || len(e.Pending) == 0 || e.name() != n.Name() {
			log.Warn("outbox entry is damaged and put aside", "file", n.Name())
			failed = errors.Join(failed, os.Rename(path, path+".damaged"))
			continue
		}
		b.entries = append(b.entries, e)
	}
	b.sort()
	if failed != nil {
		failed = fmt.Errorf("outbox: %w", failed)
	}
	return b, failed
}

func (b *Box) sort() {
	sort.Slice(b.entries, func(i, j int) bool {
		x, y := &b.entries[i], &b.entries[j]
		return cmp.Or(cmp.Compare(x.EID, y.EID), cmp.Compare(x.Seq, y.Seq), cmp.Compare(x.name(), y.name())) < 0
	})
}

// Put stores a notification and returns after it is on the medium. One that is
// there already is left as it is. One that cannot be written, as on a full
// disk, is held in memory and offered like the others, because a line may wait
// for it; the error says that only the card has it for good.
func (b *Box) Put(e Entry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.Issuers = e.Issuers[:min(len(e.Issuers), maxIssuers)]
	if i := b.find(e); i >= 0 {
		if len(b.entries[i].Issuers) == 0 && len(e.Issuers) > 0 {
			b.entries[i].Issuers, b.entries[i].unsaved = e.Issuers, true
		}
		if b.entries[i].unsaved {
			return b.save(i)
		}
		return nil
	}
	if len(b.entries) >= MaxEntries && !b.evict(e.EID) {
		return fmt.Errorf("%w: %d notifications", ErrFull, len(b.entries))
	}
	e.Address = strings.TrimSpace(e.Address) // some servers put blanks around it
	if a, err := euicc.ParseAddress(e.Address); err == nil {
		e.Address = a // else whoever delivers it says what is wrong
	}
	e.Added = b.now().UTC()
	err := b.write(e)
	e.unsaved = err != nil
	b.entries = append(b.entries, e)
	b.sort()
	return err
}

// evict makes room by forgetting the oldest delivered entry of a card that is
// not there: it waits for a card that may never come back, and would at worst be
// delivered twice. b.mu is held.
func (b *Box) evict(present string) bool {
	oldest := -1
	for i, e := range b.entries {
		if e.Delivered && e.EID != present && (oldest < 0 || e.Added.Before(b.entries[oldest].Added)) {
			oldest = i
		}
	}
	if oldest < 0 || durable.Remove(filepath.Join(b.dir, b.entries[oldest].name())) != nil {
		return false
	}
	b.entries = slices.Delete(b.entries, oldest, oldest+1)
	return true
}

// Retry makes all entries due whose times have not come, as after a new way to
// the network was found. The files keep their times.
func (b *Box) Retry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.entries {
		b.entries[i].Next = time.Time{}
	}
}

// Entries returns what the outbox holds, by card and sequence number.
func (b *Box) Entries() []Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.entries)
}

// Due returns the entries to offer now: of each receiver the oldest one that is
// not delivered, unless its time has not come. Waiting for one receiver's
// oldest keeps its order and concerns no other.
func (b *Box) Due() []Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	var due []Entry
	seen := map[string]bool{}
	for _, e := range b.entries {
		receiver := e.EID + " " + strings.ToLower(e.Address)
		if e.Cancel != "" {
			receiver += " cancel" // of no notification's order
		}
		if e.Delivered || seen[receiver] {
			continue
		}
		seen[receiver] = true
		// A next try that lies further ahead than any back-off was written
		// under a wrong clock.
		if !now.Before(e.Next) || e.Next.Sub(now) > Backoff[len(Backoff)-1] {
			due = append(due, e)
		}
	}
	return due
}

// Delivered records that e's receiver has taken it. The entry stays until Drop,
// which follows its removal from the card. The record holds for this process
// also when it cannot be written; then the error says so.
func (b *Box) Delivered(e Entry) error {
	return b.update(e, func(e *Entry) { e.Delivered, e.LastError = true, "" })
}

// Failed records a failed try and sets the time of the next one. Its error is
// as that of Delivered.
func (b *Box) Failed(e Entry, cause error) error {
	return b.update(e, func(e *Entry) {
		e.Next = b.now().UTC().Add(Backoff[min(e.Tries, len(Backoff)-1)])
		e.Tries++
		e.LastError = cause.Error()
	})
}

// Drop forgets a delivered entry after the card has.
func (b *Box) Drop(e Entry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := b.find(e)
	if i < 0 {
		return nil
	}
	if err := durable.Remove(filepath.Join(b.dir, e.name())); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	b.entries = slices.Delete(b.entries, i, i+1)
	return nil
}

// unset is before every date of a clock that was set.
var unset = time.Unix(1_600_000_000, 0) // in 2020

// Alarm says in one line why somebody should look after the outbox, "" if nobody
// needs to.
func (b *Box) Alarm() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	waiting, oldest := 0, time.Duration(0)
	now := b.now()
	for i, e := range b.entries {
		if e.Delivered {
			continue
		}
		waiting++
		if e.Added.Before(unset) && !now.Before(unset) {
			// It was copied before the clock was set. How long ago nobody knows, so its
			// wait is counted from here, and once more if it cannot be saved.
			e.Added = now.UTC()
			b.entries[i].Added = e.Added
			_ = b.save(i)
		}
		// Under a clock that runs decades ahead all are old.
		if age := now.Sub(e.Added); age < 10*365*24*time.Hour {
			oldest = max(oldest, age)
		}
	}
	switch {
	case waiting >= AlarmCount:
		return fmt.Sprintf("%d notifications wait for their servers; with %d further ones stay on the card", waiting, MaxEntries)
	case oldest >= AlarmAge:
		return fmt.Sprintf("a notification has waited for its server for %d days", int(oldest.Hours()/24))
	}
	return ""
}

func (b *Box) find(e Entry) int {
	name := e.name()
	return slices.IndexFunc(b.entries, func(x Entry) bool { return x.EID == e.EID && x.name() == name })
}

func (b *Box) update(e Entry, change func(*Entry)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := b.find(e)
	if i < 0 {
		return fmt.Errorf("outbox: notification %d is not there", e.Seq)
	}
	change(&b.entries[i])
	return b.save(i)
}

// save writes an entry as it is in memory.
func (b *Box) save(i int) error {
	err := b.write(b.entries[i])
	b.entries[i].unsaved = err != nil
	return err
}

func (b *Box) write(e Entry) error {
	raw, err := json.Marshal(e)
	if err == nil {
		err = os.MkdirAll(b.dir, 0o700) // the medium may have become writable since Open
	}
	if err == nil {
		err = durable.WriteFile(filepath.Join(b.dir, e.name()), append(raw, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}
