package outbox

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newBox(t *testing.T, dir string, c *clock) *Box {
	t.Helper()
	b, err := Open(dir, c.now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func entry(seq int64, address string) Entry {
	return Entry{EID: "89049032000000000000000000000001", Seq: seq, Operation: "install", Address: address, Pending: fmt.Appendf(nil, "%d", seq)}
}

func seqs(entries []Entry) string {
	s := ""
	for _, e := range entries {
		s += fmt.Sprint(e.Seq, " ")
	}
	return s
}

func TestOldestFirstPerReceiver(t *testing.T) {
	dir, c := filepath.Join(t.TempDir(), "outbox"), &clock{time.Unix(1e9, 0)}
	b := newBox(t, dir, c)
	for _, e := range []Entry{entry(3, "a.example"), entry(0, " a.example "), entry(7, "b.example"), entry(9, "A.example")} {
		for range 2 { // applied twice
			if err := b.Put(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := seqs(b.Due()); got != "0 7 " {
		t.Fatalf("due %q, want 0 and 7", got)
	}
	if err := b.Failed(b.Due()[0], errors.New("no route")); err != nil {
		t.Fatal(err)
	}
	if got := seqs(b.Due()); got != "7 " {
		t.Errorf("after a failure at a.example due %q, want 7: its order holds, b.example goes on", got)
	}
	c.t = c.t.Add(Backoff[0])
	b = newBox(t, dir, c) // everything survives a restart
	if got := seqs(b.Due()); got != "0 7 " {
		t.Fatalf("after the back-off due %q", got)
	}
	first := b.Due()[0]
	if first.Tries != 1 || first.LastError != "no route" {
		t.Errorf("%+v", first)
	}
	if err := b.Delivered(first); err != nil {
		t.Fatal(err)
	}
	if got := seqs(b.Due()); got != "3 7 " {
		t.Errorf("after a delivery due %q, want 3 and 7", got)
	}
	for range 2 {
		if err := b.Drop(first); err != nil {
			t.Fatal(err)
		}
	}
	if got := seqs(newBox(t, dir, c).Entries()); got != "3 7 9 " {
		t.Errorf("left %q", got)
	}
}

func TestBackoffGrowsAndSurvivesAClockJump(t *testing.T) {
	c := &clock{time.Unix(2e9, 0)}
	b := newBox(t, t.TempDir(), c)
	if err := b.Put(entry(1, "a.example")); err != nil {
		t.Fatal(err)
	}
	for i := range len(Backoff) + 2 {
		due := b.Due()
		if len(due) != 1 {
			t.Fatalf("try %d: not due", i)
		}
		if err := b.Failed(due[0], errors.New("x")); err != nil {
			t.Fatal(err)
		}
		want := Backoff[min(i, len(Backoff)-1)]
		if got := b.Entries()[0].Next.Sub(c.t); got != want {
			t.Errorf("try %d: next in %v, want %v", i, got, want)
		}
		c.t = c.t.Add(want)
	}
	b.Failed(b.Entries()[0], errors.New("x"))
	c.t = time.Unix(1e9, 0) // the clock was wrong and is set back by decades
	if len(b.Due()) != 1 {
		t.Error("waits for decades")
	}
}

func TestDamagedEntryIsPutAside(t *testing.T) {
	dir, c := t.TempDir(), &clock{time.Unix(1e9, 0)}
	b := newBox(t, dir, c)
	b.Put(entry(1, "a.example"))
	b.Put(entry(2, "a.example"))
	path := filepath.Join(dir, entry(1, "").name())
	os.WriteFile(path, []byte(`{"seq":`), 0o600)
	os.WriteFile(filepath.Join(dir, ".x-123"), []byte("half"), 0o600)
	if got := seqs(newBox(t, dir, c).Entries()); got != "2 " {
		t.Errorf("entries %q", got)
	}
	if _, err := os.Stat(path + ".damaged"); err != nil {
		t.Error(err)
	}
}

func TestFull(t *testing.T) {
	b := newBox(t, t.TempDir(), &clock{})
	for i := range MaxEntries {
		if err := b.Put(entry(int64(i), "a.example")); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Put(entry(1000, "a.example")); !errors.Is(err, ErrFull) {
		t.Errorf("err %v", err)
	}
}

// A file system that takes no file is played by a file in the directory's place.
func TestNoRoom(t *testing.T) {
	dir, c := filepath.Join(t.TempDir(), "outbox"), &clock{time.Unix(1e9, 0)}
	b := newBox(t, dir, c)
	away := func() {
		if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	away()
	e := entry(7, "smdp.example.com")
	if err := b.Put(e); err == nil {
		t.Error("Put tells nothing")
	}
	if got := seqs(b.Due()); got != "7 " {
		t.Errorf("due: %q", got)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(e); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if got := seqs(newBox(t, dir, c).Entries()); got != "7 " {
		t.Errorf("on the medium: %q", got)
	}
	away()
	if err := b.Delivered(e); err == nil {
		t.Error("Delivered tells nothing")
	}
	if got := seqs(b.Due()); got != "" {
		t.Errorf("delivered, and yet due: %q", got)
	}
}

// A cancelled session waits beside the notifications, not before or behind them.
func TestCancellationsHaveNoOrder(t *testing.T) {
	dir, c := filepath.Join(t.TempDir(), "outbox"), &clock{time.Unix(1e9, 0)}
	b := newBox(t, dir, c)
	cancel := Entry{EID: entry(0, "").EID, Operation: "cancel-session", Address: "a.example", Pending: []byte("signed"), Cancel: "0AB1"}
	for _, e := range []Entry{entry(3, "a.example"), cancel} {
		if err := b.Put(e); err != nil {
			t.Fatal(err)
		}
	}
	b = newBox(t, dir, c)
	if got := b.Due(); len(got) != 2 || got[0].Cancel != "0AB1" || got[1].Seq != 3 {
		t.Fatalf("due %+v", got)
	}
	if err := b.Failed(cancel, errors.New("no route")); err != nil {
		t.Fatal(err)
	}
	if got := seqs(b.Due()); got != "3 " {
		t.Errorf("after its failure due %q", got)
	}
	if err := b.Drop(cancel); err != nil {
		t.Fatal(err)
	}
	if got := seqs(newBox(t, dir, c).Entries()); got != "3 " {
		t.Errorf("left %q", got)
	}
}

// Reports that another card has to forget make room for this card's; those that
// no receiver has taken do not.
func TestDeliveredOfAnotherCardMakesRoom(t *testing.T) {
	dir, c := filepath.Join(t.TempDir(), "outbox"), &clock{time.Unix(1e9, 0)}
	b := newBox(t, dir, c)
	for seq := range int64(MaxEntries) {
		e := entry(seq, "a.example")
		e.EID = "89049032000000000000000000000099"
		if err := b.Put(e); err != nil {
			t.Fatal(err)
		}
		c.t = c.t.Add(time.Second)
	}
	for range 2 {
		if err := b.Put(entry(1000, "a.example")); !errors.Is(err, ErrFull) {
			t.Fatalf("%v", err)
		}
	}
	for range 2 {
		if err := b.Delivered(b.Entries()[5]); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := b.Put(entry(1000, "a.example")); err != nil {
			t.Fatal(err)
		}
	}
	b = newBox(t, dir, c)
	if n := len(b.Entries()); n != MaxEntries {
		t.Errorf("%d entries", n)
	}
	for _, e := range b.Entries() {
		if e.Seq == 5 && e.EID != entry(5, "").EID {
			t.Error("the delivered one is still there")
		}
	}
}

func TestRetry(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	b := newBox(t, filepath.Join(t.TempDir(), "outbox"), c)
	if err := b.Put(entry(1, "a.example")); err != nil {
		t.Fatal(err)
	}
	if err := b.Failed(b.Entries()[0], errors.New("no route")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		b.Retry()
		if got := seqs(b.Due()); got != "1 " {
			t.Errorf("due %q", got)
		}
	}
	if b.Entries()[0].Tries != 1 {
		t.Error("the tries are forgotten")
	}
}

// Addresses as cards and servers have them; see euicc.ParseAddress.
func TestAddresses(t *testing.T) {
	for _, tt := range []struct{ name, address, want string }{
		{"blank before it, as one operator's server sends it", " smdp.example.com", "smdp.example.com"},
		{"blank and tab behind it", "smdp.example.com \t", "smdp.example.com"},
		{"capitals", "SMDP.Example.Com", "smdp.example.com"},
		{"root label", "smdp.example.com.", "smdp.example.com"},
		{"port", "smdp.example.com:8443", "smdp.example.com:8443"},
		{"none", "", ""},
		{"no name", "http://smdp/", "http://smdp/"}, // kept as it is, for who looks after it
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			b := newBox(t, dir, &clock{time.Unix(2e9, 0)})
			for range 2 {
				if err := b.Put(entry(0, tt.address)); err != nil { // 0 is a number like any other
					t.Fatal(err)
				}
			}
			for _, got := range [][]Entry{b.Due(), newBox(t, dir, &clock{time.Unix(2e9, 0)}).Due()} {
				if len(got) != 1 || got[0].Address != tt.want || got[0].Seq != 0 {
					t.Errorf("%+v, want %q", got, tt.want)
				}
			}
		})
	}
}

// TestAlarmOfOneCopiedBeforeTheClockWasSet: its wait counts from the day on which
// there is a date, over restarts of the daemon and boots without a date.
func TestAlarmOfOneCopiedBeforeTheClockWasSet(t *testing.T) {
	dir, c := t.TempDir(), &clock{time.Unix(90, 0)}
	if err := newBox(t, dir, c).Put(entry(0, "a.example")); err != nil {
		t.Fatal(err)
	}
	begin := time.Unix(2e9, 0)
	for _, row := range []struct {
		what string
		now  time.Time
		want string
	}{
		{"no date yet", time.Unix(1e5, 0), ""},
		{"the clock is set", begin, ""},
		{"the next boot, before the clock is set", time.Unix(90, 0), ""},
		{"just below the age", begin.Add(AlarmAge - time.Second), ""},
		{"old", begin.Add(AlarmAge), "3 days"},
	} {
		c.t = row.now
		if got := newBox(t, dir, c).Alarm(); (got == "") != (row.want == "") || !strings.Contains(got, row.want) {
			t.Errorf("%s: %q, want %q", row.what, got, row.want)
		}
	}
}

func TestAlarm(t *testing.T) {
	c := &clock{time.Unix(2e9, 0)}
	b := newBox(t, t.TempDir(), c)
	alarm := func(what, want string) {
		t.Helper()
		if got := b.Alarm(); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	alarm("nothing", "")
	if err := b.Put(entry(0, "a.example")); err != nil {
		t.Fatal(err)
	}
	c.t = c.t.Add(AlarmAge - time.Second)
	alarm("just below the age", "")
	c.t = c.t.Add(2 * time.Second)
	alarm("old", "3 days")
	c.t = time.Unix(1e9, 0)
	alarm("a clock that was set back", "")
	c.t = time.Unix(3e9, 0)
	alarm("a clock that is decades ahead", "")
	c.t = time.Unix(2e9, 0)
	if err := b.Delivered(b.Entries()[0]); err != nil {
		t.Fatal(err)
	}
	for seq := range int64(AlarmCount) {
		alarm("few", "")
		if err := b.Put(entry(seq+1, "a.example")); err != nil {
			t.Fatal(err)
		}
	}
	alarm("many", fmt.Sprint(AlarmCount))
}

// An entry keeps by whom its card verifies servers; one of an earlier version
// learns it when the card is read again.
func TestIssuersAreKept(t *testing.T) {
	dir, c := filepath.Join(t.TempDir(), "outbox"), &clock{time.Unix(1e9, 0)}
	b := newBox(t, dir, c)
	e := entry(1, "a.example")
	if err := b.Put(e); err != nil {
		t.Fatal(err)
	}
	e.Issuers = make([][]byte, 300) // a card that says too much
	e.Issuers[0] = []byte{1, 2, 3}
	for range 2 {
		if err := b.Put(e); err != nil {
			t.Fatal(err)
		}
	}
	e.Issuers = [][]byte{{9}}
	if err := b.Put(e); err != nil { // they never change
		t.Fatal(err)
	}
	got := newBox(t, dir, c).Entries()
	if len(got) != 1 || len(got[0].Issuers) != maxIssuers || string(got[0].Issuers[0]) != "\x01\x02\x03" {
		t.Errorf("%+v", got)
	}
}
