package cosa

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sort"
	"strings"
)

// DB is a set of operator profiles that can be searched. It is immutable and
// safe for concurrent use; With makes a new one.
type DB struct {
	layers []*layer
}

// layer is one set of profiles with its index. Layers are shared between DBs,
// so that a new operators.d does not index the embedded database again.
type layer struct {
	profiles []OperatorProfile
	byPLMN   []plmnRef // sorted by MCC+MNC
	byOther  []ref     // targets without MCC+MNC
}

type ref struct{ profile, target int32 }

type plmnRef struct {
	plmn string
	ref
}

// New makes a DB of profiles, which must not be changed afterwards. It returns
// an error for a record that is not valid or an id that is there twice.
func New(profiles []OperatorProfile) (*DB, error) {
	return (&DB{}).With(profiles)
}

// With returns a DB with further profiles. Errors are as for New; an id must
// also differ from those that db has.
func (db *DB) With(profiles []OperatorProfile) (*DB, error) {
	if len(profiles) == 0 {
		return db, nil
	}
	seen := make(map[string]bool, len(profiles))
	for i := range profiles {
		p := &profiles[i]
		if problems := p.validate(); len(problems) > 0 {
			return nil, fmt.Errorf("operator profile %q: %s: %s", p.ID, problems[0].path, problems[0].msg)
		}
		if seen[p.ID] || db.byID(p.ID) != nil {
			return nil, fmt.Errorf("operator profile %q: the id is there twice", p.ID)
		}
		seen[p.ID] = true
	}
	return &DB{layers: append(slices.Clip(db.layers), newLayer(profiles))}, nil
}

func newLayer(profiles []OperatorProfile) *layer {
	l := &layer{profiles: profiles}
	n := 0
	for i := range profiles {
		for j := range profiles[i].Targets {
			n += len(profiles[i].Targets[j].MCCMNC)
		}
	}
	l.byPLMN = make([]plmnRef, 0, n)
	for i := range profiles {
		for j := range profiles[i].Targets {
			r := ref{int32(i), int32(j)}
			t := &profiles[i].Targets[j]
			if len(t.MCCMNC) == 0 {
				l.byOther = append(l.byOther, r)
			}
			for _, plmn := range t.MCCMNC {
				l.byPLMN = append(l.byPLMN, plmnRef{plmn, r})
			}
		}
	}
	sort.Slice(l.byPLMN, func(i, j int) bool {
		a, b := &l.byPLMN[i], &l.byPLMN[j]
		return a.plmn < b.plmn || a.plmn == b.plmn && (a.profile < b.profile || a.profile == b.profile && a.target < b.target)
	})
	l.byPLMN = slices.Compact(l.byPLMN) // a target may name one twice
	return l
}

// find returns the references of one MCC+MNC.
func (l *layer) find(plmn string) []plmnRef {
	lo := sort.Search(len(l.byPLMN), func(i int) bool { return l.byPLMN[i].plmn >= plmn })
	hi := lo
	for hi < len(l.byPLMN) && l.byPLMN[hi].plmn == plmn {
		hi++
	}
	return l.byPLMN[lo:hi]
}

// Profiles yields all profiles, in the order of the sources' files.
func (db *DB) Profiles() iter.Seq[*OperatorProfile] {
	return func(yield func(*OperatorProfile) bool) {
		for _, l := range db.layers {
			for i := range l.profiles {
				if !yield(&l.profiles[i]) {
					return
				}
			}
		}
	}
}

// Len is the number of profiles.
func (db *DB) Len() int {
	n := 0
	for _, l := range db.layers {
		n += len(l.profiles)
	}
	return n
}

// Countries returns the countries of the records whose MCC is that of plmn, the
// most frequent first.
func (db *DB) Countries(plmn string) []string {
	if len(plmn) < 3 {
		return nil
	}
	count := map[string]int{}
	for _, l := range db.layers {
		at := sort.Search(len(l.byPLMN), func(i int) bool { return l.byPLMN[i].plmn >= plmn[:3] })
		for ; at < len(l.byPLMN) && l.byPLMN[at].plmn[:3] == plmn[:3]; at++ {
			if c := l.profiles[l.byPLMN[at].profile].Country; c != "" {
				count[c]++
			}
		}
	}
	return slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), strings.Compare(a, b))
	})
}

func (db *DB) byID(id string) *OperatorProfile {
	for p := range db.Profiles() {
		if p.ID == id {
			return p
		}
	}
	return nil
}

// HomeNetwork returns the MCC+MNC by which the SIM is looked up, or "" if it is
// not known. Where the length of the MNC could not be read it is the one of six
// digits if any record has it, else the one of five; guessed is true then.
func (db *DB) HomeNetwork(sim SIM) (plmn string, guessed bool) {
	first, second := sim.homeKeys()
	if second == "" {
		return first, false
	}
	for _, l := range db.layers {
		if len(l.find(first)) > 0 {
			return first, true
		}
	}
	return second, true
}

// Match is a profile whose target describes a SIM.
type Match struct {
	Profile *OperatorProfile
	Target  *Target
	hit
}

// Keys are the conditions that the target had, all of which held.
func (m Match) Keys() Keys { return m.keys }

// Approximate tells that an ICCID range was compared without the check digit.
func (m Match) Approximate() bool { return m.approximate }

// Lookup appends all profiles that match the SIM to dst, each with its best
// target, best match first. With room in dst it allocates nothing.
func (db *DB) Lookup(dst []Match, sim SIM) []Match {
	home, _ := db.HomeNetwork(sim)
	start := len(dst)
	for _, l := range db.layers {
		if home != "" {
			for _, r := range l.find(home) { // the targets of one profile follow each other
				dst = l.try(dst, max(start, len(dst)-1), r.ref, &sim, home)
			}
		}
		for _, r := range l.byOther {
			dst = l.try(dst, start, r, &sim, home)
		}
	}
	// By insertion: the matches of a SIM are few and nearly in order.
	for i := start + 1; i < len(dst); i++ {
		for j := i; j > start && compareMatches(dst[j], dst[j-1]) < 0; j-- {
			dst[j], dst[j-1] = dst[j-1], dst[j]
		}
	}
	return dst
}

// try appends the profile of r if its target matches, or replaces an entry of
// the same profile, from start on, that is worse.
func (l *layer) try(dst []Match, start int, r ref, sim *SIM, home string) []Match {
	p := &l.profiles[r.profile]
	t := &p.Targets[r.target]
	h, miss := t.match(sim, home)
	if miss != 0 {
		return dst
	}
	m := Match{Profile: p, Target: t, hit: h}
	for i := start; i < len(dst); i++ {
		if dst[i].Profile == p {
			if compareMatches(m, dst[i]) < 0 {
				dst[i] = m
			}
			return dst
		}
	}
	return append(dst, m)
}

// compareMatches is the total order of the package's doc: negative if a is
// better.
func compareMatches(a, b Match) int {
	return cmp.Or(
		compareEvidence(a, b),
		cmp.Compare(a.Profile.Rank, b.Profile.Rank),
		cmp.Compare(a.Target.UIOrder, b.Target.UIOrder),
		strings.Compare(a.Profile.ID, b.Profile.ID),
	)
}

// compareEvidence is the part of the order that rests on what the SIM says.
func compareEvidence(a, b Match) int {
	return cmp.Or(
		cmp.Compare(a.Profile.Source, b.Profile.Source),
		cmp.Compare(b.keys, a.keys),
		cmp.Compare(a.narrow.iccid, b.narrow.iccid),
		cmp.Compare(a.narrow.imsi, b.narrow.imsi),
		cmp.Compare(b.narrow.gid1, a.narrow.gid1),
		cmp.Compare(b.narrow.gid2, a.narrow.gid2),
	)
}
