package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
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

// LoadBoards reads the definitions that are built in, the *.toml files of a directory,
// which need not exist, and further files. A later one takes the place of an earlier
// one of its name. Files that are wrong are left out and told by the Errors. The list
// is in the order of names.
func LoadBoards(dir string, files ...string) (list []*board.Board, errs Errors) {
	s := newBoardSet()
	paths, err := filepath.Glob(filepath.Join(dir, "*.toml"))
	if err == nil && len(paths) == 0 {
		if _, err = os.ReadDir(dir); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		errs = append(errs, &Error{File: dir, Msg: "cannot read the directory: " + reason(err).Error()})
	}
	for _, path := range append(paths, files...) {
		data, err := readRegular(path, maxFileBytes)
		if err != nil {
			errs = append(errs, &Error{File: path, Msg: "cannot read the file: " + err.Error()})
			continue
		}
		s.add(path, data)
	}
	for _, name := range s.names() {
		b, err := s.board(name, nil)
		if more, ok := errors.AsType[Errors](err); ok {
			errs = append(errs, more...)
		}
		if b != nil {
			list = append(list, b)
		}
	}
	return list, errs
}

// Choose returns the definition of the box that says id, and by what it was chosen:
// the name that it has there, or "[board] name". A box that no definition fits is
// generic-usb, as is one whose definition is not there or wrong, which the Errors tell.
func (b Board) Choose(id board.Identity) (*board.Board, string, Errors) {
	list, errs := LoadBoards(b.Dir)
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	name, why := b.Name, "[board] name"
	if name == Auto {
		found, by := board.Find(list, id)
		if found != nil {
			return found, by, errs
		}
		name, why = "generic-usb", ""
	}
	i := slices.Index(names, name)
	if i < 0 {
		errs = append(errs, &Error{File: b.Dir, Msg: fmt.Sprintf("no definition of the board %q can be used", name), Hint: meant(name, names)})
		return &board.Board{Name: "generic-usb"}, "", errs
	}
	return list[i], why, errs
}

// ParseBoard checks the text of one definition that inherits from built-in ones at
// most; path is its file's. The error is an Errors with everything that is wrong.
func ParseBoard(path string, data []byte) (*board.Board, error) {
	s := newBoardSet()
	s.add(path, data)
	return s.board(boardName(path), nil)
}

// boardSet puts definitions together, each after the one that it inherits from.
type boardSet struct {
	files map[string]boardFile // by the definition's name
	done  map[string]*board.Board
}

type boardFile struct {
	path       string
	data       []byte
	overridden bool // it stands in place of a built-in one, which it may inherit from
}

func boardName(path string) string { return strings.TrimSuffix(filepath.Base(path), ".toml") }

// newBoardSet has what is built in, which a test reads.
func newBoardSet() *boardSet {
	s := &boardSet{map[string]boardFile{}, map[string]*board.Board{}}
	entries, _ := configs.Boards.ReadDir("boards")
	for _, e := range entries {
		data, _ := configs.Boards.ReadFile("boards/" + e.Name())
		s.add(e.Name(), data)
	}
	return s
}

func (s *boardSet) add(path string, data []byte) {
	_, there := s.files[boardName(path)]
	s.files[boardName(path)] = boardFile{path, data, there}
}

func (s *boardSet) names() []string { return slices.Sorted(maps.Keys(s.files)) }

// board puts one definition together. heirs are those that are being put together
// and wait for it.
func (s *boardSet) board(name string, heirs []string) (*board.Board, error) {
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
	if raw.Inherits != "" {
		from := s.parent(d, raw.Inherits, append(heirs, name))
		if from == nil {
			return nil, d.errs
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

// parent is the definition that the last of heirs inherits from. A file in place of a
// built-in one may inherit from that. Where there is none, d has the error.
func (s *boardSet) parent(d *document, parent string, heirs []string) *board.Board {
	name := heirs[len(heirs)-1]
	if parent == name && s.files[name].overridden {
		s, heirs = newBoardSet(), nil
	}
	if _, there := s.files[parent]; !there {
		d.failAt("inherits", meant(parent, s.names()), "there is no board %q to inherit from", parent)
		return nil
	}
	if slices.Contains(heirs, parent) {
		d.failAt("inherits", "", "%s inherits from itself: %s", parent, strings.Join(append(heirs, parent), ", "))
		return nil
	}
	b, err := s.board(parent, heirs)
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		d.failAt("inherits", "mend that first", "board %q cannot be used: %s", parent, first)
		return nil
	}
	return b
}

// meant is the hint for a name that is not there.
func meant(name string, names []string) string {
	if n := near.Name(name, names); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	return "one of " + strings.Join(names, ", ")
}
