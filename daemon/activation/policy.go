package activation

import (
	"fmt"
	"slices"
	"strings"

	"dynamod/euicc"
)

// checkEnabled refuses what no offer could change: an enabled profile that stays,
// unless it is the wanted one.
func checkEnabled(profiles []euicc.Profile, wanted euicc.ICCID) error {
	for _, p := range profiles {
		if p.State == euicc.Enabled && p.ICCID != wanted && p.PPR.Has(euicc.PPR1) {
			return Bound(p.ICCID)
		}
	}
	return nil
}

// Bound refuses a switch from the enabled profile, which must not be disabled.
func Bound(enabled euicc.ICCID) *Fault {
	return &Fault{
		Code: "ppr1-enabled", Text: fmt.Sprintf("the enabled profile %s must not be disabled (policy rule PPR1)", enabled.Short()),
		Advice: "only its operator can lift that rule", Retry: euicc.RetryNever,
	}
}

// NoWayBack refuses a switch to a profile that could not be left again, for which
// nobody has asked in so many words. A run asks for that, see WaitNoWayBack.
func NoWayBack() *Fault {
	return &Fault{
		Code: "no-way-back", Text: "the new profile could never be disabled again (policy rule PPR1): there would be no way back to the one that is enabled",
		Advice: "if that is wanted, ask again and say so: `dynamod profiles enable --no-way-back`", Retry: euicc.RetryNow,
	}
}

// checkProfiles compares the offered profile with those that are on the card.
// The reason is what the order is to be cancelled with.
func (r *run) checkProfiles(md euicc.Metadata, profiles []euicc.Profile) (euicc.CancelReason, error) {
	if i := slices.IndexFunc(profiles, func(p euicc.Profile) bool { return p.ICCID == md.ICCID }); i >= 0 {
		r.there = &profiles[i]
		r.there.Metadata.ICCID = md.ICCID
	}
	for _, p := range profiles {
		if p.ICCID == md.ICCID {
			if p.State == euicc.Enabled {
				r.change(func(rec *Record) { rec.Previous = rec.ICCID })
			}
			continue
		}
		// SGP.22 3.1.3: PPR1 is only for a profile that is alone of its class.
		if md.PPR.Has(euicc.PPR1) && p.Class == euicc.ClassOperational && r.there == nil {
			return euicc.CancelPPRNotAllowed, &Fault{
				Code: "ppr1-not-alone", Text: fmt.Sprintf("the new profile can never be disabled (policy rule PPR1), and profile %s is on the card", p.ICCID.Short()),
				Advice: "a profile with this rule is only installed on a card without other operational profiles: delete these, or ask the operator for another one", Retry: euicc.RetryNever,
			}
		}
		if p.State != euicc.Enabled {
			continue
		}
		r.change(func(rec *Record) { rec.Previous = p.ICCID.String() })
		if r.rec.InstallOnly {
			continue
		}
		// SGP.22 5.7.16: what follows a test profile is another one, or the profile
		// that was enabled before it, which a new one never is.
		if p.Class == euicc.ClassTest && md.Class != euicc.ClassTest {
			return euicc.CancelPostponed, &Fault{
				Code: "test-profile-enabled", Text: fmt.Sprintf("the test profile %s is enabled: the card would not enable a new profile after it", p.ICCID.Short()),
				Advice: "enable the profile that was in use before with `dynamod profiles enable`, or take the test profile out of use with `dynamod profiles disable`, and try again; the order is kept",
				Retry:  euicc.RetryAsk,
			}
		}
	}
	if r.rec.InstallOnly {
		return 0, nil
	}
	if err := checkEnabled(profiles, md.ICCID); err != nil {
		return euicc.CancelPostponed, err // the order is as good on another card
	}
	return 0, nil
}

// binds reports whether there would be a way back, and the profile forbids it.
func (r *run) binds(md euicc.Metadata) bool {
	return !r.rec.InstallOnly && md.PPR.Has(euicc.PPR1) && r.rec.Previous != "" && r.rec.Previous != r.rec.ICCID
}

// noWayBack reports whether the switch is from a profile to one that stays.
func (r *run) noWayBack() bool {
	return strings.Contains(r.rec.PolicyRules, euicc.PPR1.String()) && r.rec.Previous != "" && r.rec.Previous != r.rec.ICCID
}
