package ci

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

var (
	// GSMA's live issuer, as most live cards list it.
	gsmaCI1 = unhex("81370F5125D0B1D408D4C3B232E6D25E795BEBFB")
	// SGP.26's test issuer, NIST curve.
	sgp26CI = unhex("F54172BDF98A95D65CBEB88A38A1C11D800A85C3")
)

func TestSets(t *testing.T) {
	for _, s := range []Set{Live, Test} {
		for _, r := range Roots(s) {
			t.Logf("%s %X %s", s, r.KeyID, r.Name)
			if len(r.KeyID) == 0 {
				t.Errorf("%s: no key identifier", r.Name)
			}
			for _, o := range Roots(s.other()) {
				if bytes.Equal(o.KeyID, r.KeyID) {
					t.Errorf("%s is in both sets", r.Name)
				}
			}
		}
	}
	for _, text := range [][]byte{livePEM, testPEM} {
		if !bytes.Contains(text, []byte("Source: github.com/damonto/euicc-go v1.1.2")) {
			t.Error("list does not say where it comes from")
		}
	}
}

func TestSelect(t *testing.T) {
	roots, err := Select(Live, [][]byte{{1, 2}, gsmaCI1})
	if err != nil {
		t.Fatal(err)
	}
	if len(roots) != 1 || !strings.Contains(roots[0].Name, "GSM Association - RSP2 Root CI1") {
		t.Errorf("got %v", roots)
	}
	if roots, err := Select(Test, [][]byte{sgp26CI}); err != nil || len(roots) == 0 {
		t.Errorf("test issuer: %v %v", roots, err)
	}
	_, err = Select(Live, [][]byte{sgp26CI})
	if ne, ok := errors.AsType[*NoRootError](err); !ok || !ne.InOther || !strings.Contains(err.Error(), "test servers") {
		t.Errorf("test card with live set: %v", err)
	}
	_, err = Select(Test, [][]byte{gsmaCI1})
	if ne, ok := errors.AsType[*NoRootError](err); !ok || !ne.InOther {
		t.Errorf("live card with test set: %v", err)
	}
	_, err = Select(Live, [][]byte{{1, 2, 3, 4, 5}})
	if ne, ok := errors.AsType[*NoRootError](err); !ok || ne.InOther || !strings.Contains(err.Error(), "01020304") {
		t.Errorf("unknown issuer: %v", err)
	}
	extra := Roots(Test)[1:2]
	if roots, err := Select(Live, [][]byte{{1}}, extra...); err != nil || len(roots) != 1 {
		t.Errorf("extra issuer: %v %v", roots, err)
	}
}

// Brainpool issuers are in the lists and known by key identifier, but cannot be
// used.
func TestUnsupportedCurve(t *testing.T) {
	found := false
	for _, s := range []Set{Live, Test} {
		for _, r := range Roots(s) {
			if r.Cert != nil {
				continue
			}
			found = true
			_, err := Select(s, [][]byte{r.KeyID})
			if ne, ok := errors.AsType[*NoRootError](err); !ok || !ne.Unsupported {
				t.Errorf("%X: %v", r.KeyID, err)
			}
		}
	}
	if !found {
		t.Skip("the lists hold no such issuer")
	}
}

func TestParse(t *testing.T) {
	if _, err := Parse([]byte("nothing")); err == nil {
		t.Error("text without certificate is accepted")
	}
	if _, err := Parse([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")); err == nil {
		t.Error("junk is accepted")
	}
	if roots, err := Parse(livePEM); err != nil || len(roots) != len(Roots(Live)) {
		t.Errorf("own list: %v", err)
	}
}
