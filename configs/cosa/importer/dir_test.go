package importer

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"dynamod/configs/cosa"
)

func TestLoadDir(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"lab.json":    `{"name": "Lab", "targets": [{"mccmnc": ["00101"]}], "connections": [{"apn": "lab.test"}]}`,
		"bad.json":    `{"name": 5}`,
		"twice.json":  `{"id": "lab.json#1"}`,
		"note.txt":    `not read`,
		".lab.json":   `not read`,
		"lab.json.bk": `not read`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "dir.json"), 0o755); err != nil {
		t.Fatal(err)
	}
	profiles, problems := LoadDir(dir)
	var got []string
	for _, p := range problems {
		got = append(got, strings.ReplaceAll(p.Error(), dir+"/", ""))
	}
	want := []string{
		`bad.json:1:10: "name" must be a string, not a number` + "\nhint: write it as a string, so that leading zeros count: \"5\"",
		`dir.json: not a regular file`,
		"twice.json: id \"lab.json#1\" is already used in lab.json\nhint: each profile needs an id of its own",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("problems:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	db, err := cosa.Load()
	if err != nil {
		t.Fatal(err)
	}
	if db, err = db.With(profiles); err != nil {
		t.Fatal(err)
	}
	list, err := db.Match(cosa.SIM{IMSI: "001010000000001", MNCLength: 2}).Candidates(cosa.Request{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Connection.APN != "lab.test" || list[0].Reason != dir+`/lab.json: "Lab" by MCC+MNC 00101` {
		t.Errorf("%+v", list)
	}

	if profiles, problems := LoadDir(filepath.Join(dir, "none")); profiles != nil || problems != nil {
		t.Errorf("no directory: %v %v", profiles, problems)
	}
	if _, problems := LoadDir(filepath.Join(dir, "note.txt")); len(problems) != 1 {
		t.Errorf("a file as directory: %v", problems)
	}
}

// What Load leaves out, and why; the embedded database is always there.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"clash.json": `[{"id": "ad/Andorra Telecom (Mobiland)", "connections": [{"apn": "x"}]}]`,
		"US.xml":     `<apns><apn carrier="A" mcc="310" mnc="26" apn="two" type="default"/><apn carrier="B" mcc="310" mnc="01" apn="wap mms" type="mms"/></apns>`,
		"same.xml":   `<serviceproviders><country code="ad"><provider><name>Andorra Telecom (Mobiland)</name><gsm><network-id mcc="213" mnc="03"/><apn value="mine"/></gsm></provider></country></serviceproviders>`,
		"html.xml":   `<html/>`,
		"apns.xml":   `<apns><apn carrier="C" mcc="262" mnc="98" apn="c" type="default"/><apn carrier="D" mcc="001" mnc="01" apn="d" type="default"/></apns>`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	db, problems, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range problems {
		s, _, _ := strings.Cut(strings.ReplaceAll(p.Error(), dir+"/", ""), "\n")
		if p.Partial {
			s += " (partial)"
		}
		got = append(got, s)
	}
	want := []string{
		"US.xml: 1 rows are left out, 1 are used (partial)",
		`clash.json: id "ad/Andorra Telecom (Mobiland)" is used in the embedded database`,
		`html.xml:1:1: the root element "html" is not known`,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("problems\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for plmn, apn := range map[string]string{"31026": "two", "21303": "mine"} {
		list, err := db.Match(cosa.SIM{MCCMNC: plmn}).Candidates(cosa.Request{})
		if err != nil || len(list) != 1 || list[0].Connection.APN != apn {
			t.Errorf("%s: %+v %v", plmn, list, err)
		}
	}
	// Where the file does not tell the country, the database may know it.
	countries := map[string]string{}
	for p := range db.Profiles() {
		if strings.HasSuffix(p.Origin, "apns.xml") {
			countries[p.Name] = p.Country
		}
	}
	if want := map[string]string{"C": "de", "D": ""}; !reflect.DeepEqual(countries, want) {
		t.Errorf("countries %v, want %v", countries, want)
	}
	base, _, err := Load(filepath.Join(dir, "none"))
	if err != nil || db.Len() != base.Len()+4 {
		t.Errorf("%d profiles with four more than %d: %v", db.Len(), base.Len(), err)
	}
}

// 222-10 and 222-010 are two networks, in each format.
func TestWidths(t *testing.T) {
	for name, text := range map[string]string{
		"JSON":    `[{"targets": [{"mccmnc": ["22210"]}], "connections": [{"apn": "two"}]}, {"targets": [{"mccmnc": ["222010"]}], "connections": [{"apn": "three"}]}]`,
		"Android": `<apns><apn mcc="222" mnc="10" apn="two" type="default"/><apn mcc="222" mnc="010" apn="three" type="default"/></apns>`,
		"serviceproviders": `<serviceproviders><country code="it"><provider><name>A</name><gsm><network-id mcc="222" mnc="10"/><apn value="two"/></gsm></provider>
<provider><name>B</name><gsm><network-id mcc="222" mnc="010"/><apn value="three"/></gsm></provider></country></serviceproviders>`,
		"COSA": `<WindowsCustomizations><Target Id="2"><TargetState><Condition Name="MCC" Value="222"/><Condition Name="MNC" Value="10"/></TargetState></Target>
<Target Id="3"><TargetState><Condition Name="MCC" Value="222"/><Condition Name="MNC" Value="010"/></TargetState></Target>
<Profile Name="A"><TargetRef Id="2"/><Settings><Connection><AccessPointName>two</AccessPointName></Connection></Settings></Profile>
<Profile Name="B"><TargetRef Id="3"/><Settings><Connection><AccessPointName>three</AccessPointName></Connection></Settings></Profile></WindowsCustomizations>`,
		"COSA, ranges": `<WindowsCustomizations><Target Id="2"><TargetState><Condition Name="MCC" Value="222"/><Condition Name="MNC" Value="range:08,11"/></TargetState></Target>
<Target Id="3"><TargetState><Condition Name="MCC" Value="222"/><Condition Name="MNC" Value="pattern:01[0-3]"/></TargetState></Target>
<Profile Name="A"><TargetRef Id="2"/><Settings><Connection><AccessPointName>two</AccessPointName></Connection></Settings></Profile>
<Profile Name="B"><TargetRef Id="3"/><Settings><Connection><AccessPointName>three</AccessPointName></Connection></Settings></Profile></WindowsCustomizations>`,
	} {
		db, err := cosa.New(read(t, "x", text).Profiles)
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			sim  cosa.SIM
			want string
		}{
			{cosa.SIM{MCCMNC: "22210"}, "two"}, {cosa.SIM{MCCMNC: "222010"}, "three"},
			{cosa.SIM{IMSI: "222100123456789", MNCLength: 2}, "two"}, {cosa.SIM{IMSI: "222010123456789", MNCLength: 3}, "three"},
			{cosa.SIM{IMSI: "222100123456789", MNCLength: 3}, ""}, {cosa.SIM{MCCMNC: "22201"}, ""},
		} {
			got := ""
			if list, err := db.Match(tt.sim).Candidates(cosa.Request{}); err == nil {
				got = list[0].Connection.APN
			}
			if got != tt.want {
				t.Errorf("%s: %+v gets %q, want %q", name, tt.sim, got, tt.want)
			}
		}
	}
}
