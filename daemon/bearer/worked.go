package bearer

import (
	"strings"
	"time"
)

// Worked tells with which APN a profile last carried traffic, and since when
// that one has worked.
func (b *Bearer) Worked(iccid string) (apn string, since time.Time, ok bool) {
	good, ok := b.Learned.LastGood(iccid)
	apn, _, _ = strings.Cut(good.Key, "|") // see cosa.Connection.Key
	return apn, good.At, ok
}
