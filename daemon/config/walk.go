package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
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
	values map[string]int // path such as "lpa.ci[1]" -> offset of the value
	bad    []span         // expressions that were refused
	errs   Errors
}

type span struct{ from, to int }

func (d *document) fail(offset int, hint, format string, args ...any) {
	line, col := d.position(offset)
	d.errs = append(d.errs, &Error{d.file, line, col, fmt.Sprintf(format, args...), hint})
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
	table, tableName := root, ""
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
			tableName = strings.Join(parts, ".")
			table, known = d.enter(parts, offset)
			if known && e.Kind == unstable.ArrayTable {
				d.fail(offset, fmt.Sprintf("write [%s]", tableName), "[[%s]] must be a table, not an array of tables", tableName)
				known = false
			}
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

// enter follows the name of a table header.
func (d *document) enter(parts []string, offset int) (*schema, bool) {
	t := root
	for i, part := range parts {
		next := t.children[part]
		if next == nil && t.kind == isTable {
			d.fail(offset, hintUnknown(t, strings.Join(parts[:i], "."), part), "unknown table [%s]", strings.Join(parts, "."))
			return nil, false
		}
		if next == nil || next.kind != isTable && next.kind != isMap {
			d.fail(offset, fmt.Sprintf("write it as a key of [%s]", strings.Join(parts[:i], ".")), "[%s] is not a table", strings.Join(parts, "."))
			return nil, false
		}
		t = next
	}
	return t, true
}

// checkKey checks one key = value below table.
func (d *document) checkKey(table *schema, tableName string, parts []string, offset int, value *unstable.Node) bool {
	s, path := table, tableName
	for i, part := range parts {
		var next *schema
		switch s.kind {
		case isTable:
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
			d.fail(offset, hintUnknown(s, path, part), "unknown key %q", strings.Join(parts, "."))
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
			if n.Kind != unstable.String {
				d.fail(elementAt, kindText[isString].hint, "each value of %q must be a string, not %s", path, nodeText(n))
				return false
			}
			d.values[fmt.Sprintf("%s[%d]", path, i)] = elementAt
			i++
		}
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
func (d *document) decode(raw *rawConfig) {
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

// sorted returns the errors by place, without repetitions, at most maxErrors.
func (d *document) sorted() Errors {
	slices.SortStableFunc(d.errs, func(a, b *Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Col - b.Col
	})
	errs := slices.CompactFunc(d.errs, func(a, b *Error) bool { return *a == *b })
	return errs[:min(len(errs), maxErrors)]
}
