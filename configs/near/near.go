// Package near finds the name that a mistyped one was meant for, for the hints of
// errors.
package near

import "strings"

// maxName bounds what is compared; nobody means a longer name.
const maxName = 40

// Name returns the name that s was most likely meant to be, or "": one at an
// edit distance of at most 2, or one that s begins or continues. Case does not
// count.
func Name(s string, names []string) string {
	s = strings.ToLower(s)
	best, at := "", 3
	for _, n := range names {
		if d := distance(s, strings.ToLower(n)); d < at && d < len(n) {
			best, at = n, d
		}
	}
	if best != "" || len(s) < 3 {
		return best
	}
	for _, n := range names {
		if low := strings.ToLower(n); strings.HasPrefix(low, s) || strings.HasPrefix(s, low) && len(n) > 2 {
			return n
		}
	}
	return ""
}

// distance is Levenshtein's, with the exchange of neighbours as one step.
func distance(a, b string) int {
	if len(a) > maxName || len(b) > maxName {
		return maxName
	}
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
