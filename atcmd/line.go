package atcmd

import "strings"

// finalKind says what a line is as a final result code.
type finalKind int

const (
	notFinal finalKind = iota
	finalOK            // OK, CONNECT, or one of the command's own
	finalError
)

// errorFinals end any command. V.250 5.7.1 and 27.007 know only ERROR and
// +CME ERROR; the others are what firmwares write in their place.
var errorFinals = []string{
	"ERROR", "ABORTED", "COMMAND NOT SUPPORT", "COMMAND NOT SUPPORTED", "NOT SUPPORTED",
	"TOO MANY PARAMETERS", "NO NETWORK SERVICE",
}

// callFinals end only commands that start a call (V.250 5.7.1). Elsewhere they
// tell that some other call ended, so they are URCs.
var callFinals = []string{"NO CARRIER", "BUSY", "NO ANSWER", "NO DIALTONE", "NO DIAL TONE", "DELAYED"}

// final classifies line as the final result code of x, which may be nil: then
// no command runs.
func (s *Session) final(x *exchange, line string) finalKind {
	if x != nil {
		if matchesAny(line, x.cmd.Finals) {
			return finalOK
		}
		if x.call {
			if matchesAny(line, []string{"CONNECT"}) {
				return finalOK
			}
			if matchesAny(line, callFinals) {
				return finalError
			}
		}
		if strings.EqualFold(line, "NA") && !x.cmd.Bare {
			return finalError
		}
	}
	if strings.EqualFold(line, "OK") {
		return finalOK
	}
	if matchesAny(line, errorFinals) || matchesAny(line, s.opts.Finals) || namedError(line) {
		return finalError
	}
	return notFinal
}

// matchesAny reports whether line is one of the result codes, alone or with
// something after a blank or a colon: "CONNECT 115200", "ERROR: DUPLICATED".
func matchesAny(line string, codes []string) bool {
	for _, code := range codes {
		if len(code) == 0 || len(line) < len(code) || !strings.EqualFold(line[:len(code)], code) {
			continue
		}
		if len(line) == len(code) || line[len(code)] == ' ' || line[len(code)] == ':' {
			return true
		}
	}
	return false
}

// namedError reports "+CME ERROR: 14" and its kin: +CMS, +CIS, +EXT, MODEM.
func namedError(line string) bool {
	head, _, ok := strings.Cut(line, ":")
	head = strings.TrimRight(head, " ")
	const suffix = " ERROR"
	return ok && len(head) <= 16 && len(head) > len(suffix) &&
		strings.EqualFold(head[len(head)-len(suffix):], suffix)
}

// finalErr is the error that a negative final result code stands for.
func finalErr(command, line string) error {
	if rest, ok := CutTag(line, "+CME ERROR"); ok {
		code, text := codeOf(rest, cmeNames, cmeByName)
		return &CMEError{Command: command, Code: code, Text: text}
	}
	if rest, ok := CutTag(line, "+CMS ERROR"); ok {
		code, text := codeOf(rest, cmsNames, cmsByName)
		return &CMSError{Command: command, Code: code, Text: text}
	}
	return &FinalError{Command: command, Final: line}
}

// tagMarks begin the names of extended commands: + by the standards, the
// others by the makers.
const tagMarks = "+^%#*!$&@_"

// tagOf returns the tag of an information line or a URC, "+CREG" of "+CREG: 1".
func tagOf(line string) (string, bool) {
	if line == "" || !strings.Contains(tagMarks, line[:1]) {
		return "", false
	}
	end := strings.IndexByte(line, ':')
	if end < 0 {
		return "", false
	}
	tag := strings.TrimRight(line[:end], " ")
	for _, c := range []byte(tag[1:]) {
		if !isNameByte(c) {
			return "", false
		}
	}
	return tag, len(tag) > 1
}

func isNameByte(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' ||
		c == '_' || c == '-' || c == '/' || c == '.'
}

// isWordURC reports a URC that has a name but no parameters: "^DATADOWN".
// A telephone number in international format is not one.
func isWordURC(line string) bool {
	if len(line) < 3 || !strings.Contains(tagMarks, line[:1]) {
		return false
	}
	letters := false
	for _, c := range []byte(line[1:]) {
		if !(c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_') {
			return false
		}
		letters = letters || c >= 'A'
	}
	return letters
}

// commandTags returns the names of the extended commands in an AT command line
// (V.250 5.2.1 and 5.3.3: several may follow each other, separated by ';').
func commandTags(text string) []string {
	var tags []string
	quoted, start := false, -1
	for i := 0; i <= len(text); i++ {
		var c byte = ';'
		if i < len(text) {
			c = text[i]
		}
		if c == '"' {
			quoted = !quoted
		}
		if quoted && i < len(text) {
			continue
		}
		switch {
		case start >= 0 && (c == '=' || c == '?' || c == ';'):
			if i > start+1 {
				tags = append(tags, text[start:i])
			}
			start = -1
			// The parameters run up to the next ';'.
			for ; i < len(text) && (quoted || text[i] != ';'); i++ {
				if text[i] == '"' {
					quoted = !quoted
				}
			}
		case start < 0 && c != '&' && c != ';' && strings.IndexByte(tagMarks, c) >= 0:
			start = i
		}
	}
	return tags
}

// isCall reports whether a command starts a data or voice call, so that
// CONNECT and NO CARRIER end it: D, A and O of V.250, +CGDATA of 27.007.
func isCall(text string) bool {
	if text == "" || strings.HasSuffix(text, "?") {
		return false
	}
	if strings.EqualFold(Command{Text: text}.Name(), "+CGDATA") {
		return true
	}
	// The basic commands before it may be E0, V1 and the like.
	rest := text
	for rest != "" {
		switch c := rest[0] | 0x20; {
		case c == 'd', c == 'a', c == 'o':
			return true
		case c >= 'b' && c <= 'z':
			rest = strings.TrimLeft(rest[1:], "0123456789 ")
		default:
			return false
		}
	}
	return false
}

// isRegistrationAnswer tells the answer to +CREG? from the URC of the same name
// (27.007 7.2, 10.1.20, 10.1.22, 10.1.47): the answer begins with <n>,<stat>,
// the URC with <stat>, followed by nothing or a four-digit area code.
func isRegistrationAnswer(params string) bool {
	_, rest, ok := strings.Cut(params, ",")
	if !ok {
		return false
	}
	stat, _, _ := strings.Cut(rest, ",")
	stat = strings.TrimSpace(stat)
	return (len(stat) == 1 || len(stat) == 2) && strings.Trim(stat, "0123456789") == ""
}

// standardURCs are the tags of the unsolicited result codes of 27.007 and
// 27.005, and the texts that modems write when they start. A set command of
// the same name does not own them.
var standardURCs = []string{
	"+CREG", "+CGREG", "+CEREG", "+C5GREG", "+CGEV", "+CRING", "+CLIP", "+CCWA", "+CNAP", "+COLP",
	"+CSSI", "+CSSU", "+CUSD", "+CIEV", "+CKEV", "+CTEV", "+CTZV", "+CTZE", "+CTZEU", "+CSCON",
	"+CNEMU", "+CNEMS1", "+CEDRXP", "+CIREGU", "+CIREPI", "+CIREPH", "+CRTDCP", "+CABTSRI",
	"+CMTI", "+CMT", "+CBMI", "+CBM", "+CDSI", "+CDS", "+CPIN", "+CMOLRE", "+CMOLRG",
	"RING", "RDY", "READY", "PB DONE", "SMS DONE", "SMS READY", "CALL READY", "NORMAL POWER DOWN",
	"POWERED DOWN", "APP RDY", "+CFUN",
}

// openText reports a USSD answer whose text has a line end in it (27.007, 7.15:
// <str> is what the network sent) and goes on in the next line.
func openText(line string) bool {
	rest, ok := CutTag(line, "+CUSD")
	if !ok {
		return false
	}
	_, text, quoted := strings.Cut(rest, `"`)
	if !quoted {
		return false
	}
	text = strings.TrimRight(text, " 0123456789")
	return !strings.HasSuffix(strings.TrimRight(strings.TrimSuffix(text, ","), " "), `"`)
}

// needsData reports whether a URC is followed by a line that belongs to it
// (27.005 3.4.1): the PDU, or the text in text mode.
func needsData(line string) bool {
	if _, ok := CutTag(line, "+CMT"); ok {
		return true
	}
	if _, ok := CutTag(line, "+CBM"); ok {
		return true
	}
	// In text mode a status report is complete in one line.
	rest, ok := CutTag(line, "+CDS")
	return ok && !strings.Contains(rest, ",")
}
