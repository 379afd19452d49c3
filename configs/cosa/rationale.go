package cosa

import (
	"fmt"
	"strconv"
	"strings"
)

// Rationale tells how a SIM was matched: every record that was considered, and
// why it was or was not chosen. It has the shape of the JSON that `dynamod apn
// lookup` and `explain` print.
type Rationale struct {
	// HomeNetwork is the MCC+MNC that was looked up, "" if not known.
	HomeNetwork string `json:"home_network"`
	// MNCLengthUnknown tells that its width was found by trying.
	MNCLengthUnknown bool    `json:"mnc_length_unknown"`
	Outcome          Outcome `json:"outcome"`
	// Records are the chosen ones, then the outranked ones, both best first,
	// then those of the same network whose other conditions failed.
	Records []Verdict `json:"records"`
}

// Outcome is what came of a match.
type Outcome string

// The outcomes.
const (
	Matched   Outcome = "matched"
	Ambiguous Outcome = "ambiguous" // several records that the SIM does not tell apart
	Unmatched Outcome = "unmatched"
)

// Verdict is what became of one record.
type Verdict struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Country string   `json:"country,omitempty"`
	Source  string   `json:"source"`
	Origin  string   `json:"origin"`
	Verdict string   `json:"verdict"` // "chosen", "outranked" or "missed"
	Keys    []string `json:"keys"`    // the conditions that held, the most telling first; none if missed
	// Approximate tells that an ICCID range was compared without the check digit.
	Approximate bool `json:"approximate,omitempty"`
	// Why is the evidence of a chosen record, what outranked another, or the
	// condition that failed. Numbers of the SIM are shortened.
	Why string `json:"why"`

	line string
}

// The values of Verdict.Verdict.
const (
	Chosen    = "chosen"
	Outranked = "outranked"
	Missed    = "missed"
)

// Rationale makes the reasons that Match leaves out, for people who ask.
func (db *DB) Rationale(sim SIM) Rationale {
	d := db.Match(sim)
	r := Rationale{HomeNetwork: d.HomeNetwork, MNCLengthUnknown: d.MNCLengthUnknown, Outcome: d.Outcome(), Records: []Verdict{}}
	seen := make(map[*OperatorProfile]bool, len(d.Matches))
	for i, m := range d.Matches {
		seen[m.Profile] = true
		v := verdictOf(m.Profile, Chosen)
		v.Keys, v.Approximate = m.keys.names(), m.approximate
		if i < d.Winners {
			v.Why = m.evidence(d.HomeNetwork)
			v.line = "chosen: " + d.reasonFor(m)
		} else {
			v.Verdict, v.Why = Outranked, d.whyLost(m)
			v.line = "outranked: " + d.reasonFor(m) + ": " + v.Why
		}
		r.Records = append(r.Records, v)
	}
	for _, l := range db.layers {
		for _, ref := range l.find(d.HomeNetwork) {
			p := &l.profiles[ref.profile]
			if seen[p] {
				continue
			}
			seen[p] = true
			_, miss := p.Targets[ref.target].match(&sim, d.HomeNetwork)
			v := verdictOf(p, Missed)
			v.Why = miss.String() + " differs or is not known"
			v.line = fmt.Sprintf("not for this SIM: %s: %q: %s", p.Origin, p.Name, v.Why)
			r.Records = append(r.Records, v)
		}
	}
	return r
}

func verdictOf(p *OperatorProfile, verdict string) Verdict {
	return Verdict{ID: p.ID, Name: p.Name, Country: p.Country, Source: p.Source.String(), Origin: p.Origin, Verdict: verdict, Keys: []string{}}
}

// Lines are the rationale as text, without secrets: a line for each record, but
// one for all that were chosen for the same reason.
func (r Rationale) Lines() []string {
	home := "home network " + r.HomeNetwork
	switch {
	case r.HomeNetwork == "":
		home = "home network not known: neither IMSI nor MCC+MNC"
	case r.MNCLengthUnknown:
		home += ", length of the MNC not known: six digits tried first"
	}
	out := []string{home}
	chosen := 0
	for chosen < len(r.Records) && r.Records[chosen].Verdict == Chosen && r.Records[chosen].Origin == r.Records[0].Origin && r.Records[chosen].Why == r.Records[0].Why {
		chosen++
	}
	rest := r.Records
	if chosen > 1 {
		names := textOf(r.Records[:chosen], func(v Verdict) string { return strconv.Quote(v.Name) })
		out = append(out, fmt.Sprintf("chosen: %s: %d operators that the SIM does not tell apart by %s: %s", rest[0].Origin, chosen, rest[0].Why, strings.Join(names, ", ")))
		rest = rest[chosen:]
	}
	for _, v := range rest {
		out = append(out, v.line)
	}
	if r.Outcome == Unmatched {
		out = append(out, (&NoAPNError{Err: ErrNoMatch, What: lookedFor(r.HomeNetwork)}).Error())
	}
	return out
}

// Explain tells how the SIM was matched, a line each.
func (db *DB) Explain(sim SIM) []string { return db.Rationale(sim).Lines() }

// whyLost says why m is behind the winner.
func (d Decision) whyLost(m Match) string {
	w := d.Matches[0]
	switch {
	case m.Profile.Source != w.Profile.Source:
		return "a record of a higher source (" + w.Profile.Source.String() + ") matches"
	case m.keys != w.keys:
		return "a record with more telling keys (" + w.keys.String() + ") matches"
	}
	return "a record with a narrower range or longer prefix matches"
}
