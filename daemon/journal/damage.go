package journal

import (
	"bytes"
	"fmt"
	"os"

	"dynamod/daemon/durable"
)

// Damage says what Open had to leave out. The records behind it were used.
type Damage struct {
	Offset int64  // where the first bad byte is
	Bytes  int64  // how many bytes were left out
	Kept   string // where the file was put aside as it was, "" for a torn tail
	After  int    // records behind the first bad byte that were good
}

func (d *Damage) Error() string {
	if d.Kept == "" {
		return fmt.Sprintf("journal: the last record was torn by a power cut, %d bytes dropped at offset %d", d.Bytes, d.Offset)
	}
	return fmt.Sprintf("journal: damaged at offset %d: %d bytes left out, %d records behind them used; the file as it was is in %s", d.Offset, d.Bytes, d.After, d.Kept)
}

// salvage finds the whole records behind a damaged line, and how many bytes they
// have: the last record of a run holds the whole of it, and to go back to an
// earlier one would be to do again what was done. Numbers that do not count up
// are not believed.
func salvage(rest []byte, before []Record) (records []Record, used int) {
	var last uint64
	if n := len(before); n > 0 {
		last = before[n-1].Seq
	}
	for len(rest) > 0 {
		n := bytes.IndexByte(rest, '\n') + 1
		if n == 0 {
			break
		}
		if rec, ok := decode(rest[:n]); ok && rec.Seq > last && rec.Kind != Format {
			records = append(records, rec)
			last = rec.Seq
			used += n
		}
		rest = rest[n:]
	}
	return records, used
}

// putAside keeps a damaged file, but never in place of an earlier one: the first
// damage tells the most. It returns where, or why not.
func putAside(path string, b []byte) string {
	kept := path + ".damaged"
	if _, err := os.Stat(kept); err == nil {
		return kept + " (of an earlier damage)"
	}
	if err := durable.WriteFile(kept, b, 0o600); err != nil {
		return "nowhere (" + err.Error() + ")"
	}
	return kept
}
