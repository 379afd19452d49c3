package dialect

import (
	"reflect"
	"slices"
)

// Set is the built-in dialects together with further ones, which outrank them:
// one that fits a modem is used although a built-in fits more closely, and one
// with a built-in's name takes its place. A nil Set is the built-in ones. It
// must not be changed once it is in use.
type Set struct{ own []*Dialect }

// Configured is the source of what a file of this box says.
const Configured Source = "configured"

// Add adds a dialect, in place of an earlier one with its name.
func (s *Set) Add(d *Dialect) {
	s.own = slices.DeleteFunc(s.own, func(o *Dialect) bool { return o.Name == d.Name })
	s.own = append(s.own, Clone(d))
}

// Own returns copies of the dialects that were added.
func (s *Set) Own() []*Dialect {
	if s == nil {
		return nil
	}
	var out []*Dialect
	for _, d := range s.own {
		out = append(out, Clone(d))
	}
	return out
}

// All returns copies of all dialects, the added ones first. A built-in whose
// name an added one has is left out.
func (s *Set) All() []*Dialect {
	list := s.Own()
	own := len(list)
	for _, d := range all() {
		if !slices.ContainsFunc(list[:own], func(o *Dialect) bool { return o.Name == d.Name }) {
			list = append(list, d)
		}
	}
	return list
}

// Find is the package's Find over the set.
func (s *Set) Find(id Identity) *Dialect {
	if d, ok := closest(s.Own(), id); ok {
		return d
	}
	if d, ok := closest(s.All(), id); ok {
		return d
	}
	return s.ByName("generic")
}

// ByName is the package's ByName over the set.
func (s *Set) ByName(name string) *Dialect {
	for _, d := range s.All() {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// Names is the package's Names over the set.
func (s *Set) Names() []string {
	var names []string
	for _, d := range s.All() {
		names = append(names, d.Name)
	}
	slices.Sort(names)
	return names
}

// Clone returns a copy that shares nothing with d.
func Clone(d *Dialect) *Dialect {
	return deepCopy(reflect.ValueOf(d)).Interface().(*Dialect)
}

func deepCopy(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.Pointer:
		out.Set(reflect.New(v.Type().Elem()))
		out.Elem().Set(deepCopy(v.Elem()))
	case reflect.Struct:
		for i := range v.NumField() {
			out.Field(i).Set(deepCopy(v.Field(i)))
		}
	case reflect.Slice:
		if v.IsNil() {
			break
		}
		out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(deepCopy(v.Index(i)))
		}
	case reflect.Map:
		if v.IsNil() {
			break
		}
		out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for it := v.MapRange(); it.Next(); {
			out.SetMapIndex(it.Key(), it.Value())
		}
	default:
		out.Set(v)
	}
	return out
}
