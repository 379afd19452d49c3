// Package wording says in words what the daemon's answers mean: what a run does,
// how much, how strong. The command line and the terminal interface use the same.
package wording

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Clean makes text that came from a server, a card or a modem safe for a
// terminal: what is not printable becomes "?", but for the characters in keep.
func Clean(text, keep string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || strings.ContainsRune(keep, r) {
			return r
		}
		return '?'
	}, text)
}

// Fields leaves out what is empty.
func Fields(values ...string) (out []string) {
	for _, v := range values {
		if v != "" {
			out = append(out, v)
		}
	}
	return out
}

// Prefix is p and a value, or "" where there is no value.
func Prefix(p, value string) string { return OnlyIf(value != "", p+value) }

// Number is p and a number, or "" for 0.
func Number(p string, n int) string { return OnlyIf(n != 0, fmt.Sprint(p, n)) }

// Pointed is p and a number, or "" where it is not known.
func Pointed(p string, n *int) string {
	if n == nil {
		return ""
	}
	return fmt.Sprint(p, *n)
}

// Parens puts a text in parentheses behind another; "" stays "".
func Parens(text string) string { return OnlyIf(text != "", " ("+text+")") }

// OnlyIf is text, or "".
func OnlyIf(ok bool, text string) string {
	if !ok {
		return ""
	}
	return text
}

// Times is one for 1, and other, a format, with every other number.
func Times(n int, one, other string) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf(other, n)
}

// Hint is the advice that an error carries, or "".
func Hint(err error) string {
	if hinted, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		return hinted.Hint()
	}
	return ""
}
