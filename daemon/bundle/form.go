package bundle

import (
	"bytes"
	"strings"

	"dynamod/atcmd"
)

// A form is what a secret looks like: it tells whether text[at:] begins with it,
// where it ends, and what stands in its place. The forms would be regular
// expressions, which the tests hold them against, if package regexp and the
// tables of all scripts did not take 0.2 MB of a router's binary.
type form func(text []byte, at int) (end int, instead string, ok bool)

// replace puts what the form says in place of each, from the left.
func (f form) replace(text []byte) []byte {
	out, done := make([]byte, 0, len(text)), 0
	for at := 0; at < len(text); at++ {
		if end, instead, ok := f(text, at); ok {
			out = append(append(out, text[done:at]...), instead...)
			done, at = end, end-1
		}
	}
	return append(out, text[done:]...)
}

// activationCode is one of SGP.22, 4.1, also percent-encoded: what is behind the
// address is the order's.
//
//	(?i)(lpa:)?1(\$|%24)([a-z0-9.:-]*)(\$|%24)[^\s"'<>\\]*
func activationCode(text []byte, at int) (end int, instead string, ok bool) {
	s := scan{text, at}
	start := at
	if s.fold("lpa:") {
		start = s.at
	}
	if !s.fold("1") || !s.fold("$") && !s.fold("%24") {
		return 0, "", false
	}
	address := s.at
	s.while(func(c byte) bool { return isAlnum(c) || c == '.' || c == ':' || c == '-' || c >= 0x80 })
	addressEnd := s.at
	if !s.fold("$") && !s.fold("%24") {
		return 0, "", false
	}
	s.while(func(c byte) bool { return !isSpace(c) && strings.IndexByte(`"'<>\`, c) < 0 })
	return s.at, string(text[at:start]) + "1$" + string(text[address:addressEnd]) + "$" + mask, true
}

// userInfo is the user part of a URL.
//
//	://[^/\s"'@]*@
func userInfo(text []byte, at int) (end int, instead string, ok bool) {
	s := scan{text, at}
	if !s.fold("://") {
		return 0, "", false
	}
	s.while(func(c byte) bool { return !isSpace(c) && strings.IndexByte(`/"'@`, c) < 0 })
	ok = s.fold("@")
	return s.at, "://" + mask + "@", ok
}

// commandLine is a line of AT commands: atcmd knows which carry a PIN or a
// password.
//
//	(?i)\bAT[+^#$!%&*@_][^\r\n]*
func commandLine(text []byte, at int) (end int, instead string, ok bool) {
	s := scan{text, at}
	if !s.fold("AT") || at > 0 && isWord(text[at-1]) || s.at == len(text) || strings.IndexByte("+^#$!%&*@_", text[s.at]) < 0 {
		return 0, "", false
	}
	s.while(func(c byte) bool { return c != '\r' && c != '\n' })
	line := string(text[at:s.at])
	if atcmd.CarriesSecret(line[len("AT"):]) {
		name, _, _ := strings.Cut(line, "=")
		line = name + "=" + mask
	}
	return s.at, line, true
}

// secretNames are what a value is called that is a secret.
var secretNames = []string{
	"password", "passwd", "pin", "puk", "confirmation_code", "matching_id", "code_text", "secret", "token",
}

// named is a member of JSON, a key of TOML or an attribute of a log line whose
// value is a secret by its name.
//
//	(?i)("?\b(?:password|passwd|...)"?\s*[:=]\s*)("(?:[^"\\]|\\.)*"|[^\s,"{}\[\]]+)
func named(text []byte, at int) (end int, instead string, ok bool) {
	s := scan{text, at}
	s.fold(`"`)
	if s.at > 0 && isWord(text[s.at-1]) || !s.foldAny(secretNames) {
		return 0, "", false
	}
	s.fold(`"`)
	s.while(isSpace)
	if !s.fold(":") && !s.fold("=") {
		return 0, "", false
	}
	s.while(isSpace)
	value := s.at
	if s.fold(`"`) {
		for !s.fold(`"`) {
			escaped := s.fold(`\`)
			if s.at == len(text) || escaped && text[s.at] == '\n' {
				return 0, "", false
			}
			s.at++
		}
	} else {
		s.while(func(c byte) bool { return !isSpace(c) && strings.IndexByte(`,"{}[]`, c) < 0 })
	}
	return s.at, string(text[at:value]) + `"` + mask + `"`, s.at > value
}

// digits are an EID, an ICCID, an IMSI or an IMEI.
//
//	[0-9]{14,}
func digits(text []byte, at int) (end int, instead string, ok bool) {
	s := scan{text, at}
	s.while(func(c byte) bool { return '0' <= c && c <= '9' })
	n := s.at - at
	if n < 14 {
		return 0, "", false
	}
	return s.at, string(text[at:at+6]) + strings.Repeat("*", n-8) + string(text[s.at-2:s.at]), true
}

// scan walks over a text.
type scan struct {
	text []byte
	at   int
}

// fold goes behind prefix if the text goes on with it, in whatever case.
func (s *scan) fold(prefix string) bool {
	end := s.at + len(prefix)
	if end > len(s.text) || !bytes.EqualFold(s.text[s.at:end], []byte(prefix)) {
		return false
	}
	s.at = end
	return true
}

func (s *scan) foldAny(list []string) bool {
	for _, prefix := range list {
		if s.fold(prefix) {
			return true
		}
	}
	return false
}

func (s *scan) while(ok func(c byte) bool) {
	for s.at < len(s.text) && ok(s.text[s.at]) {
		s.at++
	}
}

func isSpace(c byte) bool { return strings.IndexByte("\t\n\f\r ", c) >= 0 }

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

func isWord(c byte) bool { return isAlnum(c) || c == '_' }
