package tui

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"dynamod/daemon/status"
	"dynamod/daemon/wording"
)

// Below this size nothing is drawn but a word about it.
const (
	minWidth  = 20
	minHeight = 6
)

// View is of tea.Model.
func (m *model) View() tea.View {
	lines, cursor := m.draw()
	v := tea.NewView(strings.Join(lines, "\n"))
	v.AltScreen, v.Cursor = true, cursor
	return v
}

// draw makes exactly m.height lines of at most m.width columns.
func (m *model) draw() (lines []string, cursor *tea.Cursor) {
	w, h := m.width, m.height
	if w < minWidth || h < minHeight {
		return fill([]string{m.theme.cut("too small", w)}, h), nil
	}
	if m.cover != nil {
		return fill(m.cover(w, h), h), nil
	}
	lines = []string{m.head(w), m.tabs(w)}
	foot, column := m.foot(w)
	body, focus := m.views[m.at].body(w)
	room := h - len(lines) - len(foot)
	lines = append(lines, m.window(body, focus, room)...)
	lines = append(lines, foot...)
	if column >= 0 {
		cursor = tea.NewCursor(column, h-2)
		cursor.Blink = false
	}
	return lines, cursor
}

// fill makes lines as many as there are rows.
func fill(lines []string, rows int) []string {
	lines = lines[:min(len(lines), max(rows, 0))]
	for len(lines) < rows {
		lines = append(lines, "")
	}
	return lines
}

// room is how many lines a view has.
func (m *model) room() int {
	foot, _ := m.foot(m.width)
	return max(m.height-2-len(foot), 1)
}

// window is the part of the body that is seen. The last line says if there is more.
func (m *model) window(body []string, focus, room int) []string {
	top := &m.scroll[m.at]
	if focus >= 0 {
		*top = min(*top, focus)
		*top = max(*top, focus-room+1+onlyOne(focus < len(body)-1))
	}
	*top = min(*top, len(body)-room)
	*top = max(*top, 0)
	seen := make([]string, 0, room)
	for _, line := range body[*top:min(*top+room, len(body))] {
		seen = append(seen, m.theme.cut(line, m.width))
	}
	if left := len(body) - *top - room; left > 0 && room > 1 {
		seen[room-1] = m.theme.style(faint, m.theme.cut(fmt.Sprintf("-- %d more, PgDn --", left+1), m.width))
	}
	return fill(seen, room)
}

// onlyOne keeps a line free for what tells that there is more.
func onlyOne(is bool) int {
	if is {
		return 1
	}
	return 0
}

// head is the line that tells how the link is.
func (m *model) head(w int) string {
	t := m.theme
	switch {
	case !m.gone.IsZero():
		return t.style(bad, t.pad(" dynamod  no daemon since "+m.gone.Local().Format(time.TimeOnly)+", trying again", w))
	case !m.known:
		return t.style(bar, t.pad(" dynamod  connecting to "+t.clean(m.socket), w))
	}
	s := m.snap
	left := wording.OnlyIf(w >= 60, " dynamod ") + " " + strings.ToUpper(string(s.State))
	if r := s.Registration; r != nil {
		left += "  " + t.clean(strings.Join(wording.Fields(cmp.Or(r.Operator, r.PLMN), r.AcT), " "))
	}
	right := ""
	if s.Signal != nil && m.at > 0 { // the overview has it on a line of its own
		right = barsPlain(t, s.Signal) + " "
	}
	if r := s.Run; r != nil && r.Ended == nil {
		left += "  [" + t.clean(cmp.Or(r.Waiting, r.State)) + "]"
	}
	room := w - ansi.StringWidth(right)
	return t.style(bar, t.pad(left, room)+right)
}

func barsPlain(t theme, g *status.Signal) string {
	plain := t
	plain.plain = true
	return plain.barsText(g)
}

// tabs names the views.
func (m *model) tabs(w int) string {
	t := m.theme
	var parts []string
	for i, v := range m.views {
		text := fmt.Sprintf("%d %s", i+1, v.title())
		if i == m.at {
			text = t.style(strong, "["+text+"]")
		} else {
			text = t.style(faint, " "+text+" ")
		}
		parts = append(parts, text)
	}
	line := strings.Join(parts, "")
	if ansi.StringWidth(line) > w {
		line = t.style(strong, fmt.Sprintf("[%d %s]", m.at+1, m.views[m.at].title())) + t.style(faint, fmt.Sprintf(" 1-%d: views", len(m.views)))
	}
	return t.cut(line, w)
}

// foot is what is below the view: the note or the prompt, and the keys. column is
// where the cursor is on the line above the keys, or -1.
func (m *model) foot(w int) (lines []string, column int) {
	t := m.theme
	switch {
	case m.prompt != nil:
		p := m.prompt
		title := t.clean(p.title) + ": "
		if ansi.StringWidth(title) > w*2/3 {
			above := wrap(strings.TrimSpace(title), w)
			for _, line := range above[:min(len(above), 4)] {
				lines = append(lines, t.style(strong, line))
			}
			title = "> "
		}
		line, at := p.shown(t, w-ansi.StringWidth(title)-1)
		if p.hint != nil {
			if hint := p.hint(string(p.value)); hint != "" {
				hints := wrap(t.clean(hint), w-1)
				for _, h := range hints[:min(len(hints), 2)] {
					lines = append(lines, " "+t.style(faint, h))
				}
			}
		}
		return append(lines, t.style(strong, title)+line, m.keyLine(w, promptKeys)), ansi.StringWidth(title) + at
	case m.confirm != nil:
		lines = wrap(t.clean(m.confirm.question), w)
		lines = lines[:min(len(lines), 4)]
		for i := range lines {
			lines[i] = t.style(strong, lines[i])
		}
		return append(lines, m.keyLine(w, confirmKeys)), -1
	}
	note := wrap(t.clean(m.note), w)
	note = note[:min(len(note), max(m.height/5, 1))]
	for _, line := range note {
		lines = append(lines, t.style(m.noteIs, line))
	}
	return append(lines, m.keyLine(w, append(m.views[m.at].keys(), keyView, keyHelp, keyQuit))), -1
}

var (
	promptKeys  = []key.Binding{hint("enter", "ok"), hint("esc", "leave"), hint("ctrl+u", "clear")}
	confirmKeys = []key.Binding{hint("y", "yes"), hint("any other key", "no")}
)

// hint is a key that is only told.
func hint(name, what string) key.Binding {
	return key.NewBinding(key.WithKeys(name), key.WithHelp(name, what))
}

// keyLine tells the keys as far as there is room: the view's own first, then those
// of all views. Help is never left out.
func (m *model) keyLine(w int, keys []key.Binding) string {
	t := m.theme
	width := func(b key.Binding) int { return len(b.Help().Key) + 1 + len(b.Help().Desc) + 2 }
	room := w + 2
	for _, b := range keys {
		if b.Help() == keyHelp.Help() {
			room -= width(b)
		}
	}
	var parts []string
	for _, b := range keys {
		if b.Help() != keyHelp.Help() {
			if room -= width(b); room < 0 {
				continue
			}
		}
		parts = append(parts, t.style(strong, b.Help().Key)+" "+t.style(faint, b.Help().Desc))
	}
	return t.cut(strings.Join(parts, "  "), w)
}
