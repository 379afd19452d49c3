package cosa

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxFiles bounds operators.d.
const maxFiles = 512

// LoadAll returns the embedded database with the operators files of dir over
// it. The problems name the files that are left out; the rest is used. An error
// means that the embedded database is damaged.
func LoadAll(dir string) (*DB, []*Problem, error) {
	db, err := Load()
	if err != nil {
		return nil, nil, err
	}
	profiles, problems := LoadDir(dir)
	var good []OperatorProfile
	for len(profiles) > 0 {
		n := 1
		for n < len(profiles) && profiles[n].Origin == profiles[0].Origin {
			n++
		}
		file := profiles[:n]
		profiles = profiles[n:]
		if i := slices.IndexFunc(file, func(p OperatorProfile) bool { return db.byID(p.ID) != nil }); i >= 0 {
			problems = append(problems, &Problem{File: file[0].Origin, Msg: fmt.Sprintf("id %q is used in the embedded database", file[i].ID), Hint: "give the profile an id of its own"})
			continue
		}
		good = append(good, file...)
	}
	with, err := db.With(good)
	if err != nil { // LoadDir has checked all that With checks
		return db, append(problems, &Problem{File: dir, Msg: err.Error()}), nil
	}
	return with, problems, nil
}

// LoadDir reads the operators files of a directory, DIR/*.json in the order of
// their names. A file with a problem is named in the problems and left out as a
// whole; the others are used. A directory that is not there is an empty one.
// Files with other endings and hidden files are not looked at.
func LoadDir(dir string) ([]OperatorProfile, []*Problem) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, []*Problem{{File: dir, Msg: "cannot read the directory: " + reason(err)}}
	}
	var out []OperatorProfile
	var problems []*Problem
	files := 0
	owner := map[string]string{} // id -> file
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || filepath.Ext(name) != ".json" {
			continue
		}
		file := filepath.Join(dir, name)
		if files++; files > maxFiles {
			problems = append(problems, &Problem{File: file, Msg: fmt.Sprintf("not read: more than %d files in the directory", maxFiles)})
			break
		}
		data, problem := readFile(file)
		if problem != nil {
			problems = append(problems, problem)
			continue
		}
		profiles, found := ParseJSON(file, data)
		for _, p := range profiles {
			if other := owner[p.ID]; other != "" {
				found = append(found, &Problem{File: file, Msg: fmt.Sprintf("id %q is already used in %s", p.ID, other), Hint: "each profile needs an id of its own"})
			}
		}
		if len(found) > 0 {
			problems = append(problems, found...)
			continue
		}
		for _, p := range profiles {
			owner[p.ID] = file
		}
		out = append(out, profiles...)
	}
	return out, problems
}

// readFile reads a regular file of at most maxFileBytes.
func readFile(file string) ([]byte, *Problem) {
	info, err := os.Stat(file) // before opening: a FIFO would block
	if err != nil {
		return nil, &Problem{File: file, Msg: "cannot read the file: " + reason(err)}
	}
	if !info.Mode().IsRegular() {
		return nil, &Problem{File: file, Msg: "not a regular file"}
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, &Problem{File: file, Msg: "cannot read the file: " + reason(err)}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, &Problem{File: file, Msg: "cannot read the file: " + reason(err)}
	}
	return data, nil
}

// reason is the cause of a file error without the path that it repeats.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}
