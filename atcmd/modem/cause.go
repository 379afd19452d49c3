package modem

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"dynamod/atcmd"
)

// RejectCause is why a network refuses registration: the EMM cause (TS 24.301,
// 9.9.3.9) or the GMM cause (TS 24.008, 10.5.5.14), which agree in the values
// named here.
type RejectCause uint8

var rejectNames = map[RejectCause]string{
	2: "IMSI unknown in HSS", 3: "illegal UE", 5: "IMEI not accepted", 6: "illegal ME",
	7: "EPS services not allowed", 8: "EPS services and non-EPS services not allowed",
	9: "UE identity cannot be derived by the network", 10: "implicitly detached", 11: "PLMN not allowed",
	12: "tracking area not allowed", 13: "roaming not allowed in this tracking area",
	14: "EPS services not allowed in this PLMN", 15: "no suitable cells in tracking area",
	16: "MSC temporarily not reachable", 17: "network failure", 18: "CS domain not available", 19: "ESM failure",
	20: "MAC failure", 21: "synch failure", 22: "congestion", 23: "UE security capabilities mismatch",
	24: "security mode rejected", 25: "not authorized for this CSG", 26: "non-EPS authentication unacceptable",
	35: "requested service option not authorized in this PLMN", 39: "CS service temporarily not available",
	40: "no EPS bearer context activated", 42: "severe network failure",
}

func (c RejectCause) String() string { return causeText(int(c), rejectNames[c]) }

// RejectESM means that the context of the attach was refused: its APN, for one.
const RejectESM RejectCause = 19

// Permanent reports whether the network will answer the same until the
// subscription, the device or the place changes.
func (c RejectCause) Permanent() bool {
	switch c {
	case 2, 3, 5, 6, 7, 8, 11, 12, 13, 14, 15, 25, 35:
		return true
	}
	return false
}

// Cause is why a network refuses or ends a context: the ESM cause (TS 24.301,
// 9.9.4.4) or the SM cause (TS 24.008, 10.5.6.6), which agree in the values
// named here. 0 means that it is not known.
type Cause uint8

const (
	CauseUnknown        Cause = 0
	CauseBarred         Cause = 8  // operator determined barring
	CauseResources      Cause = 26 // insufficient resources
	CauseAPN            Cause = 27 // missing or unknown APN
	CauseType           Cause = 28 // unknown PDN type
	CauseAuth           Cause = 29 // user authentication failed
	CauseRejected       Cause = 30 // request rejected by gateway
	CauseUnspecified    Cause = 31
	CauseNotSupported   Cause = 32 // service option not supported
	CauseNotSubscribed  Cause = 33 // requested service option not subscribed
	CauseOutOfOrder     Cause = 34 // service option temporarily out of order
	CauseDeactivated    Cause = 36 // regular deactivation
	CauseNetwork        Cause = 38 // network failure
	CauseReactivate     Cause = 39 // reactivation requested
	CauseLastPDN        Cause = 49 // last PDN disconnection not allowed
	CauseIPv4Only       Cause = 50
	CauseIPv6Only       Cause = 51
	CauseSingleAddress  Cause = 52 // single address bearers only
	CauseNoPDN          Cause = 54 // PDN connection does not exist
	CauseSamePDN        Cause = 55 // multiple PDN connections for one APN not allowed
	CauseBothOnly       Cause = 57 // PDN type IPv4v6 only allowed
	CauseMaximumReached Cause = 65 // maximum number of bearers reached
	CauseRoamingAPN     Cause = 66 // requested APN not supported in current RAT and PLMN
)

var causeNames = map[Cause]string{
	CauseBarred: "operator determined barring", CauseResources: "insufficient resources",
	CauseAPN: "missing or unknown APN", CauseType: "unknown PDN type", CauseAuth: "user authentication failed",
	CauseRejected: "request rejected by gateway", CauseUnspecified: "request rejected, unspecified",
	CauseNotSupported: "service option not supported", CauseNotSubscribed: "requested service option not subscribed",
	CauseOutOfOrder: "service option temporarily out of order", CauseDeactivated: "regular deactivation",
	CauseNetwork: "network failure", CauseReactivate: "reactivation requested",
	CauseLastPDN: "last PDN disconnection not allowed", CauseIPv4Only: "PDN type IPv4 only allowed",
	CauseIPv6Only: "PDN type IPv6 only allowed", CauseSingleAddress: "single address bearers only allowed",
	CauseNoPDN: "PDN connection does not exist", CauseSamePDN: "multiple PDN connections for a given APN not allowed",
	CauseBothOnly:       "PDN type IPv4v6 only allowed",
	CauseMaximumReached: "maximum number of EPS bearers reached",
	CauseRoamingAPN:     "requested APN not supported in current RAT and PLMN combination",
}

func (c Cause) String() string { return causeText(int(c), causeNames[c]) }

// Slow reports whether asking for the same again soon is pointless or unwelcome:
// the subscription, the APN or the credentials are refused, not this moment.
// Some operators lock a line that goes on asking with wrong credentials.
func (c Cause) Slow() bool {
	switch c {
	case CauseBarred, CauseResources, CauseAPN, CauseType, CauseAuth, CauseRejected, CauseNotSupported, CauseNotSubscribed, CauseRoamingAPN:
		return true
	}
	return false
}

func causeText(n int, name string) string {
	switch {
	case n == 0:
		return "unknown cause"
	case name == "":
		return "cause #" + strconv.Itoa(n)
	}
	return name + " (#" + strconv.Itoa(n) + ")"
}

// causeOfCME maps codes of +CME ERROR (27.007, 9.2.2) to the causes behind
// them. 126 to 134 are the session management causes plus 100; the later ones
// have no rule. 151 was 171 before Release 11.
func causeOfCME(code int) Cause {
	switch code {
	case 126, 127, 128, 129, 130, 131, 132, 133, 134:
		return Cause(code - 100)
	case 149:
		return CauseAuth
	}
	return causesOfCME[code]
}

var causesOfCME = map[int]Cause{
	151: CauseLastPDN, 171: CauseLastPDN, 177: CauseBarred, 178: CauseMaximumReached, 179: CauseRoamingAPN,
	190: CauseNetwork, 191: CauseReactivate, 192: CauseIPv4Only, 193: CauseIPv6Only, 194: CauseSingleAddress,
	196: CauseBothOnly, 202: CauseNoPDN, 203: CauseSamePDN,
}

// ActivationError says why a context did not come up.
type ActivationError struct {
	CID   int
	Cause Cause  // 0 when neither the result code nor +CEER tell
	Text  string // the modem's own explanation, may be empty
	Err   error  // of the session
}

func (e *ActivationError) Error() string {
	text := fmt.Sprintf("cannot activate context %d", e.CID)
	switch {
	case e.Cause != CauseUnknown:
		text += ": " + e.Cause.String()
	case e.Text != "":
		text += ": " + e.Text
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the session's error.
func (e *ActivationError) Unwrap() error { return e.Err }

// activationError explains an error result with the help of +CEER (27.007,
// 6.10). Errors of the session itself come back as they are.
func (m *Modem) activationError(ctx context.Context, cid int, err error) error {
	if !answered(err) {
		return err
	}
	return m.Refused(ctx, cid, err)
}

// Refused explains with the help of +CEER why a context did not come up, where err
// says only that it did not.
func (m *Modem) Refused(ctx context.Context, cid int, err error) *ActivationError {
	e := &ActivationError{CID: cid, Cause: causeOfCME(cmeCode(err)), Err: err}
	if e.Cause == CauseUnknown {
		reply, err := m.s.Do(ctx, atcmd.Command{Text: "+CEER", Tags: []string{"+CEER"}, Bare: true})
		if err == nil {
			for _, line := range reply.Lines {
				if rest, ok := atcmd.CutTag(line, "+CEER"); ok {
					line = rest
				}
				e.Text = printable(strings.Trim(line, `"`))
				if e.Cause = ParseCause(line); e.Cause != CauseUnknown {
					break
				}
			}
		}
	}
	return e
}

// printable keeps at most 120 printable ASCII characters.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), 120)]
}

// causeWords are the standard's names without blanks and punctuation.
var causeWords = func() map[string]Cause {
	words := map[string]Cause{
		"unknownapn": CauseAPN, "missingapn": CauseAPN, "authenticationfailed": CauseAuth,
		"authenticationfailure": CauseAuth, "serviceoptionnotsubscribed": CauseNotSubscribed,
		"ipv4onlyallowed": CauseIPv4Only, "ipv6onlyallowed": CauseIPv6Only,
		"unknownpdpaddressorpdptype": CauseType,
	}
	for c, name := range causeNames {
		words[letters(name)] = c
	}
	return words
}()

func letters(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}, s)
}

// ParseCause finds a session management cause in the text of +CEER or of a
// +CME ERROR: by the standard's name, or as a number after "cause", "ESM" or
// '#'. 0 means that it found none; the numbers of a registration's causes are
// not taken for it.
func ParseCause(text string) Cause {
	if len(text) > 512 {
		return CauseUnknown
	}
	plain, best := letters(text), CauseUnknown
	longest := 0
	for words, c := range causeWords {
		if len(words) > longest && strings.Contains(plain, words) {
			best, longest = c, len(words)
		}
	}
	if best != CauseUnknown {
		return best
	}
	text = strings.ToLower(text)
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return !inWord(r) }) {
		switch word {
		case "mm", "emm", "gmm", "5gmm": // the registration's, whose numbers mean other things
			return CauseUnknown
		}
	}
	for i := range text {
		if digits := causeNumber(text, i); digits != "" {
			if n, ok := number(digits, 255); ok {
				return Cause(n)
			}
			return CauseUnknown
		}
	}
	return CauseUnknown
}

// causeNumber returns the number that belongs to a word for causes at text[i:], ""
// if there is none: of one to three digits, at once behind '#' or at most 12
// characters behind the word.
func causeNumber(text string, i int) string {
	rest, between := text[i:], 12
	switch {
	case rest[0] == '#':
		rest, between = rest[1:], 0
	case strings.HasPrefix(rest, "cause"):
		rest = rest[5:]
	case strings.HasPrefix(rest, "esm"):
		rest = rest[3:]
	case strings.HasPrefix(rest, "sm") && (i == 0 || !inWord(rune(text[i-1]))) && (len(rest) == 2 || !inWord(rune(rest[2]))):
		rest = rest[2:]
	default:
		return ""
	}
	at := strings.IndexAny(rest, "0123456789")
	if at < 0 || at > between {
		return ""
	}
	rest = rest[at:]
	behind := strings.TrimLeft(rest, "0123456789")
	digits := rest[:len(rest)-len(behind)]
	if len(digits) > 3 || behind != "" && inWord(rune(behind[0])) {
		return ""
	}
	return digits
}

func inWord(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
}
