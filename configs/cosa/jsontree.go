package cosa

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Problem is an error in an operators file, with its place.
type Problem struct {
	File      string
	Line, Col int // from 1, Col in characters; 0 if the file could not be read at all
	Msg       string
	Hint      string // what to do about it, may be empty
	// Partial tells that the rest of the file is used.
	Partial bool
}

// Error writes "file:line:col: what is wrong" and, on a line of its own, the
// hint. It never shows a user name or password.
func (p *Problem) Error() string {
	s := p.File
	if p.Line > 0 {
		s = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
	}
	s += ": " + p.Msg
	if p.Hint != "" {
		s += "\nhint: " + p.Hint
	}
	return s
}

// kind is the JSON type of a node.
type kind string

const (
	kindObject kind = "an object"
	kindArray  kind = "an array"
	kindString kind = "a string"
	kindNumber kind = "a number"
	kindBool   kind = "true or false"
	kindNull   kind = "null"
)

// node is a JSON value with its offset in the file. encoding/json decodes into
// structs without telling where a value stood; this keeps it.
type node struct {
	kind   kind
	offset int
	text   string // of a string, or the digits of a number
	truth  bool
	fields []field
	items  []*node
}

type field struct {
	name   string
	offset int
	value  *node
}

// get returns the value of a field, or nil.
func (n *node) get(name string) *node {
	for i := range n.fields {
		if n.fields[i].name == name {
			return n.fields[i].value
		}
	}
	return nil
}

// find follows a path such as "targets[0].mccmnc[1]" as far as it goes.
func (n *node) find(path string) *node {
	for path != "" {
		part := path
		if i := strings.IndexAny(path[1:], ".["); i >= 0 {
			part = path[:i+1]
		}
		path = path[len(part):]
		var next *node
		if part[0] == '[' {
			i := int(number(strings.Trim(part, "[]")))
			if i < len(n.items) {
				next = n.items[i]
			}
		} else {
			next = n.get(strings.TrimPrefix(part, "."))
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

// Limits of an operators file.
const (
	maxJSONDepth = 8
	maxJSONNodes = 50_000 // of one profile
)

// jsonError is an error at an offset.
type jsonError struct {
	offset int
	msg    string
	hint   string
}

func (e *jsonError) Error() string { return e.msg }

// eachProfile reads a JSON value, or the elements of an array one by one, and
// calls take with each until it returns false: no more than one is held as a tree. Besides what JSON
// requires it refuses duplicate names, invalid UTF-8, and what exceeds the limits.
func eachProfile(data []byte, take func(*node) bool) *jsonError {
	if len(data) > MaxFileBytes {
		return &jsonError{0, fmt.Sprintf("the file is larger than %d bytes", MaxFileBytes), ""}
	}
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		return &jsonError{0, "the file begins with a byte order mark", "save it as UTF-8 without BOM"}
	}
	if at := invalidUTF8(data); at >= 0 {
		return &jsonError{at, "not UTF-8", "save the file as UTF-8"}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return &jsonError{0, "the file is empty", "one operator profile, or an array of them"}
	}
	if err := json.Unmarshal(data, &syntaxOnly{}); err != nil {
		return syntaxError(err, len(data))
	}
	p := &treeParser{dec: json.NewDecoder(bytes.NewReader(data)), data: data}
	p.dec.UseNumber()
	if bytes.TrimLeft(data, " \t\r\n")[0] != '[' {
		n, err := p.value(1)
		if err == nil {
			take(n)
		}
		return err
	}
	if _, err := p.dec.Token(); err != nil {
		return syntaxError(err, len(data))
	}
	for p.dec.More() {
		p.nodes = 0
		n, err := p.value(2)
		if err != nil {
			return err
		}
		if !take(n) {
			return nil
		}
	}
	return p.end()
}

// syntaxOnly takes any JSON value and keeps nothing of it.
type syntaxOnly struct{}

func (*syntaxOnly) UnmarshalJSON([]byte) error { return nil }

func invalidUTF8(data []byte) int {
	for at := 0; at < len(data); {
		r, n := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && n == 1 {
			return at
		}
		at += n
	}
	return -1
}

func syntaxError(err error, size int) *jsonError {
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		at := max(int(s.Offset)-1, 0)
		if strings.Contains(s.Error(), "unexpected end") {
			return &jsonError{size, "the file ends too early", "a bracket, brace or quote is not closed"}
		}
		return &jsonError{at, "not JSON: " + s.Error(), "JSON has no comments and no comma after the last element"}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return &jsonError{size, "the file ends too early", "a bracket, brace or quote is not closed"}
	}
	return &jsonError{0, "not JSON: " + err.Error(), ""}
}

type treeParser struct {
	dec   *json.Decoder
	data  []byte
	nodes int
}

// next is the offset at which the next token begins.
func (p *treeParser) next() int {
	at := int(p.dec.InputOffset())
	for at < len(p.data) && strings.IndexByte(" \t\r\n,:", p.data[at]) >= 0 {
		at++
	}
	return at
}

func (p *treeParser) value(depth int) (*node, *jsonError) {
	n := &node{offset: p.next()}
	if p.nodes++; p.nodes > maxJSONNodes {
		return nil, &jsonError{n.offset, fmt.Sprintf("more than %d values in a profile", maxJSONNodes), ""}
	}
	if depth > maxJSONDepth {
		return nil, &jsonError{n.offset, fmt.Sprintf("nested deeper than %d", maxJSONDepth), ""}
	}
	tok, err := p.dec.Token()
	if err != nil {
		return nil, syntaxError(err, len(p.data))
	}
	switch t := tok.(type) {
	case string:
		n.kind, n.text = kindString, t
	case json.Number:
		n.kind, n.text = kindNumber, t.String()
	case bool:
		n.kind, n.truth = kindBool, t
	case nil:
		n.kind = kindNull
	case json.Delim:
		if t == '[' {
			n.kind = kindArray
			return n, p.items(n, depth)
		}
		n.kind = kindObject
		return n, p.fieldsOf(n, depth)
	}
	return n, nil
}

func (p *treeParser) items(n *node, depth int) *jsonError {
	for p.dec.More() {
		item, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	return p.end()
}

func (p *treeParser) fieldsOf(n *node, depth int) *jsonError {
	seen := map[string]bool{}
	for p.dec.More() {
		at := p.next()
		tok, err := p.dec.Token()
		if err != nil {
			return syntaxError(err, len(p.data))
		}
		name, _ := tok.(string)
		if seen[name] {
			return &jsonError{at, fmt.Sprintf("field %q is there twice", name), "remove one of them"}
		}
		seen[name] = true
		value, jerr := p.value(depth + 1)
		if jerr != nil {
			return jerr
		}
		n.fields = append(n.fields, field{name, at, value})
	}
	return p.end()
}

func (p *treeParser) end() *jsonError {
	if _, err := p.dec.Token(); err != nil {
		return syntaxError(err, len(p.data))
	}
	return nil
}

// position turns an offset into line and column.
func position(data []byte, offset int) (line, col int) {
	offset = min(offset, len(data))
	head := data[:offset]
	line = bytes.Count(head, []byte("\n")) + 1
	return line, utf8.RuneCount(head[bytes.LastIndexByte(head, '\n')+1:]) + 1
}
