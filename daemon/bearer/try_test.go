package bearer

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"dynamod/atcmd/atsim"
	"dynamod/configs/cosa"
	"dynamod/daemon/activation"
	"dynamod/daemon/status"
)

// record is an operators.d file with the connections of the test network.
func record(connections string) string {
	return `{"id": "op", "name": "Op", "targets": [{"mccmnc": ["00101"]}], "connections": [` + connections + `]}`
}

// TestTries is the choice and the tries of section 4 of the operator settings,
// end to end: records and SIM on one side, a network that refuses with its own
// causes on the other, and AT commands between.
func TestTries(t *testing.T) {
	login := func(methods ...int) func(*atsim.Core) {
		return func(c *atsim.Core) {
			c.APNs = []atsim.APN{{Name: "login.test", User: "me", Password: "secret", Methods: methods, Lease: simLease}}
		}
	}
	only := func(types []string, dualCause int) func(*atsim.Core) {
		return func(c *atsim.Core) {
			c.APNs = []atsim.APN{{Name: "data.test", Types: types, DualCause: dualCause, Lease: simLease}}
		}
	}
	have := func(names ...string) func(*atsim.Core) { return func(c *atsim.Core) { c.APNs = apns(names...) } }
	abroad := func(f func(*atsim.Core)) func(*atsim.Core) {
		return func(c *atsim.Core) { f(c); c.Cell.PLMN = "26201" }
	}
	const data = `{"apn": "data.test"}`
	const credentials = `{"apn": "login.test", "username": "me", "password": "secret"}`
	for _, tt := range []struct {
		name  string
		o     simOptions
		asked string // of the network, in order
		link  string // APN and addresses
		code  string // of the error
	}{
		{"one APN", simOptions{records: record(data), core: have("data.test")}, "data.test IPV4V6", "data.test v4+v6", ""},
		{"several, the second works", simOptions{records: record(`{"apn": "old.test"}, ` + data), core: have("data.test")}, "old.test IPV4V6, data.test IPV4V6", "data.test v4+v6", ""},
		{"by order, not by place", simOptions{records: record(`{"apn": "b.test", "order": 2}, {"apn": "a.test", "order": 1}`), core: have("a.test", "b.test")}, "a.test IPV4V6", "a.test v4+v6", ""},
		{"the purpose is internet", simOptions{records: record(`{"apn": "mms.test", "purposes": ["mms"]}, ` + data), core: have("mms.test", "data.test")}, "data.test IPV4V6", "data.test v4+v6", ""},

		{"IPv4v6 granted as IPv4: cause 50 with the lease", simOptions{records: record(data), core: only([]string{"IP"}, 0)}, "data.test IPV4V6", "data.test v4", ""},
		{"IPv6-only operator: cause 51 with the lease", simOptions{records: record(data), core: only([]string{"IPV6"}, 0)}, "data.test IPV4V6", "data.test v6", ""},
		{"IPv4v6 refused, cause 28", simOptions{records: record(data), core: only([]string{"IP"}, 28)}, "data.test IPV4V6, data.test IP", "data.test v4", ""},
		{"IPv4v6 refused, cause 50", simOptions{records: record(data), core: only([]string{"IP"}, 50)}, "data.test IPV4V6, data.test IP", "data.test v4", ""},
		{"IPv4v6 refused, cause 51", simOptions{records: record(data), core: only([]string{"IPV6"}, 51)}, "data.test IPV4V6, data.test IPV6", "data.test v6", ""},
		{"IPv4v6 refused, cause 52", simOptions{records: record(data), core: only([]string{"IP"}, 52)}, "data.test IPV4V6, data.test IP", "data.test v4", ""},
		{"the record's IPv6 refused, cause 50", simOptions{records: record(`{"apn": "data.test", "ipType": "ipv6"}`), core: only([]string{"IP"}, 0)}, "data.test IPV6, data.test IP", "data.test v4", ""},
		{"the cause is told by +CEER alone", simOptions{records: record(data), core: only([]string{"IP"}, 28), modem: func(c *atsim.Config) { c.Habits.NoCME = true }}, "data.test IPV4V6, data.test IP", "data.test v4", ""},

		{"the modem has no type for both", simOptions{records: record(data), core: have("data.test"), modem: func(c *atsim.Config) { c.Habits.NoDual = true }}, "data.test IP", "data.test v4", ""},
		{"the modem has no type for both, and one context", simOptions{records: record(data), core: have("data.test"), modem: func(c *atsim.Config) { c.Habits.NoDual, c.Habits.OneContext = true, true }, bearer: optIn}, "data.test IP", "data.test v4", ""},
		{"authentication: CHAP", simOptions{records: record(credentials), core: login(2)}, "login.test IPV4V6 chap", "login.test v4+v6", ""},
		{"authentication: PAP after cause 29", simOptions{records: record(credentials), core: login(1)}, "login.test IPV4V6 chap, login.test IPV4V6 pap", "login.test v4+v6", ""},
		{"authentication: the record's method and no other", simOptions{records: record(`{"apn": "login.test", "auth": "chap", "username": "me", "password": "secret"}, ` + data), core: login(1)}, "login.test IPV4V6 chap, data.test IPV4V6, IPV4V6", "down", "no-data"},
		{"authentication: method none sends nothing", simOptions{records: record(`{"apn": "login.test", "auth": "none", "username": "me", "password": "secret"}`), core: login()}, "login.test IPV4V6, IPV4V6", "down", "no-data"},
		{"authentication: wrong password, each method once", simOptions{records: record(`{"apn": "login.test", "username": "me", "password": "wrong"}`), core: login()}, "login.test IPV4V6 chap, login.test IPV4V6 pap, IPV4V6", "down", "no-data"},
		{"one APN, two logins", simOptions{records: record(`{"apn": "login.test", "username": "you", "password": "x", "auth": "pap"}, ` + credentials), core: login(1, 2)}, "login.test IPV4V6 pap, login.test IPV4V6 chap", "login.test v4+v6", ""},

		{"roaming: its own IP type", simOptions{records: record(`{"apn": "data.test", "ipType": "ipv6", "roamingIpType": "ipv4v6"}`), core: abroad(have("data.test"))}, "data.test IPV4V6", "data.test v4+v6", ""},
		{"at home: the other", simOptions{records: record(`{"apn": "data.test", "ipType": "ipv6", "roamingIpType": "ipv4v6"}`), core: have("data.test")}, "data.test IPV6", "data.test v6", ""},
		{"roaming: not for a home-only connection", simOptions{records: record(`{"apn": "home.test", "roaming": 0}, ` + data), core: abroad(have("home.test", "data.test"))}, "data.test IPV4V6", "data.test v4+v6", ""},
		{"roaming: a home-only operator is not got round", simOptions{records: record(`{"apn": "home.test", "roaming": 0}`), core: abroad(func(c *atsim.Core) { c.APNs, c.Default = apns("home.test"), "home.test" })}, "", "down", "no-apn"},
		{"access technology: not for LTE", simOptions{records: record(`{"apn": "old.test", "act": ["gsm", "umts"]}, ` + data), core: have("old.test", "data.test")}, "data.test IPV4V6", "data.test v4+v6", ""},
		{"access technology: for UMTS", simOptions{records: record(`{"apn": "old.test", "act": ["gsm", "umts"]}, ` + data), core: func(c *atsim.Core) { have("old.test", "data.test")(c); c.Cell.AcT = 2 }}, "old.test IPV4V6", "old.test v4+v6", ""},
		{"only connections of other purposes: the network assigns", simOptions{records: record(`{"apn": "mms.test", "purposes": ["mms"]}`), core: func(c *atsim.Core) { c.APNs, c.Default = apns("mms.test", "given.test"), "given.test" }}, "IPV4V6", "v4+v6", ""},
		{"roaming switched off", simOptions{records: record(data), core: abroad(have("data.test")), bearer: func(c *Config) { c.Roaming = func(s cosa.RoamState) bool { return s == cosa.Home } }}, "", "down", "roaming-off"},
		{"the network refuses the APN abroad, cause 66", simOptions{records: record(`{"apn": "home.test"}, ` + data), core: abroad(func(c *atsim.Core) {
			c.APNs = append(apns("data.test"), atsim.APN{Name: "home.test", HomeOnly: true, Lease: simLease})
		})}, "home.test IPV4V6, data.test IPV4V6", "data.test v4+v6", ""},

		{"no record: the network assigns", simOptions{core: func(c *atsim.Core) { c.APNs, c.Default = apns("given.test"), "given.test" }}, "IPV4V6", "v4+v6", ""},
		{"no record, none assigned", simOptions{core: have("data.test")}, "IPV4V6", "down", "no-apn"},
		{"no record, none wanted", simOptions{core: have("data.test"), bearer: func(c *Config) { c.NetworkAssigned = false }}, "", "down", "no-apn"},
		{"an operator that refuses the empty APN", simOptions{records: `{"id": "op", "name": "Op", "networkAssigned": false, "targets": [{"mccmnc": ["00101"]}], "connections": [{"apn": "old.test"}]}`, core: have("data.test")}, "old.test IPV4V6", "down", "no-data"},

		{"MNC of three digits is another network", simOptions{
			records: `[` + record(data) + `, {"id": "three", "name": "Three", "targets": [{"mccmnc": ["001010"]}], "connections": [{"apn": "three.test"}]}]`,
			core:    have("data.test", "three.test"), card: func(c *simCard) { c.set("6fad", "00000003") },
		}, "three.test IPV4V6", "three.test v4+v6", ""},
		{"MVNO by GID1 replaces its host", simOptions{
			records: `[` + record(data) + `, {"id": "mvno", "name": "MVNO", "targets": [{"mccmnc": ["00101"], "gid1": [{"value": "2AC9", "mode": "prefix"}]}], "connections": [{"apn": "mvno.test"}]}]`,
			core:    have("data.test", "mvno.test"), card: func(c *simCard) { c.set("6f3e", "2AC901FF") },
		}, "mvno.test IPV4V6", "mvno.test v4+v6", ""},

		{"an address and no traffic", simOptions{records: record(`{"apn": "dead.test"}, ` + data), core: have("dead.test", "data.test")}, "dead.test IPV4V6, data.test IPV4V6", "data.test v4+v6", ""},
		{"a portal, then traffic", simOptions{records: record(`{"apn": "portal.test"}, ` + data), core: have("portal.test", "data.test")}, "portal.test IPV4V6, data.test IPV4V6", "data.test v4+v6", ""},
		{"a portal, and no traffic otherwise: the attach's context is left alone", simOptions{records: record(`{"apn": "portal.test"}, {"apn": "dead.test"}`), core: have("portal.test", "dead.test")}, "portal.test IPV4V6, dead.test IPV4V6, IPV4V6, portal.test IPV4V6", "portal.test v4+v6", ""},
		{"a portal and nothing better", simOptions{records: record(`{"apn": "portal.test"}, {"apn": "old.test"}`), core: have("portal.test")}, "portal.test IPV4V6, old.test IPV4V6, IPV4V6, portal.test IPV4V6", "portal.test v4+v6", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newSimBench(t, tt.o)
				b.answer("dead.test", status.Down)
				b.answer("portal.test", status.Limited)
				up, err := b.up()
				if (up.Limited != "") != strings.HasPrefix(tt.link, "portal.test") {
					t.Errorf("limited %q", up.Limited)
				}
				code := ""
				if f, ok := errors.AsType[*activation.Fault](err); ok {
					code = f.Code
					if f.Advice == "" || strings.Contains(f.Error(), "secret") {
						t.Errorf("error %q, advice %q", f, f.Advice)
					}
				}
				if asked := b.asked(); asked != tt.asked {
					t.Errorf("asked for %q\nwant      %q", asked, tt.asked)
				}
				if b.link() != tt.link || code != tt.code || (err == nil) != (tt.code == "") {
					t.Errorf("link %q, error %v", b.link(), err)
				}
			})
		})
	}
}

// A link that has to last is asked what it carries now.
func TestLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSimBench(t, simOptions{records: record(`{"apn": "data.test"}`), core: func(c *atsim.Core) { c.APNs = apns("data.test") }})
		if up, err := b.up(); err != nil || up.Limited != "" {
			t.Fatalf("%+v, %v", up, err)
		}
		for _, tt := range []struct {
			answer  status.State
			limited string
			fails   bool
		}{{status.Up, "", false}, {status.Limited, "nothing answers", false}, {status.Up, "", false}, {status.Down, "", true}, {status.Up, "", true}} {
			b.answer("data.test", tt.answer)
			limited, err := b.Lasts(t.Context())
			if !strings.HasPrefix(limited, tt.limited) || (limited == "") != (tt.limited == "") || (err != nil) != tt.fails {
				t.Errorf("%s: limited %q, error %v", tt.answer, limited, err)
			}
			if _, there := b.Active(); there == tt.fails {
				t.Errorf("%s: the link is there: %v", tt.answer, there)
			}
		}
	})
}
