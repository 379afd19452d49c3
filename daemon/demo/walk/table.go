//go:build linux && !nodemo

package walk

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Table is what was tried of a walk, by kind of point, and how it ended.
type Table struct{ rows map[string]*row }

type row struct {
	tried int
	times []time.Duration
}

// Add notes one try, and the time that it took to a link if the end was right.
func (t *Table) Add(kind string, toLink time.Duration, err error) {
	if t.rows == nil {
		t.rows = map[string]*row{}
	}
	if t.rows[kind] == nil {
		t.rows[kind] = &row{}
	}
	t.rows[kind].tried++
	if err == nil {
		t.rows[kind].times = append(t.rows[kind].times, toLink)
	}
}

// Tried is how many points were tried, of one kind, or of all with "".
func (t *Table) Tried(kind string) (n int) {
	for k, r := range t.rows {
		if kind == "" || k == kind {
			n += r.tried
		}
	}
	return n
}

// Text is the table, times rounded to unit.
func (t *Table) Text(unit time.Duration) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "stopped at\ttried\tsurvived\tto link, median\tlongest\t")
	all := &row{}
	line := func(kind string, r *row) {
		slices.Sort(r.times)
		var median, longest time.Duration
		if n := len(r.times); n > 0 {
			median, longest = r.times[n/2], r.times[n-1]
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%v\t%v\t\n", kind, r.tried, len(r.times), median.Round(unit), longest.Round(unit))
	}
	for _, kind := range Kinds() {
		if r := t.rows[kind]; r != nil {
			line(kind, r)
			all.tried, all.times = all.tried+r.tried, append(all.times, r.times...)
		}
	}
	line("all", all)
	w.Flush()
	return b.String()
}

// Publish leaves a table for people in the directory that DYNAMOD_TABLES names:
// what a test that passes prints is not shown where many packages are tested.
func Publish(name, text string) error {
	dir := os.Getenv("DYNAMOD_TABLES")
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".txt"), []byte(text), 0o644)
}
