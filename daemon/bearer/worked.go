package bearer

import (
	"strings"
	"time"
)

// Worked tells with which APN a profile last carried traffic, and when.
func (b *Bearer) Worked(iccid string) (apn string, last time.Time, ok bool) {
	good, ok := b.Learned.LastGood(iccid)
	apn, _, _ = strings.Cut(good.Key, "|") // see cosa.Connection.Key
	if at, seen := b.Learned.Worked(iccid); seen {
		return apn, at, ok
	}
	return apn, good.At, ok // a file of an earlier version has when it began
}
