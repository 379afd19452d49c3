package dynamo

import (
	"strconv"
	"strings"
)

// units are the places of a pattern, with what one is in megabytes.
var units = []struct {
	place string
	mb    float64
}{{"{KB}", 0.001}, {"{MB}", 1}, {"{GB}", 1000}}

// Amount reads megabytes out of an operator's own words, by a pattern of its record:
// text as it stands around one of {KB}, {MB} and {GB}, such as "you have {GB} GB left".
// Blanks and line ends count as one blank, the case of letters as it is. It is false
// where the words are others, and for a number that can be read in two ways: whether
// "1.234" is more or less than a thousand is known to its author alone.
func Amount(words, pattern string) (mb float64, ok bool) {
	words, pattern = oneBlank(words), oneBlank(pattern)
	for _, u := range units {
		before, after, found := strings.Cut(pattern, u.place)
		if !found {
			continue
		}
		before, after = strings.TrimSpace(before), strings.TrimSpace(after)
		for rest := words; ; {
			at := strings.Index(rest, before)
			if before == "" { // the next number, with its sign
				if at = strings.IndexFunc(rest, isDigit); at > 0 {
					at = len(strings.TrimRight(rest[:at], ".,-"))
				}
			}
			if at < 0 {
				return 0, false
			}
			n, tail, ok := leadingNumber(strings.TrimSpace(rest[at+len(before):]))
			if ok && strings.HasPrefix(strings.TrimSpace(tail), after) {
				return n * u.mb, true
			}
			if rest = rest[at+len(before):]; before == "" {
				rest = tail
			}
		}
	}
	return 0, false
}

func oneBlank(s string) string { return strings.Join(strings.Fields(s), " ") }

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

// leadingNumber reads a number with at most one point or comma. One with a sign, or in
// groups of three digits ("1 234", "1'234"), is none, and rest is what comes after it.
func leadingNumber(s string) (n float64, rest string, ok bool) {
	end := len(s) - len(strings.TrimLeft(s, "0123456789.,-"))
	digits := strings.TrimRight(s[:end], ".,-") // those end a sentence
	rest = s[len(digits):]
	grouped := false
	for g := group(rest); g > 0; g = group(rest) {
		rest, grouped = rest[g:], true
	}
	whole, part, has := strings.Cut(strings.ReplaceAll(digits, ",", "."), ".")
	if grouped || whole == "" || len(digits) > 15 || strings.Contains(digits, "-") || has && (len(part) == 3 || strings.Contains(part, ".")) {
		return 0, rest, false
	}
	n, err := strconv.ParseFloat(strings.TrimSuffix(whole+"."+part, "."), 64)
	return n, rest, err == nil
}

// group is the length of a further group of three digits, with what is before it.
func group(s string) int {
	for _, by := range []string{" ", "'", "\u2019"} {
		if d, ok := strings.CutPrefix(s, by); ok && len(d)-len(strings.TrimLeft(d, "0123456789")) == 3 {
			return len(by) + 3
		}
	}
	return 0
}
