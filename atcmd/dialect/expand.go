package dialect

import (
	"fmt"
	"strings"
)

// Values fills the placeholders of a command: Values{"cid": "1"}.
type Values map[string]string

// secret placeholders keep a command's parameters out of traces and errors.
var secret = map[string]bool{"user": true, "password": true}

// Expand fills the placeholders of a command in. It reports whether the
// command now holds a secret. A value that would break out of its quotes or
// end the command line is an error, as is a placeholder without a value; the
// error names the placeholder and never the value.
func Expand(send string, v Values) (text string, isSecret bool, err error) {
	var b strings.Builder
	rest := send
	for {
		before, after, ok := strings.Cut(rest, "{")
		b.WriteString(before)
		if !ok {
			return b.String(), isSecret, nil
		}
		name, after, ok := strings.Cut(after, "}")
		if !ok {
			return "", false, fmt.Errorf("command %q: '{' without '}'", send)
		}
		value, ok := v[name]
		if !ok {
			return "", false, fmt.Errorf("command %q: no value for {%s}", send, name)
		}
		if err := CheckString(value); err != nil {
			return "", false, fmt.Errorf("value for {%s}: %w", name, err)
		}
		isSecret = isSecret || secret[name] && value != ""
		b.WriteString(value)
		rest = after
	}
}

// CheckString reports whether s can stand in a quoted string of an AT command:
// printable ASCII without the quote, at most 127 characters. V.250 has an
// escape for others (5.4.2.2), but few modems know it. The error does not quote
// s.
func CheckString(s string) error {
	if len(s) > 127 {
		return fmt.Errorf("%d characters are more than the 127 of an AT string", len(s))
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return fmt.Errorf("character %d cannot be written in an AT string", i+1)
		}
	}
	return nil
}
