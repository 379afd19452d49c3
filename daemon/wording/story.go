package wording

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

// entry is a record of a run.
type entry struct {
	at  time.Time
	rec activation.Record
}

// Log writes each run where its first record stands, and every other
// record as a line of its own.
func Log(w io.Writer, records []hook.LogRecord) {
	if len(records) == 0 {
		fmt.Fprintln(w, "nothing has happened yet")
		return
	}
	// The numbers count on when the journal makes room; the first is the format's.
	if last := records[len(records)-1].Seq; last > uint64(len(records))+1 {
		fmt.Fprintf(w, "%d older records are not here any more: a full journal keeps the youngest of each kind\n", last-1-uint64(len(records)))
	}
	runs := map[string][]entry{}
	decoded := make([]string, len(records)) // run of each record, "" for other kinds
	for i, rec := range records {
		var r activation.Record
		if rec.Kind == activation.Kind && json.Unmarshal(rec.Data, &r) == nil && r.ID != "" {
			runs[r.ID] = append(runs[r.ID], entry{rec.Time, r})
			decoded[i] = r.ID
		}
	}
	for i, rec := range records {
		var change status.SIMChange
		switch story := runs[decoded[i]]; {
		case rec.Kind == status.SIMChangeKind && json.Unmarshal(rec.Data, &change) == nil:
			fmt.Fprintf(w, "%s  the SIM changed without an activation: ICCID %s in place of %s\n", rec.Time.Local().Format(time.DateTime), Clean(change.To, ""), Clean(change.From, ""))
		case decoded[i] == "":
			fmt.Fprintf(w, "%s  %s %s\n", rec.Time.Local().Format(time.DateTime), Clean(rec.Kind, ""), Clean(string(rec.Data), ""))
		case story != nil:
			writeStory(w, story)
			delete(runs, decoded[i])
		}
	}
}

func writeStory(w io.Writer, story []entry) {
	first, last := story[0].rec, story[len(story)-1].rec
	what, from := "activation", ""
	switch server := cmp.Or(first.SMDP, last.SMDP); { // which a discovery has to find first
	case first.Fallback != nil:
		from = " because of " + first.Fallback.Text
	case server != "":
		from = " from " + server
	case first.Mark == "" && first.ICCID != "":
		what, from = "switch", " to profile "+first.ICCID
	}
	fmt.Fprintf(w, "%s %s%s, %s\n", what, Clean(first.ID, ""), Clean(from, ""), first.Started.Local().Format(time.DateTime))
	if first.After != "" {
		fmt.Fprintf(w, "  the code of activation %s once more\n", Clean(first.After, ""))
	}
	resumes, told := 0, ""
	for i, e := range story {
		note := ""
		switch v := e.rec.View(); {
		case e.rec.Resumes > resumes:
			resumes = e.rec.Resumes
			note = fmt.Sprintf("taken up again after an interruption: %s", State(v))
		case e.rec.Error != nil && (i == 0 || story[i-1].rec.Error == nil):
			note = fmt.Sprintf("%s, because %s", State(v), e.rec.Error.Text)
		default:
			note = State(v)
		}
		line := string(e.rec.State) + note
		if line == told {
			continue // a record of the same state with more known
		}
		told = line
		fmt.Fprintf(w, "  %s %8s  %-13s  %s\n", e.at.Local().Format(time.TimeOnly), since(first.Started, e.at), e.rec.State, Clean(note, ""))
	}
	fmt.Fprintf(w, "  %s\n", Clean(End(last.View(), nil), ""))
	if last.Error != nil && last.Error.Advice != "" {
		fmt.Fprintf(w, "  advice: %s\n", Clean(last.Error.Advice, ""))
	}
	if f := last.Figures; f != nil {
		fmt.Fprintf(w, "  %s\n", strings.Join([]string{
			fmt.Sprintf("%d APDUs with %d bytes", f.APDUs, f.APDUBytes), fmt.Sprintf("%d HTTP requests", f.HTTPRequests),
			fmt.Sprintf("%d TLS handshakes", f.TLSHandshakes), fmt.Sprintf("%.1f s", float64(f.ElapsedMS)/1000)}, ", "))
	}
}

// since is the time from the run's start, or "" when the clock was set between.
func since(start, at time.Time) string {
	d := at.Sub(start)
	if start.IsZero() || d < 0 || d > 48*time.Hour {
		return ""
	}
	return fmt.Sprintf("+%.1f s", d.Seconds())
}
