package atcmd

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

const (
	// maxLine bounds a line. An APDU answer has some 600 bytes; a network scan
	// or a phone book may have many thousand.
	maxLine = 64 << 10
	// maxAnswer bounds the information lines of one command together.
	maxAnswer = 1 << 20
	// maxOpen bounds a USSD text, which has 182 characters at most.
	maxOpen = 2 << 10
)

// reader is what the reading goroutine knows between two reads.
type reader struct {
	line   []byte
	cut    bool      // the line is longer than maxLine
	skipLF bool      // the LF of the line that began data mode
	data   *dataCall // takes the bytes in data mode
	urc    string    // a URC whose data is the next line
	open   string    // a URC whose text goes on in the next line
}

// read runs until the port ends.
func (s *Session) read() {
	buf := make([]byte, 4096)
	for {
		n, err := s.port.Read(buf)
		s.input(buf[:n])
		switch {
		case err != nil:
			s.fail(fmt.Errorf("%w: %w", ErrGone, err))
			return
		case s.ctx.Err() != nil:
			return
		case n == 0:
			// A port with a read time-out of its own. It shall not keep the
			// processor busy if that is zero.
			time.Sleep(time.Millisecond)
		}
	}
}

// input takes bytes as they come; a read may end anywhere.
func (s *Session) input(p []byte) {
	in := &s.in
	for len(p) > 0 {
		if in.data != nil {
			if in.skipLF {
				in.skipLF = false
				p = bytes.TrimPrefix(p, []byte("\n"))
			}
			if len(p) == 0 {
				return
			}
			if in.data.deliver(p) {
				return
			}
			in.data = nil // closed meanwhile: these bytes are lines again
		}
		c := p[0]
		p = p[1:]
		switch {
		case c == '\r' || c == '\n':
			if len(in.line) > 0 {
				line, cut := string(in.line), in.cut
				in.line, in.cut = in.line[:0], false
				s.takeLine(line, cut)
			}
		case c < ' ' && c != '\t', c == 0x7f:
			// NUL from a line driver that wakes, XON, the end of an echoed text.
		case c == '>' && len(in.line) == 0 && s.takePrompt():
		case len(in.line) < maxLine:
			in.line = append(in.line, c)
		default:
			in.cut = true
		}
	}
}

// takePrompt reports whether a '>' at the beginning of a line is the prompt
// that the running command waits for (27.005 3.5.1).
func (s *Session) takePrompt() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.cur
	if x == nil || !x.text || x.query {
		return false
	}
	select {
	case x.prompt <- struct{}{}:
	default:
	}
	x.echo = ""
	return true
}

// takeLine finds out whose a line is: the data of the URC before, an echo, a
// final result code, the running command's answer, a late answer, or a URC.
func (s *Session) takeLine(raw string, cut bool) {
	seen := s.sort(raw, cut)
	if s.opts.Trace != nil && seen != "" {
		s.opts.Trace(TraceEvent{Line: seen})
	}
}

// sort does so, and returns the line as the trace may show it.
func (s *Session) sort(raw string, cut bool) (seen string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := strings.TrimSpace(raw)
	if line == "" {
		return ""
	}
	if cut {
		s.stats.TooLong++
	}
	x := s.cur
	if urc := s.in.urc; urc != "" {
		s.in.urc = ""
		s.deliver(URC{Line: urc, Data: line})
		return withoutDigits(line)
	}
	if open := s.in.open; open != "" {
		s.in.open = ""
		if _, tagged := tagOf(line); !tagged && !cut && s.final(x, line) == notFinal && len(open)+len(line) < maxOpen {
			if line = open + "\n" + line; openText(line) {
				s.in.open = line
			} else {
				s.deliver(URC{Line: line})
			}
			return withoutDigits(strings.TrimSpace(raw))
		}
		s.deliver(URC{Line: open})
	}
	if rest, ok := s.takeEcho(x, raw); ok {
		line = strings.TrimSpace(rest)
		if line == "" {
			return ""
		}
	}
	line = s.withoutNoise(x, line)
	if line == "" {
		return ""
	}
	if s.opts.Trace != nil {
		seen = s.redactLine(x, line)
	}

	if kind := s.final(x, line); kind != notFinal && !cut && s.takeFinal(x, line, kind) {
		return seen
	}
	if x == nil {
		if s.lateFinal(line) {
			return seen
		}
	} else if s.owns(x, line) {
		s.takeAnswer(x, line, cut)
		return seen
	}
	for _, gone := range s.late {
		if s.owns(gone, line) {
			s.stats.Late++
			if gone.unknown {
				s.maybeURC++
			}
			return seen
		}
	}
	if cut {
		return seen
	}
	if needsData(line) {
		s.in.urc = line
		return seen
	}
	if openText(line) {
		s.in.open = line
		return seen
	}
	s.deliver(URC{Line: line})
	return seen
}

// takeFinal ends x with its final result code. It reports false if the line
// ends nothing and may be a URC.
func (s *Session) takeFinal(x *exchange, line string, kind finalKind) bool {
	if x == nil {
		return false
	}
	if x.query && !x.named {
		// The final result code of a command that was given up.
		x.finals++
		s.stats.Late++
		return true
	}
	x.final, x.kind, x.echo = line, kind, ""
	s.cur = nil
	if x.data != nil && kind == finalOK && matchesAny(line, []string{"CONNECT"}) {
		s.in.data, s.in.skipLF = x.data, true
	}
	close(x.over)
	return true
}

// lateFinal takes a final result code while no command runs.
func (s *Session) lateFinal(line string) bool {
	for _, gone := range s.late {
		select {
		case <-gone.over:
			continue
		default:
		}
		if s.final(gone, line) != notFinal {
			s.stats.Late++
			gone.final = line
			close(gone.over)
			return true
		}
	}
	if s.final(nil, line) != notFinal {
		s.stats.Late++
		s.log.Debug("modem: final result code of no command", "line", line)
		return true
	}
	return false
}

// takeAnswer adds an information line to x.
func (s *Session) takeAnswer(x *exchange, line string, cut bool) {
	x.echo = ""
	x.named = true
	if x.query {
		return
	}
	if x.size += len(line); cut || x.size > maxAnswer {
		x.tooBig = true
		x.lines = nil
	}
	if !x.tooBig {
		x.lines = append(x.lines, line)
	}
}

// owns reports whether an information line belongs to the answer of x.
func (s *Session) owns(x *exchange, line string) bool {
	for i, tag := range x.tags {
		params, ok := CutTag(line, tag)
		if !ok {
			continue
		}
		if i >= x.listed && x.set && s.isURC(tag) {
			return false
		}
		if x.cmd.Match != nil {
			return x.cmd.Match(line)
		}
		switch strings.ToUpper(tag) {
		case "+CREG", "+CGREG", "+CEREG", "+C5GREG":
			return x.set || isRegistrationAnswer(params)
		}
		return true
	}
	if !x.cmd.Bare || x.query {
		return false
	}
	tag, tagged := tagOf(line)
	if tagged && (x.unknown || x.cmd.raw) {
		return !s.isURC(tag)
	}
	return !tagged && !isWordURC(line) && !s.isURC(line) && !matchesAny(line, callFinals)
}

// takeEcho swallows what comes back of the running command line or, before the
// wire is in step again, of a late one. A URC may sit inside the echo.
func (s *Session) takeEcho(x *exchange, raw string) (rest string, ok bool) {
	if x != nil {
		if rest, ok = x.takeEcho(raw); ok {
			return rest, ok
		}
	}
	for _, gone := range s.late {
		if rest, ok = gone.takeEcho(raw); ok {
			return rest, ok
		}
	}
	return raw, false
}

func (x *exchange) takeEcho(raw string) (rest string, ok bool) {
	if x.echo == "" {
		return raw, false
	}
	// A prompt or noise may stand before it.
	start := strings.IndexByte(raw, x.echo[0])
	if start < 0 {
		return raw, false
	}
	if start > 0 && strings.Trim(raw[:start], "> \t") != "" && raw[:start] != noise(raw[:start]) {
		return raw, false
	}
	line := raw[start:]
	same := 0
	for same < len(line) && same < len(x.echo) && line[same] == x.echo[same] {
		same++
	}
	if same == len(line) || same == len(x.echo) {
		x.echo = x.echo[same:]
		return line[same:], true
	}
	// The line goes on differently: with a URC, if there is one.
	for cut := same; cut > 0; cut-- {
		if _, tagged := tagOf(line[cut:]); tagged {
			x.echo = x.echo[cut:]
			return line[cut:], true
		}
	}
	return raw, false
}

// noise returns the bytes at the beginning of line that no modem writes there:
// what a bad baud rate or a waking line driver leaves.
func noise(line string) string {
	for i := 0; i < len(line); i++ {
		if line[i] < 0x80 {
			return line[:i]
		}
	}
	return line
}

// withoutNoise removes a stray prompt or noise from the beginning of a line
// that means something without it.
func (s *Session) withoutNoise(x *exchange, line string) string {
	rest := strings.TrimSpace(line[len(noise(line)):])
	if x == nil || !x.cmd.Bare {
		// A bare line may be a text that begins with '>'.
		rest = strings.TrimLeft(rest, "> ")
	}
	if rest == line {
		return line
	}
	if rest == "" && strings.Trim(line, "> ") == "" {
		return ""
	}
	_, tagged := tagOf(rest)
	if tagged || s.final(x, rest) != notFinal || s.final(nil, rest) != notFinal {
		return rest
	}
	return line
}
