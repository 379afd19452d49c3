package bearer

import (
	"time"

	"dynamod/atcmd/modem"
)

const (
	idleFirst = 5 * time.Second // a modem that has just begun says so, too
	idleNext  = time.Minute
)

// idleness tells when to attach a modem that neither is registered nor searches:
// it was detached, by somebody else or by a process that was killed between
// detaching it and attaching it with another context, and stays so for ever.
type idleness struct {
	next time.Time // zero while it is not idle
}

func (i *idleness) tooLong(s modem.RegState) bool {
	now := time.Now()
	switch {
	case s != modem.RegIdle:
		i.next = time.Time{}
	case i.next.IsZero():
		i.next = now.Add(idleFirst)
	case !now.Before(i.next):
		i.next = now.Add(idleNext)
		return true
	}
	return false
}
