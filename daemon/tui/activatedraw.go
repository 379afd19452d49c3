package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/status"
	"dynamod/daemon/wording"
	"dynamod/euicc"
)

func (v *activateView) body(width int) ([]string, int) {
	t, r := v.m.theme, v.m.snap.Run
	switch {
	case v.sending:
		return t.para(width, 1, normal, "Giving it to the daemon ..."), -1
	case v.formShown():
		return v.formBody(width)
	}
	var lines []string
	if r.Ended != nil {
		return v.result(width, r), -1
	}
	lines = append(lines, t.para(width, 1, strong, wording.State(r))...)
	if p := r.Progress; p != nil && p.Total > 0 && r.State == string(activation.Downloading) {
		lines = append(lines, " "+v.bar(p, width-2))
		if p.Segments > 0 {
			lines = append(lines, " segment "+fmt.Sprint(p.Segments)+wording.Number(" of ", p.TotalSegments))
		}
	}
	asks := consented(r) || r.Waiting == activation.WaitConfirmationCode
	if asks {
		lines = append(lines, v.offer(width, r)...)
	}
	lines = append(lines, "")
	lines = append(lines, v.steps(r)...)
	lines = append(lines, "")
	lines = append(lines, t.row(width, " begun", normal, r.Started.Local().Format(time.DateTime)+wording.Prefix(", ", r.Why)+wording.OnlyIf(r.Resumes > 0, ", taken up again after "+wording.Times(r.Resumes, "an interruption", "%d interruptions")))...)
	if !asks {
		lines = append(lines, v.known(width, r)...)
	}
	return lines, -1
}

func (v *activateView) bar(p *status.Progress, width int) string {
	text := wording.Bar(p, v.rate, width)
	if v.m.theme.ascii {
		return text
	}
	drawn, rest, found := strings.Cut(text, "]")
	if !found {
		return text // there was no room for a bar
	}
	return strings.NewReplacer("#", "█", ".", "░", "[", "").Replace(drawn) + rest
}

// offer is what a person should know before consent, the worst first.
func (v *activateView) offer(width int, r *status.Run) (lines []string) {
	warning, question := wording.Consent(r)
	if warning != "" {
		lines = v.m.theme.para(width, 1, bad, warning)
	}
	lines = append(lines, v.known(width, r)...)
	if r.Waiting == activation.WaitConfirmationCode {
		return lines
	}
	return append(lines, "", v.m.theme.style(strong, " "+question+"  y yes, n no"))
}

// known are the rows of what is known of the profile.
func (v *activateView) known(width int, r *status.Run) (lines []string) {
	for _, row := range wording.Offer(r) {
		k := normal
		if row[0] == "rules" {
			k = warn
		}
		lines = append(lines, v.m.theme.row(width, " "+row[0], k, row[1])...)
	}
	return lines
}

// step of a run, with the states that it has.
type step struct {
	name   string
	states []activation.State
}

var steps = []step{
	{"check modem, card and the way to the server", []activation.State{activation.Accepted}},
	{"authenticate", []activation.State{activation.Authenticated}},
	{"check the profile, choose the APN", []activation.State{activation.Agreed, activation.Waiting}},
	{"download", []activation.State{activation.Downloading}},
	{"report the installation", []activation.State{activation.Installed, activation.Reporting}},
	{"switch to the profile", []activation.State{activation.Enabling}},
	{"register", []activation.State{activation.Attaching}},
	{"configure the link", []activation.State{activation.Configuring}},
	{"does traffic cross it?", []activation.State{activation.Probing}},
	{"deliver notifications", []activation.State{activation.Committed, activation.Notifying}},
}

func (v *activateView) steps(r *status.Run) (lines []string) {
	t := v.m.theme
	at := slices.IndexFunc(steps, func(s step) bool { return slices.Contains(s.states, activation.State(r.State)) })
	if r.State == string(activation.Undoing) || at < 0 || r.Error != nil {
		line := t.mark(warn) + " the way back"
		if r.Error != nil {
			line += ": " + t.clean(r.Error.Text)
		}
		return []string{" " + line}
	}
	for i, s := range steps {
		switch {
		case r.InstallOnly && i > 4 && i < len(steps)-1: // from the switch on
		case i < at:
			lines = append(lines, " "+t.mark(good)+" "+s.name)
		case i == at:
			lines = append(lines, " "+t.mark(warn)+" "+t.style(strong, s.name))
		default:
			lines = append(lines, " "+t.mark(faint)+" "+t.style(faint, s.name))
		}
	}
	return lines
}

// result is what came of a run, and what to do now.
func (v *activateView) result(width int, r *status.Run) (lines []string) {
	t := v.m.theme
	k, mark := good, good
	if r.Outcome != status.Committed && r.Outcome != status.Installed {
		k, mark = bad, bad
	}
	end := t.para(width-3, 0, k, wording.End(r, wording.LinkOf(&v.m.snap, r.ICCID)))
	for i, line := range end {
		head := "   "
		if i == 0 {
			head = " " + t.mark(mark) + " "
		}
		lines = append(lines, head+line)
	}
	if e := r.Error; e != nil {
		lines = append(lines, "")
		lines = append(lines, t.row(width, " code", normal, e.Code)...)
		lines = append(lines, t.row(width, " advice", strong, e.Advice)...)
		lines = append(lines, t.row(width, " again?", normal, retryText(e.Retry))...)
	}
	lines = append(lines, "")
	lines = append(lines, v.known(width, r)...)
	if f := r.Figures; f != nil {
		lines = append(lines, t.row(width, " cost", normal, fmt.Sprintf("%d APDUs with %s, %d requests, %d TLS handshakes", f.APDUs, wording.Size(f.APDUBytes), f.HTTPRequests, f.TLSHandshakes))...)
	}
	return lines
}

// retryText says what the retry class of an error means.
func retryText(retry string) string {
	return map[euicc.Retry]string{
		euicc.RetryNow: "yes, at once", euicc.RetryLater: "yes, later", euicc.RetryAsk: "after that",
		euicc.RetryNewCode: "with another code", euicc.RetryNever: "not as it is",
	}[euicc.Retry(retry)]
}

func (v *activateView) formBody(width int) (lines []string, focus int) {
	t := v.m.theme
	lines = t.para(width, 1, normal, "A profile comes to the card, and its link comes up.")
	lines = append(lines, "")
	for i, c := range v.choices() {
		if i == v.cursor {
			focus = len(lines)
		}
		text := wrap(t.clean(c.text), width-20)
		for j, line := range text {
			head := strings.Repeat(" ", 20)
			if j == 0 {
				head = " " + t.selected(i == v.cursor) + t.pad(c.name, 17)
			}
			lines = append(lines, head+t.style(faint, line))
		}
	}
	lines = append(lines, "")
	if c := v.m.snap.Card; c != nil {
		lines = append(lines, t.row(width, " EID", normal, c.EID)...)
		lines = append(lines, t.row(width, " free", normal, wording.OnlyIf(c.FreeMemory > 0, wording.Size(c.FreeMemory)))...)
	}
	if r := v.m.snap.Run; r != nil {
		lines = append(lines, t.row(width, " last one", normal, wording.End(r, nil)+", "+r.Started.Local().Format(time.DateTime))...)
	}
	return lines, focus
}
