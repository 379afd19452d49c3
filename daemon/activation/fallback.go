package activation

import (
	"slices"

	"dynamod/daemon/status"
	"dynamod/euicc"
)

// Fallback is why a run began that nobody asked for: a profile has died, or the
// preferred one is tried again. It goes the same way as any other switch, with the
// same way back, but that its rounds end after the first: whoever began it has a
// pace of its own, and a person's request must not wait for a week.
type Fallback struct {
	Reason    string   `json:"reason"`    // NoTraffic or Return
	Text      string   `json:"text"`      // the same for people, in one line
	Preferred string   `json:"preferred"` // ICCID of the profile that a person chose last
	WayBack   []string `json:"way_back"`  // ICCIDs to go to if this one gives no link, best first
}

// The reasons of a Fallback.
const (
	NoTraffic = "no-traffic"
	Return    = "return"
)

// FallBack begins a run like Switch does, for a reason of the daemon's own. A
// person's request outranks it: it is refused while any run is under way.
func (o *Orchestrator) FallBack(iccid, previous string, f Fallback) (Record, error) {
	return o.switchTo(Record{ICCID: iccid, Previous: previous, Fallback: &f})
}

// homes are the profiles of the way back that are there. One that could not be
// left again (PPR1) is none.
func (f *Fallback) homes(profiles []euicc.Profile) (ids []euicc.ICCID) {
	for _, iccid := range f.WayBack {
		i := slices.IndexFunc(profiles, func(p euicc.Profile) bool { return p.ICCID.String() == iccid })
		if i >= 0 && !profiles[i].PPR.Has(euicc.PPR1) {
			ids = append(ids, profiles[i].ICCID)
		}
	}
	return ids
}

// EndsAt is the ICCID of the profile that a run has left enabled, "" for none, or
// where it switched nothing.
func (r Record) EndsAt() string {
	switch r.Outcome {
	case status.Committed:
		return r.ICCID
	case status.RolledBack:
		if r.BackTo != "" {
			return r.BackTo
		}
		return r.Previous
	}
	return ""
}

// Knows reports whether the run may have enabled the profile.
func (r Record) Knows(iccid string) bool {
	return iccid == r.ICCID || iccid == r.Previous || iccid == r.BackTo || r.Fallback != nil && slices.Contains(r.Fallback.WayBack, iccid)
}
