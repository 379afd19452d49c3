package cosa

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const connections = `[{"id": "op", "name": "Op", "targets": [{"mccmnc": ["90101"]}], "connections": [
{"apn": "list1"},
{"apn": "second", "order": 2},
{"apn": "mms", "purposes": ["mms"]},
{"apn": "first", "order": 1},
{"apn": "", "purposes": ["attach"]},
{"apn": "shop", "purposes": ["purchase"]},
{"apn": "off", "enabled": false},
{"apn": "list1", "username": "u", "password": "p"},
{"apn": "home", "roaming": 0},
{"apn": "country", "roaming": 2},
{"apn": "partner", "roaming": 3},
{"apn": "abroad", "roaming": 4},
{"apn": "away", "roaming": 5},
{"apn": "nr", "act": ["nr"]},
{"apn": "LIST1"}
]},
{"id": "verizon", "networkAssigned": false, "targets": [{"mccmnc": ["31112"]}], "connections": [{"apn": "vzwinternet"}]},
{"id": "own", "source": "operator", "allowFallback": true, "targets": [{"mccmnc": ["31112"]}], "connections": [{"apn": "own"}]},
{"id": "admin", "source": "admin", "targets": [{"mccmnc": ["90102"]}], "connections": [{"apn": "admin"}]},
{"id": "below", "targets": [{"mccmnc": ["90102"]}], "connections": [{"apn": "below"}]},
{"id": "lone", "source": "operator", "allowFallback": true, "targets": [{"mccmnc": ["90103"]}], "connections": [{"apn": "lone"}]}
]`

func TestCandidates(t *testing.T) {
	db := mustNew(t, connections)
	op := SIM{MCCMNC: "90101"}
	own := &Given{Connection{APN: "modem"}, "context 1"}
	for _, tt := range []struct {
		name string
		sim  SIM
		req  Request
		want string
	}{
		{"order, then list order; all roaming rules while unknown", op, Request{},
			"first second list1 list1 home country partner abroad away nr"},
		{"at home", op, Request{Roaming: Home}, "first second list1 list1 home country nr"},
		{"domestic roaming", op, Request{Roaming: Domestic}, "first second list1 list1 country partner away nr"},
		{"abroad", op, Request{Roaming: International}, "first second list1 list1 abroad away nr"},
		{"access technology", op, Request{Roaming: Home, AcT: LTE}, "first second list1 list1 home country"},
		{"MMS", op, Request{Purpose: MMS}, "mms"},
		{"attach is the explicit record's, never the data APN", op, Request{Purpose: Attach, NetworkAssigned: true}, "<empty>"},
		{"the shop is no way to the internet", op, Request{Purpose: Purchase}, "shop"},
		{"empty APN at the very end", op, Request{Roaming: Home, AcT: LTE, NetworkAssigned: true}, "first second list1 list1 home country <empty>"},
		{"last good first", op, Request{Roaming: Home, AcT: LTE, LastGood: "home"}, "home first second list1 list1 country"},
		{"last good by user name", op, Request{Roaming: Home, AcT: LTE, LastGood: "list1|u|chap"}, "list1 first second list1 home country"},
		{"last good is not usable abroad", op, Request{Roaming: International, AcT: LTE, LastGood: "home"}, "first second list1 list1 abroad away"},
		{"modem's context after the last good", op,
			Request{Roaming: Home, AcT: LTE, LastGood: "home", Modem: own}, "home modem first second list1 list1 country"},
		{"explicit hides the records", op, Request{Explicit: []Given{{Connection{APN: "mine"}, "activation request"}}, NetworkAssigned: true}, "mine"},
		{"explicit ones in order", op, Request{Explicit: []Given{{Connection{APN: "mine"}, "activation request"}, {Connection{APN: "second"}, "[apn] apn"}}}, "mine second"},
		{"explicit without any record", SIM{}, Request{Explicit: []Given{{Connection{APN: "mine"}, "[apn] apn"}}}, "mine"},
		{"operator's record, then the source below", SIM{MCCMNC: "31112"}, Request{}, "own vzwinternet"},
		{"admin's record hides the modem's context", SIM{MCCMNC: "90102"}, Request{Modem: own, NetworkAssigned: true}, "admin <empty>"},
		{"operator's record, then the modem's context, then the source below", SIM{MCCMNC: "31112"}, Request{Modem: own}, "own modem vzwinternet"},
		{"operator's record that falls back, then the modem's context", SIM{MCCMNC: "90103"}, Request{Modem: own}, "lone modem"},
		{"last good of the source below the modem's", SIM{MCCMNC: "31112"}, Request{Modem: own, LastGood: "vzwinternet"}, "vzwinternet own modem"},
		{"no record: modem's context, empty APN", SIM{MCCMNC: "99999"},
			Request{Modem: own, NetworkAssigned: true}, "modem <empty>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list := apns(db.Match(tt.sim), tt.req)
			for i, a := range list {
				if a == "" {
					list[i] = "<empty>"
				}
			}
			if got := strings.Join(list, " "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}

	list, err := db.Match(op).Candidates(Request{LastGood: "home", NetworkAssigned: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]string{
		0:             `test0.json: "Op" by MCC+MNC 90101, worked last with this ICCID`,
		1:             `test0.json: "Op" by MCC+MNC 90101`,
		len(list) - 1: "empty APN as the last try: the network assigns one",
	} {
		if list[i].Reason != want {
			t.Errorf("reason %d: %s, want %s", i, list[i].Reason, want)
		}
	}

	_, err = db.Match(op).Candidates(Request{Purpose: IMS})
	if !errors.Is(err, ErrNoConnection) {
		t.Errorf("no IMS: %v", err)
	}
	only := mustNew(t, `{"name": "Home only", "targets": [{"mccmnc": ["90101"]}], "connections": [{"apn": "a", "roaming": 0}]}`)
	_, err = only.Match(op).Candidates(Request{Roaming: International})
	const want = `no usable connection in the operator settings: test0.json: "Home only" by MCC+MNC 90101: nothing for purpose internet: "a" is not for roaming abroad`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if list, err := only.Match(op).Candidates(Request{Roaming: International, Modem: own, NetworkAssigned: true}); err == nil || err.Error() != want {
		t.Errorf("what the operator does not allow is got round: %v %v", list, err)
	}
}

func TestNetworkAssignedRefused(t *testing.T) {
	db := mustNew(t, `{"networkAssigned": false, "targets": [{"mccmnc": ["31148"]}], "connections": [{"apn": "vzwinternet"}]}`)
	if got := apns(db.Match(SIM{MCCMNC: "31148"}), Request{NetworkAssigned: true}); !slices.Equal(got, []string{"vzwinternet"}) {
		t.Errorf("%v", got)
	}
}

func TestEffectiveValues(t *testing.T) {
	for _, tt := range []struct {
		name    string
		c       Connection
		roaming bool
		ip      IPType
		auth    Auth
	}{
		{"nothing said", Connection{}, false, IPv4v6, AuthNone},
		{"IPv6 at home", Connection{IPType: IPv6, RoamingIPType: IPv4v6}, false, IPv6, AuthNone},
		{"IPv4v6 abroad", Connection{IPType: IPv6, RoamingIPType: IPv4v6}, true, IPv4v6, AuthNone},
		{"no roaming type", Connection{IPType: IPv4}, true, IPv4, AuthNone},
		{"user without method", Connection{Username: "u"}, false, IPv4v6, CHAP},
		{"method none", Connection{Username: "u", Auth: AuthNone}, false, IPv4v6, AuthNone},
		{"PAP", Connection{Username: "u", Auth: PAP}, false, IPv4v6, PAP},
		{"PAP or CHAP", Connection{Username: "u", Auth: PAPOrCHAP}, false, IPv4v6, CHAP},
	} {
		if ip := tt.c.EffectiveIPType(tt.roaming); ip != tt.ip {
			t.Errorf("%s: IP type %s, want %s", tt.name, ip, tt.ip)
		}
		auth, user, _ := tt.c.Credentials()
		if auth != tt.auth || (user != "") != (auth != AuthNone) {
			t.Errorf("%s: %s %q, want %s", tt.name, auth, user, tt.auth)
		}
	}
}

func TestRoamStateOf(t *testing.T) {
	for _, tt := range []struct {
		roaming       bool
		home, serving string
		want          RoamState
	}{
		{false, "26201", "26202", Home},
		{true, "26201", "26202", Domestic},
		{true, "26201", "20801", International},
		{true, "310260", "311480", Domestic},
		{true, "40410", "40554", Domestic},
		{true, "23415", "23594", Domestic},
		{true, "", "26201", International},
		{true, "26201", "", International},
	} {
		if got := RoamStateOf(tt.roaming, tt.home, tt.serving); got != tt.want {
			t.Errorf("%v %s %s: %s, want %s", tt.roaming, tt.home, tt.serving, got, tt.want)
		}
	}
}
