package smdpsim

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"dynamod/euicc/bertlv"
)

// MaxUPP is the largest profile package that AddOrder takes, in bytes.
const MaxUPP = 4 << 20

// Tags of the TCA eUICC Profile Package (PEDefinitions): the context tags of
// ProfileElement and of ProfileHeader.
const (
	peHeader      = 0xA0
	peEnd         = 0xAA
	headerICCID   = 0x83
	headerVersion = 0x80
)

// UPPICCID reads an unprotected profile package (SGP.22 2.5.2: a sequence of
// DER-coded profile elements) from its header to its end and returns the ICCID
// that the header gives, as digits.
func UPPICCID(upp []byte) (string, error) {
	if len(upp) > MaxUPP {
		return "", fmt.Errorf("profile package has %d bytes, at most %d are served", len(upp), MaxUPP)
	}
	var header, last bertlv.Element
	n := 0
	for e, err := range bertlv.List(upp) {
		if err != nil {
			return "", fmt.Errorf("not a profile package: element %d: %w", n+1, err)
		}
		if e.Tag>>8 == 0 && e.Tag&0xE0 != 0xA0 || e.Tag>>8 != 0 && e.Tag>>8&0xE0 != 0xA0 {
			return "", fmt.Errorf("not a profile package: element %d has tag %s", n+1, e.Tag)
		}
		if n == 0 {
			header = e
		}
		last = e
		n++
	}
	switch {
	case n == 0:
		return "", errors.New("not a profile package: it is empty")
	case header.Tag != peHeader:
		return "", fmt.Errorf("not a profile package: it begins with tag %s, not with a header (A0)", header.Tag)
	case last.Tag != peEnd:
		return "", fmt.Errorf("profile package is cut off: its last element has tag %s, not that of the end (AA)", last.Tag)
	}
	if _, ok := header.Find(headerVersion); !ok {
		return "", errors.New("not a profile package: the header has no version")
	}
	iccid, ok := header.Find(headerICCID)
	if !ok || len(iccid.Value) != 10 {
		return "", errors.New("not a profile package: the header has no ICCID of 10 bytes")
	}
	digits := strings.TrimRight(hex.EncodeToString(iccid.Value), "f")
	if err := checkICCID(digits); err != nil {
		return "", err
	}
	return digits, nil
}

func checkICCID(digits string) error {
	if len(digits) < 18 || len(digits) > 20 || strings.Trim(digits, "0123456789") != "" {
		return fmt.Errorf("ICCID of %d characters, want 18 to 20 digits", len(digits))
	}
	return nil
}

// packBCD codes digits two to a byte, filled up with F to size bytes; the first
// digit goes into the high nibble, or with swap into the low one.
func packBCD(digits string, size int, swap bool) []byte {
	padded := digits + strings.Repeat("F", max(2*size-len(digits), 0))
	b, err := hex.DecodeString(padded[:2*size])
	if err != nil {
		panic(err) // callers have checked that these are digits
	}
	if swap {
		for i := range b {
			b[i] = b[i]<<4 | b[i]>>4
		}
	}
	return b
}

// unpackSwapped is packBCD's opposite with swap.
func unpackSwapped(b []byte) string {
	s := make([]byte, len(b))
	for i, v := range b {
		s[i] = v<<4 | v>>4
	}
	return strings.TrimRight(hex.EncodeToString(s), "f")
}

// short keeps the last four digits of an EID or ICCID for a log.
func short(digits string) string {
	if len(digits) <= 4 {
		return digits
	}
	return "…" + digits[len(digits)-4:]
}
