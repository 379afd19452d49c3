package atcmd

import (
	"fmt"
	"strings"
)

// TraceEvent is one line on the wire, fit to be shown: secrets are left out,
// identities shortened.
type TraceEvent struct {
	Sent bool   // to the modem; else from it
	Line string // without line end
}

func (s *Session) traceSent(cmd Command) {
	if s.opts.Trace == nil {
		return
	}
	s.opts.Trace(TraceEvent{Sent: true, Line: "AT" + s.redactCommand(cmd)})
}

func (s *Session) traceText(text string) {
	if s.opts.Trace != nil {
		s.opts.Trace(TraceEvent{Sent: true, Line: hidden(text)})
	}
}

func (s *Session) redactCommand(cmd Command) string {
	text := cmd.Text
	_, params, has := strings.Cut(text, "=")
	switch {
	case cmd.Secret, CarriesSecret(text):
		return cmd.Name() + hidden(text[len(cmd.Name()):])
	case !has || strings.HasPrefix(params, "?"):
		return text
	case holdsName(text, payloadNames) && !s.opts.TraceAPDU:
		return cmd.Name() + "=" + withoutPayload(params)
	case holdsName(text, payloadNames):
		return text
	}
	return withoutDigits(text)
}

// redactLine prepares a received line; x is the running command, if any.
func (s *Session) redactLine(x *exchange, line string) string {
	tag, tagged := tagOf(line)
	switch {
	case namedError(line):
		return line
	case x != nil && x.cmd.Secret && s.owns(x, line), strings.Contains(strings.ToUpper(line), "LPA:"):
		if !tagged {
			return hidden(line)
		}
		return tag + ": " + hidden(line[len(tag):])
	case tagged && holdsName(tag, secretNames) && !holdsName(tag, []string{"+CPIN", "+CLCK", "+CUSD"}):
		// +CPIN: READY is a state, and what one looks for first at the bench.
		return tag + ": " + hidden(line[len(tag):])
	case tagged && holdsName(tag, payloadNames):
		if s.opts.TraceAPDU {
			return line
		}
		return tag + ":" + withoutPayload(line[len(tag)+1:])
	case x != nil && !tagged && holdsName(x.cmd.Text, payloadNames):
		if s.opts.TraceAPDU {
			return line
		}
		return withoutPayload(line)
	}
	return withoutDigits(line)
}

// holdsName reports whether one of the commands in an AT command line has one
// of the names.
func holdsName(text string, names []string) bool {
	for _, tag := range commandTags(text) {
		for _, name := range names {
			if strings.EqualFold(tag, name) {
				return true
			}
		}
	}
	return false
}

func hidden(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf("<%d characters>", len(text))
}

// withoutPayload replaces runs of more than eight hexadecimal digits by their
// number. Status words, lengths and file identifiers stay.
func withoutPayload(text string) string {
	return replaceRuns(text, 9, isHex, func(run string) string {
		tail := ""
		if len(run) >= 12 { // the status word is worth most at the bench
			tail = run[len(run)-4:]
		}
		return fmt.Sprintf("<%d hex>%s", len(run), tail)
	})
}

// withoutDigits shortens what may be an IMSI, IMEI, ICCID or EID, or a
// telephone number in a PDU.
func withoutDigits(text string) string {
	return replaceRuns(text, 14, isHex, func(run string) string {
		return run[:5] + "…" + run[len(run)-2:]
	})
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' || c >= 'a' && c <= 'f'
}

// replaceRuns replaces each run of at least n bytes that are of a kind.
func replaceRuns(text string, n int, kind func(byte) bool, with func(string) string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		j := i
		for j < len(text) && kind(text[j]) {
			j++
		}
		switch {
		case j-i >= n:
			b.WriteString(with(text[i:j]))
		case j > i:
			b.WriteString(text[i:j])
		default:
			b.WriteByte(text[i])
			j = i + 1
		}
		i = j
	}
	return b.String()
}
