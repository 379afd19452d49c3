package activation

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dynamod/daemon/journal"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// year is a box whose line flaps: it falls back and forth four times a day, its card
// switches by itself every other day, and something panics every week. In between
// somebody activates a profile, and switches, each week.
type year struct {
	t    *testing.T
	o    *Orchestrator
	j    *journal.Journal
	log  bytes.Buffer
	now  time.Time
	runs map[string]int // how many of each kind
	ids  map[string][]string
}

func (y *year) run(kind string, r Record) string {
	y.t.Helper()
	r.ID = fmt.Sprintf("%s-%d", kind, y.runs[kind])
	y.runs[kind]++
	y.ids[kind] = append(y.ids[kind], r.ID)
	r.Started = y.now
	if r.Mark == "" {
		r.Previous = "8900101000000000018"
	}
	r.ICCID, r.APN, r.APNReason, r.Provider, r.Profile = "8900101000000000026", "internet.example", "record 001-01 of the database", "An Operator of Some Length", "Profile 26"
	states := []State{Enabling, Attaching, Configuring, Probing, Committed, Notifying, Done}
	if kind == "activation" {
		states = append([]State{Accepted, Authenticated, Authenticated, Agreed, Downloading, Installed, Reporting}, states...)
	}
	for _, s := range states {
		y.now = y.now.Add(2 * time.Second)
		if r.State = s; s.Ended() {
			at := y.now
			r.Ended, r.Outcome = &at, status.Committed
			r.Error = &status.Problem{Code: "no-link", Text: strings.Repeat("why it took so long ", 8), Advice: "see `dynamod diag`"}
			r.Figures = &status.Figures{APDUs: 120, APDUBytes: 40000}
		}
		y.o.mu.Lock()
		err := y.o.append(r)
		y.o.mu.Unlock()
		if err != nil {
			y.t.Fatal(err)
		}
	}
	return r.ID
}

func TestYearOfJournal(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "dynamod-year-") // thousands of syncs
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	y := &year{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), runs: map[string]int{}, ids: map[string][]string{}}
	now := func() time.Time { return y.now }
	path := filepath.Join(dir, "journal")
	if y.j, err = journal.Open(path, 0, now); err != nil {
		t.Fatal(err)
	}
	vault, err := OpenVault(dir)
	if err != nil {
		t.Fatal(err)
	}
	config := func() Config {
		return Config{Journal: y.j, Vault: vault, Status: status.New("test", now), Now: now, Log: slog.New(slog.NewTextHandler(&y.log, nil))}
	}
	if y.o, err = New(config()); err != nil {
		t.Fatal(err)
	}
	note := func(kind string, data any) {
		t.Helper()
		if _, err := y.j.Append(kind, data); err != nil {
			t.Fatal(err)
		}
		y.runs[kind]++
	}
	for quarter := range 4 * 365 {
		y.now = time.Date(2026, 1, 1, 6*quarter, 0, 0, 0, time.UTC)
		y.run("fallback", Record{Fallback: &Fallback{Reason: NoTraffic, Text: "fallback: no traffic with profile 8900101000000000018 for 10m0s", Preferred: "8900101000000000018"}})
		if quarter%8 == 0 {
			note(status.SIMChangeKind, status.SIMChange{From: "8900101000000000018", To: "8900101000000000026", At: y.now})
		}
		if quarter%28 == 0 {
			y.run("switch", Record{})
			note("panic", map[string]any{"task": "link", "value": "index out of range", "stack": strings.Repeat("dynamod/daemon/bearer.(*Bearer).look bearer.go:100\n", 16)})
		}
		if quarter%31 == 0 {
			id := y.run("activation", Record{Key: fmt.Sprintf("key-%d", y.runs["activation"]), Mark: vault.Mark(Request{Code: testCode(y.runs["activation"])}), SMDP: "smdp.example.com"})
			_ = id
		}
		if size, limit := y.j.Size(); size > limit {
			t.Fatalf("%d bytes", size)
		}
	}
	t.Logf("%v, rewritten %d times", y.runs, y.j.Compactions())
	if n := y.j.Compactions(); n < 10 || n > 250 {
		t.Errorf("rewritten %d times", n)
	}
	if !strings.Contains(y.log.String(), "makes room") || !strings.Contains(y.log.String(), "of kind run") {
		t.Errorf("nobody is told: %s", y.log.String())
	}

	// Another process finds what the present one knows.
	if err := y.j.Close(); err != nil {
		t.Fatal(err)
	}
	if y.j, err = journal.Open(path, 0, now); err != nil || y.j.Damage() != nil {
		t.Fatal(err, y.j.Damage())
	}
	defer y.j.Close()
	before := y.o.Runs()
	if y.o, err = New(config()); err != nil {
		t.Fatal(err)
	}
	if len(before) != len(y.o.Runs()) {
		t.Errorf("%d runs, and %d after a restart", len(before), len(y.o.Runs()))
	}
	known := map[string]int{}
	for kind, ids := range y.ids {
		gap := false
		for i := len(ids) - 1; i >= 0; i-- {
			_, err := y.o.Get(ids[i])
			if err == nil {
				known[kind]++
			}
			if gap = gap || err != nil; gap && err == nil {
				t.Errorf("%s is known, and a younger one is not", ids[i])
			}
		}
	}
	for _, r := range y.j.Records() {
		if r.Kind != Kind {
			known[r.Kind]++
		}
	}
	for kind, least := range map[string]int{"activation": y.runs["activation"], "switch": keepSwitches, "fallback": keepFallbacks, "panic": keepOthers, status.SIMChangeKind: keepOthers} {
		if known[kind] < least {
			t.Errorf("%d of kind %s, want %d", known[kind], kind, least)
		}
	}

	// All keys and codes of the year are known; the youngest activation as a story.
	for i := range y.runs["activation"] {
		for _, r := range []Request{{Key: fmt.Sprintf("key-%d", i), Code: testCode(i)}, {Code: testCode(i)}} {
			rec, err := y.o.Submit(r)
			if err != nil || rec.ID != y.ids["activation"][i] {
				t.Errorf("activation %d: %s, %v", i, rec.ID, err)
			}
		}
	}
	records := 0
	for _, r := range y.j.Records() {
		for _, rec := range Runs([]journal.Record{r}) {
			if rec.ID == y.ids["activation"][y.runs["activation"]-1] {
				records++
			}
		}
	}
	if records != 14 {
		t.Errorf("%d records of the youngest activation", records)
	}
}

func testCode(i int) euicc.ActivationCode {
	return euicc.ActivationCode{Address: "smdp.example.com", MatchingID: euicc.MatchingID(fmt.Sprintf("ORDER-%d", i))}
}

// Whatever is in the journal, what stays fits, and the run under way stays.
func TestRetainFits(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var records []journal.Record
		under := uint64(0)
		for i := range 1 + rng.IntN(150) {
			jr := journal.Record{Seq: uint64(i + 2), Kind: []string{Kind, Kind, Kind, "panic", "sim-changed", "of a later version"}[rng.IntN(6)]}
			pad := strings.Repeat("x", rng.IntN(1+rng.IntN(15000)))
			jr.Data = fmt.Appendf(nil, `{"pad":%q}`, pad)
			if jr.Kind == Kind {
				jr.Data = fmt.Appendf(nil, `{"id":"%d","state":"done","mark":"m","fallback":%s,"apn_reason":%q}`, rng.IntN(40), []string{"null", "{}"}[rng.IntN(2)], pad)
			}
			records = append(records, jr)
		}
		if rng.IntN(2) == 0 {
			under = uint64(len(records) + 2)
			records = append(records, journal.Record{Seq: under, Kind: Kind, Data: fmt.Appendf(nil, `{"id":"now","state":"enabling","apn_reason":%q}`, strings.Repeat("y", rng.IntN(15000)))})
		}
		const room = 96 << 10
		keep, size := retain(records, room), 0
		for _, jr := range records {
			if keep[jr.Seq] {
				size += jr.Size()
			}
		}
		if size > room || len(keep) == 0 || under != 0 && !keep[under] {
			t.Fatalf("%d bytes of %d records stay, the run under way: %v", size, len(keep), keep[under])
		}
	}
}
