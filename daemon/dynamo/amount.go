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
			if at < 0 {
				return 0, false
			}
			rest = rest[at+len(before):]
			n, tail, ok := leadingNumber(strings.TrimSpace(rest))
			if ok && strings.HasPrefix(strings.TrimSpace(tail), after) {
				return n * u.mb, true
			}
			if rest == "" {
				return 0, false
			}
			if before == "" { // from the next number on
				i := strings.IndexFunc(rest, isDigit)
				if i < 0 {
					return 0, false
				}
				if i == 0 {
					i = len(rest) - len(strings.TrimLeft(rest, "0123456789.,"))
				}
				rest = rest[i:]
			}
		}
	}
	return 0, false
}

func oneBlank(s string) string { return strings.Join(strings.Fields(s), " ") }

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

// leadingNumber reads a number with at most one point or comma.
func leadingNumber(s string) (n float64, rest string, ok bool) {
	end := len(s) - len(strings.TrimLeft(s, "0123456789.,"))
	digits := strings.TrimRight(s[:end], ".,") // those end a sentence
	rest = s[len(digits):]
	whole, part, has := strings.Cut(strings.ReplaceAll(digits, ",", "."), ".")
	if whole == "" || len(digits) > 15 || has && (len(part) == 3 || strings.Contains(part, ".")) {
		return 0, rest, false
	}
	n, err := strconv.ParseFloat(strings.TrimSuffix(whole+"."+part, "."), 64)
	return n, rest, err == nil
}
