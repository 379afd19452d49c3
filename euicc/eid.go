package euicc

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
)

// EID identifies an eUICC: 32 decimal digits in 16 octets, first digit in the
// high nibble (SGP.22 ES10c.GetEID, 5.7.20; SGP.29). The zero EID means none.
type EID [16]byte

// ErrEID means text that is no EID.
var ErrEID = errors.New("malformed EID")

// ParseEID decodes 32 digits and verifies the check digits. Blanks and hyphens
// between digits are skipped, as labels print them.
func ParseEID(s string) (EID, error) {
	var digits [32]byte
	n := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ' ' || c == '-':
		case c < '0' || c > '9':
			return EID{}, fmt.Errorf("%w: character %d is not a digit", ErrEID, i+1)
		case n == len(digits):
			return EID{}, fmt.Errorf("%w: more than 32 digits", ErrEID)
		default:
			digits[n] = c - '0'
			n++
		}
	}
	if n != len(digits) {
		return EID{}, fmt.Errorf("%w: %d digits, not 32", ErrEID, n)
	}
	var e EID
	for i := range e {
		e[i] = digits[2*i]<<4 | digits[2*i+1]
	}
	if !e.Valid() {
		return EID{}, fmt.Errorf("%w: check digits do not match, is a digit mistyped?", ErrEID)
	}
	return e, nil
}

// Valid reports whether e has digits only and its two check digits match: the
// number modulo 97 is 1 (ISO/IEC 7064 MOD 97-10; SGP.02 2.2.2, SGP.29 10). Cards
// from labs do not always keep to it, so nothing that a card says is refused
// for it.
func (e EID) Valid() bool {
	r := 0
	for _, b := range e {
		hi, lo := int(b>>4), int(b&15)
		if hi > 9 || lo > 9 {
			return false
		}
		r = (r*100 + hi*10 + lo) % 97
	}
	return r == 1
}

// IsZero reports whether e is no EID.
func (e EID) IsZero() bool { return e == EID{} }

// String returns the 32 digits, or the empty string for the zero EID.
func (e EID) String() string {
	if e.IsZero() {
		return ""
	}
	return hex.EncodeToString(e[:])
}

// Short returns the first and last four digits, for logs.
func (e EID) Short() string { return shorten(e.String()) }

// LogValue makes log/slog write the short form.
func (e EID) LogValue() slog.Value { return slog.StringValue(e.Short()) }

// MarshalText returns the 32 digits.
func (e EID) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText is ParseEID; empty text is the zero EID.
func (e *EID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*e = EID{}
		return nil
	}
	v, err := ParseEID(string(text))
	if err != nil {
		return err
	}
	*e = v
	return nil
}

// shorten keeps the ends of an identifier. Short ones vanish altogether.
func shorten(s string) string {
	if len(s) <= 8 {
		if s == "" {
			return ""
		}
		return "…"
	}
	return s[:4] + "…" + s[len(s)-4:]
}
