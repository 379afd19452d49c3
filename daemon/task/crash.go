package task

import (
	"strings"
)

// ParseCrash reads what the runtime writes when a panic ends the process, in a
// goroutine that is no task of ours, or when a signal does. It keeps what Panic
// keeps, and is nil if the text tells of no end.
func ParseCrash(text string) *Panic {
	p := &Panic{Task: "process", Count: 1}
	lines := strings.Split(text, "\n")
	for len(lines) > 0 && p.Value == "" {
		p.Value = cause(lines[0])
		lines = lines[1:]
	}
	if p.Value == "" {
		return nil
	}
	for len(lines) > 0 && !strings.HasPrefix(lines[0], "goroutine ") {
		lines = lines[1:]
	}
	for i := 1; i+1 < len(lines) && lines[i] != "" && len(p.Stack) < maxFrames; i += 2 {
		place, isPlace := strings.CutPrefix(lines[i+1], "\t")
		if !isPlace {
			i-- // a line between two frames, such as "panic({...})" of a nested one
			continue
		}
		place, _, _ = strings.Cut(place, " ")
		name, made := strings.CutPrefix(lines[i], "created by ")
		if name, _, _ = strings.Cut(name, " "); !made {
			name = withoutArguments(lines[i])
		}
		if name == "panic" || strings.HasPrefix(name, "runtime.") {
			continue
		}
		p.Stack = append(p.Stack, printable(name)+" "+printable(shortFile(place)))
	}
	return p
}

// cause is what a line says about the end, "" if it says nothing.
func cause(line string) string {
	value, isPanic := strings.CutPrefix(line, "panic: ")
	switch {
	case isPanic && strings.HasPrefix(value, "runtime error: "):
		value, _, _ = strings.Cut(value, " [recovered")
		return printable(value)
	case isPanic: // what it shows may be data
		return "a value that is not shown"
	case strings.HasPrefix(line, "fatal error: "), strings.HasPrefix(line, "SIG") && strings.Contains(line, ": "):
		return printable(line)
	}
	return ""
}

// withoutArguments leaves a frame's function: the first parenthesis that does not
// stand for a receiver opens the arguments.
func withoutArguments(frame string) string {
	for i, c := range frame {
		if c == '(' && (i == 0 || frame[i-1] != '.') {
			return frame[:i]
		}
	}
	return frame
}

// printable is what a record holds of a line.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 200)]
}
