package dynamo

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	"dynamod/configs/cosa"
)

// Brand is the name under which an operator is shown.
func Brand(p *cosa.OperatorProfile) string { return cmp.Or(p.SIM.BrandName, p.Name, p.ID) }

// Catalogue lists the operators with a portal that is offered in one of the
// countries, by brand. No country lists all: who does not know where the box is has
// to choose from all of them. A record of a higher source hides those of its brand
// in the lower ones.
func Catalogue(db *cosa.DB, countries ...string) []*cosa.OperatorProfile {
	var out []*cosa.OperatorProfile
	for p := range db.Profiles() {
		if p.Portal.URL != "" && (len(countries) == 0 || slices.ContainsFunc(countries, p.SoldIn)) {
			out = append(out, p)
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		a, b := out[i], out[j]
		return cmp.Or(
			strings.Compare(strings.ToLower(Brand(a)), strings.ToLower(Brand(b))),
			cmp.Compare(a.Source, b.Source), cmp.Compare(a.Rank, b.Rank), strings.Compare(a.ID, b.ID),
		) < 0
	})
	var first *cosa.OperatorProfile // of the brand
	return slices.DeleteFunc(out, func(p *cosa.OperatorProfile) bool {
		if first == nil || !strings.EqualFold(Brand(first), Brand(p)) {
			first = p
		}
		return p.Source != first.Source
	})
}
