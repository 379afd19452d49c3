package bearer

import (
	"time"

	"dynamod/daemon/learned"
)

// Worked tells with which APN a profile last carried traffic, and when.
func (b *Bearer) Worked(iccid string) (apn string, last time.Time, ok bool) {
	good, ok := b.Learned.LastGood(iccid)
	apn, _, _ = good.Parts()
	if at, seen := b.Learned.Worked(iccid); seen {
		return apn, at, ok
	}
	return apn, good.At, ok // a file of an earlier version has when it began
}

// LastGood is the connection that a profile last had a link with.
func (b *Bearer) LastGood(iccid string) (learned.APN, bool) { return b.Learned.LastGood(iccid) }

// Recall gives back what was learned of a profile, where it was forgotten since: the
// file may be lost or damaged.
func (b *Bearer) Recall(iccid string, good learned.APN) {
	if _, ok := b.Learned.LastGood(iccid); ok {
		return
	}
	if err := b.Learned.SetLastGood(iccid, good); err != nil {
		b.Log.Warn("cannot remember the connection", "error", err)
	}
}
