package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/status"
)

// narrator tells a run to a person: a line for each state, a bar that is
// redrawn on a terminal, and a last line with what came of it.
type narrator struct {
	progress io.Writer // stderr: so that the result alone is on stdout
	result   io.Writer
	width    func() int // of the progress, 0 when it is no terminal
	now      func() time.Time

	start    time.Time
	last     string // text of the last line
	drawn    int    // columns that the bar takes, 0 when the cursor is at a line's beginning
	download struct {
		began time.Time
		from  int // bytes that were there when it began: a resumed one has some
	}
}

func newNarrator(progress, result io.Writer) *narrator {
	return &narrator{progress: progress, result: result, width: func() int { return terminalWidth(progress) }, now: time.Now, start: time.Now()}
}

func (n *narrator) change(run *status.Run) {
	text := stateText(run)
	if run.Ended != nil {
		n.finishBar()
		return // the last line tells
	}
	if text != n.last {
		n.line(text)
		n.last = text
	}
	if p := run.Progress; p != nil && p.Total > 0 && run.State == string(activation.Downloading) {
		n.bar(p)
	}
}

func (n *narrator) note(text string) { n.line(text) }

func (n *narrator) line(text string) {
	n.finishBar()
	fmt.Fprintf(n.progress, "%7.1f s  %s\n", n.now().Sub(n.start).Seconds(), clean(text, ""))
}

// finishBar leaves the bar as it is and begins a new line.
func (n *narrator) finishBar() {
	if n.drawn > 0 {
		fmt.Fprintln(n.progress)
		n.drawn = 0
	}
}

func (n *narrator) bar(p *status.Progress) {
	if n.download.began.IsZero() {
		n.download.began, n.download.from = n.now(), p.Done
	}
	width := n.width()
	if width == 0 {
		return
	}
	text := barText(p, n.rate(p), width-1) // the last column would wrap on some terminals
	fmt.Fprintf(n.progress, "\r%-*s", n.drawn, text)
	n.drawn = len(text)
}

// rate is in bytes per second, 0 while it is not known.
func (n *narrator) rate(p *status.Progress) float64 {
	d := n.now().Sub(n.download.began).Seconds()
	if d < 0.5 {
		return 0
	}
	return float64(p.Done-n.download.from) / d
}

// barText draws a progress bar of at most width columns, in ASCII for serial
// consoles. What does not fit is left out from the right, the bar first.
func barText(p *status.Progress, rate float64, width int) string {
	done := min(max(p.Done, 0), p.Total)
	percent := fmt.Sprintf("%3d %%", int64(done)*100/int64(p.Total))
	parts := []string{percent, fmt.Sprintf("%s of %s", size(done), size(p.Total))}
	if rate > 0 {
		parts = append(parts, size(int(rate))+"/s")
		if left := float64(p.Total-done) / rate; left >= 1 && left < 24*3600 {
			parts = append(parts, (time.Duration(left)*time.Second).String()+" left")
		}
	}
	text := strings.Join(parts, "  ")
	for len(text) > width && len(parts) > 1 {
		parts = parts[:len(parts)-1]
		text = strings.Join(parts, "  ")
	}
	if room := min(width-len(text)-4, 40); room >= 8 {
		full := int(int64(done) * int64(room) / int64(p.Total))
		text = "[" + strings.Repeat("#", full) + strings.Repeat(".", room-full) + "]  " + text
	}
	return text[:min(len(text), max(width, 0))]
}

// size writes bytes as a person reads them.
func size(n int) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

func (n *narrator) end(rec activation.Record, link *status.Link) error {
	n.finishBar()
	if rec.Outcome != status.Committed {
		return nil // the error line tells
	}
	_, err := fmt.Fprintln(n.result, clean(endText(rec.View(), link), ""))
	return err
}

// jsonNarrator writes one JSON object for each change, the last with the record.
type jsonNarrator struct {
	w    io.Writer
	last []byte
}

func (n *jsonNarrator) change(run *status.Run) {
	line, err := json.Marshal(run)
	if err != nil || run.Ended != nil || bytes.Equal(line, n.last) {
		return // the end has an object of its own
	}
	n.last = line
	n.w.Write(append(line, '\n'))
}

func (n *jsonNarrator) note(text string) {
	printJSON(n.w, map[string]string{"note": text})
}

func (n *jsonNarrator) end(rec activation.Record, link *status.Link) error {
	out := struct {
		activation.Record
		Interface string `json:"interface,omitempty"`
		Address   string `json:"address,omitempty"`
	}{Record: rec}
	if link != nil && rec.Outcome == status.Committed {
		out.Interface, out.Address = link.Interface, strings.Join(link.Addresses, " ")
	}
	return printJSON(n.w, out)
}

// describe is stateText, or endText for a run that is over.
func describe(run *status.Run) string {
	if run.Ended != nil {
		return endText(run, nil)
	}
	return stateText(run)
}

// stateText says what a run is doing.
func stateText(run *status.Run) string {
	server := cmp.Or(run.SMDP, "the SM-DP+")
	switch activation.State(run.State) {
	case activation.Accepted:
		return "checking modem, card and the way to " + server
	case activation.Authenticated:
		return "authenticating card and " + server + " to each other"
	case activation.Agreed:
		return "checking the profile" + parens(strings.Join(fields(run.Provider, run.Profile), ", "))
	case activation.Waiting:
		return "waiting for " + questionText(run.Waiting)
	case activation.Downloading:
		return "downloading profile " + run.ICCID
	case activation.Installed:
		return "installed profile " + run.ICCID
	case activation.Reporting:
		return "reporting the installation to the operator"
	case activation.Enabling:
		return "enabling profile " + run.ICCID
	case activation.Attaching:
		return "registering with the network"
	case activation.Configuring:
		return "configuring the link" + parens(prefix("APN ", run.APN))
	case activation.Probing:
		return "checking that traffic crosses the link"
	case activation.Committed:
		return "traffic crosses the link"
	case activation.Undoing:
		if run.Waiting == activation.WaitLink {
			return "no link with any profile yet, trying on"
		}
		if run.Previous == "" {
			return "no link, taking the new profile out of use"
		}
		return "no link, going back to profile " + run.Previous
	case activation.Notifying:
		return "delivering notifications"
	case activation.Done, activation.Failed:
		return "ended"
	}
	return run.State
}

func questionText(waiting string) string {
	switch waiting {
	case "consent":
		return "consent"
	case "confirmation-code":
		return "the confirmation code"
	}
	return cmp.Or(waiting, "an answer")
}

// offerText shows the profile before consent.
func offerText(run *status.Run) string {
	var b strings.Builder
	row := func(name string, value string) {
		if value != "" {
			fmt.Fprintf(&b, "  %-10s %s\n", name, clean(value, ""))
		}
	}
	row("from", run.SMDP)
	row("provider", run.Provider)
	row("profile", run.Profile)
	row("ICCID", run.ICCID)
	row("class", onlyIf(run.Class != "operational", run.Class))
	row("rules", rulesText(run.PolicyRules))
	row("APN", cmp.Or(run.APN, "(assigned by the network)")+parens(run.APNReason))
	row("replaces", run.Previous+onlyIf(run.Previous != "", ", which stays on the card as the way back"))
	return b.String()
}

// endText says in one line what came of a run; link is the run's, if it is up.
func endText(run *status.Run, link *status.Link) string {
	parts := []string{prefix("ICCID ", run.ICCID)}
	switch run.Outcome {
	case status.Committed:
		parts[0] = "committed: " + parts[0]
		parts = append(parts, "APN "+cmp.Or(run.APN, "(assigned by the network)")+parens(run.APNReason))
		if link != nil { // it is up now, not only when the run ended
			parts[0] = prefix("up: ICCID ", run.ICCID)
			parts = append(parts, prefix("interface ", link.Interface), prefix("address ", strings.Join(link.Addresses, " ")))
		}
		if f := run.Figures; f != nil {
			parts = append(parts, fmt.Sprintf("%.1f s from code to traffic", float64(f.ElapsedMS)/1000))
		}
		return strings.Join(fields(parts...), ", ")
	case "":
		return "not at its end: " + run.State
	}
	text := "failed"
	if run.Outcome == status.RolledBack {
		text = "rolled back to profile " + cmp.Or(run.BackTo, run.Previous, "?")
	}
	if run.Error != nil {
		text += ": " + run.Error.Text
	}
	return text
}
