package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func now() time.Time { return epoch }

func open(t *testing.T, path string) *Journal {
	t.Helper()
	j, err := Open(path, 0, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func kinds(records []Record) string {
	var s []string
	for _, r := range records {
		s = append(s, r.Kind)
	}
	return strings.Join(s, " ")
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	for i := range 3 {
		if _, err := j.Append(fmt.Sprint("k", i), map[string]int{"i": i}); err != nil {
			t.Fatal(err)
		}
	}
	j.Close()
	if _, err := j.Append("late", nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	j = open(t, path)
	if got := kinds(j.Records()); got != "k0 k1 k2" || j.Damage() != nil {
		t.Errorf("records %q, damage %v", got, j.Damage())
	}
	rec, err := j.Append("k3", nil)
	if err != nil || rec.Seq != 5 {
		t.Errorf("seq %d, err %v, want 5", rec.Seq, err)
	}
}

// TestPowerCut cuts the file at every byte and expects every record that was
// whole, a report of the rest, and a journal that goes on.
func TestPowerCut(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal")
	j := open(t, path)
	ends := []int64{}
	for i := range 4 {
		if _, err := j.Append("k", i); err != nil {
			t.Fatal(err)
		}
		size, _ := j.Size()
		ends = append(ends, size)
	}
	j.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) {
		for _, tail := range []string{"", "\x00\x00\x00\x00"} {
			p := filepath.Join(dir, "cut")
			if err := os.WriteFile(p, append(slices.Clip(whole[:cut]), tail...), 0o600); err != nil {
				t.Fatal(err)
			}
			j, err := Open(p, 0, now)
			if err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			want := 0
			for _, e := range ends {
				if int64(cut) >= e {
					want++
				}
			}
			if got := len(j.Records()); got != want {
				t.Fatalf("cut at %d: %d records, want %d", cut, got, want)
			}
			if _, err := j.Append("after", cut); err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			j.Close()
			again := open(t, p)
			if again.Damage() != nil || len(again.Records()) != want+1 {
				t.Fatalf("cut at %d: after the append %d records, damage %v", cut, len(again.Records()), again.Damage())
			}
			again.Close()
		}
	}
}

// A damaged line costs its own record and no later one: a run is not taken back
// to where it was before.
func TestDamageInTheMiddle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	for i := range 5 {
		j.Append("k", i)
	}
	j.Close()
	hit := func(data string) []byte {
		b, _ := os.ReadFile(path)
		i := bytes.Index(b, []byte(data))
		b[i+len(data)-1] ^= 0x08
		os.WriteFile(path, b, 0o600)
		return b
	}
	data := func(j *Journal) (s string) {
		for _, r := range j.Records() {
			s += string(r.Data)
		}
		return s
	}
	first := hit(`"k","data":1`)
	if records, err := Read(path); err != nil || len(records) != 5 { // with the format's
		t.Errorf("read beside the owner: %d records, %v", len(records), err)
	}
	j = open(t, path)
	d := j.Damage()
	if d == nil || d.Kept != path+".damaged" || d.After != 3 || data(j) != "0234" {
		t.Fatalf("damage %v, records %s", d, data(j))
	}
	if kept, err := os.ReadFile(d.Kept); err != nil || !bytes.Equal(kept, first) {
		t.Errorf("put aside %d bytes (%v), want %d", len(kept), err, len(first))
	}
	if rec, err := j.Append("k", 5); err != nil || rec.Seq != 7 {
		t.Errorf("appended %d, %v", rec.Seq, err)
	}
	j.Close()
	j = open(t, path)
	if j.Damage() != nil || data(j) != "02345" {
		t.Errorf("after a restart damage %v, records %s", j.Damage(), data(j))
	}
	j.Close()

	// The first damage is kept, and two at once are no more than one.
	hit(`"k","data":0`)
	hit(`"k","data":4`)
	j = open(t, path)
	if d = j.Damage(); d == nil || !strings.HasPrefix(d.Kept, path+".damaged") || data(j) != "235" {
		t.Errorf("damage %v, records %s", d, data(j))
	}
	if kept, _ := os.ReadFile(path + ".damaged"); !bytes.Equal(kept, first) {
		t.Error("the first damage is written over")
	}
	j.Close()
}

// Where there is no room for a clean file, what comes is written behind the last
// whole line.
func TestDamageWithoutRoom(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal")
	j := open(t, path)
	for i := range 3 {
		j.Append("k", i)
	}
	j.Close()
	b, _ := os.ReadFile(path)
	b[bytes.Index(b, []byte(`"k","data":1`))+11] = '7'
	os.WriteFile(path, append(b, "torn"...), 0o600)
	if err := os.Mkdir(path+".new", 0o755); err != nil { // in the way of the clean one
		t.Fatal(err)
	}
	for want := 2; want < 5; want++ {
		j = open(t, path)
		if d := j.Damage(); d == nil || len(j.Records()) != want {
			t.Errorf("damage %v, %d records, want %d", d, len(j.Records()), want)
		}
		if _, err := j.Append("k", "later"); err != nil {
			t.Error(err)
		}
		j.Close()
	}
}

func TestVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	line, _ := encode(Record{Seq: 1, Kind: Format, Data: []byte("2")})
	os.WriteFile(path, line, 0o600)
	if _, err := Open(path, 0, now); !errors.Is(err, ErrVersion) {
		t.Errorf("err %v, want %v", err, ErrVersion)
	}
	if b, _ := os.ReadFile(path); !bytes.Equal(b, line) {
		t.Error("the newer journal was changed")
	}
}

func TestLimitAndCompact(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, err := Open(path, 1000, now)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	n := 0
	for {
		if _, err = j.Append("k", strings.Repeat("x", 50)); err != nil {
			break
		}
		n++
	}
	if !errors.Is(err, ErrFull) || n == 0 {
		t.Fatalf("after %d records: %v", n, err)
	}
	last := j.Records()[n-1].Seq
	for range 2 { // applied twice
		if err := j.Compact(func(r Record) bool { return r.Seq == last }); err != nil {
			t.Fatal(err)
		}
	}
	rec, err := j.Append("next", nil)
	if err != nil || rec.Seq != last+1 {
		t.Fatalf("seq %d, err %v, want %d", rec.Seq, err, last+1)
	}
	got, err := Read(path)
	if err != nil || kinds(got) != "journal k next" {
		t.Errorf("records %q, err %v", kinds(got), err)
	}
	if _, err := j.Append("big", strings.Repeat("x", MaxLine)); err == nil || errors.Is(err, ErrFull) {
		t.Errorf("a record over %d bytes: %v", MaxLine, err)
	}
}

// A full journal asks what may stay, makes room, and takes the record.
func TestWhenFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, err := Open(path, 1000, now)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	asked := 0
	j.WhenFull(func(records []Record, room int) map[uint64]bool {
		asked++
		keep := map[uint64]bool{}
		for _, r := range slices.Backward(records) {
			if r.Kind == Format {
				t.Error("the format is not asked about")
			}
			if room -= r.Size(); room < 0 {
				break
			}
			keep[r.Seq] = true
		}
		return keep
	})
	for i := range 100 {
		rec, err := j.Append("k", i)
		if err != nil || rec.Seq != uint64(i+2) {
			t.Fatalf("record %d: %d, %v", i, rec.Seq, err)
		}
		if size, limit := j.Size(); size > limit {
			t.Fatalf("%d bytes", size)
		}
	}
	got, err := Read(path)
	if err != nil || got[0].Kind != Format || got[len(got)-1].Seq != 101 || len(got) < 5 || asked == 0 || asked > 40 || j.Compactions() != asked {
		t.Errorf("%d records, %d times asked, %v", len(got), asked, err)
	}

	// Who keeps all is told that it is full, and nothing is lost.
	before := len(j.Records())
	j.WhenFull(func(records []Record, _ int) map[uint64]bool {
		keep := map[uint64]bool{}
		for _, r := range records {
			keep[r.Seq] = true
		}
		return keep
	})
	for err = nil; err == nil; before++ {
		_, err = j.Append("k", 0)
	}
	if !errors.Is(err, ErrFull) || len(j.Records()) != before-1 {
		t.Errorf("%v, %d records, want %d", err, len(j.Records()), before-1)
	}
}

// TestFullDisk needs a file system that is really full: a tmpfs of one page.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=4096"); err != nil {
		t.Skip("cannot mount a small tmpfs: ", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	j := open(t, filepath.Join(dir, "journal"))
	var err error
	n := 0
	for ; n < 1000; n++ {
		if _, err = j.Append("k", strings.Repeat("x", 100)); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("after %d records: %v", n, err)
	}
	for range 2 {
		if err := j.Unwritable(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("it says it can be written: %v", err)
		}
	}
	if got, err := Read(j.path); err != nil || len(got) != n+1 {
		t.Errorf("%d records on disk (%v), want %d", len(got), err, n+1)
	}
	// Compaction needs room for a second file, which there is not: the old one stays.
	if err := j.Compact(func(Record) bool { return true }); err == nil {
		t.Log("compaction found room")
	}
	if len(j.Records()) != n {
		t.Errorf("%d records after a failed compaction, want %d", len(j.Records()), n)
	}
	j.Close()
}

// When there is room again that is known before the next record, five minutes later,
// and nothing is left of finding out. Until then nothing is written.
func TestRoomAgain(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("cannot mount a small tmpfs: ", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	synctest.Test(t, func(t *testing.T) { roomAgain(t, dir) })
}

func roomAgain(t *testing.T, dir string) {
	j := open(t, filepath.Join(dir, "journal"))
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 64<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	n, err := 0, error(nil)
	for ; err == nil; n++ {
		_, err = j.Append("k", strings.Repeat("x", 500))
	}
	if err := j.Unwritable(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("full: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := j.Unwritable(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("found out at once: %v", err)
	}
	time.Sleep(probeEvery)
	size, err := os.Stat(j.path)
	for range 2 {
		if err := j.Unwritable(); err != nil {
			t.Error(err)
		}
	}
	after, aerr := os.Stat(j.path)
	if err != nil || aerr != nil || size.Size() != after.Size() {
		t.Errorf("%v, %v: the file has changed", err, aerr)
	}
	if _, err := j.Append("k", 1); err != nil {
		t.Fatal(err)
	}
	j.Close()
	if j = open(t, j.path); len(j.Records()) != n || j.Damage() != nil {
		t.Errorf("%d records, want %d; %v", len(j.Records()), n, j.Damage())
	}
}

func TestConcurrentAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 5 {
				if _, err := j.Append("k", g*10+i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	j.Close()
	if got := open(t, path).Records(); len(got) != 20 {
		t.Errorf("%d records, want 20", len(got))
	}
}

func FuzzParse(f *testing.F) {
	line, _ := encode(Record{Seq: 1, Time: epoch, Kind: "k", Data: []byte(`{"a":1}`)})
	f.Add(line)
	f.Add(append(slices.Clip(line), line[:10]...))
	f.Add([]byte("00000000 {}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		records, good, err := Parse(b)
		if err != nil {
			return
		}
		if good > len(b) {
			t.Fatalf("%d good bytes of %d", good, len(b))
		}
		// What was accepted is accepted again, and its meaning survives a rewrite.
		var out []byte
		for _, r := range records {
			l, err := encode(r)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, l...)
		}
		again, n, err := Parse(out)
		if err != nil || len(again) != len(records) || n != len(out) {
			t.Fatalf("%d records again, want %d (%v)", len(again), len(records), err)
		}
	})
}
