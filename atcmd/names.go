package atcmd

import "strings"

// part is one command of a command line.
type part struct {
	name   string // in capitals: "+CSQ", "&F", "E", "D", "S3"
	params string // behind '=' or, of a basic command, behind the name
	set    bool   // gives parameters; +X? and +X=? do not
}

// Names lists the commands of a command line without its "AT", in capitals
// (V.250 5.3 and 5.4: basic commands follow each other directly, extended ones
// are separated by ';'). Of D everything behind it is its own.
func Names(text string) []string {
	var names []string
	for _, p := range parts(text) {
		names = append(names, p.name)
	}
	return names
}

// Sets lists those of Names that act or set: queries, +X?, and tests, +X=?, are
// left out.
func Sets(text string) []string {
	var names []string
	for _, p := range parts(text) {
		if p.set || p.params == "" {
			names = append(names, p.name)
		}
	}
	return names
}

func parts(text string) []part {
	var list []part
	for rest := strings.TrimLeft(text, " ;"); rest != ""; rest = strings.TrimLeft(rest, " ;") {
		c := rest[0]
		switch {
		case c|0x20 == 'd':
			return append(list, part{"D", rest[1:], true})
		case c != '&' && strings.IndexByte(tagMarks, c) >= 0:
			end := outside(rest, ';')
			one := rest[:end]
			rest = rest[end:]
			n := 1
			for n < len(one) && isNameByte(one[n]) {
				n++
			}
			p := part{name: strings.ToUpper(one[:n]), params: strings.TrimSpace(one[n:])}
			if params, ok := strings.CutPrefix(p.params, "="); ok && params != "?" {
				p.params, p.set = params, true
			}
			list = append(list, p)
		default:
			n := 1
			if (c == '&' || c == '\\') && len(rest) > 1 {
				n = 2
			}
			if c|0x20 == 's' {
				n += digitsAt(rest[n:])
			}
			p := part{name: strings.ToUpper(rest[:n])}
			rest = rest[n:]
			value := digitsAt(rest)
			switch {
			case strings.HasPrefix(rest, "="):
				value = 1 + digitsAt(rest[1:])
				p.set = true
			case strings.HasPrefix(rest, "?"):
				value = 1
			case value > 0:
				p.set = true
			}
			p.params, rest = rest[:value], rest[value:]
			list = append(list, p)
		}
	}
	return list
}

func digitsAt(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }

// outside returns where c is in s, outside of quotes, or len(s).
func outside(s string, c byte) int {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == c && !quoted:
			return i
		}
	}
	return len(s)
}

// secretNames are commands whose parameters, or answers, hold a PIN, a password
// or an activation code, whether the caller said so or not.
var secretNames = []string{
	"+CPIN", "+CPIN2", "+CLCK", "+CPWD", "+CGAUTH", "+EPIN", "+EIAAPN", "+QICSGP", "+QESIM",
	"+MGAUTH", "+XGAUTH", "+UAUTHREQ", "+UPAUTHREQ", "+UCGDFLT", "#PDPAUTH", "$QCPDPP", "$QCPDPAUTH",
	"^AUTHDATA", "^SGAUTH", "^NDISDUP", "^CPIN", "!ENTERCND", "+CUSD",
}

// payloadNames carry APDUs or file contents.
var payloadNames = []string{"+CGLA", "+CSIM", "+CRSM", "+CRLA", "+CEUICC"}

// secretWords are in the names, and the parameters, of commands that no table
// knows and that hold a secret all the same.
var (
	secretNameWords  = []string{"AUTH", "PIN", "PUK", "PWD", "PASS", "ACCOUNT", "CREDENTIAL", "SECRET", "CLCK", "PDPP"}
	secretParamWords = []string{"LPA:", "PASSW", "PWD", "ACCOUNT", "SECRET", "CREDENTIAL"}
	// harmlessNames have such a word and ask for the tries that are left.
	harmlessNames = []string{"+CPINR", "+QPINC"}
)

// CarriesSecret reports whether a command line without its "AT" gives the modem
// a PIN, a password or an activation code, as far as its commands' names and
// words tell, or an APDU that does.
func CarriesSecret(text string) bool {
	for _, p := range parts(text) {
		if p.set && (isSecret(p.name, p.params) || apduSecret(p.name, p.params)) {
			return true
		}
	}
	return strings.Contains(strings.ToUpper(text), "LPA:")
}

func isSecret(name, params string) bool {
	if hasName(secretNames, name) {
		return true
	}
	if hasName(harmlessNames, name) {
		return false
	}
	name = strings.ReplaceAll(strings.ToUpper(name), "PING", "") // is no PIN
	return hasWord(name, secretNameWords) || hasWord(strings.ToUpper(params), secretParamWords)
}

func hasName(list []string, name string) bool {
	for _, n := range list {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

func hasWord(text string, words []string) bool {
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// apduSecret reports whether a command takes an APDU that may hold a PIN. One
// that cannot be read may.
func apduSecret(name, params string) bool {
	if name != "+CGLA" && name != "+CSIM" {
		return false
	}
	hex := strings.Trim(params[strings.LastIndexByte(params, ',')+1:], `" `)
	if len(hex) < 8 || strings.ContainsFunc(hex, func(r rune) bool { return r > 0x7f || !isHex(byte(r)) }) {
		return true
	}
	return PINCommand(16*nibble(hex[2]) + nibble(hex[3]))
}

// PINCommand reports whether the instruction byte of an APDU is one whose data
// hold a PIN: VERIFY, CHANGE, DISABLE, ENABLE and UNBLOCK PIN (TS 102 221,
// 11.1.9 to 11.1.13).
func PINCommand(ins byte) bool {
	switch ins {
	case 0x20, 0x24, 0x26, 0x28, 0x2C:
		return true
	}
	return false
}

func nibble(c byte) byte {
	if c >= 'A' {
		return c&0x0F + 9
	}
	return c - '0'
}
