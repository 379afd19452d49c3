package cosa

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted stands wherever a Secret would have been shown.
const redacted = "[redacted]"

// Secret is an APN password. Every way of printing it (fmt with any verb, slog,
// encoding/json and other text marshalers) shows "[redacted]"; only Reveal
// gives the value. An empty Secret prints as nothing.
type Secret string

// Reveal returns the value, for the one place that hands it to the modem.
func (s Secret) Reveal() string { return string(s) }

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// Format implements fmt.Formatter, so that %x, %q and %d do not reveal either.
func (s Secret) Format(f fmt.State, verb rune) {
	if verb == 'q' || verb == 'v' && f.Flag('#') {
		_, _ = fmt.Fprintf(f, "%q", s.String())
		return
	}
	_, _ = io.WriteString(f, s.String())
}

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
