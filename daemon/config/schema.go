package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"dynamod/atcmd/dialect"
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
	case t == reflect.TypeFor[duration](), t == reflect.TypeFor[dialect.Duration]():
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
		s.children[f.Tag.Get("toml")] = schemaOf(f.Type)
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
	if near := nearest(key, table.names()); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
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

// nearest returns the name that s was most likely meant to be, or "": one at an
// edit distance of at most 2, or one that s begins or continues.
func nearest(s string, names []string) string {
	best, at := "", 3
	for _, n := range names {
		if d := editDistance(strings.ToLower(s), n); d < at && d < len(n) {
			best, at = n, d
		}
	}
	if best != "" || len(s) < 3 {
		return best
	}
	for _, n := range names {
		if strings.HasPrefix(n, strings.ToLower(s)) || strings.HasPrefix(strings.ToLower(s), n) && len(n) > 2 {
			return n
		}
	}
	return ""
}

// editDistance is Levenshtein's, with the exchange of neighbours as one step.
func editDistance(a, b string) int {
	if len(a) > 40 || len(b) > 40 {
		return 40
	}
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
