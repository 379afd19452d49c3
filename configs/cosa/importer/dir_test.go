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
