package cosa

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// ErrNoMatch means that no record describes the SIM. It comes wrapped in a
// *NoAPNError.
var ErrNoMatch = errors.New("no operator settings for this SIM")

// ErrNoConnection means that records describe the SIM, but none of their
// connections may be used now. It comes wrapped in a *NoAPNError.
var ErrNoConnection = errors.New("no usable connection in the operator settings")

// NoAPNError says why there is no APN to try. Err is ErrNoMatch or
// ErrNoConnection.
type NoAPNError struct {
	Err  error
	What string // what was looked for, such as "home network 00101"
	Why  string // why each connection was dropped; "" for ErrNoMatch

	home string // network, for the hint
	db   *DB    // nil for none
}

// Error is one line without advice, see Hint.
func (e *NoAPNError) Error() string {
	s := e.Err.Error() + ": " + e.What
	if e.Why != "" {
		s += ": " + e.Why
	}
	return s
}

// Hint says what a person can do about it, and where to look for an APN.
func (e *NoAPNError) Hint() string {
	hint := "APN needed: set [apn] apn, or add a file to operators.d"
	if errors.Is(e.Err, ErrNoConnection) {
		hint = "APN needed: set [apn] apn, or change the record that is named"
	}
	if e.db != nil {
		if countries := e.db.Countries(e.home); len(countries) > 0 {
			hint += "; `dynamod apn list --country " + countries[0] + "` lists what is known there"
		}
	}
	return hint
}

// Unwrap returns ErrNoMatch or ErrNoConnection.
func (e *NoAPNError) Unwrap() error { return e.Err }

// Decision is what the records say about one SIM.
type Decision struct {
	// HomeNetwork is the MCC+MNC that was looked up, "" if not known.
	HomeNetwork string
	// MNCLengthUnknown tells that HomeNetwork's width was found by trying.
	MNCLengthUnknown bool
	// Matches are all profiles that match, best first. The first Winners of
	// them are equally well supported by the SIM; the others are outranked.
	Matches []Match
	Winners int

	db *DB
}

// Match decides which profiles are for the SIM.
func (db *DB) Match(sim SIM) Decision {
	d := Decision{Matches: db.Lookup(nil, sim), db: db}
	d.HomeNetwork, d.MNCLengthUnknown = db.HomeNetwork(sim)
	d.Winners = tied(d.Matches)
	return d
}

// tied counts the leading matches that the SIM does not tell apart.
func tied(ms []Match) int {
	n := 0
	for n < len(ms) && compareEvidence(ms[n], ms[0]) == 0 {
		n++
	}
	return n
}

// Found tells whether any profile matches.
func (d Decision) Found() bool { return d.Winners > 0 }

// Ambiguous tells that several profiles match equally well: an MVNO that shares
// all keys with its host. All are candidates, in the order of rank, uiOrder and
// id, which is fixed but says nothing about this SIM.
func (d Decision) Ambiguous() bool { return d.Winners > 1 }

// Err returns a *NoAPNError with ErrNoMatch if nothing matches, else nil.
func (d Decision) Err() error {
	if d.Found() {
		return nil
	}
	return &NoAPNError{Err: ErrNoMatch, What: lookedFor(d.HomeNetwork), home: d.HomeNetwork, db: d.db}
}

func lookedFor(home string) string {
	if home == "" {
		return "home network not known"
	}
	return "home network " + home
}

// Outcome is Unmatched, Ambiguous or Matched.
func (d Decision) Outcome() Outcome {
	switch {
	case !d.Found():
		return Unmatched
	case d.Ambiguous():
		return Ambiguous
	}
	return Matched
}

// Equal tells whether two decisions name the same profiles for the same keys in
// the same order, so that a fact of the SIM that arrives late and changes
// nothing disturbs nothing, nor does an operators.d that is read again.
func (d Decision) Equal(o Decision) bool {
	return slices.EqualFunc(d.used(), o.used(), func(a, b Match) bool {
		return a.keys == b.keys && (a.Profile == b.Profile || reflect.DeepEqual(a.Profile, b.Profile))
	})
}

// used are the matches whose connections are candidates: the winners, and where
// they allow it the best of the sources below.
func (d Decision) used() []Match {
	var out []Match
	for group := range d.groups() {
		out = append(out, group...)
	}
	return out
}

// Reason says in one line which record was chosen, where it stands and which
// keys it matched. "" if nothing matches.
func (d Decision) Reason() string {
	if !d.Found() {
		return ""
	}
	return d.reasonFor(d.Matches[0])
}

func (d Decision) reasonFor(m Match) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %q by %s", m.Profile.Origin, m.Profile.Name, m.evidence(d.HomeNetwork))
	if d.MNCLengthUnknown && m.keys&KeyMCCMNC != 0 {
		b.WriteString(" (MNC length not known)")
	}
	if d.Ambiguous() && slices.ContainsFunc(d.Matches[:d.Winners], func(w Match) bool { return w.Profile == m.Profile }) {
		fmt.Fprintf(&b, ", one of %d operators that the SIM does not tell apart", d.Winners)
	}
	return b.String()
}

// evidence lists the keys with the record's values. Of numbers of the SIM no
// more is shown than their issuer's part.
func (m Match) evidence(home string) string {
	var parts []string
	for _, e := range keyNames {
		if m.keys&e.k == 0 {
			continue
		}
		s := e.name
		t := m.Target
		switch e.k {
		case KeyMCCMNC:
			s += " " + home
		case KeyMCC:
			if len(home) >= 3 {
				s += " " + home[:3]
			}
		case KeySPN:
			s += fmt.Sprintf(" %q", t.SPN[m.spnAt])
		case KeyPNN:
			s += fmt.Sprintf(" %q", t.PNN[m.pnnAt])
		case KeyGID1:
			s += " " + t.GID1[m.gid1At].String()
		case KeyGID2:
			s += " " + t.GID2[m.gid2At].String()
		case KeyICCID:
			s += " " + t.ICCID[m.iccidAt].short()
			if m.approximate {
				s += " (without check digit)"
			}
		case KeyIMSI:
			if at := int(m.imsiAt); at < len(t.IMSI) {
				s += " " + t.IMSI[at].short()
			} else {
				s += " " + shorten(string(t.IMSIPattern[at-len(t.IMSI)]))
			}
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ", ")
}

// String writes "2AC9" or, for a prefix, "2AC9...".
func (g GID) String() string {
	if g.Prefix {
		return g.Hex + "..."
	}
	return g.Hex
}

// short gives what all numbers of the range have in common, shortened.
func (r Range) short() string {
	n := 0
	for n < len(r.Lo) && r.Lo[n] == r.Hi[n] {
		n++
	}
	return shorten(r.Lo[:n]) + "..."
}

// issuerDigits of an ICCID or IMSI name country and operator, not a person.
const issuerDigits = 7

func shorten(digits string) string {
	if len(digits) > issuerDigits {
		return digits[:issuerDigits] + "..."
	}
	return digits
}
