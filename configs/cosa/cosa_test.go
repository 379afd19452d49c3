package cosa

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// mustNew makes a DB from the JSON of operators files.
func mustNew(t testing.TB, files ...string) *DB {
	t.Helper()
	db := &DB{}
	for i, text := range files {
		profiles, problems := ParseJSON(fmt.Sprintf("test%d.json", i), []byte(text))
		if len(problems) > 0 {
			t.Fatal(problems[0])
		}
		next, err := db.With(profiles)
		if err != nil {
			t.Fatal(err)
		}
		db = next
	}
	return db
}

// apns lists what would be tried.
func apns(d Decision, req Request) []string {
	list, _ := d.Candidates(req)
	var out []string
	for _, c := range list {
		out = append(out, c.Connection.APN)
	}
	return out
}

// The records of the hard cases: values are those that the operators' rows in
// public lists have.
const hardCases = `[
{"id": "tmo", "name": "T-Mobile US", "targets": [{"mccmnc": ["310260"]}],
 "connections": [{"apn": "fast.t-mobile.com", "ipType": "ipv6"}]},
{"id": "wholesale", "targets": [{"mccmnc": ["310260"], "gid1": [{"value": "2AC9", "mode": "prefix"}]}],
 "connections": [{"apn": "wholesale"}]},
{"id": "metro", "targets": [{"mccmnc": ["310260"], "gid1": [{"value": "6D", "mode": "prefix"}]}],
 "connections": [{"apn": "fast.metropcs.com", "ipType": "ipv6", "roamingIpType": "ipv4"}]},
{"id": "h2g2", "targets": [{"mccmnc": ["310260"], "imsi": ["31026097"]}], "connections": [{"apn": "h2g2"}]},
{"id": "rogers", "targets": [{"mccmnc": ["302720"]}],
 "connections": [{"apn": "ltemobile.apn", "ipType": "ipv6", "roamingIpType": "ipv4v6"}]},
{"id": "chatr", "targets": [{"mccmnc": ["302720"], "imsi": ["302720x83"]}],
 "connections": [{"apn": "chatrweb.apn", "ipType": "ipv6", "roamingIpType": "ipv4v6"}]},
{"id": "telekom", "targets": [{"mccmnc": ["26201"]}], "connections": [{"apn": "internet.telekom"}]},
{"id": "lebara", "targets": [{"mccmnc": ["26201"], "spn": ["Lebara"]}], "connections": [{"apn": "internet.t-mobile"}]},
{"id": "ee", "targets": [{"mccmnc": ["23430"]}], "connections": [{"apn": "everywhere"}]},
{"id": "virgin", "targets": [{"mccmnc": ["23430"], "spn": ["Virgin"]}], "connections": [{"apn": "goto.virginmobile.uk"}]},
{"id": "movistar-ar", "targets": [{"mccmnc": ["72234"]}], "connections": [{"apn": "two"}]},
{"id": "personal-ar", "targets": [{"mccmnc": ["722341"]}], "connections": [{"apn": "three"}]},
{"id": "vodafone-it", "targets": [{"mccmnc": ["22210"]}], "connections": [{"apn": "two"}]},
{"id": "other-it", "targets": [{"mccmnc": ["222010"]}], "connections": [{"apn": "three"}]},
{"id": "us090", "targets": [{"mccmnc": ["310090"]}], "connections": [{"apn": "three"}]},
{"id": "us90", "targets": [{"mccmnc": ["31090"]}], "connections": [{"apn": "two"}]}
]`

func TestMatchHardCases(t *testing.T) {
	db := mustNew(t, hardCases)
	for _, tt := range []struct {
		name string
		sim  SIM
		want string
	}{
		{"MVNO by GID prefix, wholesale", SIM{MCCMNC: "310260", GID1: "2AC9000000"}, "wholesale"},
		{"MVNO by GID prefix, other case", SIM{MCCMNC: "310260", GID1: "2ac9"}, "wholesale"},
		{"MVNO by GID prefix, Metro", SIM{MCCMNC: "310260", GID1: "6D38"}, "metro"},
		{"host without GID", SIM{MCCMNC: "310260"}, "tmo"},
		{"host, GID of nobody", SIM{MCCMNC: "310260", GID1: "FFFFFFFF"}, "tmo"},
		{"MVNO by IMSI prefix", SIM{IMSI: "310260970000001", MNCLength: 3}, "h2g2"},
		{"IMSI outweighs GID", SIM{IMSI: "310260970000001", MNCLength: 3, GID1: "6D38"}, "h2g2"},
		{"MVNO by IMSI pattern", SIM{IMSI: "302720183000001", MNCLength: 3}, "chatr"},
		{"IMSI pattern, any digit", SIM{IMSI: "302720983000001", MNCLength: 3}, "chatr"},
		{"IMSI pattern misses", SIM{IMSI: "302720193000001", MNCLength: 3}, "rogers"},
		{"MVNO by SPN", SIM{MCCMNC: "26201", SPN: "Lebara"}, "lebara"},
		{"SPN folded and trimmed", SIM{MCCMNC: "26201", SPN: " LEBARA "}, "lebara"},
		{"SPN of nobody", SIM{MCCMNC: "26201", SPN: "Telekom.de"}, "telekom"},
		{"SPN Virgin on EE", SIM{MCCMNC: "23430", SPN: "virgin"}, "virgin"},
		{"SPN on another network", SIM{MCCMNC: "23433", SPN: "virgin"}, ""},
		{"722-34", SIM{IMSI: "722341000000001", MNCLength: 2}, "movistar-ar"},
		{"722-341", SIM{IMSI: "722341000000001", MNCLength: 3}, "personal-ar"},
		{"722-34x, length not known: six digits first", SIM{IMSI: "722341000000001"}, "personal-ar"},
		{"722-34x, length not known, no such six", SIM{IMSI: "722345000000001"}, "movistar-ar"},
		{"222-10", SIM{MCCMNC: "22210"}, "vodafone-it"},
		{"222-010", SIM{MCCMNC: "222010"}, "other-it"},
		{"222-10 from the IMSI", SIM{IMSI: "222101234567890", MNCLength: 2}, "vodafone-it"},
		{"222-101 is not 222-10", SIM{IMSI: "222101234567890", MNCLength: 3}, ""},
		{"310-090", SIM{MCCMNC: "310090"}, "us090"},
		{"310-90", SIM{MCCMNC: "31090"}, "us90"},
		{"unknown operator", SIM{MCCMNC: "99999"}, ""},
		{"nothing known", SIM{}, ""},
		{"MCC+MNC outranks the IMSI", SIM{MCCMNC: "26201", IMSI: "310260970000001"}, "telekom"},
		{"not an IMSI", SIM{IMSI: "31026O970000001"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := db.Match(tt.sim)
			got := ""
			if d.Found() {
				got = d.Matches[0].Profile.ID
			}
			if got != tt.want {
				t.Errorf("got %q, want %q\n%s", got, tt.want, strings.Join(db.Explain(tt.sim), "\n"))
			}
			if d.Winners > 1 {
				t.Errorf("%d winners", d.Winners)
			}
			if (d.Err() == nil) != d.Found() || (d.Reason() != "") != d.Found() {
				t.Errorf("found %v, error %v, reason %q", d.Found(), d.Err(), d.Reason())
			}
		})
	}
}

func TestMatchOrder(t *testing.T) {
	db := mustNew(t, `[
{"id": "mcc", "targets": [{"mcc": ["901"]}]},
{"id": "plmn", "targets": [{"mccmnc": ["90101"]}]},
{"id": "all-small", "targets": [{"mccmnc": ["90101"], "spn": ["S"], "pnn": ["P"], "gid2": ["02"]}]},
{"id": "gid1", "targets": [{"mccmnc": ["90101"], "gid1": ["01"]}]},
{"id": "gid1-prefix", "targets": [{"mccmnc": ["90101"], "gid1": [{"value": "01AA", "mode": "prefix"}]}]},
{"id": "gid1-longer", "targets": [{"mccmnc": ["90101"], "gid1": [{"value": "01AABB", "mode": "prefix"}]}]},
{"id": "imsi", "targets": [{"imsi": [{"lo": "901010000000000", "hi": "901019999999999"}]}]},
{"id": "imsi-narrow", "targets": [{"imsi": [{"lo": "901011000000000", "hi": "901011999999999"}]}]},
{"id": "imsi-pattern", "targets": [{"imsi": ["9010112"]}]},
{"id": "iccid", "targets": [{"iccid": [{"lo": "8988000000000000000", "hi": "8988000000000099999"}]}]},
{"id": "iccid-prefix", "targets": [{"iccid": ["8988"]}]}
]`, `[{"id": "admin", "source": "admin", "targets": [{"mccmnc": ["90107"]}]},
{"id": "operator", "source": "operator", "targets": [{"mccmnc": ["90107"], "spn": ["S"]}]},
{"id": "two", "rank": 2, "targets": [{"mccmnc": ["90108"]}]},
{"id": "one", "rank": 1, "targets": [{"mccmnc": ["90108"], "uiOrder": 9}]},
{"id": "b", "targets": [{"mccmnc": ["90109"], "uiOrder": 2}]},
{"id": "c", "targets": [{"mccmnc": ["90109"], "uiOrder": 1}]},
{"id": "a", "targets": [{"mccmnc": ["90109"], "uiOrder": 2}]}
]`)
	for _, tt := range []struct {
		name string
		sim  SIM
		want string // ids of the winners
	}{
		{"MCC alone", SIM{MCCMNC: "90102"}, "mcc"},
		{"MCC+MNC over MCC", SIM{MCCMNC: "90101"}, "plmn"},
		{"three small keys", SIM{MCCMNC: "90101", SPN: "s", PNN: "p", GID2: "02"}, "all-small"},
		{"GID1 over three smaller keys", SIM{MCCMNC: "90101", SPN: "s", PNN: "p", GID2: "02", GID1: "01FF"}, "gid1"},
		{"GID prefix", SIM{MCCMNC: "90101", GID1: "01AACC"}, "gid1-prefix"},
		{"longer GID prefix", SIM{MCCMNC: "90101", GID1: "01AABB01"}, "gid1-longer"},
		{"IMSI over GID1", SIM{IMSI: "901010000000001", MNCLength: 2, GID1: "01"}, "imsi"},
		{"narrower IMSI range", SIM{IMSI: "901011300000001", MNCLength: 2}, "imsi-narrow"},
		{"narrower IMSI pattern", SIM{IMSI: "901011200000001", MNCLength: 2}, "imsi-pattern"},
		{"ICCID over IMSI", SIM{IMSI: "901011200000001", MNCLength: 2, ICCID: "8988999999999999999F"}, "iccid-prefix"},
		{"narrower ICCID range", SIM{ICCID: "8988000000000012345"}, "iccid"},
		{"ICCID with check digit", SIM{ICCID: "89880000000000123457"}, "iccid"},
		{"ICCID without check digit", SIM{ICCID: "898800000000001234"}, "iccid"},
		{"admin over operator with more keys", SIM{MCCMNC: "90107", SPN: "S"}, "admin"},
		{"rank", SIM{MCCMNC: "90108"}, "one two"},
		{"uiOrder, then id", SIM{MCCMNC: "90109"}, "c a b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := db.Match(tt.sim)
			var ids []string
			for _, m := range d.Matches[:d.Winners] {
				ids = append(ids, m.Profile.ID)
			}
			if got := strings.Join(ids, " "); got != tt.want {
				t.Errorf("got %q, want %q\n%s", got, tt.want, strings.Join(db.Explain(tt.sim), "\n"))
			}
		})
	}
	if m := db.Match(SIM{ICCID: "898800000000001234"}).Matches[0]; !m.Approximate() {
		t.Error("a range of 19 digits matched one of 18 and is not marked approximate")
	}
	for _, plmn := range []string{"90108", "90109"} {
		if !db.Match(SIM{MCCMNC: plmn}).Ambiguous() {
			t.Errorf("%s: nothing of the SIM decides, but the decision is not called ambiguous", plmn)
		}
	}
}

// The same records in any order give the same list.
func TestMatchIsDeterministic(t *testing.T) {
	profiles, problems := ParseJSON("t.json", []byte(hardCases))
	if len(problems) > 0 {
		t.Fatal(problems[0])
	}
	for i := range profiles { // make them all rivals
		profiles[i].Targets = append(profiles[i].Targets, Target{MCCMNC: []string{"00101"}})
	}
	var want []string
	for turn := range len(profiles) {
		db, err := New(slices.Concat(profiles[turn:], profiles[:turn]))
		if err != nil {
			t.Fatal(err)
		}
		got := apns(db.Match(SIM{MCCMNC: "00101"}), Request{})
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) {
			t.Fatalf("turned by %d: %v, want %v", turn, got, want)
		}
	}
}

func TestLateFacts(t *testing.T) {
	db := mustNew(t, hardCases)
	before := db.Match(SIM{ICCID: "8901260000000000000", MCCMNC: "310260"})
	same := db.Match(SIM{ICCID: "8901260000000000000", MCCMNC: "310260", SPN: "T-Mobile"})
	other := db.Match(SIM{ICCID: "8901260000000000000", MCCMNC: "310260", GID1: "6D38"})
	if !before.Equal(same) {
		t.Error("a fact that changes nothing changes the decision")
	}
	if before.Equal(other) {
		t.Error("GID1 arrived and the decision stays")
	}
}

func TestReasons(t *testing.T) {
	db := mustNew(t, hardCases)
	for _, tt := range []struct {
		sim  SIM
		want string
	}{
		{SIM{MCCMNC: "310260", GID1: "6D38"}, `test0.json: "" by GID1 6D..., MCC+MNC 310260`},
		{SIM{MCCMNC: "26201", SPN: "LEBARA"}, `test0.json: "" by SPN "Lebara", MCC+MNC 26201`},
		{SIM{IMSI: "310260970000001"}, `test0.json: "" by IMSI 3102609..., MCC+MNC 310260 (MNC length not known)`},
		{SIM{MCCMNC: "310260"}, `test0.json: "T-Mobile US" by MCC+MNC 310260`},
	} {
		if got := db.Match(tt.sim).Reason(); got != tt.want {
			t.Errorf("%s\nwant %s", got, tt.want)
		}
	}
	lines := db.Explain(SIM{MCCMNC: "310260", GID1: "6D38"})
	want := []string{
		"home network 310260",
		`chosen: test0.json: "" by GID1 6D..., MCC+MNC 310260`,
		`outranked: test0.json: "T-Mobile US" by MCC+MNC 310260: a record with more telling keys (GID1, MCC+MNC) matches`,
		`not for this SIM: test0.json: "": GID1 differs or is not known`,
		`not for this SIM: test0.json: "": IMSI differs or is not known`,
	}
	if !slices.Equal(lines, want) {
		t.Errorf("explained:\n%s\nwant:\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

func TestNoMatch(t *testing.T) {
	db := mustNew(t, hardCases)
	_, err := db.Match(SIM{MCCMNC: "00101"}).Candidates(Request{})
	var none *NoAPNError
	if !errors.Is(err, ErrNoMatch) || !errors.As(err, &none) {
		t.Fatalf("error %v", err)
	}
	if want := "no operator settings for this SIM: home network 00101"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if want := "APN needed: set [apn] apn, or add a file to operators.d"; none.Hint() != want {
		t.Errorf("hint %q, want %q", none.Hint(), want)
	}
}

func TestSecret(t *testing.T) {
	c := Connection{APN: "a", Username: "u", Password: "hunter2"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "password", c.Password, "connection", c)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "password", c.Password, "connection", c)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&log, verb+verb, c.Password, c)
	}
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	log.Write(data)
	if s := log.String(); strings.Contains(s, "hunter2") || strings.Contains(s, fmt.Sprintf("%x", "hunter2")) || !strings.Contains(s, redacted) {
		t.Error(s)
	}
	if c.Password.Reveal() != "hunter2" {
		t.Error("the value is lost")
	}
}

func TestPurposeGUIDs(t *testing.T) {
	for _, e := range purposeNames {
		for _, s := range []string{e.name, e.p.GUID(), "{" + strings.ToLower(e.p.GUID()) + "}"} {
			if p, ok := ParsePurpose(s); !ok || p != e.p {
				t.Errorf("%s: %v %v", s, p, ok)
			}
		}
	}
	if _, ok := ParsePurpose(""); ok {
		t.Error("empty purpose")
	}
}

// The order is total: of two matches of different profiles one is better, and
// better than better is better.
func TestOrderIsTotal(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	small := func(n int) int { return r.IntN(n) } // few values, so that every step of the order is a tie now and then
	var all []Match
	for i := range 60 {
		p := &OperatorProfile{ID: fmt.Sprint("p", i), Source: Source(1 + small(3)), Rank: small(2)}
		all = append(all, Match{Profile: p, Target: &Target{UIOrder: small(2)}, hit: hit{
			keys:   Keys(small(3)),
			narrow: narrowness{iccid: uint64(small(2)), imsi: uint64(small(2)), gid1: uint16(small(2)), gid2: uint16(small(2))},
		}})
	}
	for _, a := range all {
		for _, b := range all {
			ab := compareMatches(a, b)
			if (ab == 0) != (a.Profile == b.Profile) || ab != -compareMatches(b, a) {
				t.Fatalf("%+v against %+v: %d", a, b, ab)
			}
			for _, c := range all {
				if ab < 0 && compareMatches(b, c) < 0 && compareMatches(a, c) >= 0 {
					t.Fatalf("%+v, %+v and %+v go round", a, b, c)
				}
			}
		}
	}
}

// A network that a target names over and over is looked at once: reasons for a
// file of nothing else have to come in time.
func TestNetworkNamedTwice(t *testing.T) {
	db := mustNew(t, `[{"id": "a", "name": "A", "targets": [{"mccmnc": ["22210", "222010", "22210"]}, {"mccmnc": ["22210"], "spn": ["A"]}], "connections": [{"apn": "a"}]}]`)
	if n := len(db.layers[0].find("22210")); n != 2 {
		t.Errorf("%d references, want one for each target", n)
	}
	if r := db.Rationale(SIM{MCCMNC: "22210", SPN: "B"}); len(r.Records) != 1 || r.Records[0].Verdict != Chosen {
		t.Errorf("%+v", r.Records)
	}
}
