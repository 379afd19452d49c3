package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"dynamod/atcmd/dialect"
	"dynamod/configs/near"
)

// rawDialects is a file of dialects.d.
type rawDialects struct {
	Dialect []rawDialect `toml:"dialect"`
}

type rawDialect struct {
	Inherits string `toml:"inherits"`
	dialect.Dialect
}

var dialectRoot = schemaOf(reflect.TypeFor[rawDialects]())

// LoadDialects reads the *.toml files of a directory, in the order of their
// names. A directory that does not exist is an empty one. Files that are wrong
// are left out and told by the Errors; the Set is never nil.
func LoadDialects(dir string) (*dialect.Set, Errors) {
	set := &dialect.Set{}
	var errs Errors
	paths, err := filepath.Glob(filepath.Join(dir, "*.toml"))
	if err == nil && len(paths) == 0 {
		if _, err = os.ReadDir(dir); errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		return set, Errors{{File: dir, Msg: "cannot read the directory: " + reason(err).Error()}}
	}
	slices.Sort(paths)
	for _, path := range paths {
		data, err := readRegular(path, maxFileBytes)
		if err != nil {
			errs = append(errs, &Error{File: path, Msg: "cannot read the file: " + err.Error()})
			continue
		}
		list, err := ParseDialects(path, data, set)
		if more, ok := errors.AsType[Errors](err); ok {
			errs = append(errs, more...)
		}
		for _, d := range list {
			set.Add(d)
		}
	}
	return set, errs
}

// ParseDialects checks the text of a file of dialects; name is its name for
// errors, known are the dialects that it may inherit from beside the built-in
// ones and its own. The error is an Errors with everything that is wrong.
func ParseDialects(name string, data []byte, known *dialect.Set) ([]*dialect.Dialect, error) {
	d := newDocument(name, data, dialectRoot)
	if len(d.errs) > 0 {
		return nil, d.errs
	}
	d.walk()
	var raw rawDialects
	d.decode(&raw)
	if errs := d.sorted(); len(errs) > 0 {
		return nil, errs.few()
	}
	all := &dialect.Set{}
	for _, o := range known.Own() {
		all.Add(o)
	}
	var out []*dialect.Dialect
	for i := range raw.Dialect {
		path := fmt.Sprintf("dialect[%d]", i)
		if v := d.dialect(path, &raw.Dialect[i], all); v != nil {
			all.Add(v)
			out = append(out, v)
		}
	}
	if errs := d.sorted(); len(errs) > 0 {
		return nil, errs.few()
	}
	return out, nil
}

// dialect puts one together: what it inherits, with what the file has in place
// of it.
func (d *document) dialect(path string, raw *rawDialect, known *dialect.Set) *dialect.Dialect {
	parent := raw.Inherits
	if parent == "" {
		if parent = "generic"; known.ByName(raw.Name) != nil {
			parent = raw.Name
		}
	}
	out := known.ByName(parent)
	if out == nil {
		hint := "one of " + strings.Join(known.Names(), ", ")
		if name := near.Name(parent, known.Names()); name != "" {
			hint = fmt.Sprintf("did you mean %q?", name)
		}
		d.failAt(path+".inherits", hint, "there is no dialect %q to inherit from", parent)
		return nil
	}
	if out.Name != raw.Name {
		out.About = fmt.Sprintf("%s, from %s", out.Name, filepath.Base(d.file))
	}
	d.override(path, reflect.ValueOf(out).Elem(), reflect.ValueOf(&raw.Dialect).Elem())
	before := len(d.errs)
	for _, p := range out.Problems() {
		d.fail(d.near(path+"."+p.Path), p.Hint, "%s", p.Msg)
	}
	if len(out.Match) == 0 {
		d.fail(d.near(path), "add match, or name it in [modem] dialect", "dialect %q fits no modem", out.Name)
	}
	if len(d.errs) > before {
		return nil
	}
	return out
}

// near is where a value stands, or else what it belongs to.
func (d *document) near(path string) int {
	for {
		if at, ok := d.values[path]; ok {
			return at
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return 0
		}
		path = path[:i]
	}
}

// override replaces in to what the file gives below path. Tables are joined key
// by key, arrays and single values are replaced whole. A part that was changed
// and does not name its source has this file as its source.
func (d *document) override(path string, to, from reflect.Value) (changed bool) {
	t := to.Type()
	row := -1
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type == reflect.TypeFor[dialect.Row]() {
			row = i
			continue
		}
		if f.Tag.Get("toml") == "-" {
			continue
		}
		at := join(path, f.Tag.Get("toml"))
		_, given := d.values[at]
		switch f.Type.Kind() {
		case reflect.Struct:
			changed = d.override(at, to.Field(i), from.Field(i)) || changed
		case reflect.Map:
			m := from.Field(i)
			if m.Len() > 0 && to.Field(i).IsNil() {
				to.Field(i).Set(reflect.MakeMap(f.Type))
			}
			for it := m.MapRange(); it.Next(); {
				to.Field(i).SetMapIndex(it.Key(), it.Value())
				changed = true
			}
		case reflect.Slice:
			if !given {
				continue
			}
			to.Field(i).Set(from.Field(i))
			changed = true
			if f.Type.Elem().Kind() == reflect.Struct && f.Name != "Steps" && f.Name != "Up" && f.Name != "Down" {
				for j := range to.Field(i).Len() {
					d.source(fmt.Sprintf("%s[%d]", at, j), to.Field(i).Index(j))
				}
			}
		default:
			if given {
				to.Field(i).Set(from.Field(i))
				changed = true
			}
		}
	}
	if row >= 0 {
		for _, key := range []string{"source", "ref"} {
			if _, given := d.values[join(path, key)]; given {
				to.Field(row).Set(from.Field(row))
				return true
			}
		}
		if changed {
			to.Field(row).Set(reflect.ValueOf(d.row(path)))
		}
	}
	return changed
}

// source gives the file as the source of an element of an array that names none.
func (d *document) source(path string, v reflect.Value) {
	if _, given := d.values[join(path, "source")]; given {
		return
	}
	if f := v.FieldByName("Row"); f.IsValid() && f.IsZero() {
		f.Set(reflect.ValueOf(d.row(path)))
	}
}

func (d *document) row(path string) dialect.Row {
	line, _ := d.position(d.near(path))
	return dialect.Row{Source: dialect.Configured, Ref: fmt.Sprintf("%s:%d", d.file, line)}
}
