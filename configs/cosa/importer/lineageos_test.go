package importer

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dynamod/configs/cosa"
)

// lineageOS imports the list of LineageOS, which the tests read where it is.
func lineageOS(t testing.TB) ([]cosa.OperatorProfile, []*File) {
	t.Helper()
	paths, _ := filepath.Glob("../../../../shared/data/apn/lineageos/*.xml")
	if len(paths) == 0 {
		t.Skip("the LineageOS list is not at ../shared/data/apn/lineageos")
	}
	var set Set
	var files []*File
	for _, path := range paths {
		file, problems := ReadFile(path)
		if len(problems) > 0 {
			t.Fatal(problems[0])
		}
		if p := set.Add(file); p != nil {
			t.Fatal(p)
		}
		files = append(files, file)
	}
	return set.Profiles(), files
}

// For every SIM that a row of the LineageOS list describes, the match gives the
// set of that row, unless another row has the very same key.
func TestLineageOSRows(t *testing.T) {
	profiles, files := lineageOS(t)
	var all Report
	for _, f := range files {
		all.Taken += f.Report.Taken
		all.Lossy, all.Refused = append(all.Lossy, f.Report.Lossy...), append(all.Refused, f.Report.Refused...)
	}
	t.Logf("%d files: %d rows taken into %d operators, %d refused, %d remarks on what was lost", len(files), all.Taken, len(profiles), len(all.Refused), len(all.Lossy))
	for _, c := range Tally(all.Refused) {
		t.Logf("  refused: %4d %s", c.Rows, c.Why)
	}
	for _, c := range Tally(all.Lossy) {
		t.Logf("  loss:    %4d %s", c.Rows, c.Why)
	}
	if len(files) != 169 || all.Taken+len(all.Refused) != 3991 {
		t.Errorf("%d files with %d rows, want 169 with 3991", len(files), all.Taken+len(all.Refused))
	}

	db, err := cosa.New(profiles)
	if err != nil {
		t.Fatal(err)
	}
	owner := map[string]string{} // a target to the first profile that has it
	for i := range profiles {
		if key := profiles[i].Targets[0].String(); owner[key] == "" {
			owner[key] = profiles[i].ID
		}
	}
	hits, rows := map[string]int{}, map[string]int{}
	for i := range profiles {
		p := &profiles[i]
		keys := "MCC+MNC"
		shadowed := owner[p.Targets[0].String()] != p.ID
		found := false
		for _, sim := range simsOf(&p.Targets[0]) {
			d := db.Match(sim)
			if !d.Found() {
				continue
			}
			best := d.Matches[0]
			if best.Profile == p || shadowed && slices.ContainsFunc(d.Matches[:d.Winners], func(m cosa.Match) bool { return m.Profile == p }) {
				found, keys = true, best.Keys().String()
				if got := apnSet(t, d, p); !got {
					t.Errorf("%s: its connections are not what the match gives", p.ID)
				}
				break
			}
		}
		rows[keys] += len(p.Connections)
		switch {
		case found:
			hits[keys] += len(p.Connections)
		case shadowed:
			t.Logf("shadowed by the same key: %s", p.ID)
		default:
			t.Errorf("%s (%s): no SIM that it describes gets it", p.ID, p.Targets[0].String())
		}
	}
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		t.Logf("rows by %-15s %4d of %4d", key+":", hits[key], rows[key])
	}
}

// apnSet tells whether each of the profile's connections that are in use is
// among the candidates of one of its purposes.
func apnSet(t *testing.T, d cosa.Decision, p *cosa.OperatorProfile) bool {
	t.Helper()
	for i := range p.Connections {
		c := &p.Connections[i]
		if c.Enabled == cosa.FlagOff {
			continue
		}
		for purpose := cosa.Internet; purpose <= cosa.Emergency; purpose <<= 1 {
			if !c.For(purpose) {
				continue
			}
			list, err := d.Candidates(cosa.Request{Purpose: purpose, Roaming: cosa.Home})
			if err != nil || !slices.ContainsFunc(list, func(k cosa.Candidate) bool {
				return strings.EqualFold(k.Connection.APN, c.APN) && k.Connection.Username == c.Username
			}) {
				return false
			}
		}
	}
	return true
}

// simsOf makes SIMs that a target describes: for a pattern with every digit in
// place of x and after it, because a narrower one may take away some.
func simsOf(t *cosa.Target) (sims []cosa.SIM) {
	base := cosa.SIM{MCCMNC: t.MCCMNC[0], IMSI: t.MCCMNC[0] + strings.Repeat("0", 15-len(t.MCCMNC[0])), ICCID: "8900000000000000000"}
	switch {
	case len(t.IMSIPattern) > 0:
		for d := range 10 {
			sim := base
			digit := fmt.Sprint(d)
			head := strings.ReplaceAll(string(t.IMSIPattern[0]), "x", digit)
			sim.IMSI = head + strings.Repeat(digit, 15-len(head))
			sims = append(sims, sim)
		}
	case len(t.GID1) > 0:
		for _, tail := range []string{"", "FF", "00", "A5"} {
			sim := base
			sim.GID1 = t.GID1[0].Hex
			if len(sim.GID1)%2 != 0 {
				sim.GID1 += "F"
			}
			sim.GID1 += tail
			sims = append(sims, sim)
		}
	case len(t.SPN) > 0:
		base.SPN = strings.ToUpper(t.SPN[0]) + " "
		sims = append(sims, base)
	case len(t.ICCID) > 0:
		base.ICCID = t.ICCID[0].Lo + strings.Repeat("0", 19-len(t.ICCID[0].Lo))
		sims = append(sims, base)
	default:
		sims = append(sims, base)
	}
	return sims
}

// Each row can be given to operators.d as our own JSON: written and read again
// the list is the same.
func TestLineageOSRoundTrip(t *testing.T) {
	profiles, _ := lineageOS(t)
	var out strings.Builder
	if err := cosa.WriteJSON(&out, profiles); err != nil {
		t.Fatal(err)
	}
	again := read(t, "all.json", out.String())
	if len(again.Profiles) != len(profiles) {
		t.Fatalf("%d of %d profiles", len(again.Profiles), len(profiles))
	}
	for i := range profiles {
		again.Profiles[i].Origin = profiles[i].Origin
		if fmt.Sprintf("%+v", again.Profiles[i]) != fmt.Sprintf("%+v", profiles[i]) {
			t.Fatalf("%+v\n%+v", again.Profiles[i], profiles[i])
		}
	}
}
