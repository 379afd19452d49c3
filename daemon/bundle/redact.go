package bundle

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// Redactor takes out of a text what is nobody's business. The zero value knows no
// secrets by their value, only by their form.
type Redactor struct{ secrets []string }

// minSecret is how long a secret has to be that is taken out wherever it stands, and
// minDigits if it has only digits: a PIN of four would take years out of dates.
const minSecret, minDigits = 4, 6

// Keep adds secrets by their value.
func (r *Redactor) Keep(secrets ...string) {
	for _, s := range secrets {
		if len(s) >= minSecret && (len(s) >= minDigits || strings.Trim(s, "0123456789") != "") && !slices.Contains(r.secrets, s) {
			r.secrets = append(r.secrets, s)
		}
	}
	slices.SortFunc(r.secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // one may be part of another
}

const mask = "[secret]"

// Redact returns text without secrets and with shortened identities.
func (r *Redactor) Redact(text []byte) []byte {
	for _, s := range r.secrets {
		text = bytes.ReplaceAll(text, []byte(s), []byte(mask))
	}
	for _, f := range []form{activationCode, userInfo, commandLine, named, digits} {
		text = f.replace(text)
	}
	return text
}
