package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/gateway"
	"dynamod/daemon/hook"
	"dynamod/daemon/journal"
	"dynamod/daemon/status"
)

var logCommand = command{
	name:    "log",
	summary: "tell each activation as a story",
	about: `It asks the daemon; where none runs, it reads the journal itself. With --json
it prints the records as they are, one on each line.`,
	example: "dynamod log\ndynamod log --json",
	setup: func(fs *flag.FlagSet) action {
		var r reach
		r.declare(fs)
		return func(ctx context.Context, args []string, s std) error {
			if err := noArgs("log", args); err != nil {
				return err
			}
			records, err := r.journal(ctx)
			if err != nil {
				return err
			}
			if r.json {
				for _, rec := range records {
					if err := printJSON(s.out, rec); err != nil {
						return err
					}
				}
				return nil
			}
			writeLog(s.out, records)
			return nil
		}
	},
}

// journal asks the daemon, or reads the file that it would read.
func (r *reach) journal(ctx context.Context) ([]hook.LogRecord, error) {
	if !r.direct {
		path, err := r.socketPath()
		if err != nil {
			return nil, err
		}
		var records []hook.LogRecord
		err = hook.Dial(path).Do(ctx, "GET", "/v1/log", nil, nil, &records)
		if !errors.Is(err, hook.ErrNoDaemon) || r.socket != "" {
			return records, err
		}
	}
	cfg, err := r.loadOrDefault()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(cfg.State.Dir, "journal")
	list, err := journal.Read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault{exitWaiting, fmt.Sprintf("no daemon answers on %s, and there is no journal in %s", cfg.Hook.Socket, cfg.State.Dir), "nothing was activated yet, or --config names another file"}
	case err != nil:
		return nil, err
	}
	return logRecords(list), nil
}

// logRecords are a journal's records as the daemon tells them.
func logRecords(list []journal.Record) (records []hook.LogRecord) {
	for _, rec := range list {
		if rec.Kind != journal.Format {
			records = append(records, hook.LogRecord(rec))
		}
	}
	return records
}

// entry is a record of a run.
type entry struct {
	at  time.Time
	rec activation.Record
}

// writeLog writes each run where its first record stands, and every other
// record as a line of its own.
func writeLog(w io.Writer, records []hook.LogRecord) {
	if len(records) == 0 {
		fmt.Fprintln(w, "nothing has happened yet")
		return
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
		case rec.Kind == gateway.SIMChangeKind && json.Unmarshal(rec.Data, &change) == nil:
			fmt.Fprintf(w, "%s  the SIM changed without an activation: ICCID %s in place of %s\n", rec.Time.Local().Format(time.DateTime), clean(change.To, ""), clean(change.From, ""))
		case decoded[i] == "":
			fmt.Fprintf(w, "%s  %s %s\n", rec.Time.Local().Format(time.DateTime), clean(rec.Kind, ""), clean(string(rec.Data), ""))
		case story != nil:
			writeStory(w, story)
			delete(runs, decoded[i])
		}
	}
}

func writeStory(w io.Writer, story []entry) {
	first, last := story[0].rec, story[len(story)-1].rec
	from := "from " + cmp.Or(first.SMDP, "?")
	if f := first.Fallback; f != nil {
		from = "because of " + f.Text
	}
	fmt.Fprintf(w, "activation %s %s, %s\n", clean(first.ID, ""), clean(from, ""), first.Started.Local().Format(time.DateTime))
	if first.After != "" {
		fmt.Fprintf(w, "  the code of activation %s once more\n", clean(first.After, ""))
	}
	resumes, told := 0, ""
	for i, e := range story {
		note := ""
		switch v := e.rec.View(); {
		case e.rec.Resumes > resumes:
			resumes = e.rec.Resumes
			note = fmt.Sprintf("taken up again after an interruption: %s", stateText(v))
		case e.rec.Error != nil && (i == 0 || story[i-1].rec.Error == nil):
			note = fmt.Sprintf("%s, because %s", stateText(v), e.rec.Error.Text)
		default:
			note = stateText(v)
		}
		line := string(e.rec.State) + note
		if line == told {
			continue // a record of the same state with more known
		}
		told = line
		fmt.Fprintf(w, "  %s %8s  %-13s  %s\n", e.at.Local().Format(time.TimeOnly), since(first.Started, e.at), e.rec.State, clean(note, ""))
	}
	fmt.Fprintf(w, "  %s\n", clean(endText(last.View(), nil), ""))
	if last.Error != nil && last.Error.Advice != "" {
		fmt.Fprintf(w, "  advice: %s\n", clean(last.Error.Advice, ""))
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
