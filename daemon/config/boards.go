package config

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"dynamod/board"
	"dynamod/configs"
	"dynamod/configs/near"
)

// rawBoard is a file of boards.d.
type rawBoard struct {
	Inherits string `toml:"inherits"`
	board.Board
}

var boardRoot = schemaOf(reflect.TypeFor[rawBoard]())

// LoadBoards reads the definitions that are built in and the *.toml files of a
// directory, which need not exist; a file there takes the place of the built-in one
// of its name. Files that are wrong are left out and told by the Errors. The list is
// in the order of names.
func LoadBoards(dir string) ([]*board.Board, Errors) {
	s := boardSet{files: map[string]boardFile{}, done: map[string]*board.Board{}}
	s.builtin()
	var errs Errors
	paths, err := filepath.Glob(filepath.Join(dir, "*.toml"))
	if err == nil && len(paths) == 0 {
		if _, err = os.ReadDir(dir); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		errs = append(errs, &Error{File: dir, Msg: "cannot read the directory: " + reason(err).Error()})
	}
	for _, path := range paths {
		errs = append(errs, s.read(path)...)
	}
	list, more := s.all()
	return list, append(errs, more...)
}

// Choose returns the definition of the box that says id, and by what it was chosen:
// the name that it has there, or "[board] name". A box that no definition fits is
// generic-usb, as is one whose definition is not there or wrong, which the Errors tell.
func (b Board) Choose(id board.Identity) (*board.Board, string, Errors) {
	list, errs := LoadBoards(b.Dir)
	if b.Name == Auto {
		if found, why := board.Find(list, id); found != nil {
			return found, why, errs
		}
	} else {
		names := make([]string, len(list))
		for i, found := range list {
			if found.Name == b.Name {
				return found, "[board] name", errs
			}
			names[i] = found.Name
		}
		hint := "one of " + strings.Join(names, ", ")
		if n := near.Name(b.Name, names); n != "" {
			hint = "did you mean \"" + n + "\"?"
		}
		errs = append(errs, &Error{File: b.Dir, Msg: "no definition of the board \"" + b.Name + "\" can be used", Hint: hint})
	}
	for _, found := range list {
		if found.Name == "generic-usb" {
			return found, "", errs
		}
	}
	return &board.Board{Name: "generic-usb"}, "", errs
}

// LoadBoard reads one more definition, from a file anywhere, which may inherit from
// those of LoadBoards.
func LoadBoard(path, dir string) (*board.Board, error) {
	s := boardSet{files: map[string]boardFile{}, done: map[string]*board.Board{}}
	s.builtin()
	paths, _ := filepath.Glob(filepath.Join(dir, "*.toml")) // only a bad pattern is an error
	for _, p := range append(paths, path) {
		if errs := s.read(p); len(errs) > 0 && p == path {
			return nil, errs
		}
	}
	b, errs := s.board(boardName(path), nil)
	if len(errs) > 0 {
		return nil, errs
	}
	return b, nil
}

// ParseBoard checks the text of one definition that inherits from built-in ones at
// most; name is its file's. The error is an Errors with everything that is wrong.
func ParseBoard(name string, data []byte) (*board.Board, error) {
	s := boardSet{files: map[string]boardFile{}, done: map[string]*board.Board{}}
	s.builtin()
	s.files[boardName(name)] = boardFile{name, data, s.files[boardName(name)].data}
	b, errs := s.board(boardName(name), nil)
	if len(errs) > 0 {
		return nil, errs
	}
	return b, nil
}

// boardSet puts definitions together, each after the one that it inherits from.
type boardSet struct {
	files map[string]boardFile // by the definition's name
	done  map[string]*board.Board
}

type boardFile struct {
	path string
	data []byte
	over []byte // the built-in one of this name, which it may inherit from
}

func boardName(path string) string { return strings.TrimSuffix(filepath.Base(path), ".toml") }

// builtin adds what is embedded; a test reads all of it.
func (s *boardSet) builtin() {
	paths, _ := fs.Glob(configs.Boards, "boards/*.toml")
	for _, path := range paths {
		data, _ := configs.Boards.ReadFile(path)
		s.files[boardName(path)] = boardFile{path: path, data: data}
	}
}

func (s *boardSet) read(path string) Errors {
	data, err := readRegular(path, maxFileBytes)
	if err != nil {
		return Errors{{File: path, Msg: "cannot read the file: " + err.Error()}}
	}
	name := boardName(path)
	s.files[name] = boardFile{path, data, s.files[name].data}
	return nil
}

// all puts all of them together.
func (s *boardSet) all() (list []*board.Board, errs Errors) {
	for _, name := range s.names() {
		b, more := s.board(name, nil)
		if errs = append(errs, more...); b != nil {
			list = append(list, b)
		}
	}
	return list, errs
}

func (s *boardSet) names() []string {
	var names []string
	for name := range s.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// board puts one definition together. heirs are those that are being put together
// and wait for it.
func (s *boardSet) board(name string, heirs []string) (*board.Board, Errors) {
	if b := s.done[name]; b != nil {
		return b, nil
	}
	file := s.files[name]
	d := newDocument(file.path, file.data, boardRoot)
	if len(d.errs) > 0 {
		return nil, d.errs
	}
	d.walk()
	var raw rawBoard
	d.decode(&raw)
	if errs := d.sorted(); len(errs) > 0 {
		return nil, errs
	}
	out := &board.Board{}
	if parent := raw.Inherits; parent != "" {
		from, errs := s.parent(d, parent, name, append(heirs, name))
		if errs != nil {
			return nil, errs
		}
		*out = *from // what is replaced below is replaced whole
		// These tell about the parent's box.
		out.About, out.Source, out.Untested, out.Compatible, out.DMI = "", "", false, nil, nil
	}
	out.Name = name
	d.override("", reflect.ValueOf(out).Elem(), reflect.ValueOf(&raw.Board).Elem())
	for _, p := range out.Problems() {
		d.fail(d.near(p.Path), p.Hint, "%s", p.Msg)
	}
	if errs := d.sorted(); len(errs) > 0 {
		return nil, errs
	}
	s.done[name] = out
	return out, nil
}

// parent is the definition that another one inherits from. A file in place of a
// built-in one may inherit from that.
func (s *boardSet) parent(d *document, parent, name string, heirs []string) (*board.Board, Errors) {
	if over := s.files[name].over; parent == name && over != nil {
		under := boardSet{files: map[string]boardFile{}, done: map[string]*board.Board{}}
		under.builtin()
		return under.board(name, nil)
	}
	switch {
	case slices.Contains(heirs, parent):
		d.failAt("inherits", "", "%s inherits from itself: %s", parent, strings.Join(append(heirs, parent), ", "))
		return nil, d.errs
	case s.files[parent].path == "":
		hint := "one of " + strings.Join(s.names(), ", ")
		if n := near.Name(parent, s.names()); n != "" {
			hint = "did you mean \"" + n + "\"?"
		}
		d.failAt("inherits", hint, "there is no board %q to inherit from", parent)
		return nil, d.errs
	}
	b, errs := s.board(parent, heirs)
	if len(errs) > 0 {
		d.failAt("inherits", cmp.Or(errs[0].Hint, "mend that first"), "board %q cannot be used: %s:%d: %s", parent, errs[0].File, errs[0].Line, errs[0].Msg)
		return nil, d.errs
	}
	return b, nil
}
