package webhook

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dynamod/daemon/activation"
)

// A receiver that is named while the runs are looked through is not forgotten.
func TestKeepDuringScan(t *testing.T) {
	box, err := Open(filepath.Join(t.TempDir(), "w"), time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu   sync.Mutex
		runs []activation.Record
	)
	list := func() []activation.Record {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(runs)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for range 200 {
			if err := box.Scan(list, "", nil); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 50 {
		id := fmt.Sprint("R", i)
		mu.Lock()
		runs = append(runs, activation.Record{ID: id, State: activation.Accepted})
		mu.Unlock()
		if err := box.Keep(id, "https://noc.example/"); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	if len(box.Runs) != 50 {
		t.Errorf("%d of 50 receivers are known", len(box.Runs))
	}
}

// What waits is bounded, whatever is asked.
func TestCaps(t *testing.T) {
	box, err := Open(filepath.Join(t.TempDir(), "w"), time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	var runs []activation.Record
	body := func(activation.Record) ([]byte, error) { return []byte(`"` + strings.Repeat("x", 4000) + `"`), nil }
	if err := box.Scan(func() []activation.Record { return runs }, "http://a.example/", body); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		runs = append(runs, activation.Record{ID: string(rune('A' + i)), State: activation.Done, Ended: &now})
		if err := box.Scan(func() []activation.Record { return runs }, "http://a.example/", body); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(box.path); err != nil || info.Size() > maxBytes+8<<10 || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if n := len(box.Queue); n == 0 || n > maxQueue || box.Queue[n-1].Run != runs[99].ID {
		t.Errorf("%d wait", n)
	}
}

func TestDamagedFile(t *testing.T) {
	for _, text := range []string{"", "{", "null", `{"runs": {"A": null}}`, `{"queue": [{}]}`, `[]`} {
		path := filepath.Join(t.TempDir(), "w")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		box, _ := Open(path, time.Now, slog.New(slog.DiscardHandler))
		now := time.Now()
		if err := box.Keep("A", "https://a.example/"); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if err := box.Scan(func() []activation.Record { return []activation.Record{{ID: "A", State: activation.Done, Ended: &now}} }, "", func(activation.Record) ([]byte, error) { return []byte("{}"), nil }); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if n, _ := box.Waiting(); n == 0 {
			t.Errorf("%s: nothing waits", text)
		}
	}
}
