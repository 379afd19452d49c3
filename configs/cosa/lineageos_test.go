package cosa_test

import (
	"hash/fnv"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dynamod/configs/cosa"
	"dynamod/configs/cosa/importer"
)

// The embedded database alone, on the networks that the LineageOS list knows as
// well: how often its first candidate, and any of its first three, is an
// internet APN there. The rules of order (convert/order.go) were chosen on the
// even half, by a hash of MCC+MNC; the odd half shows whether they hold. The
// baseline is the source's own order.
func TestOrder(t *testing.T) {
	paths, _ := filepath.Glob("../../../shared/data/apn/lineageos/*.xml")
	if len(paths) == 0 {
		t.Skip("the LineageOS list is not at ../shared/data/apn/lineageos")
	}
	theirs := map[string][]string{}
	for _, path := range paths {
		file, problems := importer.ReadFile(path)
		if len(problems) > 0 {
			t.Fatal(problems[0])
		}
		for _, p := range file.Profiles {
			for _, c := range p.Connections {
				if plmn := p.Targets[0].MCCMNC[0]; c.For(cosa.Internet) {
					theirs[plmn] = append(theirs[plmn], strings.ToLower(c.APN))
				}
			}
		}
	}
	db, err := cosa.Load()
	if err != nil {
		t.Fatal(err)
	}
	type score struct{ both, first, three, any int }
	var got [2]score
	for plmn, want := range theirs {
		list, err := db.Match(cosa.SIM{MCCMNC: plmn}).Candidates(cosa.Request{})
		if err != nil {
			continue
		}
		hash := fnv.New32a()
		hash.Write([]byte(plmn))
		s := &got[hash.Sum32()%2]
		s.both++
		switch at := slices.IndexFunc(list, func(c cosa.Candidate) bool { return slices.Contains(want, strings.ToLower(c.Connection.APN)) }); {
		case at == 0:
			s.first++
			fallthrough
		case at == 1 || at == 2:
			s.three++
			fallthrough
		case at > 2:
			s.any++
		}
	}
	baseline := [2]score{{287, 186, 227, 232}, {294, 211, 249, 253}} // measured before there were rules
	percent := func(n, of int) float64 { return 100 * float64(n) / float64(of) }
	for half, name := range []string{"chosen on", "held against"} {
		s, b := got[half], baseline[half]
		t.Logf("%-12s %d networks: first right in %.1f %% (source's order %.1f %%), one of three in %.1f %% (%.1f %%), any in %.1f %%", name+":",
			s.both, percent(s.first, s.both), percent(b.first, b.both), percent(s.three, s.both), percent(b.three, b.both), percent(s.any, s.both))
		if s.both < b.both*9/10 {
			t.Errorf("only %d networks in both: the test looks at the wrong thing", s.both)
		}
		if percent(s.first, s.both) < percent(b.first, b.both) || percent(s.three, s.both) < percent(b.three, b.both) {
			t.Errorf("%s the half: below the source's own order", name)
		}
	}
	all := func(f func(score) int) float64 { return percent(f(got[0])+f(got[1]), got[0].both+got[1].both) }
	t.Logf("together: first %.1f %%, three %.1f %%, any %.1f %%", all(func(s score) int { return s.first }), all(func(s score) int { return s.three }), all(func(s score) int { return s.any }))
}
