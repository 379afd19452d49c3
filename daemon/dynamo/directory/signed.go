package directory

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"dynamod/configs/cosa"
)

// Catalogue is a list of operators that needs no service: a file for routers that
// have no connection yet.
type Catalogue struct {
	Issued, Expires time.Time
	Environment     string // "production", "staging"
	Operators       []cosa.OperatorProfile
	Skipped         []string // records that could not be used
}

// signedFile is a catalogue on the wire: its text, so that what was signed is what
// is read, and an Ed25519 signature (RFC 8032) over signedPrefix and that text.
type signedFile struct {
	Catalogue string `json:"catalogue"`
	Signature []byte `json:"signature"`
}

const signedPrefix = "dynamod operator catalogue 1\n"

type catalogueText struct {
	Issued      time.Time       `json:"issued"`
	Expires     time.Time       `json:"expires"`
	Environment string          `json:"environment"`
	Operators   json.RawMessage `json:"operators"`
}

// SignCatalogue makes a catalogue file.
func SignCatalogue(key ed25519.PrivateKey, environment string, issued, expires time.Time, operators []*cosa.OperatorProfile) ([]byte, error) {
	list, err := encode(operators)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(catalogueText{issued.UTC().Truncate(time.Second), expires.UTC().Truncate(time.Second), environment, list})
	if err != nil {
		return nil, err
	}
	return json.Marshal(signedFile{string(text), ed25519.Sign(key, append([]byte(signedPrefix), text...))})
}

// MaxCatalogue bounds a catalogue file.
const MaxCatalogue = 1 << 20

// ErrSignature means a catalogue that the key did not sign.
var ErrSignature = errors.New("the catalogue's signature is not that of the configured key")

// OpenCatalogue verifies a catalogue file and reads it. A catalogue of another
// environment is refused, so that a test's operators are never sold by accident.
// That it has expired is for the caller to judge: without a connection an old list
// is better than none.
func OpenCatalogue(key ed25519.PublicKey, environment string, file []byte) (*Catalogue, error) {
	if len(file) > MaxCatalogue {
		return nil, fmt.Errorf("the catalogue has more than %d bytes", MaxCatalogue)
	}
	var s signedFile
	if err := json.Unmarshal(file, &s); err != nil {
		return nil, fmt.Errorf("the catalogue cannot be decoded: %w", err)
	}
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, append([]byte(signedPrefix), s.Catalogue...), s.Signature) {
		return nil, ErrSignature
	}
	var text catalogueText
	if err := json.Unmarshal([]byte(s.Catalogue), &text); err != nil {
		return nil, fmt.Errorf("the catalogue cannot be decoded: %w", err)
	}
	if text.Environment != environment {
		return nil, fmt.Errorf("the catalogue is for %q, not %q", text.Environment, environment)
	}
	list, skipped, err := decode(text.Operators)
	if err != nil {
		return nil, err
	}
	return &Catalogue{text.Issued, text.Expires, text.Environment, list, skipped}, nil
}
