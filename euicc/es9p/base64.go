package es9p

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dynamod/euicc"
)

// Base64 is binary data in a JSON string. Decoding is as tolerant as servers are
// sloppy: white space is skipped, padding may be missing or too long; escaped
// slashes are JSON's own.
type Base64 []byte

// MarshalText encodes with padding.
func (b Base64) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText decodes.
func (b *Base64) UnmarshalText(text []byte) error {
	compact := make([]byte, 0, len(text))
	padded := false
	for i, c := range text {
		switch c {
		case ' ', '\t', '\r', '\n':
		case '=':
			padded = true
		default:
			if padded {
				return fmt.Errorf("base64: padding before byte %d", i)
			}
			compact = append(compact, c)
		}
	}
	out, err := base64.RawStdEncoding.AppendDecode(nil, compact)
	if err != nil {
		return fmt.Errorf("base64: %w", err)
	}
	*b = out
	return nil
}

// complete checks that a response has all that the specification demands.
func complete(function string, id euicc.TransactionID, fields map[string]Base64) error {
	if _, err := euicc.ParseTransactionID(string(id)); err != nil {
		return &BodyError{Function: function, Err: err}
	}
	var missing []string
	for name, v := range fields {
		if len(v) == 0 {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return &BodyError{Function: function, Err: errors.New("it lacks " + strings.Join(missing, ", "))}
	}
	return nil
}
