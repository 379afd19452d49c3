package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"path/filepath"

	"dynamod/daemon/hook"
	"dynamod/daemon/journal"
	"dynamod/daemon/wording"
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
			wording.Log(s.out, records)
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
