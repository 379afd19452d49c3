package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/status"
	"dynamod/daemon/wording"
)

// narrator tells a run to a person: a line for each state, a bar that is
// redrawn on a terminal, and a last line with what came of it.
type narrator struct {
	progress io.Writer // stderr: so that the result alone is on stdout
	result   io.Writer
	width    func() int // of the progress, 0 when it is no terminal
	now      func() time.Time

	start time.Time
	last  string // text of the last line
	drawn int    // columns that the bar takes, 0 when the cursor is at a line's beginning
	pace  wording.Pace
}

func newNarrator(progress, result io.Writer) *narrator {
	return &narrator{progress: progress, result: result, width: func() int { return terminalWidth(progress) }, now: time.Now, start: time.Now()}
}

func (n *narrator) change(run *status.Run) {
	text := wording.State(run)
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
	rate := n.pace.Rate(p.Done, n.now())
	width := n.width()
	if width == 0 {
		return
	}
	text := wording.Bar(p, rate, width-1) // the last column would wrap on some terminals
	fmt.Fprintf(n.progress, "\r%-*s", n.drawn, text)
	n.drawn = len(text)
}

func (n *narrator) end(rec activation.Record, link *status.Link) error {
	n.finishBar()
	if !rec.Succeeded() {
		return nil // the error line tells
	}
	_, err := fmt.Fprintln(n.result, clean(wording.End(rec.View(), link), ""))
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
