// Package journal is an append-only file of checksummed records that survives
// power cuts: a record is on the medium before Append returns, and a tail that
// was being written when the power went is cut off and reported.
//
// It knows no domain type: a record is a kind and a JSON value. Each line is
//
//	crc32c(json) as 8 hex digits, a blank, json, a line feed
//
// so that a person can read it with nothing but a pager. It needs only write,
// fsync and rename, no mmap, so it works on jffs2 and ubifs.
package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"dynamod/daemon/durable"
)

// Format is the first record's kind; its data is the version of the layout.
const Format = "journal"

const version = 1

// MaxLine bounds one record; a longer one is refused by Append.
const MaxLine = 16 << 10

// DefaultLimit is the size that makes Append report ErrFull before the file
// outgrows its share of a router's flash.
const DefaultLimit = 128 << 10

var (
	// ErrFull means that the journal has reached its limit, and that there is no
	// WhenFull to make room, or that what it keeps leaves none.
	ErrFull = errors.New("journal is full")
	// ErrVersion means that a newer dynamod wrote the journal.
	ErrVersion = errors.New("journal has a newer format")
)

// Record is one line of the journal.
type Record struct {
	Seq  uint64          `json:"seq"` // counts up by one, also across compactions
	Time time.Time       `json:"time"`
	Kind string          `json:"kind"`
	Data json.RawMessage `json:"data,omitempty"`
}

// Journal is an open journal. Its methods may be called from any goroutine.
type Journal struct {
	path  string
	now   func() time.Time
	limit int64

	refused error // why nothing is ever appended
	retain  func(records []Record, room int) map[uint64]bool

	mu       sync.Mutex
	f        *os.File // nil until it can be written
	closed   bool
	size     int64
	seq      uint64
	records  []Record
	damage   *Damage
	dirty    bool // the file's tail may hold part of a failed write
	failed   bool // the last record did not get to the medium
	rewrites int

	probed  time.Time // when Unwritable found out last, by the monotonic clock
	probing error     // what it found then
}

// Open opens the journal at path, makes it when there is none, and reads it.
// limit is in bytes; zero means DefaultLimit. The directory should exist.
//
// The journal is never nil: a router has to keep its link whatever became of its
// flash. The error says why nothing can be appended now. On a file system that is
// full or read-only the records are there all the same, and each Append tries
// again; a journal that cannot be read, or that a newer dynamod wrote (ErrVersion),
// is left as it is and takes nothing.
func Open(path string, limit int64, now func() time.Time) (*Journal, error) {
	if limit == 0 {
		limit = DefaultLimit
	}
	j := &Journal{path: path, now: now, limit: limit}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		j.refused = fmt.Errorf("journal: %w", err)
		return j, j.refused
	}
	records, good, err := Parse(b)
	if err != nil {
		j.refused = fmt.Errorf("journal %s: %w", path, err)
		return j, j.refused
	}
	if rest := b[good:]; len(rest) > 0 {
		after, used := salvage(rest, records)
		j.damage = &Damage{Offset: int64(good), Bytes: int64(len(rest) - used), After: len(after)}
		// A torn tail is what a power cut leaves: one line without its end, or
		// zeros that the file system never filled. More than that is damage
		// that somebody may want to look at.
		if n := bytes.IndexByte(rest, '\n'); n >= 0 && n < len(rest)-1 {
			j.damage.Kept = putAside(path, b)
		}
		records = append(records, after...)
	}
	j.records, j.size = records, int64(good)
	if n := len(records); n > 0 {
		j.seq = records[n-1].Seq
	}
	j.dirty = j.damage != nil
	if j.damage != nil && j.damage.After > 0 {
		// Until there is room for a clean file the damage stays where it is, and
		// what comes is written behind the last whole line.
		end := bytes.LastIndexByte(b, '\n') + 1
		j.size, j.dirty = int64(end), end < len(b)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.ready(); err != nil {
		return j, err
	}
	if j.damage != nil && j.damage.After > 0 {
		_ = j.compact(func(Record) bool { return true }) // next time, then
	}
	return j, nil
}

// ready opens the file when it is not open yet, and begins a new one with its
// format. The lock is held.
func (j *Journal) ready() (err error) {
	switch {
	case j.closed:
		return fmt.Errorf("journal: %w", os.ErrClosed)
	case j.refused != nil:
		return j.refused
	}
	if j.f == nil {
		if j.f, err = os.OpenFile(j.path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			j.f = nil
			return fmt.Errorf("journal: %w", err)
		}
	}
	if len(j.records) > 0 {
		return nil
	}
	if _, err := j.write(Format, version); err != nil {
		return err
	}
	if err := durable.SyncDir(filepath.Dir(j.path)); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// Read returns the records of a journal that another process may hold open.
func Read(path string) ([]Record, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	records, good, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	after, _ := salvage(b[good:], records)
	return append(records, after...), nil
}

// Parse decodes records up to the first that is torn or damaged, and returns
// how many bytes they take. The error is ErrVersion or nil.
func Parse(b []byte) (records []Record, good int, err error) {
	var last uint64
	for {
		n := bytes.IndexByte(b[good:], '\n') + 1
		if n == 0 {
			return records, good, nil
		}
		rec, ok := decode(b[good : good+n])
		if !ok || rec.Seq <= last {
			return records, good, nil
		}
		if rec.Kind == Format {
			var v int
			if json.Unmarshal(rec.Data, &v) != nil || v > version {
				return nil, 0, fmt.Errorf("%w: version %s, this dynamod knows %d", ErrVersion, rec.Data, version)
			}
		}
		last = rec.Seq
		records = append(records, rec)
		good += n
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encode(rec Record) ([]byte, error) {
	body, err := json.Marshal(rec)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(body, castagnoli), body), nil
}

func decode(line []byte) (Record, bool) {
	if len(line) < 11 || len(line) > MaxLine || line[8] != ' ' {
		return Record{}, false
	}
	sum, err := strconv.ParseUint(string(line[:8]), 16, 32)
	body := line[9 : len(line)-1]
	if err != nil || uint32(sum) != crc32.Checksum(body, castagnoli) {
		return Record{}, false
	}
	var rec Record
	if json.Unmarshal(body, &rec) != nil || rec.Kind == "" {
		return Record{}, false
	}
	return rec, true
}

// Damage returns what Open had to leave out, or nil.
func (j *Journal) Damage() *Damage { return j.damage }

// Records returns the records that the journal holds, oldest first, without
// its format record.
func (j *Journal) Records() []Record {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]Record, 0, len(j.records))
	for _, r := range j.records {
		if r.Kind != Format {
			out = append(out, r)
		}
	}
	return out
}

// Unwritable says why nothing can be appended now, nil when something can, as far
// as is known. While nothing is appended it finds out every few minutes: that is a
// write to a medium which may be worn.
func (j *Journal) Unwritable() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.ready(); err != nil || !j.failed {
		return err
	}
	if j.probing != nil && time.Since(j.probed) < probeEvery {
		return j.probing
	}
	// The last record did not get there. Whether there is room now is found out as by
	// the next one, and cut off again: until then it is a torn tail.
	j.probing, j.probed = j.put(make([]byte, probeSize)), time.Now()
	if j.probing != nil {
		return j.probing
	}
	j.failed, j.dirty = false, true
	j.cut()
	return nil
}

// probeEvery is the pause between two tries to find out whether there is room.
const probeEvery = 5 * time.Minute

// Doubt has the next Unwritable find out: something else beside the journal could
// not be written.
func (j *Journal) Doubt() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failed = true
}

// probeSize is more than a page, of which the file has a part already.
const probeSize = 8 << 10

// Size returns the journal's size in bytes and its limit.
func (j *Journal) Size() (size, limit int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.size, j.limit
}

// WhenFull has a full journal make room by itself: retain is given the records,
// without the format's, and how many bytes of them may stay, and returns the Seq
// of those that do. It is called by Append, with the journal locked, and before any
// Append.
func (j *Journal) WhenFull(retain func(records []Record, room int) map[uint64]bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.retain = retain
}

// Compactions counts how often the journal has been rewritten since Open.
func (j *Journal) Compactions() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.rewrites
}

// Size is how many bytes the record takes in the file.
func (r Record) Size() int {
	line, err := encode(r)
	if err != nil {
		return MaxLine
	}
	return len(line)
}

// Append writes a record and returns after it is on the medium. On an error
// (full disk, read-only file system, ErrFull) the journal is as before and may
// be used on: nothing of the record remains.
func (j *Journal) Append(kind string, data any) (Record, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.ready(); err != nil {
		return Record{}, err
	}
	rec, err := j.write(kind, data)
	if errors.Is(err, ErrFull) && j.retain != nil {
		if err := j.makeRoom(); err != nil {
			return Record{}, err
		}
		rec, err = j.write(kind, data)
	}
	return rec, err
}

// makeRoom leaves a quarter of the limit free, so that a rewrite is seldom: it
// costs a router's flash as much as all records since the last one. The lock is
// held.
func (j *Journal) makeRoom() error {
	room := int(j.limit * 3 / 4)
	var records []Record
	for _, r := range j.records {
		if r.Kind == Format {
			room -= r.Size()
		} else {
			records = append(records, r)
		}
	}
	keep := j.retain(records, room)
	return j.compact(func(r Record) bool { return keep[r.Seq] })
}

// write is Append to a file that is open. The lock is held.
func (j *Journal) write(kind string, data any) (Record, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return Record{}, fmt.Errorf("journal: record %q: %w", kind, err)
	}
	rec := Record{Seq: j.seq + 1, Time: j.now().UTC().Round(time.Millisecond), Kind: kind, Data: raw}
	line, err := encode(rec)
	if err != nil {
		return Record{}, fmt.Errorf("journal: record %q: %w", kind, err)
	}
	if len(line) > MaxLine {
		return Record{}, fmt.Errorf("journal: record %q has %d bytes, at most %d", kind, len(line), MaxLine)
	}
	if j.size+int64(len(line)) > j.limit {
		return Record{}, fmt.Errorf("%w: %d of %d bytes", ErrFull, j.size, j.limit)
	}
	if j.dirty {
		if err := j.f.Truncate(j.size); err != nil {
			return Record{}, fmt.Errorf("journal: %w", err)
		}
		j.dirty = false
	}
	if err := j.put(line); err != nil {
		return Record{}, err
	}
	j.failed, j.probing = false, nil
	j.size += int64(len(line))
	j.seq++
	j.records = append(j.records, rec)
	return rec, nil
}

// put writes behind the last record and syncs; on an error nothing of it remains.
func (j *Journal) put(b []byte) error {
	_, err := j.f.WriteAt(b, j.size)
	if err == nil {
		err = j.f.Sync()
	}
	if err != nil {
		j.failed, j.dirty = true, true
		j.cut()
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// cut takes a failed write off the file's end. When even that fails the next
// Append tries again; a reader stops at the torn line in any case.
func (j *Journal) cut() {
	if j.f.Truncate(j.size) == nil {
		j.dirty = false
	}
}

// Compact rewrites the journal with only the records that keep selects. The
// new file takes the old one's place by rename, so that a power cut leaves
// one of the two whole.
func (j *Journal) Compact(keep func(Record) bool) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.ready(); err != nil {
		return err
	}
	return j.compact(keep)
}

// compact is Compact of a file that is open. The lock is held.
func (j *Journal) compact(keep func(Record) bool) error {
	var buf []byte
	var kept []Record
	for _, rec := range j.records {
		if rec.Kind != Format && !keep(rec) {
			continue
		}
		line, err := encode(rec)
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		buf, kept = append(buf, line...), append(kept, rec)
	}
	tmp := j.path + ".new"
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("journal: compact: %w", err)
	}
	if _, err = f.Write(buf); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(tmp, j.path)
	}
	if err != nil {
		f.Close()
		os.Remove(tmp)
		return fmt.Errorf("journal: compact: %w", err)
	}
	j.f.Close()
	j.f, j.size, j.records, j.dirty = f, int64(len(buf)), kept, false
	j.rewrites++
	if err := durable.SyncDir(filepath.Dir(j.path)); err != nil {
		return fmt.Errorf("journal: compact: %w", err)
	}
	return nil
}

// Close closes the file. Records stay readable.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	if j.f == nil {
		return nil
	}
	err := j.f.Close()
	j.f = nil
	return err
}
