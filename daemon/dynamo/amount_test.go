package dynamo

import (
	"math"
	"testing"
)

func TestAmount(t *testing.T) {
	for _, tt := range []struct {
		words, pattern string
		mb             float64
		ok             bool
	}{
		{"You have 512 MB left.", "{MB} MB left", 512, true},
		{"Guthaben: 12,34 EUR. Datenvolumen: 1,5 GB bis 31.12.", "Datenvolumen: {GB} GB", 1500, true},
		{"Guthaben: 12,34 EUR.\nDatenvolumen:\n  1,5 GB", "Datenvolumen: {GB} GB", 1500, true},
		{"Balance 5.00. Data 800KB", "Data {KB}KB", 0.8, true},
		{"Credit 12 EUR, 300 MB", "{MB} MB", 300, true},
		{"Data: 0 MB", "Data: {MB}", 0, true},
		{"Internet 40.", "Internet {MB}", 40, true},
		{"Data: 2 GB", "Data: {MB} MB", 0, false},
		{"Data: 1.234 MB", "Data: {MB} MB", 0, false}, // in two ways
		{"Data: 1.234.567 MB", "Data: {MB} MB", 0, false},
		{"Data: none", "Data: {MB} MB", 0, false},
		{"Data: -5 MB", "Data: {MB} MB", 0, false},
		{"Data: 1 234 MB", "Data: {MB} MB", 0, false},
		{"12 345 MB", "{MB} MB", 0, false}, // nor 345
		{"12\u00a0345 MB", "{MB} MB", 0, false},
		{"1'234'567 MB", "{MB} MB", 0, false},
		{"1\u2019234 MB", "{MB}", 0, false},
		{"Debt -5 MB", "{MB} MB", 0, false},
		{"About .5 GB", "{GB} GB", 0, false},
		{"2026-11-24, 5 MB", "{MB} MB", 5, true},
		{"7 days, 1 234 KB, 500 20 MB", "{MB} MB", 20, true},
		{"", "{MB}", 0, false},
		{"Data: 5 MB", "Data: 5 MB", 0, false},
		{"Data: 5 MB", "", 0, false},
		{"Data: 99999999999999999999 MB", "Data: {MB} MB", 0, false},
	} {
		if mb, ok := Amount(tt.words, tt.pattern); ok != tt.ok || math.Abs(mb-tt.mb) > 1e-9 {
			t.Errorf("%q by %q: %v, %v", tt.words, tt.pattern, mb, ok)
		}
	}
}

// Whatever an operator writes, and a record says, there is an end, and no amount that
// cannot be.
func FuzzAmount(f *testing.F) {
	f.Add("Data: 1,5 GB", "Data: {GB} GB")
	f.Add("1 2 3.4 MB", "{MB} MB")
	f.Add("1,", "{MB}")
	f.Fuzz(func(t *testing.T, words, pattern string) {
		mb, ok := Amount(words, pattern)
		if mb < 0 || math.IsNaN(mb) || math.IsInf(mb, 0) || mb > 1e18 || !ok && mb != 0 {
			t.Errorf("%v, %v", mb, ok)
		}
	})
}
