package atcmd

import (
	"strings"
	"time"
)

// Command is one AT command line and what its answer looks like.
type Command struct {
	// Text is what follows "AT", without the terminator: `+CGLA=1,10,"80E2910003"`.
	Text string
	// Tags are the tags of the information responses that belong to this
	// command, each with its plus sign and without the colon. Empty means the
	// tag in Text, so that `+CREG?` owns "+CREG". A set command (with '=' and
	// no '?') owns a tag only when it is listed here or is its own name and no
	// URC has that name.
	Tags []string
	// Bare lets lines without a tag belong to the answer: +CGMI, +CIMI, and on
	// some modems +CCHO.
	Bare bool
	// Match, when set, has the last word on a line with one of the command's
	// tags: false makes it a URC. For tags that answers and URCs share, when
	// their parameters tell them apart. The registration queries (+CREG? and its
	// kin) need none.
	Match func(line string) bool
	// Timeout bounds the command from the start of its write to its final
	// result code. Zero means the session's default.
	Timeout time.Duration
	// Late is how long the modem may take to end the command after it was given
	// up, before the session asks what it answers. Zero means the session's default.
	Late time.Duration
	// Finals are further final result codes of this command, such as CONNECT.
	Finals []string
	// Secret keeps the parameters out of every trace and error: PINs, passwords.
	Secret bool

	raw bool // of Section.Raw
}

// Name returns the command's name, "+CGLA" for `+CGLA=1,10,"..."`. It is safe
// to log, also for a secret command.
func (c Command) Name() string {
	if i := strings.IndexAny(c.Text, "=?"); i >= 0 {
		return c.Text[:i]
	}
	return c.Text
}

// Reply is a complete answer whose final result code was OK, or one of the
// command's own Finals.
type Reply struct {
	Lines []string // information lines in order, with their tags, without CR and LF
	Final string   // the final result code as it came: "OK", "CONNECT 115200"
}

// Fields returns the comma-separated parameters of the first line with the
// given tag ("+CREG"), quotes removed. It reports false when there is none.
func (r Reply) Fields(tag string) ([]string, bool) {
	for _, line := range r.Lines {
		if f, ok := Fields(line, tag); ok {
			return f, true
		}
	}
	return nil, false
}

// Fields splits an information line or a URC with the given tag into its
// comma-separated parameters. Commas in quotes do not separate; the quotes
// around a parameter are removed; blanks around the colon and the parameters
// are allowed. It reports false when the line has another tag.
func Fields(line, tag string) ([]string, bool) {
	rest, ok := CutTag(line, tag)
	if !ok {
		return nil, false
	}
	var fields []string
	for {
		rest = strings.TrimLeft(rest, " ")
		var field string
		if strings.HasPrefix(rest, `"`) {
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				return append(fields, rest[1:]), true
			}
			field, rest = rest[1:1+end], rest[2+end:]
			if i := strings.IndexByte(rest, ','); i < 0 {
				return append(fields, field), true
			} else {
				fields, rest = append(fields, field), rest[i+1:]
			}
			continue
		}
		i := strings.IndexByte(rest, ',')
		if i < 0 {
			return append(fields, strings.TrimSpace(rest)), true
		}
		fields, rest = append(fields, strings.TrimSpace(rest[:i])), rest[i+1:]
	}
}

// CutTag returns what follows "TAG:" in line. A blank before the colon is
// allowed, as some Fibocom firmware writes it. Case does not matter.
func CutTag(line, tag string) (rest string, ok bool) {
	if len(line) < len(tag) || !strings.EqualFold(line[:len(tag)], tag) {
		return "", false
	}
	rest = strings.TrimLeft(line[len(tag):], " ")
	if !strings.HasPrefix(rest, ":") {
		return "", false
	}
	return strings.TrimSpace(rest[1:]), true
}
