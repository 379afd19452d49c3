// Package fallback is the standing watch over the enabled profile, once its
// activation is over: it notices a profile that was enabled without us, and one
// that has died, and says which other profile of the card is to take its place.
// It touches neither card nor modem: each switch is a run of package activation,
// with a way back.
package fallback

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// maxReturn is the longest time between two tries of the preferred profile, unless
// the configured one is longer.
const maxReturn = 24 * time.Hour

// since are the ended runs that are younger than the one with the ID, oldest
// first; all of them if that one is not known any more.
func since(runs []activation.Record, id string) (list []activation.Record) {
	from := slices.IndexFunc(runs, func(r activation.Record) bool { return r.ID == id }) + 1
	for _, r := range runs[from:] {
		if r.State.Ended() && r.Ended != nil {
			list = append(list, r)
		}
	}
	return list
}

// underWay is the run that goes on, nil if none.
func underWay(runs []activation.Record) *activation.Record {
	for i := range runs {
		if !runs[i].State.Ended() || runs[i].Ended == nil {
			return &runs[i]
		}
	}
	return nil
}

// preferred is the profile that the enabled one stands in for, "" if it is what a
// person chose last, or the card by itself. An activation that had to go back to
// another one than the previous leaves a stand-in, too. failed is how often in a
// row the return was tried in vain.
func preferred(runs []activation.Record, enabled string) (iccid string, failed int) {
	for _, r := range slices.Backward(runs) {
		end := r.EndsAt()
		if end == "" || r.Ended == nil {
			continue
		}
		f := r.Fallback
		if f == nil && r.Outcome == status.RolledBack && end == r.Previous {
			continue // an activation that changed nothing
		}
		if iccid == "" {
			switch {
			case end != enabled || f == nil && r.Outcome == status.Committed:
				return "", 0
			case f == nil:
				return r.Previous, 0
			case f.Preferred == enabled:
				return "", 0
			}
			iccid = f.Preferred
		}
		if f == nil || f.Reason != activation.Return || r.Outcome != status.RolledBack {
			return iccid, failed
		}
		failed++
	}
	return iccid, failed
}

// returnTime is how long a stand-in is kept until another one is tried. One for
// provisioning is not for the router's traffic, and is left sooner.
func returnTime(p config.Fallback, bootstrap bool, failed int) time.Duration {
	first := max(p.Return, p.Hold)
	if bootstrap {
		first = p.Hold
	}
	return min(first<<min(failed, 10), max(first, maxReturn))
}

func isBootstrap(p config.Fallback, profiles []status.Profile, iccid string) bool {
	return slices.Contains(p.Bootstrap, iccid) || slices.ContainsFunc(profiles, func(p status.Profile) bool {
		return p.ICCID == iccid && p.Class == euicc.ClassProvisioning.String()
	})
}

// successors lists the profiles to switch to from the enabled one, best first:
// the preferred one, which may be "", then in the order of the configuration, then
// those for bootstrap. It fails where the enabled profile has to stay.
func successors(policy config.Fallback, profiles []status.Profile, enabled, preferred string, worked func(iccid string) (string, time.Time, bool)) ([]string, error) {
	i := slices.IndexFunc(profiles, func(p status.Profile) bool { return p.State == euicc.Enabled.String() })
	switch {
	case i < 0:
		return nil, fmt.Errorf("no profile is enabled")
	case profiles[i].ICCID != enabled:
		return nil, fmt.Errorf("another profile is enabled")
	case forbids(profiles[i]):
		return nil, fmt.Errorf("the enabled profile must not be disabled (policy rule PPR1)")
	}
	order := policy.Order
	others := slices.Index(order, config.LastSuccess)
	type candidate struct {
		iccid string
		rank  int
		at    time.Time
	}
	var list []candidate
	for _, p := range profiles {
		c := candidate{iccid: p.ICCID, rank: slices.Index(order, p.ICCID)}
		_, c.at, _ = worked(p.ICCID)
		switch {
		case p.ICCID == enabled, p.Class == euicc.ClassTest.String(), forbids(p):
			continue // no network for it, or no way on from it
		case slices.Contains(policy.Bootstrap, p.ICCID):
			c.rank = len(order)
		case c.rank < 0 && others < 0 && p.ICCID != preferred:
			continue
		case p.Class == euicc.ClassProvisioning.String():
			c.rank = len(order)
		case p.ICCID == preferred:
			c.rank = -1
		case c.rank < 0:
			c.rank = others
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no other profile of the card may take its place")
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		return cmp.Or(cmp.Compare(a.rank, b.rank), b.at.Compare(a.at), cmp.Compare(a.iccid, b.iccid)) < 0
	})
	var iccids []string
	for _, c := range list {
		iccids = append(iccids, c.iccid)
	}
	return iccids, nil
}

func forbids(p status.Profile) bool {
	return slices.Contains(strings.Split(p.PolicyRules, "+"), euicc.PPR1.String())
}
