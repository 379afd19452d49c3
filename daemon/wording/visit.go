package wording

import (
	"cmp"
	"strings"
	"time"

	"dynamod/daemon/status"
)

// Visit says how far a visit to an operator's portal is.
func Visit(v *status.Visit) string {
	what := ""
	switch v.State {
	case status.VisitOpen:
		what = "its portal is open, nothing has come back"
	case status.VisitWaiting:
		what = "bought, and it begins later"
		if v.Due != nil {
			what = "bought, and it begins at " + v.Due.Local().Format(time.DateTime)
		}
	case status.VisitBusy:
		what = "bought, and it is being carried out"
	case status.VisitDone:
		what = "bought, and carried out"
	case status.VisitFailed:
		what = "bought, and it could not be carried out"
		if v.Error != nil {
			what += ": " + v.Error.Text
		}
	case status.VisitNoChange:
		what = "nothing was bought"
	case status.VisitTopUp:
		what = "the line was topped up"
	}
	return strings.Join(Fields(cmp.Or(v.Brand, v.Operator), v.Plan, what), ", ")
}
