package euicc

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// MaxActivationCode bounds the text of an activation code, prefix included.
const MaxActivationCode = 255

// ActivationCode is a parsed activation code (SGP.22 4.1):
//
//	LPA:1$SM-DP+ address$MatchingID[$SM-DP+ OID[$1]]
//
// Every way of printing hides the matching ID; Reveal does not.
type ActivationCode struct {
	// Address is the SM-DP+ address: a host name in lower case, and for labs
	// host:port.
	Address string
	// MatchingID may be empty: the server then looks for an order bound to the
	// EID.
	MatchingID MatchingID
	// OID is the server's object identifier, to be compared with its
	// certificate; empty when the code has none.
	OID string
	// ConfirmationRequired says that the user has to give a confirmation code.
	ConfirmationRequired bool
}

// ErrActivationCode means text that is no activation code.
var ErrActivationCode = errors.New("malformed activation code")

// ErrSurplusFields means a code with more than the five fields that SGP.22 v2
// defines, perhaps one of a later version; it is an ErrActivationCode too. What
// the further fields would ask for is not known here, so that leaving them out is
// for the user to decide: ParseLaterActivationCode does.
var ErrSurplusFields = fmt.Errorf("%w with surplus fields", ErrActivationCode)

// codeError never shows the text: it may hold a matching ID in any field.
func codeError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrActivationCode, fmt.Sprintf(format, args...))
}

// ParseActivationCode decodes an activation code. The prefix LPA: may be in
// lower case or, as behind some QR readers, be missing; as in a URI of the scheme
// lpa the text may be percent-encoded (RFC 3986, 2.1). What copying out of mails
// and web pages leaves is dropped: blanks around the text and invisible marks
// anywhere. No error shows any part of the text.
func ParseActivationCode(text string) (ActivationCode, error) {
	f, err := codeFields(text)
	if err != nil {
		return ActivationCode{}, err
	}
	if len(f) > codeFieldCount {
		return ActivationCode{}, fmt.Errorf("%w: %d fields, at most %d are defined", ErrSurplusFields, len(f), codeFieldCount)
	}
	return parseFields(f)
}

// ParseLaterActivationCode is ParseActivationCode for codes of a later version of
// SGP.22: it leaves out the fields behind the fifth and returns how many these
// were.
func ParseLaterActivationCode(text string) (c ActivationCode, surplus int, err error) {
	f, err := codeFields(text)
	if err != nil {
		return ActivationCode{}, 0, err
	}
	if len(f) > codeFieldCount {
		f, surplus = f[:codeFieldCount], len(f)-codeFieldCount
	}
	c, err = parseFields(f)
	return c, surplus, err
}

// codeFieldCount is what SGP.22 4.1 defines: format, address, matching ID, OID,
// confirmation code flag.
const codeFieldCount = 5

// codeFields takes the text apart.
func codeFields(text string) ([]string, error) {
	if len(text) > 8*MaxActivationCode {
		return nil, codeError("%d bytes, more than %d", len(text), MaxActivationCode)
	}
	s := strings.TrimFunc(strings.Map(dropInvisible, text), unicode.IsSpace)
	if s == "" {
		return nil, codeError("it is empty")
	}
	if strings.Contains(s, "%") {
		var err error
		// PathUnescape leaves + alone. A % that is left would be one that was
		// encoded; no field may have any (SGP.22 5.3.1 on the matching ID).
		if s, err = url.PathUnescape(s); err != nil || strings.Contains(s, "%") {
			return nil, codeError("it has a %% that begins no percent-encoding")
		}
		s = strings.Trim(s, " ")
	}
	if len(s) > MaxActivationCode {
		return nil, codeError("%d bytes, more than %d", len(s), MaxActivationCode)
	}
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] > 0x7E {
			return nil, codeError("byte %d is not printable ASCII", i+1)
		}
	}
	if head, rest, found := strings.Cut(s, ":"); found && !strings.Contains(head, "$") {
		if !strings.EqualFold(strings.TrimRight(head, " "), "LPA") {
			return nil, codeError("its prefix is not LPA:")
		}
		s = strings.TrimLeft(rest, " ")
	}
	f := strings.Split(s, "$")
	switch {
	case len(f) < 2:
		return nil, codeError("no $ between its fields; it starts with LPA:1$")
	case f[0] == "":
		return nil, codeError("its format field is empty; it starts with LPA:1$")
	case f[0] != "1":
		return nil, codeError("unknown format, only 1 is defined")
	case f[1] == "":
		return nil, codeError("no SM-DP+ address in field 2")
	}
	return f, nil
}

// dropInvisible removes what has no width of its own: byte order marks, zero
// width blanks and joiners, soft hyphens, and marks of writing direction
// (Unicode, general category Cf).
func dropInvisible(r rune) rune {
	if unicode.Is(unicode.Cf, r) {
		return -1
	}
	return r
}

func parseFields(f []string) (ActivationCode, error) {
	var (
		c   ActivationCode
		err error
	)
	if c.Address, err = ParseAddress(f[1]); err != nil {
		return ActivationCode{}, codeError("field 2: %v", err)
	}
	if len(f) < 3 {
		return ActivationCode{}, codeError("no $ behind the SM-DP+ address; without matching ID the code ends in $")
	}
	if strings.Contains(f[2], " ") {
		return ActivationCode{}, codeError("field 3, the matching ID, holds a blank")
	}
	c.MatchingID = MatchingID(f[2])
	if len(f) > 3 && f[3] != "" {
		if !validOID(f[3]) {
			return ActivationCode{}, codeError("field 4 is no object identifier")
		}
		c.OID = f[3]
	}
	if len(f) > 4 {
		switch f[4] {
		case "":
		case "1":
			c.ConfirmationRequired = true
		default:
			return ActivationCode{}, codeError("field 5, the confirmation code flag, is neither empty nor 1")
		}
	}
	return c, nil
}

// Reveal returns the code as text, matching ID included.
func (c ActivationCode) Reveal() string { return c.text(c.MatchingID.Reveal()) }

// String returns the code with the matching ID hidden.
func (c ActivationCode) String() string { return c.text(c.MatchingID.String()) }

// GoString hides the matching ID from %#v.
func (c ActivationCode) GoString() string { return strconv.Quote(c.String()) }

// LogValue hides the matching ID from log/slog.
func (c ActivationCode) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText hides the matching ID from encoding/json and its like.
func (c ActivationCode) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

func (c ActivationCode) text(matchingID string) string {
	s := "LPA:1$" + c.Address + "$" + matchingID
	if c.OID != "" || c.ConfirmationRequired {
		s += "$" + c.OID
	}
	if c.ConfirmationRequired {
		s += "$1"
	}
	return s
}

// ParseAddress checks the address of an SM-DP+ or SM-DS: a fully qualified
// domain name, for labs also an IPv4 address and a port. It returns the address
// in lower case without blanks around it and without the root's full stop; some
// cards and servers send both.
func ParseAddress(s string) (string, error) {
	s = strings.ToLower(strings.Trim(s, " \t"))
	host, port, hasPort := strings.Cut(s, ":")
	host = strings.TrimSuffix(host, ".")
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || port[0] == '+' {
			return "", errors.New("the port is not a number from 1 to 65535")
		}
		port = ":" + strconv.FormatUint(n, 10)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return host + port, nil
	}
	if len(host) > 253 {
		return "", errors.New("the host name is longer than 253 characters")
	}
	labels := strings.Split(host, ".")
	if len(labels) < 2 && !hasPort {
		return "", errors.New("the address is no fully qualified domain name")
	}
	for i, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", fmt.Errorf("part %d of the host name is empty, too long or has a hyphen at its end", i+1)
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return "", fmt.Errorf("part %d of the host name has a character that is not a letter, digit or hyphen", i+1)
			}
		}
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return "", errors.New("the host name ends in a number but is no IPv4 address")
	}
	return host + port, nil
}

// validOID accepts dotted decimal arcs (ITU-T X.660).
func validOID(s string) bool {
	arcs := strings.Split(s, ".")
	if len(arcs) < 2 {
		return false
	}
	for i, a := range arcs {
		n, err := strconv.ParseUint(a, 10, 32)
		if err != nil || a[0] == '+' || len(a) > 1 && a[0] == '0' || i == 0 && n > 2 {
			return false
		}
	}
	return true
}
