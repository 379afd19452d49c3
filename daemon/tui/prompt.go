package tui

import (
	"strings"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// maxTyped bounds what a prompt takes: an activation code has 255 characters, and
// up to three for each where it is percent-encoded.
const maxTyped = 1024

// prompt asks for one line at the bottom of the screen. It has all keys until it
// ends.
type prompt struct {
	title  string
	hint   func(value string) string // below what is typed; nil for none
	masked bool                      // a secret: what is typed is not shown
	about  string                    // the question of a run that it answers, "" for others
	done   func(value string) tea.Cmd

	value []rune
	at    int // cursor, before value[at]
}

// confirm asks a question that y answers, and every other key refuses.
type confirm struct {
	question string
	yes      func() tea.Cmd
}

// press changes the line. ended is set by Enter and by what leaves the prompt.
func (p *prompt) press(k tea.KeyPressMsg) (ended, given bool) {
	switch k.String() {
	case "enter":
		return true, true
	case "esc", "ctrl+c":
		return true, false
	case "backspace", "ctrl+h":
		if p.at > 0 {
			p.value = append(p.value[:p.at-1], p.value[p.at:]...)
			p.at--
		}
	case "delete", "ctrl+d":
		if p.at < len(p.value) {
			p.value = append(p.value[:p.at], p.value[p.at+1:]...)
		}
	case "left", "ctrl+b":
		p.at = max(p.at-1, 0)
	case "right", "ctrl+f":
		p.at = min(p.at+1, len(p.value))
	case "home", "ctrl+a":
		p.at = 0
	case "end", "ctrl+e":
		p.at = len(p.value)
	case "ctrl+u":
		p.forget()
	default:
		p.insert(k.Text)
	}
	return false, false
}

// insert takes what was typed or pasted: one line of it, without what cannot be
// seen.
func (p *prompt) insert(text string) {
	add := pasted(text)
	add = add[:min(len(add), maxTyped-len(p.value))]
	p.value = append(p.value[:p.at], append(add, p.value[p.at:]...)...)
	p.at += len(add)
}

// pasted is the first line of a text that is not empty, without control characters
// and the invisible marks that copying leaves.
func pasted(text string) []rune {
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		line = strings.Map(func(r rune) rune {
			if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
				return -1
			}
			return r
		}, line)
		if strings.TrimSpace(line) == "" && len(line) != 1 { // a blank is typed, too
			continue
		}
		runes := []rune(line)
		return runes[:min(len(runes), maxTyped)]
	}
	return nil
}

// forget overwrites what was typed.
func (p *prompt) forget() {
	clear(p.value[:cap(p.value)])
	p.value, p.at = p.value[:0], 0
}

// shown is the line as it may be seen, with the column of the cursor.
func (p *prompt) shown(t theme, width int) (line string, column int) {
	left, right := string(p.value[:p.at]), string(p.value[p.at:])
	if p.masked {
		left, right = strings.Repeat("*", p.at), strings.Repeat("*", len(p.value)-p.at)
	} else {
		left, right = t.clean(left), t.clean(right)
	}
	if over := ansi.StringWidth(left) - width + 1; over > 0 {
		left = ansi.TruncateLeft(left, over, "")
	}
	return ansi.Truncate(left+right, width, ""), ansi.StringWidth(left)
}
