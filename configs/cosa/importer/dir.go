package importer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dynamod/configs/cosa"
)

// maxFiles bounds operators.d.
const maxFiles = 512

// Set joins the profiles of several files. The zero value is empty.
type Set struct {
	profiles []cosa.OperatorProfile
	owner    map[string]string // id -> file
}

// Add takes the profiles of a file, after those that it replaces are out. With
// a problem it takes none of them. The ids of COSA's profiles are made of their
// names: where an earlier file has the same, the file's name is put behind it.
func (s *Set) Add(f *File) *cosa.Problem {
	if s.owner == nil {
		s.owner = map[string]string{}
	}
	found, out := map[string]bool{}, map[string]bool{} // keys of Replaces, ids
	for i := range s.profiles {
		if key, ok := f.replacedBy(&s.profiles[i]); ok {
			found[key], out[s.profiles[i].ID] = true, true
		}
	}
	own := map[string]bool{}
	for i := range f.Profiles {
		own[f.Profiles[i].ID] = true
	}
	taken := func(id string) bool { return s.owner[id] != "" && !out[id] }
	renamed := map[int]string{}
	for i := range f.Profiles {
		p := f.Profiles[i]
		other := s.owner[p.ID]
		if !taken(p.ID) {
			continue
		}
		if f.Report.Format == Customizations {
			base := p.ID + " (" + filepath.Base(f.Report.File) + ")"
			p.ID = base
			for n := 2; taken(p.ID) || own[p.ID]; n++ {
				p.ID = fmt.Sprintf("%s (%d)", base, n)
			}
			if p.Check() == "" {
				own[p.ID], renamed[i] = true, p.ID
				continue
			}
		}
		return &cosa.Problem{File: f.Report.File, Msg: fmt.Sprintf("id %q is already used in %s", f.Profiles[i].ID, other), Hint: "each profile needs an id of its own"}
	}
	if n := len(s.profiles) - len(out) + len(f.Profiles); n > maxSetProfiles {
		return &cosa.Problem{File: f.Report.File, Msg: fmt.Sprintf("%d operators with those of the files before it, at most %d are taken", n, maxSetProfiles)}
	}
	for i, id := range renamed {
		f.Profiles[i].ID = id
	}
	if len(out) > 0 {
		s.profiles = slices.DeleteFunc(s.profiles, func(p cosa.OperatorProfile) bool { return out[p.ID] })
		for id := range out {
			delete(s.owner, id)
		}
	}
	f.tellReplaced(found)
	for i := range f.Profiles {
		s.owner[f.Profiles[i].ID] = f.Report.File
	}
	s.profiles = append(s.profiles, f.Profiles...)
	return nil
}

const maxSetProfiles = 2 * maxProfiles

// Profiles are those of all files, in the order in which they were added.
func (s *Set) Profiles() []cosa.OperatorProfile { return s.profiles }

// Load returns the embedded database with the operators files of dir over it.
// The problems name the files that are left out, and those of which rows are
// left out; the rest is used. An error means that the embedded database is damaged.
func Load(dir string) (*cosa.DB, []*cosa.Problem, error) {
	db, err := cosa.Load()
	if err != nil {
		return nil, nil, err
	}
	embedded := map[string]bool{}
	for p := range db.Profiles() {
		embedded[p.ID] = true
	}
	profiles, problems := loadDir(dir, embedded)
	known := map[string]string{} // a file may have very many networks of few MCCs
	for i := range profiles {
		if p := &profiles[i]; p.Country == "" {
			p.Country = countryOf(db, p, known)
		}
	}
	with, err := db.With(profiles)
	if err != nil { // whatever With checks was checked before
		return db, append(problems, &cosa.Problem{File: dir, Msg: err.Error()}), nil
	}
	return with, problems, nil
}

// countryOf is the country in which the database knows the profile's MCC, "" if
// there is none or more than one. Android's and COSA's files do not tell it. known
// keeps the answers by MCC.
func countryOf(db *cosa.DB, p *cosa.OperatorProfile, known map[string]string) string {
	for i := range p.Targets {
		for _, list := range [][]string{p.Targets[i].MCCMNC, p.Targets[i].MCC} {
			for _, plmn := range list {
				mcc := plmn[:3] // checked when the file was read
				country, there := known[mcc]
				if !there {
					if countries := db.Countries(mcc); len(countries) == 1 {
						country = countries[0]
					}
					known[mcc] = country
				}
				if country != "" {
					return country
				}
			}
		}
	}
	return ""
}

// LoadDir reads the operators files of a directory, DIR/*.json and DIR/*.xml in
// the order of their names. A file with a problem is named and left out as a
// whole; of a foreign format single rows may be left out, which is a problem
// that is Partial. A directory that is not there is an empty one. Files with
// other endings and hidden files are not looked at.
func LoadDir(dir string) ([]cosa.OperatorProfile, []*cosa.Problem) { return loadDir(dir, nil) }

func loadDir(dir string, embedded map[string]bool) ([]cosa.OperatorProfile, []*cosa.Problem) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, []*cosa.Problem{{File: dir, Msg: "cannot read the directory: " + reason(err)}}
	}
	var set Set
	var problems []*cosa.Problem
	files := 0
	for _, e := range entries {
		name := e.Name()
		if ext := filepath.Ext(name); strings.HasPrefix(name, ".") || ext != ".json" && ext != ".xml" {
			continue
		}
		path := filepath.Join(dir, name)
		if files++; files > maxFiles {
			problems = append(problems, &cosa.Problem{File: path, Msg: fmt.Sprintf("not read: more than %d files in the directory", maxFiles)})
			break
		}
		file, found := ReadFile(path)
		if len(found) > 0 {
			problems = append(problems, found...)
			continue
		}
		if i := slices.IndexFunc(file.Profiles, func(p cosa.OperatorProfile) bool { return embedded[p.ID] }); i >= 0 {
			problems = append(problems, &cosa.Problem{File: path, Msg: fmt.Sprintf("id %q is used in the embedded database", file.Profiles[i].ID), Hint: "give the profile an id of its own"})
			continue
		}
		if problem := set.Add(file); problem != nil {
			problems = append(problems, problem)
			continue
		}
		if n := len(file.Report.Refused); n > 0 {
			problems = append(problems, &cosa.Problem{
				File: path, Partial: true, Msg: fmt.Sprintf("%d rows are left out, %d are used", n, file.Report.Taken),
				Hint: "`dynamod apn import " + path + "` lists them",
			})
		}
	}
	return set.Profiles(), problems
}

// ReadFile reads a regular file.
func ReadFile(path string) (*File, []*cosa.Problem) {
	problem := func(err error) []*cosa.Problem {
		return []*cosa.Problem{{File: path, Msg: "cannot read the file: " + reason(err)}}
	}
	info, err := os.Stat(path) // before opening: a FIFO would block
	if err != nil {
		return nil, problem(err)
	}
	if !info.Mode().IsRegular() {
		return nil, []*cosa.Problem{{File: path, Msg: "not a regular file"}}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, problem(err)
	}
	defer f.Close()
	return Read(path, io.Reader(f))
}

// reason is the cause of a file error without the path that it repeats.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}
