package tui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"

	"dynamod/daemon/wording"
)

// theme is what a terminal can show.
type theme struct {
	ascii  bool // no characters but those of ASCII
	colour bool
	plain  bool // no attributes either: bold, reverse
}

// themeFor chooses by TERM, the locale and NO_COLOR. A serial console has a TERM
// that its login program made up and no locale; what it gets is what a VT100 shows.
func themeFor(getenv func(string) string) theme {
	var t theme
	term, _, _ := strings.Cut(getenv("TERM"), "-")
	switch {
	case term == "" || term == "dumb" || term == "unknown":
		t.ascii, t.plain = true, true
	case term == "linux" || term == "ansi" || strings.HasPrefix(term, "vt") && term != "vte":
		t.ascii = true
	default:
		t.colour = getenv("NO_COLOR") == ""
	}
	locale := ""
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} { // the first that is set holds
		if locale = strings.ToLower(getenv(name)); locale != "" {
			break
		}
	}
	if !strings.Contains(locale, "utf-8") && !strings.Contains(locale, "utf8") {
		t.ascii = true
	}
	return t
}

// kind is what a piece of text is, for its looks.
type kind int

const (
	normal kind = iota
	strong
	faint
	good
	bad
	warn
	bar // the line at the top
)

// style gives text its looks. Text from outside is cleaned before.
func (t theme) style(k kind, text string) string {
	if t.plain || k == normal || text == "" {
		return text
	}
	s := ansi.NewStyle()
	switch k {
	case strong:
		s = s.Bold()
	case bar:
		s = s.Reverse(true)
	case faint:
		if !t.colour {
			return text
		}
		s = s.Faint()
	case bad, warn, good:
		colours := map[kind]ansi.BasicColor{bad: ansi.Red, warn: ansi.Yellow, good: ansi.Green}
		if k != good {
			s = s.Bold()
		}
		if !t.colour {
			if k == good {
				return text
			}
			break
		}
		s = s.ForegroundColor(colours[k])
	}
	return s.Styled(text)
}

// clean makes text from outside safe and showable.
func (t theme) clean(text string) string {
	text = wording.Clean(text, "")
	if !t.ascii {
		return text
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r < 0x7F:
			return r
		case r == '…':
			return '.'
		case r == '–' || r == '—':
			return '-'
		}
		return '?'
	}, text)
}

// wrap breaks cleaned text into lines of at most width columns.
func wrap(text string, width int) []string {
	return strings.Split(ansi.Wrap(text, max(width, 1), " "), "\n")
}

// cut shortens a line to width columns.
func (t theme) cut(line string, width int) string {
	tail := "…"
	if t.ascii {
		tail = ">"
	}
	return ansi.Truncate(line, max(width, 0), tail)
}

// pad makes a line exactly width columns wide.
func (t theme) pad(line string, width int) string {
	line = t.cut(line, width)
	return line + strings.Repeat(" ", max(width-ansi.StringWidth(line), 0))
}

// label is the width of the names in front of values.
func label(width int) int {
	if width < 60 {
		return 10
	}
	return 12
}

// row writes a name and a value, which may take several lines below each other.
// A row without value is none.
func (t theme) row(width int, name string, k kind, value string) (lines []string) {
	if value == "" {
		return nil
	}
	w := label(width)
	for i, line := range wrap(t.clean(value), width-w) {
		head := strings.Repeat(" ", w)
		if i == 0 {
			head = t.style(faint, t.pad(name, w))
		}
		lines = append(lines, head+t.style(k, line))
	}
	return lines
}

// para writes text over the whole width, indented.
func (t theme) para(width, indent int, k kind, text string) (lines []string) {
	for _, line := range wrap(t.clean(text), width-indent) {
		lines = append(lines, strings.Repeat(" ", indent)+t.style(k, line))
	}
	return lines
}

// Marks in front of a line.
func (t theme) mark(k kind) string {
	marks := map[kind][2]string{good: {"✓", "+"}, bad: {"✗", "X"}, warn: {"▶", ">"}, faint: {"·", "-"}}
	m := marks[k][0]
	if t.ascii {
		m = marks[k][1]
	}
	return t.style(k, m)
}

// selected marks the row with the cursor, and keeps the others in line with it.
func (t theme) selected(is bool) string {
	if !is {
		return "  "
	}
	if t.ascii {
		return t.style(strong, "> ")
	}
	return t.style(strong, "❯ ")
}
