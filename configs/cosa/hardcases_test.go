package cosa

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// hardMore are records for the cases that are not about matching alone.
const hardMore = `[
{"id": "tmo-many", "name": "T-Mobile US, several", "targets": [{"mccmnc": ["310490"]}],
 "connections": [{"apn": "epc.tmobile.com", "plan": "postpaid"}, {"apn": "mobilenet", "plan": "prepaid"}, {"apn": "fast.t-mobile.com", "order": 1}]},
{"id": "tango", "name": "Tango", "targets": [{"mccmnc": ["27077"]}],
 "connections": [{"apn": "internet", "username": "tango", "password": "tango"}, {"apn": "internet", "username": "prepaid", "password": "x"}, {"apn": "internet", "username": "tango", "password": "tango"}]},
{"id": "cmcc", "name": "China Mobile", "targets": [{"mccmnc": ["46008"]}], "connections": [{"apn": "cmnet", "ipType": "ipv4v6", "roamingIpType": "ipv4"}, {"apn": "cmhome", "roaming": 0}]},
{"id": "orange", "name": "Orange", "targets": [{"mccmnc": ["20801", "45005", "26202"]}],
 "connections": [{"apn": "orange.fr"}, {"apn": "", "purposes": ["attach"], "ipType": "ipv4v6"}]},
{"id": "noattach", "name": "No attach record", "targets": [{"mccmnc": ["44011"]}], "connections": [{"apn": "rakuten.jp"}]},
{"id": "auth", "name": "Auth", "targets": [{"mccmnc": ["90101"]}],
 "connections": [{"apn": "unset", "username": "u", "password": "p"}, {"apn": "off", "username": "u", "password": "p", "auth": "none"}, {"apn": "either", "username": "u", "password": "p", "auth": "pap-or-chap"}]},
{"id": "one", "name": "Profile one", "targets": [{"iccid": ["894901"]}], "connections": [{"apn": "one"}]},
{"id": "two", "name": "Profile two", "targets": [{"iccid": ["894902"]}], "connections": [{"apn": "two"}]},
{"id": "boot", "name": "Bootstrap", "sim": {"esimProvisioning": true}, "targets": [{"iccid": ["894903"]}],
 "connections": [{"apn": "boot", "purposes": ["esim-provisioning"]}]}
]`

// TestHardCases has a row for each case that operators' settings are known to
// go wrong on. What is tried on a network is tested with package bearer.
func TestHardCases(t *testing.T) {
	db := mustNew(t, hardCases, hardMore)
	embedded := mustLoad(t)
	// tried lists what would be tried: APN, IP type and user name.
	tried := func(db *DB, sim SIM, req Request) string {
		list, _ := db.Match(sim).Candidates(req)
		var out []string
		for _, c := range list {
			s := c.Connection.APN
			if s == "" {
				s = "<empty>"
			}
			if ip := c.Connection.EffectiveIPType(req.Roaming > Home); ip != IPv4v6 {
				s += "/" + ip.String()
			}
			if auth, user, _ := c.Connection.Credentials(); auth != AuthNone {
				s += "/" + user + ":" + auth.String()
			}
			out = append(out, s)
		}
		return strings.Join(out, " ")
	}
	for _, tt := range []struct {
		name string
		got  func() string
		want string
	}{
		{"MVNO by GID on the host's network", func() string {
			wholesale := tried(db, SIM{MCCMNC: "310260", GID1: "2AC9"}, Request{})
			metro := tried(db, SIM{MCCMNC: "310260", GID1: "6D00"}, Request{Roaming: Home})
			return wholesale + ", " + metro + ", abroad " + tried(db, SIM{MCCMNC: "310260", GID1: "6D00"}, Request{Roaming: International}) +
				", none " + tried(db, SIM{MCCMNC: "310260"}, Request{})
		}, "wholesale, fast.metropcs.com/ipv6, abroad fast.metropcs.com/ipv4, none fast.t-mobile.com/ipv6"},
		{"MVNO by IMSI pattern", func() string {
			return tried(db, SIM{IMSI: "302720583000001", MNCLength: 3}, Request{}) + ", abroad " + tried(db, SIM{IMSI: "302720583000001", MNCLength: 3}, Request{Roaming: International}) +
				", " + tried(db, SIM{IMSI: "310260970000001", MNCLength: 3}, Request{})
		}, "chatrweb.apn/ipv6, abroad chatrweb.apn, h2g2"},
		{"MVNO by SPN", func() string {
			return tried(db, SIM{MCCMNC: "26201", SPN: "LEBARA "}, Request{}) + ", " + tried(db, SIM{MCCMNC: "23430", SPN: "virgin"}, Request{})
		}, "internet.t-mobile, goto.virginmobile.uk"},
		{"MVNO that nothing tells from its host", func() string {
			var out []string
			for _, plmn := range []string{"50502", "44010", "20801"} {
				d := embedded.Match(SIM{MCCMNC: plmn})
				list, _ := d.Candidates(Request{})
				last := list[len(list)-1].Connection
				good, _ := d.Candidates(Request{LastGood: last.Key()})
				out = append(out, fmt.Sprintf("%s %d %t", d.Outcome(), d.Winners, good[0].Connection.Key() == last.Key() && len(good) == len(list)))
			}
			return strings.Join(out, ", ")
		}, "ambiguous 16 true, ambiguous 5 true, ambiguous 5 true"},
		{"MNC of two and of three digits", func() string {
			var out []string
			for _, plmn := range []string{"72234", "722341", "22210", "222010", "31090", "310090"} {
				out = append(out, tried(db, SIM{MCCMNC: plmn}, Request{}))
			}
			for _, plmn := range []string{"20826", "208260", "72234", "722341"} {
				d := embedded.Match(SIM{MCCMNC: plmn})
				out = append(out, fmt.Sprint(d.Winners))
			}
			return strings.Join(out, " ")
		}, "two three two three two three 1 1 1 1"},
		{"one operator, several internet APNs", func() string {
			last := tried(db, SIM{MCCMNC: "310490"}, Request{LastGood: "mobilenet"})
			list, _ := db.Match(SIM{MCCMNC: "310490"}).Candidates(Request{})
			return tried(db, SIM{MCCMNC: "310490"}, Request{}) + ", last good " + last + ", plan of the last " + list[2].Connection.Plan
		}, "fast.t-mobile.com epc.tmobile.com mobilenet, last good mobilenet fast.t-mobile.com epc.tmobile.com, plan of the last prepaid"},
		{"one APN with different credentials", func() string { return tried(db, SIM{MCCMNC: "27077"}, Request{}) },
			"internet/tango:chap internet/prepaid:chap"},
		{"roaming: the home network decides, only the IP type and what may be used change", func() string {
			sim := SIM{IMSI: "460081234567890", MNCLength: 2}
			return tried(db, sim, Request{Roaming: Home}) + ", " + tried(db, sim, Request{Roaming: International}) +
				", " + tried(db, SIM{MCCMNC: "302720"}, Request{Roaming: International})
		}, "cmnet cmhome, cmnet/ipv4, ltemobile.apn"},
		{"IPv4v6 where the record says nothing, the record's type where it does", func() string {
			return fmt.Sprint((&Connection{}).EffectiveIPType(false), (&Connection{IPType: IPv6}).EffectiveIPType(true), (&Connection{IPType: IPv6, RoamingIPType: IPv4v6}).EffectiveIPType(true))
		}, "ipv4v6 ipv6 ipv4v6"},
		{"the attach APN is a record of its own, never the data APN", func() string {
			var out []string
			for _, plmn := range []string{"20801", "45005", "26202", "44011"} {
				out = append(out, fmt.Sprintf("%q", tried(db, SIM{MCCMNC: plmn}, Request{Purpose: Attach})))
			}
			return strings.Join(out, " ")
		}, `"<empty>" "<empty>" "<empty>" ""`},
		{"the same bearer is asked for once", func() string {
			return tried(db, SIM{MCCMNC: "20801"}, Request{NetworkAssigned: true, Modem: &Given{Connection{APN: "ORANGE.fr"}, "context 1"}})
		}, "ORANGE.fr <empty>"},
		{"authentication", func() string { return tried(db, SIM{MCCMNC: "90101"}, Request{}) }, "unset/u:chap off either/u:chap"},
		{"blank and garbage APNs", func() string {
			var out []string
			for _, apn := range []string{"internet ", "http://172.18.83.129", "wap mms", "KL．M", "#777"} {
				profiles, _ := ParseJSON("t.json", fmt.Appendf(nil, `{"connections": [{"apn": %q}]}`, apn))
				if len(profiles) == 0 {
					out = append(out, "refused")
				} else {
					out = append(out, profiles[0].Connections[0].APN)
				}
			}
			return strings.Join(out, " ")
		}, "internet refused refused refused refused"},
		{"facts that arrive late do not flap", func() string {
			sim := SIM{ICCID: "8901260000000000000", IMSI: "310260123456789"}
			var out []string
			before := db.Match(sim)
			for _, learn := range []func(){func() { sim.MNCLength = 3 }, func() { sim.SPN = "T-Mobile" }, func() { sim.GID1 = "FFFF" }, func() { sim.GID1 = "6D38" }, func() { sim.PNN = "Metro" }} {
				learn()
				now := db.Match(sim)
				out = append(out, fmt.Sprint(now.Equal(before)))
				before = now
			}
			return strings.Join(out, " ")
		}, "true true true false true"},
		{"another profile on the eSIM", func() string {
			before, after := db.Match(SIM{ICCID: "8949010000000000000"}), db.Match(SIM{ICCID: "8949020000000000000"})
			good, _ := before.Candidates(Request{})
			return fmt.Sprint(before.Equal(after)) + " " + tried(db, SIM{ICCID: "8949020000000000000"}, Request{LastGood: good[0].Connection.Key()})
		}, "false two"},
		{"a bootstrap profile is not for the internet", func() string {
			d := db.Match(SIM{ICCID: "8949030000000000000"})
			_, err := d.Candidates(Request{NetworkAssigned: true, Modem: &Given{Connection{APN: "boot"}, "context 1"}})
			return fmt.Sprintf("%t %q %s %t", errors.Is(err, ErrNoConnection), tried(db, SIM{ICCID: "8949030000000000000"}, Request{}),
				tried(db, SIM{ICCID: "8949030000000000000"}, Request{Purpose: ESIMProvisioning}), d.Matches[0].Profile.SIM.ESIMProvisioning.Or(false))
		}, `true "" boot true`},
		{"no match: the modem's context, the empty APN, then an error; never a guess", func() string {
			sim := SIM{MCCMNC: "99999"}
			_, err := db.Match(sim).Candidates(Request{})
			return tried(db, sim, Request{NetworkAssigned: true, Modem: &Given{Connection{APN: "modem"}, "context 1"}}) + "; " + err.Error()
		}, "modem <empty>; no operator settings for this SIM: home network 99999"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.got(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	// Providers without a network are there for manual choice, and matched by nothing.
	manual := 0
	for p := range embedded.Profiles() {
		if len(p.Targets) == 0 {
			manual++
		}
	}
	if manual < 18 {
		t.Errorf("%d operators for manual choice, want at least 18", manual)
	}
}

// A database that was read again makes the same decision.
func TestEqualAfterReload(t *testing.T) {
	sim := SIM{MCCMNC: "310260", GID1: "6D38"}
	before, after := mustNew(t, hardCases).Match(sim), mustNew(t, hardCases).Match(sim)
	if !before.Equal(after) {
		t.Error("the same files read again change the decision")
	}
	changed := mustNew(t, strings.Replace(hardCases, "fast.metropcs.com", "new.metropcs.com", 1)).Match(sim)
	if before.Equal(changed) {
		t.Error("another APN in the record leaves the decision as it was")
	}
	// So does a record that is only there to fall back to.
	falling := `[{"id": "own", "name": "Own", "source": "operator", "allowFallback": true, "targets": [{"mccmnc": ["31026"]}], "connections": [{"apn": "own"}]}]`
	db := func(below string) *DB {
		return mustNew(t, falling, `[{"id": "below", "name": "Below", "targets": [{"mccmnc": ["31026"]}], "connections": [{"apn": "`+below+`"}]}]`)
	}
	host := SIM{MCCMNC: "31026"}
	if was := db("a").Match(host); !was.Equal(db("a").Match(host)) || was.Equal(db("b").Match(host)) || was.Equal(mustNew(t, falling).Match(host)) {
		t.Error("what is fallen back to does not count as it should")
	}
	if slices.ContainsFunc(before.Matches, func(m Match) bool { return m.Profile == nil }) {
		t.Error("a match without a profile")
	}
}
