package tui

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"dynamod/daemon/diag"
	"dynamod/daemon/hook"
	"dynamod/daemon/wording"
)

// asked is what a view has asked the daemon for, and shows until it asks again.
type asked[T any] struct {
	value   T
	err     error
	at      time.Time
	waiting bool
}

// again asks once more; an answer that is on its way is waited for.
func (a *asked[T]) again(m *model, path string) tea.Cmd {
	if a.waiting {
		return nil
	}
	a.waiting = true
	return get(m, path, func(v T, err error) tea.Cmd {
		*a = asked[T]{value: v, err: err, at: m.now()}
		return nil
	})
}

// state is what there is to say while there is nothing else to show.
func (a *asked[T]) state(t theme, width int) []string {
	switch {
	case a.err != nil:
		return t.para(width, 1, bad, oneLine(a.err))
	case a.at.IsZero():
		return t.para(width, 1, faint, "asking ...")
	}
	return nil
}

// scrolled moves a view that has no cursor by a line.
func (m *model) scrolled(k string) {
	switch k {
	case "up", "k":
		m.scroll[m.at]--
	case "down", "j":
		m.scroll[m.at]++
	case "home":
		m.scroll[m.at] = 0
	}
}

// apnView tells which APNs are tried, and why.
type apnView struct {
	m *model
	asked[hook.APN]
}

func (v *apnView) title() string          { return "APN" }
func (v *apnView) enter() tea.Cmd         { return v.again(v.m, "/v1/apn") }
func (v *apnView) keys() []key.Binding    { return []key.Binding{keyMore} }
func (v *apnView) press(k string) tea.Cmd { v.m.scrolled(k); return nil }

func (v *apnView) body(width int) (lines []string, focus int) {
	t, a := v.m.theme, v.value
	if lines = v.state(t, width); lines != nil {
		return lines, -1
	}
	row := func(name string, k kind, values ...string) {
		lines = append(lines, t.row(width, " "+name, k, strings.Join(wording.Fields(values...), ", "))...)
	}
	row("SIM", normal, wording.Prefix("ICCID ", a.SIM.ICCID), wording.Prefix("IMSI ", a.SIM.IMSI), wording.Prefix("SPN ", a.SIM.SPN), wording.Prefix("GID1 ", a.SIM.GID1))
	row("network", okOr(a.Network.Allowed, warn), a.Network.Registration, a.Network.PLMN, a.Network.Roaming, wording.OnlyIf(!a.Network.Allowed, "no data there"))
	if c := a.Attach; c != nil {
		row("attach", normal, fmt.Sprintf("context %d", c.Context), wording.APN(c.APN), c.IPType, c.Reason)
	}
	if p := a.Problem; p != nil {
		row("nothing", bad, p.Text)
		row("", strong, p.Advice)
	}
	for i, c := range a.Candidates {
		mark := t.mark(faint)
		when := ""
		switch {
		case c.Active:
			mark, when = t.mark(good), "up"
		case c.NotTried != "":
			mark, when = t.mark(bad), "not tried: "+c.NotTried
		case c.NotBefore != nil:
			when = "again at " + c.NotBefore.Local().Format(time.TimeOnly)
		}
		lines = append(lines, "", " "+mark+" "+t.style(strong, strconv.Itoa(i+1)+" "+t.clean(wording.APN(c.APN))))
		row("", normal, c.IPType, wording.Prefix("auth ", c.Auth), wording.Prefix("user ", c.Username), when)
		row("", faint, c.Reason)
	}
	if len(a.Reasons) > 0 {
		lines = append(lines, "", " "+t.style(strong, "Why"))
		for _, reason := range a.Reasons {
			lines = append(lines, t.para(width, 1, normal, reason)...)
		}
	}
	return lines, -1
}

// diagView walks from the board to the reach check.
type diagView struct {
	m *model
	asked[diag.Diagnosis]
}

func (v *diagView) title() string          { return "Diagnosis" }
func (v *diagView) enter() tea.Cmd         { return v.again(v.m, "/v1/diag") }
func (v *diagView) keys() []key.Binding    { return []key.Binding{keyMore} }
func (v *diagView) press(k string) tea.Cmd { v.m.scrolled(k); return nil }

func (v *diagView) body(width int) (lines []string, focus int) {
	t := v.m.theme
	if lines = v.state(t, width); lines != nil {
		return lines, -1
	}
	depths := map[string]int{}
	for _, n := range v.value.Nodes {
		depth := 0
		if n.Parent != "" {
			depth = depths[n.Parent] + 1
		}
		depths[n.Name] = depth
		indent := min(depth, max((width-40)/10, 0))
		k, mark := normal, good
		switch n.State {
		case diag.Broken:
			k, mark = bad, bad
		case diag.Skipped:
			k, mark = faint, faint
		}
		head := " " + strings.Repeat(" ", indent) + t.mark(mark) + " "
		w := label(width) + 2
		text := cmp.Or(n.Text, wording.OnlyIf(n.State == diag.Skipped, "needs "+n.Parent))
		for i, line := range wrap(t.clean(text), width-indent-3-w) {
			if i > 0 {
				head = strings.Repeat(" ", indent+3)
				n.Name = ""
			}
			lines = append(lines, head+t.style(strong, t.pad(t.clean(n.Name), w))+t.style(k, line))
		}
		for _, d := range n.Details {
			lines = append(lines, t.para(width, indent+5, faint, d)...)
		}
		if n.Advice != "" {
			lines = append(lines, t.para(width, indent+5, strong, "-> "+n.Advice)...)
		}
	}
	return lines, -1
}

// logView tells the journal's stories.
type logView struct {
	m *model
	asked[[]hook.LogRecord]
	end bool // the youngest is to be seen
}

func (v *logView) title() string          { return "Log" }
func (v *logView) enter() tea.Cmd         { v.end = true; return v.again(v.m, "/v1/log") }
func (v *logView) keys() []key.Binding    { return []key.Binding{keyMore} }
func (v *logView) press(k string) tea.Cmd { v.m.scrolled(k); return nil }

func (v *logView) body(width int) (lines []string, focus int) {
	t := v.m.theme
	if lines = v.state(t, width); lines != nil {
		return lines, -1
	}
	var b strings.Builder
	wording.Log(&b, v.value)
	for line := range strings.Lines(b.String()) {
		indent := len(line) - len(strings.TrimLeft(line, " "))
		k := normal
		if indent == 0 {
			k = strong
		}
		// What does not fit goes on below the text, not below the time.
		text := t.clean(strings.TrimSpace(line))
		first := wrap(text, width-indent-1)[0]
		lines = append(lines, strings.Repeat(" ", indent+1)+t.style(k, first))
		if rest := strings.TrimLeft(text[len(first):], " "); rest != "" {
			lines = append(lines, t.para(width, min(indent+4, width/2), k, rest)...)
		}
	}
	focus = -1
	if v.end && !v.waiting {
		v.end, focus = false, len(lines)-1
	}
	return lines, focus
}
