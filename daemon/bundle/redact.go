package bundle

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"strings"

	"dynamod/atcmd"
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

var (
	// An activation code (SGP.22, 4.1), also percent-encoded: what is behind the
	// address is the order's.
	activationCode = regexp.MustCompile(`(?i)(lpa:)?1(\$|%24)([a-z0-9.:-]*)(\$|%24)[^\s"'<>\\]*`)
	// The user part of a URL.
	userInfo = regexp.MustCompile(`://[^/\s"'@]*@`)
	// Members of JSON, keys of TOML and attributes of a log line whose value is a
	// secret by its name.
	named = regexp.MustCompile(`(?i)("?\b(?:password|passwd|pin|puk|confirmation_code|matching_id|code_text|secret|token)"?\s*[:=]\s*)("(?:[^"\\]|\\.)*"|[^\s,"{}\[\]]+)`)
	// Lines of AT commands: atcmd knows which carry a PIN or a password.
	commandLine = regexp.MustCompile(`(?i)\bAT[+^#$!%&*@_][^\r\n]*`)
	// EID, ICCID, IMSI, IMEI.
	digits = regexp.MustCompile(`[0-9]{14,}`)
)

// Redact returns text without secrets and with shortened identities.
func (r *Redactor) Redact(text []byte) []byte {
	for _, s := range r.secrets {
		text = bytes.ReplaceAll(text, []byte(s), []byte(mask))
	}
	text = activationCode.ReplaceAll(text, []byte("${1}1$$${3}$$"+mask))
	text = userInfo.ReplaceAll(text, []byte("://"+mask+"@"))
	text = commandLine.ReplaceAllFunc(text, func(c []byte) []byte {
		if !atcmd.CarriesSecret(string(c[len("AT"):])) {
			return c
		}
		name, _, _ := bytes.Cut(c, []byte("="))
		return append(slices.Clone(name), "="+mask...)
	})
	text = named.ReplaceAll(text, []byte(`${1}"`+mask+`"`))
	return digits.ReplaceAllFunc(text, func(d []byte) []byte {
		out := slices.Clone(d[:6])
		out = append(out, bytes.Repeat([]byte("*"), len(d)-8)...)
		return append(out, d[len(d)-2:]...)
	})
}
