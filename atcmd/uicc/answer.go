package uicc

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"dynamod/atcmd"
)

// maxResponse bounds a response: a modem that follows 61xx up by itself hands
// over the whole of it at once, which a card's own limit of 64 KiB bounds.
const maxResponse = 64<<10 + 2

// candidates returns the lines with the tag, without it, or when there are
// none, the lines without any tag.
func candidates(lines []string, tag string) []string {
	var tagged, bare []string
	for _, line := range lines {
		if rest, ok := atcmd.CutTag(line, tag); ok {
			tagged = append(tagged, rest)
		} else if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "+") {
			bare = append(bare, line)
		}
	}
	if tagged != nil {
		return tagged
	}
	return bare
}

// parseHandle returns the session id that +CCHO answered with (27.007, 8.45),
// exactly as written, quotes included, so that it can be sent back as it came:
// `1`, `00000000038aa32f`, `"2"`.
func parseHandle(lines []string) (string, error) {
	for _, s := range candidates(lines, "+CCHO") {
		digits := s
		if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
			digits = s[1 : len(s)-1]
		}
		if digits != "" && len(digits) <= 32 && isHex(digits) {
			return s, nil
		}
	}
	return "", fmt.Errorf("%w: no session id in the answer of +CCHO", ErrAnswer)
}

// parseResponse returns the response APDU in the answer of +CGLA (27.007, 8.43)
// or +CSIM (8.17): `<length>,<response>`, where length counts hexadecimal
// digits. The response is at least a status word.
func parseResponse(lines []string, tag string) ([]byte, error) {
	var first error
	for _, s := range candidates(lines, tag) {
		b, err := parseLengthAndHex(s)
		if err == nil {
			return b, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = fmt.Errorf("%w: no response in the answer of %s", ErrAnswer, tag)
	}
	return nil, first
}

func parseLengthAndHex(s string) ([]byte, error) {
	length, digits, ok := strings.Cut(s, ",")
	if !ok {
		return nil, fmt.Errorf("%w: no length before the response", ErrAnswer)
	}
	n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(length), `"`), 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%w: length is no number", ErrAnswer)
	}
	digits = strings.TrimSpace(digits)
	digits = strings.TrimPrefix(digits, `"`)
	digits = strings.TrimSuffix(digits, `"`)
	switch {
	case int(n) != len(digits):
		return nil, fmt.Errorf("%w: %d digits announced, %d came", ErrAnswer, n, len(digits))
	case n%2 != 0:
		return nil, fmt.Errorf("%w: odd number of digits, %d", ErrAnswer, n)
	case n < 4:
		return nil, fmt.Errorf("%w: no status word", ErrAnswer)
	case n > 2*maxResponse:
		return nil, fmt.Errorf("%w: response of %d bytes, more than %d", ErrAnswer, n/2, maxResponse)
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("%w: response is not hexadecimal", ErrAnswer)
	}
	return b, nil
}

func isHex(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if !(s[i] >= '0' && s[i] <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}

// status returns SW1 SW2 of a response with at least two bytes.
func status(resp []byte) uint16 {
	return uint16(resp[len(resp)-2])<<8 | uint16(resp[len(resp)-1])
}
