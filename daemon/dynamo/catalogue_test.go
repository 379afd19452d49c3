package dynamo

import (
	"slices"
	"testing"

	"dynamod/configs/cosa"
)

// catalogueFile has one operator of each kind.
const catalogueFile = `[
{"id": "here", "name": "Zeta", "country": "de", "portal": {"url": "https://zeta.example/"}},
{"id": "abroad", "name": "Alpha", "country": "at", "portal": {"url": "https://alpha.example/"}},
{"id": "both", "name": "beta Ltd", "sim": {"brandName": "beta"}, "country": "gb", "portal": {"url": "https://beta.example/", "countries": ["de", "at"]}},
{"id": "all", "name": "Gamma", "portal": {"url": "https://gamma.example/"}},
{"id": "all too", "name": "Gamma", "portal": {"url": "https://gamma.example/business"}},
{"id": "admins", "name": "Gamma", "source": "admin", "portal": {"url": "https://gamma.example/m2m"}},
{"id": "none", "name": "Delta", "country": "de", "connections": [{"apn": "delta"}]}
]`

func TestCatalogue(t *testing.T) {
	profiles, problems := cosa.ParseJSON("f.json", []byte(catalogueFile))
	if len(problems) > 0 {
		t.Fatal(problems[0])
	}
	db, err := cosa.New(profiles)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		countries []string
		want      []string
	}{
		{[]string{"de"}, []string{"both", "admins", "here"}},
		{[]string{"gb"}, []string{"admins"}},
		{[]string{"fr", "at"}, []string{"abroad", "both", "admins"}},
		{nil, []string{"abroad", "both", "admins", "here"}},
	} {
		var got []string
		for _, p := range Catalogue(db, tt.countries...) {
			got = append(got, p.ID)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v, want %v", tt.countries, got, tt.want)
		}
	}
}
