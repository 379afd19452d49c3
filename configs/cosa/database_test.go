package cosa

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func mustLoad(t testing.TB) *DB {
	t.Helper()
	db, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestDatabase(t *testing.T) {
	if n := len(embeddedText(t)) + len(overlayText); n > 120<<10 {
		t.Errorf("the embedded database has %d bytes, the budget is 120 KB", n)
	}
	db := mustLoad(t)
	plmns, conns := map[string]bool{}, 0
	for p := range db.Profiles() {
		conns += len(p.Connections)
		for _, tg := range p.Targets {
			for _, plmn := range tg.MCCMNC {
				plmns[plmn] = true
			}
		}
	}
	t.Logf("%d operators, %d MCC+MNC, %d connections, %d bytes", db.Len(), len(plmns), conns, len(embeddedText(t)))
	if db.Len() < 600 || len(plmns) < 800 || conns < 1200 {
		t.Error("that is less than the source has")
	}

	for _, tt := range []struct {
		name, plmn string
		winners    int // of the decision; 0: no match
		ambiguous  bool
		first      string
	}{
		{"one operator", "21303", 1, false, "internetand"},
		{"shared by sixteen, no primary", "50502", 16, true, ""},
		{"shared by five, primary first", "44010", 5, true, "mopera.ne.jp"},
		{"shared by five, French", "20801", 5, true, ""},
		{"722-34", "72234", 1, false, ""},
		{"722-341", "722341", 1, false, ""},
		{"208-26", "20826", 1, false, ""},
		{"208-260", "208260", 1, false, ""},
		{"222-10, with an MVNO", "22210", 2, true, ""},
		{"222-010 is not 222-10", "222010", 0, false, ""},
		{"310-090", "310090", 1, false, ""},
		{"310-90 is not 310-090", "31090", 0, false, ""},
		{"test network", "00101", 0, false, ""},
	} {
		d := db.Match(SIM{MCCMNC: tt.plmn})
		if d.Winners != tt.winners || d.Ambiguous() != tt.ambiguous {
			t.Errorf("%s: %d winners, ambiguous %v; want %d, %v\n%s", tt.name, d.Winners, d.Ambiguous(), tt.winners, tt.ambiguous,
				strings.Join(db.Explain(SIM{MCCMNC: tt.plmn}), "\n"))
		}
		if got := apns(d, Request{}); tt.first != "" && (len(got) == 0 || got[0] != tt.first) {
			t.Errorf("%s: %v, want %s first", tt.name, got, tt.first)
		}
	}
	profiles, err := parseDatabase(embeddedText(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(profiles); err != nil { // Load does not check the records again
		t.Error(err)
	}
	if got, want := db.Match(SIM{MCCMNC: "21303"}).Reason(), `database mobile-broadband-provider-info 20230416-1: "Andorra Telecom (Mobiland)" by MCC+MNC 21303`; got != want {
		t.Errorf("reason %s, want %s", got, want)
	}
}

// Each row of the overlay says where it is from, and takes the place of the
// database's row of the same id.
func TestOverlay(t *testing.T) {
	rows, problems := ParseJSON("overlay.json", []byte(overlayText))
	if len(problems) > 0 {
		t.Fatal(problems[0])
	}
	for _, p := range rows {
		if !strings.HasPrefix(p.Ext.Get(ExtSource), "https://") {
			t.Errorf("%s: no source", p.ID)
		}
		if len(p.Connections) == 0 || len(p.Targets) == 0 {
			t.Errorf("%s: no connections, or no SIM that it is for", p.ID)
		}
	}
	base, err := parseDatabase("# source\tx 1\nad/A\t21303\t1\n\told\ti\nad/B\t21304\t2\n\tb\ti\n")
	if err != nil {
		t.Fatal(err)
	}
	got, err := overlay(base, `[{"id": "ad/A", "name": "A", "targets": [{"mccmnc": ["21303"]}], "connections": [{"apn": "new", "ipType": "ipv6"}]},
		{"id": "overlay/C", "targets": [{"mccmnc": ["21303"], "spn": ["C"]}], "connections": [{"apn": "c"}]}]`)
	if err != nil {
		t.Fatal(err)
	}
	db, err := New(got)
	if err != nil {
		t.Fatal(err)
	}
	for spn, want := range map[string]string{"": `new database overlay: "A" by MCC+MNC 21303`, "c": `c database overlay: "" by SPN "C", MCC+MNC 21303`} {
		d := db.Match(SIM{MCCMNC: "21303", SPN: spn})
		if got := strings.Join(append(apns(d, Request{}), d.Reason()), " "); got != want || d.Matches[0].Profile.Source != SourceDatabase {
			t.Errorf("SPN %q: %s, want %s", spn, got, want)
		}
	}
	if db.Len() != 3 {
		t.Errorf("%d profiles, want 3", db.Len())
	}
	if _, err := overlay(base, `[{"id": 1}]`); err == nil {
		t.Error("a damaged overlay is taken")
	}
}

// One APN string with different user names stays two candidates.
func TestDatabaseCredentials(t *testing.T) {
	db := mustLoad(t)
	pairs := 0
	for p := range db.Profiles() {
		users := map[string]string{}
		for _, c := range p.Connections {
			if user, there := users[strings.ToLower(c.APN)]; there && user != c.Username && c.For(Internet) && len(p.Targets) > 0 {
				pairs++
				list, err := db.Match(SIM{MCCMNC: p.Targets[0].MCCMNC[0]}).Candidates(Request{})
				if err != nil {
					t.Fatal(err)
				}
				seen := 0
				for _, cand := range list {
					if cand.Profile == p && strings.EqualFold(cand.Connection.APN, c.APN) && (cand.Connection.Username == user || cand.Connection.Username == c.Username) {
						seen++
					}
				}
				if seen < 2 {
					t.Errorf("%s: %s: one of two user names is lost", p.ID, c.APN)
				}
			}
			if c.For(Internet) {
				users[strings.ToLower(c.APN)] = c.Username
			}
		}
	}
	if pairs < 5 {
		t.Errorf("only %d pairs found, the test looks at the wrong thing", pairs)
	}
}

func TestDatabaseRoundTrip(t *testing.T) {
	profiles, err := parseDatabase(embeddedText(t))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := WriteDatabase(&out, "mobile-broadband-provider-info 20230416-1", profiles); err != nil {
		t.Fatal(err)
	}
	if out.String() != embeddedText(t) {
		t.Error("read and written again it is another file")
	}
}

func TestParseDatabaseErrors(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"connection first", "\tapn\n", "line 1: connection before any operator"},
		{"no country", "Name\t00101\n", `line 1: "Name" is not COUNTRY/NAME`},
		{"purpose", "de/A\n\tapn\tq\n", `line 2: purposes "q" are not known`},
		{"plan", "de/A\n\tapn\ti\tq\n", `line 2: plan "q" is not known`},
		{"authentication", "de/A\n\tapn\ti\t\t\t\t\tq\n", `line 2: authentication "q" is not known`},
		{"columns", "de/A\n\tapn\ti\t\t\t\t\tpap\tx\n", `line 2: APN "apn" has too many columns`},
		{"order", "de/A\t00101\tx\n", `line 1: uiOrder "x" is not a number`},
		{"rank", "de/A\t00101\t1\tx\n", `line 1: rank "x" is not a number`},
		{"further fact", "de/A\t00101\t1\t\tx\n", `line 1: "de/A" has a column that is not KEY=VALUE`},
	} {
		if _, err := parseDatabase(tt.in); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestWriteDatabaseRefuses(t *testing.T) {
	for name, p := range map[string]OperatorProfile{
		"another key":   {ID: "de/A", Name: "A", Country: "de", Rank: DefaultRank, Targets: []Target{{MCCMNC: []string{"26201"}, SPN: []string{"x"}}}},
		"an IP type":    {ID: "de/A", Name: "A", Country: "de", Rank: DefaultRank, Connections: []Connection{{APN: "a", IPType: IPv4}}},
		"a tab":         {ID: "de/A", Name: "A", Country: "de", Rank: DefaultRank, Connections: []Connection{{APN: "a", FriendlyName: "x\ty"}}},
		"a foreign id":  {ID: "x", Name: "A", Country: "de", Rank: DefaultRank},
		"a purpose IMS": {ID: "de/A", Name: "A", Country: "de", Rank: DefaultRank, Connections: []Connection{{APN: "a", Purposes: Purposes(IMS)}}},
	} {
		if err := WriteDatabase(&bytes.Buffer{}, "x", []OperatorProfile{p}); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}

// The look-up allocates nothing once the database is loaded.
func TestLookupAllocations(t *testing.T) {
	db := mustLoad(t)
	db, err := db.With(mustProfiles(t, hardCases))
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]Match, 0, 32)
	for name, sim := range map[string]SIM{
		"known network":  {IMSI: "505021234567890", MNCLength: 2, ICCID: "8961021234567890123", SPN: "Optus", GID1: "FFFF"},
		"length unknown": {IMSI: "722341234567890", ICCID: "8954341234567890123F"},
		"MVNO":           {IMSI: "310260970000001", MNCLength: 3, GID1: "6D38", SPN: "Metro"},
		"no match":       {MCCMNC: "99999"},
	} {
		if n := testing.AllocsPerRun(100, func() { buf = db.Lookup(buf[:0], sim) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func mustProfiles(t testing.TB, text string) []OperatorProfile {
	t.Helper()
	profiles, problems := ParseJSON("hard.json", []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems[0])
	}
	return profiles
}

func FuzzParseDatabase(f *testing.F) {
	f.Add(embeddedText(f)[:2000])
	f.Add("de/A\t26201,26206\t1\t90\tk=v\n\tapn\tim\tboth\tF\tu\tp\tpap\n")
	f.Add("\tx\n")
	f.Fuzz(func(t *testing.T, text string) {
		profiles, err := parseDatabase(text)
		if err != nil {
			return
		}
		if _, err := New(profiles); err != nil {
			return
		}
		var out bytes.Buffer
		if err := WriteDatabase(&out, "x", profiles); err != nil {
			t.Skip() // a carriage return inside a column
		}
		again, err := parseDatabase(out.String())
		if err != nil || len(again) != len(profiles) {
			t.Fatalf("%d profiles of %d, %v", len(again), len(profiles), err)
		}
		byID := map[string]OperatorProfile{}
		for _, p := range again {
			byID[p.ID] = p
		}
		for _, p := range profiles {
			q := byID[p.ID]
			q.Origin = p.Origin
			if !reflect.DeepEqual(p, q) {
				t.Fatalf("%+v\n%+v", p, q)
			}
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	db := mustLoad(b)
	buf := make([]Match, 0, 32)
	sim := SIM{IMSI: "505021234567890", MNCLength: 2, ICCID: "8961021234567890123", SPN: "Optus"}
	b.ReportAllocs()
	for b.Loop() {
		buf = db.Lookup(buf[:0], sim)
	}
}

func BenchmarkMatchAndCandidates(b *testing.B) {
	db := mustLoad(b)
	sim := SIM{IMSI: "505021234567890", MNCLength: 2}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := db.Match(sim).Candidates(Request{}); err != nil {
			b.Fatal(err)
		}
	}
}

// The embedded database is no XML: this package does not even know it.
func TestNoXMLAtStart(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if i.Path.Value == `"encoding/xml"` {
				t.Errorf("%s imports encoding/xml", name)
			}
		}
	}
}

// embeddedText is the database's text, which is the file that is reviewed.
func embeddedText(t testing.TB) string {
	t.Helper()
	text, err := databaseText()
	if err != nil {
		t.Fatal(err)
	}
	if reviewed, err := os.ReadFile("data/operators.tsv"); err != nil || string(reviewed) != text {
		t.Fatalf("operators.tsv.gz is not operators.tsv packed (%v): run `make cosa-db`, or gzip -9n", err)
	}
	return text
}
