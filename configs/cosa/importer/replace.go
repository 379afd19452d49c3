package importer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"dynamod/configs/cosa"
)

// Replace is a Replace element of a COSA package.
type Replace struct {
	Line    int
	What    string // which one, for the report
	Removes bool   // it has no Settings: nothing takes the place of what it takes away
	Done    bool   // it took away a profile of its own file
}

// extGUID keeps the GUID of a COSA profile, by which a later package may
// replace it.
const extGUID = "cosaGuid"

// replaceKey is a name or GUID as they are compared: without case and braces.
func replaceKey(s string) string {
	return strings.ToLower(strings.Trim(strings.TrimSpace(s), "{}"))
}

// replace notes a Replace. One of the same name that was before it is forgotten.
func (f *File) replace(key string, r Replace) error {
	if r.Removes && r.Done {
		f.Report.lose(r.Line, r.What, tookAway)
	}
	if f.Replaces == nil {
		f.Replaces = map[string]Replace{}
	}
	r.Done = r.Done || f.Replaces[key].Done
	if f.Replaces[key] = r; len(f.Replaces) > maxProfiles {
		return fmt.Errorf("more than %d profiles to replace", maxProfiles)
	}
	return nil
}

const tookAway = "Replace without Settings: the profile of that name is taken away"

// replacedBy returns the key by which f replaces the profile.
func (f *File) replacedBy(p *cosa.OperatorProfile) (string, bool) {
	id, ok := strings.CutPrefix(p.ID, "cosa:")
	if !ok || len(f.Replaces) == 0 {
		return "", false
	}
	for _, key := range []string{replaceKey(p.Name), p.Ext.Get(extGUID), replaceKey(id)} {
		if _, ok := f.Replaces[key]; ok && key != "" {
			return key, true
		}
	}
	return "", false
}

// tellReplaced reports what the Replaces of f did to the files before it.
func (f *File) tellReplaced(found map[string]bool) {
	for _, key := range slices.SortedFunc(maps.Keys(f.Replaces), func(a, b string) int {
		return cmp.Or(cmp.Compare(f.Replaces[a].Line, f.Replaces[b].Line), strings.Compare(a, b))
	}) {
		switch r := f.Replaces[key]; {
		case r.Done:
		case !found[key]:
			f.Report.lose(r.Line, r.What, "Replace: there is no profile of that name or GUID before it")
		case r.Removes:
			f.Report.lose(r.Line, r.What, tookAway)
		}
	}
}
