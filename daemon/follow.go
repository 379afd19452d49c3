package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/daemon/wording"
)

// How long a follower waits for a daemon that went away, and how often it tries.
// A router's service manager starts it again within seconds.
const (
	reattachTime  = 2 * time.Minute
	reattachPause = 500 * time.Millisecond
)

// follower stays with one activation until it ends.
type follower struct {
	client *hook.Client
	id     string
	direct bool // the client is of this process: it does not come back
	before bool // it had ended before this command began
	tty    *terminal
	show   narration

	offered   bool // the profile was shown; only ask's
	confirmed bool // a confirmation code was asked for; only ask's

	// What the command line has said already answers a run of this order that an
	// earlier command has begun.
	given hook.AnswerRequest
}

// narration tells a run as it goes.
type narration interface {
	// change is called with each change of the run.
	change(*status.Run)
	// note tells something that is not of the run.
	note(text string)
	// end is called once, with the last record and, if it is up, its link.
	end(activation.Record, *status.Link) error
}

// update is what watch sends: one of the two.
type update struct {
	run  *status.Run
	note string
}

// follow returns when the run has ended; the error decides the exit code.
func (f *follower) follow(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	updates, lost := make(chan update), make(chan error, 1)
	go func() {
		lost <- f.watch(watching, updates)
		close(updates)
	}()
	defer func() {
		stop()
		for range updates { // wait for the goroutine
		}
	}()
	var q question
	defer func() { q.dismiss() }()
	for {
		select {
		case u, ok := <-updates:
			if !ok {
				if ctx.Err() != nil {
					return f.interrupted()
				}
				return <-lost
			}
			if u.run == nil {
				f.show.note(u.note)
				continue
			}
			if u.run.Waiting != q.what {
				q.dismiss()
				q = question{}
			}
			f.show.change(u.run)
			if u.run.Ended != nil {
				return f.ended(ctx)
			}
			if u.run.Waiting == activation.WaitLink {
				return fault{exitWaiting, "no profile on the card gives a link now; the activation goes on trying, on its way back",
					"`dynamod diag` finds out why; `dynamod activate --cancel` ends it, with the previous profile enabled where that was possible"}
			}
			if u.run.Waiting == activation.WaitCard {
				return fault{exitWaiting, "the card does not answer, and whether the profile is on it is not known; the activation goes on asking",
					"`dynamod diag` finds out why; `dynamod activate --cancel` ends it"}
			}
			if u.run.Waiting == "" || q.what != "" {
				continue // nothing is asked, or it is asked or answered already
			}
			if a, ok := f.known(u.run.Waiting); ok {
				q = question{what: u.run.Waiting}
				f.give(ctx, a)
				continue
			}
			if f.tty == nil {
				return fault{exitWaiting, "the activation waits for " + wording.Question(u.run.Waiting) + ", and there is no terminal to ask on",
					"it waits for a day: `dynamod answer --help` tells how it is answered; `dynamod activate --cancel` gives it up"}
			}
			q = f.put(ctx, u.run)
		case a := <-q.answer:
			q.answer = nil
			q.dismiss()
			if a.err != nil {
				return f.interrupted()
			}
			f.give(ctx, a.AnswerRequest)
		}
	}
}

// known answers a question from the command line, once: a confirmation code that
// the server refuses is not tried again.
func (f *follower) known(what string) (hook.AnswerRequest, bool) {
	a := f.given
	switch {
	case what == activation.WaitConsent && a.Consent != nil:
		return a, true
	case what == activation.WaitNoWayBack && a.NoWayBack != nil:
		return a, true
	case what == activation.WaitConfirmationCode && a.ConfirmationCode != "":
		f.given.ConfirmationCode = ""
		return hook.AnswerRequest{ConfirmationCode: a.ConfirmationCode}, true
	}
	return hook.AnswerRequest{}, false
}

// question is one that a run waits with. It stays when it was answered, until
// the run no longer waits with it.
type question struct {
	what   string // status.Run.Waiting
	cancel context.CancelFunc
	answer chan answer // nil when it was given
}

type answer struct {
	hook.AnswerRequest
	err error
}

// put asks on the terminal without waiting for the answer.
func (f *follower) put(ctx context.Context, run *status.Run) question {
	asking, cancel := context.WithCancel(ctx)
	q := question{run.Waiting, cancel, make(chan answer, 1)}
	go func() {
		a, err := f.ask(asking, run)
		q.answer <- answer{a, err}
	}()
	return q
}

// dismiss takes a question off the terminal that is no longer of interest.
func (q *question) dismiss() {
	if q.cancel != nil {
		q.cancel()
	}
	if q.answer != nil {
		<-q.answer
		q.answer = nil
	}
}

// ask asks on the terminal what the run waits for.
func (f *follower) ask(ctx context.Context, run *status.Run) (hook.AnswerRequest, error) {
	if run.Waiting == activation.WaitConfirmationCode {
		if f.confirmed {
			f.tty.Printf("The server refuses this confirmation code; tries are counted.\n")
		}
		f.confirmed = true
		code, err := f.tty.Ask(ctx, "Confirmation code (not shown): ", false)
		return hook.AnswerRequest{ConfirmationCode: code}, err
	}
	if !f.offered {
		f.offered = true
		for _, row := range wording.Offer(run) {
			f.tty.Printf("  %-10s %s\n", row[0], clean(row[1], ""))
		}
	}
	warning, question := wording.Consent(run)
	if warning != "" {
		f.tty.Printf("%s\n", wrap(clean(warning, ""), 0))
	}
	text, err := f.tty.Ask(ctx, question+" [y/N] ", true)
	yes := isYes(text)
	if run.Waiting == activation.WaitNoWayBack {
		return hook.AnswerRequest{NoWayBack: &yes}, err
	}
	return hook.AnswerRequest{Consent: &yes}, err
}

// give sends an answer. One that comes too late is no error: the run's end tells.
func (f *follower) give(ctx context.Context, a hook.AnswerRequest) {
	err := f.client.Do(ctx, http.MethodPost, "/v1/activations/"+f.id+"/answer", nil, a, nil)
	if e, ok := errors.AsType[*hook.Error](err); err != nil && !(ok && e.Status == http.StatusConflict) {
		f.show.note("the answer could not be given: " + err.Error())
	}
}

func (f *follower) interrupted() error {
	if f.direct {
		return fault{exitWaiting, "interrupted; the activation is taken up again by the next `dynamod run`", "`dynamod log` shows how far it came"}
	}
	return fault{exitWaiting, "no longer watching; the activation goes on in the daemon", "`dynamod status` shows how it goes"}
}

// ended tells the end and turns the outcome into an error.
func (f *follower) ended(ctx context.Context) error {
	var rec activation.Record
	if err := f.client.Do(ctx, http.MethodGet, "/v1/activations/"+f.id, nil, nil, &rec); err != nil {
		return err
	}
	var snap status.Snapshot
	if err := f.client.Do(ctx, http.MethodGet, "/v1/status", nil, nil, &snap); err != nil {
		return err
	}
	link := wording.LinkOf(&snap, rec.ICCID)
	if err := f.show.end(rec, link); err != nil {
		return err
	}
	if f.before && rec.Outcome == status.Committed && link == nil {
		return fault{exitWaiting, "this order was activated before, but the link of its profile is not up now", "`dynamod diag` finds out why"}
	}
	return outcomeError(rec)
}

// outcomeError is nil for a committed run.
func outcomeError(rec activation.Record) error {
	e, ok := errors.AsType[*activation.EndError](activation.NewEndError(rec))
	switch {
	case !ok:
		return nil
	case e.Outcome == status.RolledBack:
		return fault{exitRolledBack, e.Error(), e.Hint()}
	case e.Problem.Code == "rejected" || e.Problem.Code == "cancelled":
		return fault{exitRefused, "activation " + e.Error(), e.Hint()}
	}
	return fault{exitFailed, "activation " + e.Error(), e.Hint()}
}

// watch sends every change of the run, and attaches again when the daemon went
// away: an activation goes on after a restart. It returns when the run has
// ended, ctx ends or the daemon stays away.
func (f *follower) watch(ctx context.Context, updates chan<- update) error {
	send := func(u update) bool {
		select {
		case updates <- u:
			return true
		case <-ctx.Done():
			return false
		}
	}
	var refused error // the daemon does not know the run
	note := func(text string) { send(update{note: text}) }
	err := attached(ctx, f.client, f.direct, note, func(kind string, data []byte) bool {
		run, ok := decodeRun(kind, data)
		if !ok {
			return true
		}
		if run == nil || run.ID != f.id { // a younger one has taken its place
			if run, refused = f.look(ctx); run == nil {
				return refused == nil
			}
		}
		return send(update{run: run}) && run.Ended == nil
	})
	return cmp.Or(err, refused)
}

// attached calls f for each event until it returns false, and stays with a daemon that
// goes away and comes back, of which note tells. A daemon of this process does not come
// back.
func attached(ctx context.Context, c *hook.Client, direct bool, note func(string), f func(kind string, data []byte) bool) error {
	var gone time.Time // since when nobody answers
	for {
		err := c.Events(ctx, func(kind string, data []byte) bool {
			if !gone.IsZero() {
				gone = time.Time{}
				note("the daemon is back")
			}
			return f(kind, data)
		})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			return nil
		case direct:
			return fmt.Errorf("the gateway in this process has ended: %w", err)
		}
		if e, ok := errors.AsType[*hook.Error](err); ok && e.Status < http.StatusInternalServerError {
			return err
		}
		if gone.IsZero() {
			gone = time.Now()
			note("the daemon went away; waiting for it to come back")
		} else if time.Since(gone) > reattachTime {
			return fault{exitWaiting, "the daemon went away and did not come back", "what it was at is taken up again when it does; `dynamod log` shows how far an activation came"}
		}
		select {
		case <-time.After(reattachPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look asks for the run itself. Without an answer both are nil.
func (f *follower) look(ctx context.Context) (*status.Run, error) {
	var rec activation.Record
	err := f.client.Do(ctx, http.MethodGet, "/v1/activations/"+f.id, nil, nil, &rec)
	if e, ok := errors.AsType[*hook.Error](err); ok && e.Status == http.StatusNotFound {
		return nil, err
	}
	if err != nil {
		return nil, nil
	}
	return rec.View(), nil
}

// decodeRun returns the run that an event tells of, and whether it is an event
// that tells of one. A daemon that has none sends nil.
func decodeRun(kind string, data []byte) (run *status.Run, ok bool) {
	switch kind {
	case "run":
		return run, json.Unmarshal(data, &run) == nil
	case "status":
		var snap status.Snapshot
		return snap.Run, json.Unmarshal(data, &snap) == nil
	}
	return nil, false
}
