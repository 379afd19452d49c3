package modem

import (
	"strconv"
	"strings"
)

// param is one parameter of an information line. Whether it was quoted tells
// numbers from hexadecimal strings.
type param struct {
	text   string
	quoted bool
}

// params splits what follows the tag of an information line.
func params(rest string) []param {
	var ps []param
	for {
		rest = strings.TrimLeft(rest, " ")
		var p param
		if body, ok := strings.CutPrefix(rest, `"`); ok {
			text, after, closed := strings.Cut(body, `"`)
			p = param{text, true}
			if !closed {
				return append(ps, p)
			}
			rest = after
			if _, after, ok = strings.Cut(rest, ","); !ok {
				return append(ps, p)
			}
			ps, rest = append(ps, p), after
			continue
		}
		text, after, more := strings.Cut(rest, ",")
		ps = append(ps, param{strings.TrimSpace(text), false})
		if !more {
			return ps
		}
		rest = after
	}
}

// at returns f[i], or "" when there are fewer.
func at(f []string, i int) string {
	if i < 0 || i >= len(f) {
		return ""
	}
	return f[i]
}

// number parses a decimal number from 0 to limit.
func number(s string, limit int) (int, bool) {
	if len(s) == 0 || len(s) > 6 || !digits(s) {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= limit
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
