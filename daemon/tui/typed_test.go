package tui

import (
	"slices"
	"testing"

	"github.com/rivo/uniseg"
)

// TestTyped holds the graphemes of what is typed against UAX #29, rules GB3 to
// GB13: they come from tables other than those that Ultraviolet was written for.
func TestTyped(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   string
		want []string
	}{
		{"nothing", "", nil},
		{"ASCII", "a1", []string{"a", "1"}},
		{"CR LF (GB3)", "\r\n\n", []string{"\r\n", "\n"}},
		{"a control breaks (GB5)", "a\u0301\x00", []string{"a\u0301", "\x00"}},
		{"Hangul syllable (GB6)", "\u1100\u1161\u11a8\u1100", []string{"\u1100\u1161\u11a8", "\u1100"}},
		{"accent that combines (GB9)", "e\u0301x", []string{"e\u0301", "x"}},
		{"Devanagari conjunct (GB9c)", "\u0915\u094d\u0937", []string{"\u0915\u094d\u0937"}},
		{"family of emoji (GB11)", "\U0001f469\u200d\U0001f467x", []string{"\U0001f469\u200d\U0001f467", "x"}},
		{"flags (GB12)", "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", []string{"\U0001f1e9\U0001f1ea", "\U0001f1eb\U0001f1f7"}},
		{"not UTF-8", "\xffa", []string{"\xff", "a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var walked, cut []string
			for g := uniseg.NewGraphemes(tt.in); g.Next(); {
				walked = append(walked, g.Str())
			}
			for rest := []byte(tt.in); len(rest) > 0; {
				var first []byte
				first, rest, _, _ = uniseg.FirstGraphemeCluster(rest, -1)
				if len(first) == 0 {
					t.Fatal("a cluster without a byte")
				}
				cut = append(cut, string(first))
			}
			if !slices.Equal(walked, tt.want) || !slices.Equal(cut, tt.want) {
				t.Errorf("%+q, cut off one by one %+q, want %+q", walked, cut, tt.want)
			}
		})
	}
	if first, rest, _, _ := uniseg.FirstGraphemeCluster(nil, -1); len(first) != 0 || len(rest) != 0 {
		t.Errorf("of nothing: %q, %q", first, rest)
	}
}
