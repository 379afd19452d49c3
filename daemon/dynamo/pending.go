package dynamo

import (
	"errors"
	"slices"
	"time"
)

// Pending is a callback that was taken and is not done with.
type Pending struct {
	Callback
	Operator string // ID of its record
	// Run is the activation that has begun of it: what is left to do is to enable
	// its profile, once the network takes it.
	Run string
	// Wait is how long it is until that, or until the download; 0 is now. It is never
	// more than the portal asked for, whatever became of the clock.
	Wait time.Duration
}

// Pending lists what was taken and is not done with, the oldest first. A callback
// that cannot be opened any more is told as an error beside the others.
func (t *Transactions) Pending() (list []Pending, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for i := range t.list {
		v := &t.list[i]
		if v.Taken == nil || v.Taken.Sealed == nil {
			continue
		}
		c, oerr := t.unseal(v)
		if oerr != nil {
			err = errors.Join(err, oerr)
			continue
		}
		delay := c.Delay
		if v.Taken.Run != "" {
			delay = c.RegisterAfter
		}
		wait := min(max(v.Taken.At.Add(delay).Sub(now), 0), delay)
		list = append(list, Pending{c, v.Operator, v.Taken.Run, wait})
	}
	return list, err
}

// Visit is what became of a visit to a portal.
type Visit struct {
	ID, Operator string
	Begun        time.Time
	Kind         Kind // of the callback that was taken, "" for none
	Plan         string
	Run          string // the activation that it led to, until its end was noted
	Held         bool   // something is left to do
}

// Visits lists the visits that are remembered, the oldest first.
func (t *Transactions) Visits() []Visit {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []Visit
	for _, v := range t.list {
		o := Visit{ID: v.ID, Operator: v.Operator, Begun: v.Begun}
		if v.Taken != nil {
			o.Kind, o.Plan, o.Run, o.Held = v.Taken.Kind, v.Taken.Plan, v.Taken.Run, v.Taken.Sealed != nil
		}
		out = append(out, o)
	}
	return out
}

// Busy tells whether there is a callback that is not done with, or whose run's end is
// not noted.
func (t *Transactions) Busy() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.list, func(v visit) bool { return v.open() })
}

// Started notes the run that a visit's callback led to. The callback is forgotten
// with it, for the run's journal has what it says; hold keeps it for later.
func (t *Transactions) Started(id, run string, hold bool) error {
	return t.settle(id, func(v *visit) {
		v.Taken.Run = run
		if !hold {
			v.Taken.Sealed = nil
		}
	})
}

// Cancel forgets the delayed download of a visit, which its person does not want any
// more. It reports whether there was one that had not begun.
func (t *Transactions) Cancel(id string) (there bool, err error) {
	err = t.settle(id, func(v *visit) {
		if there = v.Taken.Sealed != nil && v.Taken.Run == ""; there {
			v.Taken.Sealed, v.Taken.Kind = nil, KindCancel
		}
	})
	return there, err
}

// Ended notes what became of a visit's callback: nothing is left to do about it. Of a
// failure the operator's portal is told at the next visit.
func (t *Transactions) Ended(id string, f Failure) error {
	return t.settle(id, func(v *visit) {
		v.Taken.Run, v.Taken.Sealed = "", nil
		if f.Status == Success { // what had failed before is of no interest any more
			t.bad = slices.DeleteFunc(slices.Clone(t.bad), func(o failure) bool { return o.Operator == v.Operator })
			return
		}
		t.bad = append(slices.Clone(t.bad), failure{v.Operator, f.Status, f.Time.UTC(), f.ICCID})
		t.bad = t.bad[max(len(t.bad)-maxKept, 0):]
	})
}

// settle changes a visit of which a callback was taken. One that is not known is no
// error.
func (t *Transactions) settle(id string, change func(*visit)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.IndexFunc(t.list, func(v visit) bool { return v.ID == id && v.Taken != nil })
	if at < 0 {
		return nil
	}
	bad := t.bad
	list := slices.Clone(t.list)
	was := *list[at].Taken
	list[at].Taken = &was
	change(&list[at])
	err := t.write(list, t.bad)
	if err != nil {
		t.bad = bad
	}
	return err
}

// failure is a Failure on the disk.
type failure struct {
	Operator string              `json:"operator"`
	Status   ESimOperationStatus `json:"status"`
	Time     time.Time           `json:"time"`
	ICCID    string              `json:"iccid,omitempty"`
}

// maxKept is how many failures are kept, of all operators.
const maxKept = 2 * maxFailures

// failures are those that an operator's portal was not told of. t.mu is held.
func (t *Transactions) failures(operator string) (list []Failure) {
	for _, f := range t.bad {
		if f.Operator == operator {
			list = append(list, Failure{f.Status, f.Time, f.ICCID})
		}
	}
	return list
}
