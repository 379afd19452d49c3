package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"dynamod/atcmd/dialect"
	"dynamod/board"
	"dynamod/configs/near"
)

// kind is what a key takes.
type kind int

const (
	isTable kind = iota
	isString
	isDuration
	isInt
	isBool
	isStrings // array of strings
	isMap     // table of any keys with string values
	isTables  // array of tables
	isInts    // array of whole numbers
	isFloat
)

// what says it in an error, hint in the line below.
var kindText = map[kind]struct{ what, hint string }{
	isTable:    {"a table", ""},
	isString:   {"a string", "put it in quotes"},
	isDuration: {"a duration", `a string with a unit, such as "90s" or "5m"`},
	isInt:      {"a whole number", "without quotes"},
	isBool:     {"true or false", "without quotes"},
	isStrings:  {"an array of strings", `such as ["a", "b"]`},
	isMap:      {"a table of strings", ""},
	isTables:   {"an array of tables", "write [[...]] above each, or [{...}, {...}]"},
	isInts:     {"an array of whole numbers", "such as [2, 3]"},
	isFloat:    {"a number", "without quotes"},
}

// schema is one allowed key; tables have children.
type schema struct {
	kind     kind
	children map[string]*schema
}

var root = schemaOf(reflect.TypeFor[rawConfig]())

func schemaOf(t reflect.Type) *schema {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[duration](), t == reflect.TypeFor[dialect.Duration](), t == reflect.TypeFor[board.Duration]():
		return &schema{kind: isDuration}
	case t.Kind() == reflect.String:
		return &schema{kind: isString}
	case t.Kind() == reflect.Int64, t.Kind() == reflect.Int:
		return &schema{kind: isInt}
	case t.Kind() == reflect.Bool:
		return &schema{kind: isBool}
	case t.Kind() == reflect.Float64:
		return &schema{kind: isFloat}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		return &schema{kind: isStrings}
	case t == reflect.TypeFor[[]int]():
		return &schema{kind: isInts}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return &schema{kind: isTables, children: schemaOf(t.Elem()).children}
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.String:
		return &schema{kind: isMap}
	case t.Kind() != reflect.Struct:
		panic("config: no schema for " + t.String())
	}
	s := &schema{kind: isTable, children: map[string]*schema{}}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			maps.Copy(s.children, schemaOf(f.Type).children)
			continue
		}
		if tag := f.Tag.Get("toml"); tag != "-" {
			s.children[tag] = schemaOf(f.Type)
		}
	}
	return s
}

func (s *schema) names() []string {
	var out []string
	for name := range s.children {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// hintUnknown finds the key that was meant: a near one in the same table, or
// the same one in another table.
func hintUnknown(root, table *schema, tableName, key string) string {
	if name := near.Name(key, table.names()); name != "" {
		return fmt.Sprintf("did you mean %q?", name)
	}
	for _, name := range root.names() {
		if t := root.children[name]; name != tableName && t.children[key] != nil {
			return fmt.Sprintf("%q belongs to [%s]", key, name)
		}
	}
	if table == root {
		return "tables: " + strings.Join(table.names(), ", ")
	}
	return "known here: " + strings.Join(table.names(), ", ")
}
