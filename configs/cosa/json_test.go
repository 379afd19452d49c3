package cosa

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// full uses every field of an operators file.
const full = `[{
  "id": "x", "name": "Ex & Co", "country": "DE", "source": "operator", "rank": 5,
  "allowFallback": true, "networkAssigned": false,
  "targets": [
    {"mccmnc": ["26201", "310260"], "mcc": ["262"], "iccid": [{"lo": "89490200", "hi": "89490299"}, "8949"],
     "imsi": ["26201x9", {"lo": "262010000000000", "hi": "262019999999999"}],
     "gid1": ["2AC9", {"value": "2A", "mode": "prefix"}], "gid2": [{"value": "00", "mode": "exact"}],
     "spn": ["Ex"], "pnn": ["Ex PNN"], "uiName": "Ex", "uiOrder": 3}
  ],
  "connections": [
    {"apn": "a.b-c", "friendlyName": "F", "purposes": ["internet", "{A36E171F-2377-4965-88FE-1F53EB4B47C0}"],
     "ipType": "ipv6", "roamingIpType": "ipv4v6", "auth": "pap-or-chap", "username": "u", "password": "p\"w",
     "alwaysOn": false, "roaming": 0, "order": 2, "enabled": true, "act": ["lte", "nr"], "mtu": 1420,
     "plan": "prepaid,postpaid", "ext": {"b": "2", "a": "1"}},
    {"apn": "", "purposes": ["attach"]}
  ],
  "sim": {"accountUrl": "https://example.com/a", "brandName": "B", "brandLogo": "https://example.com/logo.png", "brandRoaming": 0, "hotspot": "entitlement", "esimProvisioning": false},
  "portal": {"url": "https://example.com/p", "callbackHosts": ["CB.example.com"], "hosts": ["OCSP.example.com"], "countries": ["DE", "at"], "iccidRanges": ["8949"], "mccmnc": ["26201"]},
  "moApi": {"baseUrl": "https://moapi.example.com/v1", "balanceUrl": "https://balance.example.com/v1", "offerUrl": "https://offer.example.com",
    "notificationUrl": "https://n.example.com", "username": "u", "password": "p", "certFile": "/etc/c.pem", "keyFile": "/etc/k.pem"},
  "ext": {"balance-ussd": "*100#"}
}]`

func TestJSONRoundTrip(t *testing.T) {
	first, problems := ParseJSON("x.json", []byte(full))
	if len(problems) > 0 {
		t.Fatal(problems[0])
	}
	p := first[0]
	if p.Country != "de" || p.Portal.Countries[0] != "de" || p.Source != SourceOperator ||
		p.Connections[0].Roaming != RoamingDisallowed || p.SIM.BrandRoaming != BrandHome || p.SIM.ESIMProvisioning != FlagOff ||
		p.Connections[0].Password.Reveal() != `p"w` || p.Connections[0].Ext.Get("a") != "1" || !p.Targets[0].GID1[1].Prefix {
		t.Errorf("%+v", p)
	}
	var out bytes.Buffer
	if err := WriteJSON(&out, first); err != nil {
		t.Fatal(err)
	}
	second, problems := ParseJSON("x.json", out.Bytes())
	if len(problems) > 0 {
		t.Fatalf("%v\n%s", problems[0], &out)
	}
	if !reflect.DeepEqual(first, second) {
		t.Errorf("read\n%+v\nwritten and read again\n%+v", first, second)
	}

	for name, text := range map[string]string{"none": "[]\n", "one": "[\n{\"id\":\"a\"}\n]\n", "two": "[\n{\"id\":\"a\"},\n{\"id\":\"b\"}\n]\n"} {
		profiles, problems := ParseJSON("x.json", []byte(text))
		if len(problems) > 0 {
			t.Fatal(problems[0])
		}
		for i := range profiles {
			profiles[i].Source = SourceDatabase // is not written
		}
		out.Reset()
		if err := WriteJSONLines(&out, profiles); err != nil || out.String() != text {
			t.Errorf("%s: a profile a line: %s %v", name, &out, err)
		}
	}
	out.Reset()
	if err := WriteJSONLines(&out, first); err != nil {
		t.Fatal(err)
	}
	if third, problems := ParseJSON("x.json", out.Bytes()); len(problems) > 0 || !reflect.DeepEqual(first, third) {
		t.Errorf("a profile a line, read again\n%+v %v", third, problems)
	}

	// Nothing that is unset comes back as set.
	bare, _ := ParseJSON("x.json", []byte(`{"connections": [{"apn": "a"}]}`))
	if c := bare[0].Connections[0]; !reflect.DeepEqual(c, Connection{APN: "a"}) {
		t.Errorf("unset fields: %+v", c)
	}
}

func TestJSONErrors(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"unknown field", "{\n  \"targts\": []\n}", "f.json:2:3: unknown field \"targts\"\nhint: did you mean \"targets\"?"},
		{"far field", `{"connections": [{"apn": "a", "proxy": "p"}]}`, "f.json:1:31: unknown field \"proxy\"\nhint: known: apn, friendlyName, purposes, ipType, roamingIpType, auth, username, password, alwaysOn, roaming, order, enabled, act, mtu, plan, ext"},
		{"number for MCC+MNC", `{"targets": [{"mccmnc": [26201]}]}`, "f.json:1:26: each value of \"mccmnc\" must be a string, not a number\nhint: write it as a string, so that leading zeros count: \"26201\""},
		{"string for list", `{"targets": [{"mccmnc": "26201"}]}`, "f.json:1:25: \"mccmnc\" must be an array, not a string\nhint: put it in square brackets"},
		{"four digits", `{"targets": [{"mccmnc": ["26201", "2620"]}]}`, "f.json:1:35: \"2620\" is not five or six digits\nhint: MCC and MNC joined, as a string: \"26201\", \"310260\""},
		{"no condition", `{"targets": [{}]}`, "f.json:1:14: the target has no condition, it would match every SIM\nhint: give mccmnc or another key"},
		{"SPN alone", `{"targets": [{"spn": ["X"]}]}`, "f.json:1:14: gid1, gid2, spn and pnn are not unique in the world and need mccmnc beside them\nhint: add mccmnc"},
		{"range backwards", `{"targets": [{"iccid": [{"lo": "8950", "hi": "8949"}]}]}`, `f.json:1:25: range "8950".."8949" ends before it begins`},
		{"range of two lengths", `{"targets": [{"iccid": [{"lo": "8949", "hi": "89500"}]}]}`, "f.json:1:25: range \"8949\"..\"89500\" has two lengths\nhint: write both with the same number of digits"},
		{"bad GID", `{"targets": [{"mccmnc": ["26201"], "gid1": ["XY"]}]}`, "f.json:1:45: \"XY\" is not hex of at most 64 digits\nhint: such as \"2AC9\""},
		{"half a byte as exact GID", `{"targets": [{"mccmnc": ["26201"], "gid1": ["2AC"]}]}`, "f.json:1:45: \"2AC\" cannot be the whole value of the file\nhint: whole bytes; give \"mode\": \"prefix\" for the beginning of a value"},
		{"APN with a blank", `{"connections": [{"apn": "wap mms"}]}`, "f.json:1:26: APN \"wap mms\" has the character ' '\nhint: letters, digits, dot and hyphen (TS 23.003 9.1)"},
		{"full-width APN", `{"connections": [{"apn": "KL．M"}]}`, "f.json:1:26: APN \"KL．M\" has the character '．'\nhint: letters, digits, dot and hyphen (TS 23.003 9.1)"},
		{"CDMA's #777", `{"connections": [{"apn": "#777"}]}`, "f.json:1:26: APN \"#777\" has the character '#'\nhint: letters, digits, dot and hyphen (TS 23.003 9.1)"},
		{"no APN", `{"connections": [{"auth": "chap"}]}`, "f.json:1:18: the connection has no apn\nhint: \"apn\": \"\" lets the network assign one"},
		{"method without a user", `{"connections": [{"apn": "a", "auth": "chap"}]}`, "f.json:1:39: authentication chap needs a user name or password\nhint: add username and password, or leave auth out"},
		{"unknown purpose", `{"connections": [{"apn": "a", "purposes": ["web"]}]}`, "f.json:1:44: unknown purpose \"web\"\nhint: one of: internet, attach, mms, ims, supl, purchase, admin, application, esim-provisioning, tethering, emergency"},
		{"roaming code", `{"connections": [{"apn": "a", "roaming": 6}]}`, `f.json:1:42: "roaming" is 6, not in 0..5`},
		{"fraction", `{"connections": [{"apn": "a", "mtu": 1.5}]}`, `f.json:1:38: "mtu" must be a whole number, not 1.5`},
		{"source of the database", `{"source": "db"}`, "f.json:1:12: \"source\" has the unknown value \"db\"\nhint: one of: admin, user, operator, local"},
		{"http portal", `{"portal": {"url": "http://example.com"}}`, "f.json:1:20: URL is not an https URL\nhint: such as \"https://example.com/plans\""},
		{"field twice", "{\"name\": \"a\",\n\"name\": \"b\"}", "f.json:2:1: field \"name\" is there twice\nhint: remove one of them"},
		{"id twice", `[{"id": "a"}, {"id": "a"}]`, "f.json:1:22: id \"a\" is there twice\nhint: each profile needs an id of its own"},
		{"not closed", "{\n\"name\": \"a\"", "f.json:2:12: the file ends too early\nhint: a bracket, brace or quote is not closed"},
		{"comma at the end", `{"name": "a",}`, "f.json:1:14: not JSON: invalid character '}' looking for beginning of object key string\nhint: JSON has no comments and no comma after the last element"},
		{"second value", `{} {}`, "f.json:1:4: not JSON: invalid character '{' after top-level value\nhint: JSON has no comments and no comma after the last element"},
		{"XML", `<apns/>`, "f.json:1:1: not JSON: invalid character '<' looking for beginning of value\nhint: JSON has no comments and no comma after the last element"},
		{"empty", " \n", "f.json:1:1: the file is empty\nhint: one operator profile, or an array of them"},
		{"BOM", "\xef\xbb\xbf{}", "f.json:1:1: the file begins with a byte order mark\nhint: save it as UTF-8 without BOM"},
		{"Latin-1", "{\"name\": \"\xfc\"}", "f.json:1:11: not UTF-8\nhint: save the file as UTF-8"},
		{"deep", strings.Repeat("[", 9) + strings.Repeat("]", 9), "f.json:1:9: nested deeper than 8"},
		{"a number", "5", "f.json:1:1: an operator profile must be an object, not a number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			profiles, problems := ParseJSON("f.json", []byte(tt.in))
			if len(problems) == 0 {
				t.Fatalf("no problem, %+v", profiles)
			}
			if got := problems[0].Error(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if profiles != nil {
				t.Error("profiles in spite of the problem")
			}
		})
	}
}

func TestJSONSeveralProblems(t *testing.T) {
	_, problems := ParseJSON("f.json", []byte("[{\"targts\": 1,\n\"rank\": \"x\"},\n{\"connections\": [{\"apn\": \"#\"},\n{\"apn\": \"*\"}]}]"))
	if len(problems) != 4 {
		t.Errorf("%d problems, want 4: %v", len(problems), problems)
	}
}

func TestJSONErrorsHideSecrets(t *testing.T) {
	for _, in := range []string{
		`{"connections": [{"apn": "a", "password": 31337}]}`,
		`{"connections": [{"apn": "a", "password": "31337\u0001"}]}`,
		`{"connections": [{"apn": "a", "username": "31337\u0001"}]}`,
		`{"connections": [{"apn": "a", "password": ["31337"]}]}`,
		`{"connections": [{"apn": "a", "password": "31337" x]}`,
	} {
		_, problems := ParseJSON("f.json", []byte(in))
		if len(problems) == 0 || strings.Contains(problems[0].Error(), "31337") {
			t.Errorf("%s: %v", in, problems)
		}
	}
}

func TestTooMany(t *testing.T) {
	conns, values := make([]Connection, MaxProfileConnections), make([]string, MaxValues)
	for name, tt := range map[string]struct {
		p    OperatorProfile
		n    int
		want string
	}{
		"as many as may be": {OperatorProfile{}, MaxProfiles, ""},
		"profiles":          {OperatorProfile{}, MaxProfiles + 1, "more than 20000 profiles"},
		"connections":       {OperatorProfile{Connections: conns}, MaxConnections/MaxProfileConnections + 1, "more than 40000 connections"},
		"targets":           {OperatorProfile{Targets: make([]Target, MaxTargets)}, MaxFileTargets/MaxTargets + 1, "more than 40000 targets"},
		"values":            {OperatorProfile{Targets: []Target{{MCCMNC: values}}}, MaxTargetValues/MaxValues + 1, "more than 400000 values of targets"},
	} {
		profiles := make([]OperatorProfile, tt.n)
		for i := range profiles {
			profiles[i] = tt.p
		}
		if got := TooMany(profiles); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(hardCases))
	f.Add([]byte(connections))
	f.Add([]byte(`[{"id": 1}, [], {"targets": [{"mccmnc": ["1"]}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		profiles, problems := ParseJSON("f.json", data)
		if len(problems) > 0 {
			if profiles != nil || len(problems) > maxProblems {
				t.Fatalf("%d profiles and %d problems", len(profiles), len(problems))
			}
			for _, p := range problems {
				if p.Line < 1 || p.Col < 1 || p.Msg == "" {
					t.Fatalf("problem without a place: %+v", p)
				}
			}
			return
		}
		db, err := New(profiles)
		if err != nil {
			t.Fatalf("read without a problem, refused by New: %v", err)
		}
		var out bytes.Buffer
		if err := WriteJSON(&out, profiles); err != nil {
			t.Fatal(err)
		}
		again, problems := ParseJSON("f.json", out.Bytes())
		if len(problems) > 0 {
			t.Fatalf("%v\n%s", problems[0], &out)
		}
		if len(profiles) > 0 && !reflect.DeepEqual(profiles, again) {
			t.Fatalf("read\n%+v\nwritten and read again\n%+v", profiles, again)
		}
		for _, p := range profiles { // no SIM makes the matcher panic
			for _, tg := range p.Targets {
				sim := SIM{ICCID: "8949020000012345678", IMSI: "262019012345678", GID1: "2AC9", GID2: "00", SPN: "Ex", PNN: "Ex PNN"}
				if len(tg.MCCMNC) > 0 {
					sim.MCCMNC = tg.MCCMNC[0]
				}
				db.Explain(sim)
			}
		}
	})
}
