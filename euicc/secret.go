package euicc

import "log/slog"

const redacted = "(redacted)"

// MatchingID is the order token of an activation code (SGP.22 4.1). Whoever has
// it can take the profile, so no way of printing shows it; Reveal does.
type MatchingID string

// ConfirmationCode is the secret that a user adds to some orders (SGP.22 4.7).
// No way of printing shows it; Reveal does.
type ConfirmationCode string

// Reveal returns the matching ID itself, for the card.
func (m MatchingID) Reveal() string { return string(m) }

// String hides the matching ID.
func (m MatchingID) String() string { return hide(string(m)) }

// GoString hides the matching ID from %#v.
func (m MatchingID) GoString() string { return hide(string(m)) }

// LogValue hides the matching ID from log/slog.
func (m MatchingID) LogValue() slog.Value { return slog.StringValue(hide(string(m))) }

// MarshalText hides the matching ID from encoding/json and its like.
func (m MatchingID) MarshalText() ([]byte, error) { return []byte(hide(string(m))), nil }

// Reveal returns the confirmation code itself, for hashing.
func (c ConfirmationCode) Reveal() string { return string(c) }

// String hides the confirmation code.
func (c ConfirmationCode) String() string { return hide(string(c)) }

// GoString hides the confirmation code from %#v.
func (c ConfirmationCode) GoString() string { return hide(string(c)) }

// LogValue hides the confirmation code from log/slog.
func (c ConfirmationCode) LogValue() slog.Value { return slog.StringValue(hide(string(c))) }

// MarshalText hides the confirmation code from encoding/json and its like.
func (c ConfirmationCode) MarshalText() ([]byte, error) { return []byte(hide(string(c))), nil }

func hide(s string) string {
	if s == "" {
		return ""
	}
	return redacted
}
