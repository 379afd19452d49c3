package tui

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"dynamod/daemon/status"
	"dynamod/daemon/wording"
)

// overviewView is everything about the box on one page.
type overviewView struct{ m *model }

func (v *overviewView) title() string        { return "Overview" }
func (v *overviewView) enter() tea.Cmd       { return nil } // the feed keeps it true
func (v *overviewView) press(string) tea.Cmd { return nil }
func (v *overviewView) keys() []key.Binding  { return []key.Binding{hint("Q", "QR of EID and API")} }

// wide is from how many columns on the events stand beside the rest.
const wide = 120

func (v *overviewView) body(width int) ([]string, int) {
	t := v.m.theme
	if !v.m.known {
		return append(t.para(width, 0, warn, "No daemon answers on "+v.m.socket+": "+v.m.why),
			t.para(width, 0, normal, "Start it with `dynamod run`, or by the init system. This screen attaches when it is there.")...), -1
	}
	title := t.style(strong, "Last events")
	if width < wide {
		lines := append(v.box(width), title)
		lines = append(lines, v.last(width, max(v.m.room()-len(lines)-1, 4))...)
		return append(append(lines, t.style(strong, "More")), v.details(width)...), -1
	}
	half := width * 11 / 20
	left := append(v.box(half-2), v.details(half-2)...)
	right := append([]string{title}, v.last(width-half, v.m.room()-1)...)
	lines := fill(left, max(len(left), len(right)))
	for i := range right {
		lines[i] = t.pad(lines[i], half) + right[i]
	}
	return lines, -1
}

// last are the last events, the youngest first.
func (v *overviewView) last(width, n int) (lines []string) {
	t := v.m.theme
	for i := len(v.m.events) - 1; i >= 0 && len(lines) < n; i-- {
		e := v.m.events[i]
		at := strings.Repeat(" ", len(time.TimeOnly))
		if !e.at.IsZero() {
			at = e.at.Local().Format(time.TimeOnly)
		}
		for j, line := range wrap(t.clean(e.text), width-len(at)-2) {
			if j > 0 {
				at = strings.Repeat(" ", len(at))
			}
			lines = append(lines, t.style(faint, at)+"  "+line)
		}
	}
	lines = lines[:min(len(lines), n)]
	if len(lines) == 0 {
		lines = []string{t.style(faint, "none yet")}
	}
	return lines
}

// rows collects the rows of a page.
type rows struct {
	t     theme
	width int
	lines []string
}

func (r *rows) add(name string, k kind, values ...string) {
	r.lines = append(r.lines, r.t.row(r.width, name, k, strings.Join(wording.Fields(values...), ", "))...)
}

// one is add in one line, whatever does not fit.
func (r *rows) one(name string, k kind, values ...string) {
	before := len(r.lines)
	if r.add(name, k, values...); len(r.lines) > before+1 {
		text := r.t.cut(r.t.clean(strings.Join(wording.Fields(values...), ", ")), r.width-label(r.width))
		r.lines = append(r.lines[:before], r.t.style(faint, r.t.pad(name, label(r.width)))+r.t.style(k, text))
	}
}

// box is what one wants to know first.
func (v *overviewView) box(width int) []string {
	t, s := v.m.theme, v.m.snap
	r := rows{t: t, width: width}
	state := map[status.State]kind{status.Up: good, status.Limited: warn}[s.State]
	if s.State == status.Down {
		state = bad
	}
	r.add("Link", state, string(s.State), s.Reason)
	r.add("", normal, s.Advice)
	if l := s.Link; l != nil {
		r.one("Address", normal, strings.Join(append([]string{l.Interface}, l.Addresses...), " "), wording.Prefix("gateway ", l.Gateway))
		r.one("APN", normal, wording.APN(l.APN)+wording.Parens(l.APNReason))
	}
	if c := s.Reach; c != nil {
		r.one("Reach", okOr(c.Result == "ok", warn), c.Result, c.Reason, fmt.Sprintf("%.0f ms", c.RTTMS), c.At.Local().Format(time.TimeOnly), c.Target)
	}
	if g := s.Garden; g != nil {
		r.add("Top up", warn, wording.Garden(g)...)
	}
	if _, _, ok := level(s.Signal); ok {
		text := wording.Signal(s.Signal)
		r.lines = append(r.lines, t.cut(t.style(faint, t.pad("Signal", label(width)))+t.barsText(s.Signal)+" "+text, width))
		if trend := t.trendText(v.m.trend); trend != "" {
			r.lines = append(r.lines, t.style(faint, t.pad("Trend", label(width)))+t.pad(trend, trendLength)+" "+t.direction(v.m.trend))
		}
	}
	if n := s.Registration; n != nil {
		r.one("Network", okOr(n.Status == "home" || n.Status == "roaming", warn), n.Status, n.AcT, cmp.Or(n.Operator, n.PLMN), wording.Number("reject cause ", n.Cause))
	}
	if m := s.Modem; m != nil {
		r.one("Modem", okOr(m.Present && m.Error == "", bad), strings.Join(wording.Fields(m.Manufacturer, m.Model), " "), wording.OnlyIf(!m.Present, "not there"), m.Port, m.Error)
	}
	if m := s.SIM; m != nil {
		r.one("SIM", okOr(m.State == "ready", warn), m.State, m.SPN, wording.Prefix("ICCID ", m.ICCID), wording.Pointed("PIN tries left: ", m.PINTries))
	}
	if b := s.Balance; b != nil && s.SIM != nil && b.ICCID == s.SIM.ICCID {
		r.one("Balance", okOr(!b.UsedUp && !b.Low && !b.Stale, warn), b.Text, wording.OnlyIf(b.Stale, "nothing newer is known"), "as of "+b.At.Local().Format(time.TimeOnly))
	}
	if c := s.Card; c != nil {
		profile := ""
		for _, p := range c.Profiles {
			if p.State == "enabled" {
				profile = strings.Join(wording.Fields(cmp.Or(p.Nickname, p.Name, p.ICCID), p.Provider), ", ")
			}
		}
		r.one("Profile", okOr(c.Error == "", bad), profile, wording.OnlyIf(profile == "" && c.Error == "", "none enabled"), wording.Times(len(c.Profiles), "1 profile", "%d profiles"), c.Error)
	}
	if a := s.Run; a != nil {
		r.one("Activation", okOr(a.Outcome != status.Failed && a.Outcome != status.RolledBack, warn), short(a))
	}
	if n := s.Outbox.Pending; n > 0 {
		r.add("Reports", okOr(s.Outbox.Alarm == "", warn), fmt.Sprintf("%d waiting", n), s.Outbox.Alarm, s.Outbox.Error)
	}
	if c := s.Recovery; c != nil && c.State != "" {
		r.add("Recovery", warn, string(c.State), wording.Prefix(c.Symptom+": ", c.Reason), c.Advice)
	}
	if f := s.Fallback; f != nil {
		r.add("Fallback", warn, wording.Prefix("this profile stands in for ", f.Preferred), wording.Prefix("no switch: ", f.Reason))
	}
	for _, text := range s.Warnings {
		r.add("Warning", warn, text)
	}
	return r.lines
}

// details are what one looks for.
func (v *overviewView) details(width int) []string {
	s := v.m.snap
	r := rows{t: v.m.theme, width: width}
	if l := s.Link; l != nil {
		r.add("DNS", normal, strings.Join(l.DNS, " "), wording.Number("MTU ", l.MTU), wording.Prefix("by ", l.Source))
		r.add("APN", normal, wording.APN(l.APN)+wording.Parens(l.APNReason))
		if !l.Since.IsZero() {
			r.add("Up since", normal, l.Since.Local().Format(time.DateTime))
		}
	}
	for _, c := range s.Cells {
		r.add("Cell", normal, wording.Cell(c)...)
	}
	if m := s.Modem; m != nil {
		r.add("Firmware", normal, m.Revision, wording.Prefix("dialect ", m.Dialect), wording.Prefix("IMEI ", m.IMEI))
	}
	if m := s.SIM; m != nil {
		r.add("IMSI", normal, m.IMSI, wording.Prefix("home network ", m.HomePLMN))
	}
	if c := s.Card; c != nil {
		r.add("Card", normal, wording.Prefix("EID ", c.EID), wording.Prefix("SGP.22 ", c.SVN), wording.OnlyIf(c.FreeMemory > 0, wording.Size(c.FreeMemory)+" free"))
	}
	if d := s.Door; d != nil {
		r.add("API", okOr(d.Error == "", bad), "TCP "+d.Listen, d.Error, wording.Prefix("SHA-256 ", wording.Fingerprint(d.Fingerprint)))
	}
	r.add("dynamod", normal, s.Version, "started "+s.Started.Local().Format(time.DateTime))
	return r.lines
}

// short is a run in a line: what it does, or what came of it.
func short(r *status.Run) string {
	if r.Ended == nil {
		return wording.State(r)
	}
	text := string(r.Outcome)
	if r.Error != nil {
		text += ": " + r.Error.Text
	}
	return strings.Join(wording.Fields(text, cmp.Or(r.Profile, r.Provider), r.ICCID), ", ")
}

func okOr(ok bool, k kind) kind {
	if ok {
		return normal
	}
	return k
}
