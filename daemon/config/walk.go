package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// document is a file on its way to a Config: its text, where each key and
// value stands, and what is wrong so far.
type document struct {
	file   string
	data   []byte
	root   *schema
	values map[string]int // path such as "lpa.ci[1]" -> offset of the value
	tables map[string]int // path of an array of tables -> how many there were so far
	bad    []span         // expressions that were refused
	errs   Errors
}

type span struct{ from, to int }

func (d *document) fail(offset int, hint, format string, args ...any) {
	line, col := d.position(offset)
	d.errs = append(d.errs, &Error{File: d.file, Line: line, Col: col, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// failUnknown reports a key or table that is not in the schema.
func (d *document) failUnknown(offset int, hint, format string, args ...any) {
	d.fail(offset, hint, format, args...)
	d.errs[len(d.errs)-1].Unknown = true
}

// failAt reports a value by its path.
func (d *document) failAt(path, hint, format string, args ...any) {
	d.fail(d.values[path], hint, format, args...)
}

func (d *document) position(offset int) (line, col int) {
	head := d.data[:min(max(offset, 0), len(d.data))]
	line = bytes.Count(head, []byte("\n")) + 1
	return line, utf8.RuneCount(head[bytes.LastIndexByte(head, '\n')+1:]) + 1
}

// walk checks every key and the type of every value against the schema. It
// uses go-toml's parser below the decoder, because the decoder stops at the
// first wrong type and does not tell where good values stand.
func (d *document) walk() {
	p := &unstable.Parser{}
	p.Reset(d.data)
	table, tableName := d.root, ""
	known := true // the table that the following keys belong to
	badFrom := -1 // offset of a refused expression that ends where the next begins
	endBad := func(next int) {
		if badFrom >= 0 {
			d.bad = append(d.bad, span{badFrom, next})
			badFrom = -1
		}
	}
	for p.NextExpression() {
		e := p.Expression()
		parts, offset := keyOf(e)
		endBad(d.lineStart(offset))
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table, tableName, known = d.enter(parts, offset, e.Kind == unstable.ArrayTable)
			if !known {
				badFrom = d.lineStart(offset)
			}
		case unstable.KeyValue:
			if !known || !d.checkKey(table, tableName, parts, offset, e.Value()) {
				badFrom = d.lineStart(offset)
			}
		}
	}
	endBad(len(d.data))
}

// lineStart is the beginning of the line at offset, where an expression begins.
func (d *document) lineStart(offset int) int {
	return bytes.LastIndexByte(d.data[:offset], '\n') + 1
}

func keyOf(e *unstable.Node) (parts []string, offset int) {
	offset = -1
	for it := e.Key(); it.Next(); {
		n := it.Node()
		parts = append(parts, string(n.Data))
		if offset < 0 {
			offset = int(n.Raw.Offset)
		}
	}
	return parts, max(offset, 0)
}

// enter follows the name of a table header. It returns the table's path, in
// which tables of an array have their number: "dialect[1].apdu".
func (d *document) enter(parts []string, offset int, array bool) (_ *schema, path string, ok bool) {
	t, name := d.root, strings.Join(parts, ".")
	for i, part := range parts {
		next := t.children[part]
		if next == nil && (t.kind == isTable || t.kind == isTables) {
			d.failUnknown(offset, hintUnknown(d.root, t, strings.Join(parts[:i], "."), part), "unknown table [%s]", name)
			return nil, name, false
		}
		if next == nil || next.kind != isTable && next.kind != isMap && next.kind != isTables {
			d.fail(offset, fmt.Sprintf("write it as a key of [%s]", strings.Join(parts[:i], ".")), "[%s] is not a table", name)
			return nil, name, false
		}
		t, path = next, join(path, part)
		if t.kind != isTables {
			if _, known := d.values[path]; !known {
				d.values[path] = offset
			}
			continue
		}
		if !array && i == len(parts)-1 {
			d.fail(offset, fmt.Sprintf("write [[%s]]", name), "[%s] must be an array of tables", name)
			return nil, name, false
		}
		n := d.tables[path]
		if array && i == len(parts)-1 {
			if n == 0 {
				d.values[path] = offset
			}
			n++
			d.tables[path] = n
		} else if n == 0 {
			d.fail(offset, fmt.Sprintf("write [[%s]]", strings.Join(parts[:i+1], ".")), "there is no [[%s]] above", strings.Join(parts[:i+1], "."))
			return nil, name, false
		}
		path = fmt.Sprintf("%s[%d]", path, n-1)
		d.values[path] = offset
	}
	if array && t.kind != isTables {
		d.fail(offset, fmt.Sprintf("write [%s]", name), "[[%s]] must be a table, not an array of tables", name)
		return nil, name, false
	}
	return t, path, true
}

// checkKey checks one key = value below table.
func (d *document) checkKey(table *schema, tableName string, parts []string, offset int, value *unstable.Node) bool {
	s, path := table, tableName
	for i, part := range parts {
		var next *schema
		switch s.kind {
		case isTable, isTables:
			next = s.children[part]
		case isMap:
			if i == len(parts)-1 {
				next = &schema{kind: isString}
			} else {
				d.fail(offset, fmt.Sprintf("put names with dots in quotes: %q = ...", strings.Join(parts[i:], ".")), "[%s] has no tables inside", path)
				return false
			}
		}
		if next == nil {
			d.failUnknown(offset, hintUnknown(d.root, s, path, part), "unknown key %q", strings.Join(parts, "."))
			return false
		}
		s, path = next, join(path, part)
	}
	at := offset
	if value.Raw.Length > 0 {
		at = int(value.Raw.Offset)
	}
	d.values[path] = at

	switch {
	case value.Kind == unstable.InlineTable && (s.kind == isTable || s.kind == isMap):
		ok := true
		for it := value.Children(); it.Next(); {
			n := it.Node()
			inner, innerAt := keyOf(n)
			ok = d.checkKey(s, path, inner, innerAt, n.Value()) && ok
		}
		return ok
	case value.Kind == unstable.Array && s.kind == isStrings:
		return d.elements(path, at, value, isString, unstable.String, "a string")
	case value.Kind == unstable.Array && s.kind == isInts:
		return d.elements(path, at, value, isInt, unstable.Integer, "a whole number")
	case value.Kind == unstable.Array && s.kind == isTables:
		return d.inlineTables(s, path, at, value)
	case value.Kind == unstable.Integer && s.kind == isFloat, value.Kind == unstable.Float && s.kind == isFloat:
		return true
	case value.Kind == unstable.String && (s.kind == isString || s.kind == isDuration),
		value.Kind == unstable.Bool && s.kind == isBool,
		value.Kind == unstable.Integer && s.kind == isInt:
		return true
	}
	t := kindText[s.kind]
	d.fail(at, t.hint, "%q must be %s, not %s", path, t.what, nodeText(value))
	return false
}

// elements checks an array of plain values.
func (d *document) elements(path string, at int, value *unstable.Node, k kind, want unstable.Kind, text string) bool {
	i := 0
	for it := value.Children(); it.Next(); {
		n := it.Node()
		if n.Kind == unstable.Comment {
			continue
		}
		elementAt := at
		if n.Raw.Length > 0 {
			elementAt = int(n.Raw.Offset)
		}
		if n.Kind != want {
			d.fail(elementAt, kindText[k].hint, "each value of %q must be %s, not %s", path, text, nodeText(n))
			return false
		}
		d.values[fmt.Sprintf("%s[%d]", path, i)] = elementAt
		i++
	}
	return true
}

// inlineTables checks [{...}, {...}].
func (d *document) inlineTables(s *schema, path string, at int, value *unstable.Node) bool {
	i, ok := 0, true
	for it := value.Children(); it.Next(); {
		n := it.Node()
		if n.Kind == unstable.Comment {
			continue
		}
		if n.Kind != unstable.InlineTable {
			d.fail(at, kindText[isTables].hint, "each value of %q must be a table, not %s", path, nodeText(n))
			return false
		}
		element := fmt.Sprintf("%s[%d]", path, i)
		d.values[element] = at
		for it := n.Children(); it.Next(); {
			key := it.Node()
			inner, innerAt := keyOf(key)
			ok = d.checkKey(&schema{kind: isTable, children: s.children}, element, inner, innerAt, key.Value()) && ok
		}
		i++
	}
	return ok
}

func join(path, part string) string {
	if path == "" {
		return part
	}
	return path + "." + part
}

// nodeText names a value's type; the value itself is not shown.
func nodeText(n *unstable.Node) string {
	switch n.Kind {
	case unstable.String:
		return "a string"
	case unstable.Bool:
		return "true or false"
	case unstable.Integer:
		return "a whole number"
	case unstable.Float:
		return "a number with a fraction"
	case unstable.Array:
		return "an array"
	case unstable.InlineTable:
		return "a table"
	}
	return "a date or time"
}

// decode reads what the walk has left into raw, strictly. Refused expressions
// are blanked out first, so that what remains is still checked.
func (d *document) decode(raw any) {
	data := bytes.Clone(d.data)
	for _, s := range d.bad {
		for i := s.from; i < s.to; i++ {
			if data[i] != '\n' {
				data[i] = ' '
			}
		}
	}
	dec := toml.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(raw)
	var missing *toml.StrictMissingError
	var de *toml.DecodeError
	switch {
	case err == nil:
	case errors.As(err, &missing): // the walk has the same schema
		for i := range missing.Errors {
			d.tomlError(&missing.Errors[i], "unknown key")
		}
	case errors.As(err, &de):
		d.tomlError(de, strings.TrimPrefix(de.Error(), "toml: "))
	default:
		d.fail(0, "", "not TOML: %s", strings.TrimPrefix(err.Error(), "toml: "))
	}
}

func (d *document) tomlError(e *toml.DecodeError, msg string) {
	line, byteCol := e.Position()
	offset := 0
	for range line - 1 {
		i := bytes.IndexByte(d.data[offset:], '\n')
		if i < 0 {
			break
		}
		offset += i + 1
	}
	hint := `keys are written: name = value, strings in quotes`
	if strings.Contains(msg, "already") || strings.Contains(msg, "defined") {
		hint = "remove one of the two"
	}
	d.fail(offset+byteCol-1, hint, "not valid TOML: %s", msg)
}

// sorted returns the errors by place, without repetitions.
func (d *document) sorted() Errors {
	sort.SliceStable(d.errs, func(i, j int) bool {
		a, b := d.errs[i], d.errs[j]
		return a.Line < b.Line || a.Line == b.Line && a.Col < b.Col
	})
	return slices.CompactFunc(d.errs, func(a, b *Error) bool { return *a == *b })
}
