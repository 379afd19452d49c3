package cosa

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// How often the embedded database's first candidate, and any of its first three,
// is an internet APN in an independent list. Of the operators that both know,
// the first entry as it stands is right in about 68 %.
func TestAgainstLineageOS(t *testing.T) {
	files, _ := filepath.Glob("../../../shared/data/apn/lineageos/*.xml")
	if len(files) == 0 {
		t.Skip("the LineageOS list is not at ../shared/data/apn/lineageos")
	}
	theirs := map[string][]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var list struct {
			APNs []struct {
				MCC  string `xml:"mcc,attr"`
				MNC  string `xml:"mnc,attr"`
				APN  string `xml:"apn,attr"`
				Type string `xml:"type,attr"`
			} `xml:"apn"`
		}
		if err := xml.Unmarshal(data, &list); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, a := range list.APNs {
			if types := strings.Split(a.Type, ","); a.Type == "" || slices.Contains(types, "default") || slices.Contains(types, "*") {
				theirs[a.MCC+a.MNC] = append(theirs[a.MCC+a.MNC], strings.ToLower(strings.TrimSpace(a.APN)))
			}
		}
	}
	db := mustLoad(t)
	var both, first, three int
	for plmn, want := range theirs {
		got := apns(db.Match(SIM{MCCMNC: plmn}), Request{})
		if len(got) == 0 {
			continue
		}
		both++
		at := slices.IndexFunc(got, func(a string) bool { return slices.Contains(want, strings.ToLower(a)) })
		if at == 0 {
			first++
		}
		if at >= 0 && at < 3 {
			three++
		}
	}
	t.Logf("%d networks in both; first candidate right in %d (%.0f %%), one of three in %d (%.0f %%)",
		both, first, 100*float64(first)/float64(both), three, 100*float64(three)/float64(both))
	if both < 400 || first*100 < both*60 {
		t.Error("far below what the plain first entry gives")
	}
}
