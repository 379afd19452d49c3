package activation

import (
	"cmp"
	"slices"

	"dynamod/daemon/status"
	"dynamod/euicc"
)

// append journals a record, and before it what is owed of other runs: a run that goes
// on is the journal's last one, or no start would take it up. The lock is held.
func (o *Orchestrator) append(rec Record) error {
	for _, owed := range o.runs {
		if !o.unwritten[owed.ID] || owed.ID == rec.ID {
			continue
		}
		if err := o.write(owed); err != nil {
			return err
		}
	}
	if err := o.write(rec); err != nil {
		return err
	}
	o.remember(rec)
	if n := o.Journal.Compactions(); n != o.compactions {
		o.compactions = n
		o.forget()
	}
	return nil
}

func (o *Orchestrator) write(rec Record) error {
	_, err := o.Journal.Append(Kind, rec)
	if err == nil {
		delete(o.unwritten, rec.ID)
	}
	return err
}

// remember makes a record the one that is told. The lock is held.
func (o *Orchestrator) remember(rec Record) {
	if i := slices.IndexFunc(o.runs, func(r Record) bool { return r.ID == rec.ID }); i >= 0 {
		o.runs[i] = rec
	} else {
		o.runs = append(o.runs, rec)
	}
}

// record journals a run's new state. From installed on a run has to go on even
// when the journal cannot be written: the card has changed already.
func (o *Orchestrator) record(rec Record) error {
	o.mu.Lock()
	err := o.append(rec)
	if err != nil {
		o.unwritten[rec.ID] = true
	}
	o.remember(rec) // what is so is told, also when it cannot be written
	o.mu.Unlock()
	o.publish(rec)
	return err
}

// endOrphans ends runs that a later one has followed and that yet go on, by the
// journal of a version that did not write their end once there was room for it.
// Nobody takes them up, and everything that waits for the end of a run would wait
// for theirs.
func (o *Orchestrator) endOrphans() {
	for i := range max(0, len(o.runs)-1) {
		rec := o.runs[i]
		if rec.State.Ended() {
			continue
		}
		if rec.Error == nil && !rec.Succeeded() {
			rec.Error = Problem(rec.State, &Fault{
				Code: "interrupted", Text: "what became of it could not be written", Retry: euicc.RetryNow,
				Advice: "look at the card with `dynamod profiles`; the same code goes on with what is there",
			})
		}
		ended := rec.written.UTC()
		rec.State, rec.Waiting, rec.Ended = Failed, "", &ended
		if rec.Succeeded() {
			rec.State = Done
		} else {
			rec.Outcome = cmp.Or(rec.Outcome, status.Failed)
		}
		if err := o.append(rec); err != nil {
			o.Log.Warn("cannot journal the end of an earlier activation", "run", rec.ID, "error", err)
			o.unwritten[rec.ID] = true
			o.remember(rec)
		}
	}
}
