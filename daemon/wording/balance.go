package wording

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"dynamod/daemon/dynamo/moapi"
	"dynamod/daemon/status"
)

// Balance says what is left on a line.
func Balance(b status.Balance) string {
	if b.Words != "" {
		return strings.Join(strings.Fields(b.Words), " ")
	}
	switch moapi.Type(b.Type) {
	case moapi.TypePostpaid:
		return "a contract: there is no balance to count"
	case moapi.TypeNotSupported:
		return "the operator has no balance for this SIM"
	}
	if b.UsedUp {
		return "nothing is left"
	}
	var parts []string
	if b.DataMB != nil {
		parts = append(parts, strconv.FormatFloat(*b.DataMB, 'f', -1, 64)+" MB left")
	}
	if d, err := moapi.ParseDuration(b.TimeRemaining); err == nil {
		parts = append(parts, "for another "+days(d))
	}
	if len(b.Locations) > 0 {
		parts = append(parts, "in "+strings.Join(b.Locations, " "))
	}
	return cmp.Or(strings.Join(parts, ", "), "there is a balance, and the operator does not say how much")
}

// days writes a time in days, hours and minutes, the two largest that are there.
func days(d time.Duration) string {
	d = d.Truncate(time.Minute)
	h := d % (24 * time.Hour) / time.Hour
	switch n := d / (24 * time.Hour); {
	case n > 0 && h > 0:
		return fmt.Sprintf("%d d %d h", n, h)
	case n > 0:
		return fmt.Sprintf("%d d", n)
	case h > 0:
		return fmt.Sprintf("%d h %d min", h, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d min", d/time.Minute)
}
