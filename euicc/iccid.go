package euicc

import (
	"errors"
	"fmt"
	"log/slog"
)

// ICCID identifies a profile: 18 to 20 digits as EF_ICCID holds them, ten octets
// with the first digit in the low nibble, padded with F (ITU-T E.118; 3GPP TS
// 31.102 4.2.11 by way of ETSI TS 102 221 13.2; SGP.22 tag 5A). The zero ICCID
// means none. ICCIDs compare with ==.
type ICCID [10]byte

// ErrICCID means text or bytes that are no ICCID.
var ErrICCID = errors.New("malformed ICCID")

// ParseICCID decodes 18 to 20 digits. Trailing F, as modems print the padding,
// is dropped, and so are surrounding blanks.
func ParseICCID(s string) (ICCID, error) {
	for len(s) > 0 && s[0] == ' ' {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == 'F' || s[len(s)-1] == 'f') {
		s = s[:len(s)-1]
	}
	if len(s) < 18 || len(s) > 20 {
		return ICCID{}, fmt.Errorf("%w: %d digits, not 18 to 20", ErrICCID, len(s))
	}
	var c ICCID
	for i := range 20 {
		d := byte(0xF)
		if i < len(s) {
			if s[i] < '0' || s[i] > '9' {
				return ICCID{}, fmt.Errorf("%w: character %d is not a digit", ErrICCID, i+1)
			}
			d = s[i] - '0'
		}
		c[i/2] |= d << (4 * (i % 2))
	}
	if c.IsZero() {
		return ICCID{}, fmt.Errorf("%w: it is all zeros", ErrICCID)
	}
	return c, nil
}

// ICCIDFromBytes takes the ten octets of EF_ICCID as they are. Some issued cards
// hold hexadecimal digits; those are kept.
func ICCIDFromBytes(b []byte) (ICCID, error) {
	if len(b) != len(ICCID{}) {
		return ICCID{}, fmt.Errorf("%w: %d octets, not 10", ErrICCID, len(b))
	}
	return ICCID(b), nil
}

// IsZero reports whether c is no ICCID.
func (c ICCID) IsZero() bool { return c == ICCID{} }

// String returns the digits without padding, or the empty string for the zero
// ICCID.
func (c ICCID) String() string {
	if c.IsZero() {
		return ""
	}
	const digits = "0123456789ABCDEF"
	var s [20]byte
	n := 0
	for i := range s {
		d := c[i/2] >> (4 * (i % 2)) & 0xF
		s[i] = digits[d]
		if d != 0xF {
			n = i + 1
		}
	}
	return string(s[:n])
}

// Short returns the first and last four digits, for logs.
func (c ICCID) Short() string { return shorten(c.String()) }

// LogValue makes log/slog write the short form.
func (c ICCID) LogValue() slog.Value { return slog.StringValue(c.Short()) }

// MarshalText returns the digits.
func (c ICCID) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is ParseICCID; empty text is the zero ICCID.
func (c *ICCID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*c = ICCID{}
		return nil
	}
	v, err := ParseICCID(string(text))
	if err != nil {
		return err
	}
	*c = v
	return nil
}
