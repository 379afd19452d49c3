package directory

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"dynamod/configs/cosa"
)

func TestSignedCatalogue(t *testing.T) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	pub := key.Public().(ed25519.PublicKey)
	issued := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	record := &cosa.OperatorProfile{ID: "c", Name: "Contoso", Source: cosa.SourceLocal, Rank: 100, Portal: cosa.Portal{URL: "https://contoso.example/"}, MOAPI: cosa.MOAPI{BaseURL: "https://m.example", Username: "u", Password: "APISECRET"}}
	file, err := SignCatalogue(key, "production", issued, issued.Add(24*time.Hour), []*cosa.OperatorProfile{record})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(file, []byte("APISECRET")) {
		t.Error("a password is in the catalogue")
	}
	c, err := OpenCatalogue(pub, "production", file)
	if err != nil || len(c.Operators) != 1 || c.Operators[0].ID != "directory:c" || !c.Issued.Equal(issued) || !c.Expires.Equal(issued.Add(24*time.Hour)) {
		t.Fatalf("%+v %v", c, err)
	}
	if _, err := OpenCatalogue(pub, "staging", file); err == nil || errors.Is(err, ErrSignature) {
		t.Errorf("production's catalogue is taken for staging: %v", err)
	}
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
	for name, bad := range map[string][]byte{
		"another key's":  must(SignCatalogue(other, "production", issued, issued, nil)),
		"changed portal": bytes.Replace(file, []byte("contoso.example"), []byte("evil000.example"), 1),
		"no signature":   []byte(`{"catalogue":"{}"}`),
		"without prefix": must(json.Marshal(signedFile{`{"environment":"production","operators":[]}`, ed25519.Sign(key, []byte(`{"environment":"production","operators":[]}`))})),
	} {
		if c, err := OpenCatalogue(pub, "production", bad); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %+v %v", name, c, err)
		}
	}
	if _, err := OpenCatalogue(nil, "production", file); !errors.Is(err, ErrSignature) {
		t.Errorf("without a key: %v", err)
	}
	// the last bit of each kind
	for at := range file {
		bad := bytes.Clone(file)
		bad[at] ^= 1
		if c, err := OpenCatalogue(pub, "production", bad); err == nil && (len(c.Operators) != 1 || c.Operators[0].Portal.URL != "https://contoso.example/") {
			t.Fatalf("byte %d changed: %+v", at, c)
		}
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// TestDecode has what of somebody else's list is used.
func TestDecode(t *testing.T) {
	list, skipped, err := decode([]byte(`[
		{"id": "a", "name": "A", "source": "admin", "allowFallback": true, "targets": [{"mccmnc": ["26201"]}], "connections": [{"apn": "evil"}],
		 "portal": {"url": "https://a.example/"}, "moApi": {"baseUrl": "https://m.example", "username": "u", "password": "p"}},
		{"id": "a", "portal": {"url": "https://b.example/"}},
		{"id": "c", "portal": {"url": "http://c.example/"}},
		{"id": "d", "portal": {"url": "https://d.example:8443/"}},
		{"id": "e", "name": "no portal"},
		{"id": "f", "later": "field", "portal": {"url": "https://f.example/"}},
		[{"id": "g"}, {"id": "h"}],
		5]`))
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v %v", list, err)
	}
	p := list[0]
	if p.ID != "directory:a" || p.Source != cosa.SourceOperator || len(p.Targets)+len(p.Connections) > 0 || p.AllowFallback != cosa.FlagUnset || p.MOAPI != (cosa.MOAPI{}) {
		t.Errorf("%+v", p)
	}
	if got := strings.Join(skipped, "\n"); got != `operator 2: its id is there twice
operator 3: URL is not an https URL
operator 4: URL has a host that has a port, or is an address
operator 5: no portal
operator 6: unknown field "later"
operator 7: no portal
operator 8: an operator profile must be an object, not a number` {
		t.Error(got)
	}
	if _, _, err := decode([]byte(`{}`)); err == nil {
		t.Error("an object is a list")
	}
	if _, _, err := decode([]byte("[" + strings.Repeat("0,", maxOperators) + "0]")); err == nil {
		t.Error("a list of any length is read")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`[{"id": "a", "portal": {"url": "https://a.example/", "callbackHosts": ["a.example"], "countries": ["de"]}}]`))
	f.Add([]byte(`[[], 5, {}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, _, err := decode(data)
		if err != nil {
			return
		}
		for i := range list {
			if list[i].Portal.URL == "" || list[i].MOAPI != (cosa.MOAPI{}) || !strings.HasPrefix(list[i].ID, "directory:") || list[i].Check() != "" && len(list[i].ID) < 200 {
				t.Fatalf("%+v: %s", list[i], list[i].Check())
			}
		}
	})
}
