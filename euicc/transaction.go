package euicc

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// TransactionID names one RSP session: 1 to 16 octets in hexadecimal, in the
// spelling of the server, which gets it back unchanged (SGP.22 6.5.2).
type TransactionID string

// ErrTransactionID means text or bytes that are no transaction ID.
var ErrTransactionID = errors.New("malformed transaction ID")

// ParseTransactionID checks the text of a transaction ID.
func ParseTransactionID(s string) (TransactionID, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) < 1 || len(b) > 16 {
		return "", fmt.Errorf("%w: not 2 to 32 hexadecimal digits", ErrTransactionID)
	}
	return TransactionID(s), nil
}

// NewTransactionID returns the transaction ID of the given octets in upper case.
func NewTransactionID(b []byte) (TransactionID, error) {
	if len(b) < 1 || len(b) > 16 {
		return "", fmt.Errorf("%w: %d octets, not 1 to 16", ErrTransactionID, len(b))
	}
	return TransactionID(strings.ToUpper(hex.EncodeToString(b))), nil
}

// Bytes returns the octets as the card and the signatures use them; nil if t
// was not made by one of the two functions above.
func (t TransactionID) Bytes() []byte {
	b, err := hex.DecodeString(string(t))
	if err != nil {
		return nil
	}
	return b
}

// Equal reports whether t and u are the same octets.
func (t TransactionID) Equal(u TransactionID) bool { return strings.EqualFold(string(t), string(u)) }
