package importer

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Report says what became of the rows of one file. A row is what holds one
// connection: an <apn>, a <Connection>, an element of "connections".
type Report struct {
	File   string `json:"file"`
	Format Format `json:"format"`
	// Taken counts the rows that are in the result, with loss or without.
	Taken int `json:"taken"`
	// Profiles counts the operator profiles that they make up.
	Profiles int `json:"profiles"`
	// Lossy are rows and records that are in the result, but not with all that
	// they said.
	Lossy []Row `json:"lossy"`
	// Refused are rows and records that are not in the result.
	Refused []Row `json:"refused"`
}

// Row is a row of a file, and what about it is not in the result. It never
// shows a user name or password.
type Row struct {
	Line int    `json:"line"`
	What string `json:"what"` // which row, such as `310-260, T-Mobile: apn "wap mms"`
	Why  string `json:"why"`
}

// String writes "line 12: WHAT: WHY".
func (r Row) String() string { return fmt.Sprintf("line %d: %s: %s", r.Line, r.What, r.Why) }

func (r *Report) lose(line int, what, why string) {
	r.Lossy = append(r.Lossy, Row{line, clip(what), clip(why)})
}

func (r *Report) refuse(line int, what, why string) {
	r.Refused = append(r.Refused, Row{line, clip(what), clip(why)})
}

// clip shortens a text that may come from the file.
func clip(s string) string {
	const limit = 200
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(strings.Clone(s[:limit]), "") + "..."
}

// Summary is the report in one line, without the file's name.
func (r *Report) Summary() string {
	return fmt.Sprintf("%s: %d rows taken into %d operators, %d remarks on what was lost, %d refused",
		r.Format, r.Taken, r.Profiles, len(r.Lossy), len(r.Refused))
}

// Tally counts the rows with the same reason, the most frequent first.
func Tally(rows []Row) []Count {
	var out []Count
	for _, r := range rows {
		i := slices.IndexFunc(out, func(c Count) bool { return c.Why == r.Why })
		if i < 0 {
			out = append(out, Count{Why: r.Why})
			i = len(out) - 1
		}
		out[i].Rows++
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), strings.Compare(a.Why, b.Why)) < 0
	})
	return out
}

// Count is how many rows have one reason.
type Count struct {
	Rows int
	Why  string
}
