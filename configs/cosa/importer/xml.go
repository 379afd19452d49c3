package importer

import (
	"bufio"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"dynamod/configs/cosa"
)

// Limits of an XML file. A token is a tag, a text or a comment; encoding/xml
// holds each as a whole, so it is cut off while it is read. Entities that the
// file declares are never expanded.
const (
	maxToken    = 256 << 10 // bytes
	maxDepth    = 24
	maxElements = 20_000  // of one record: a provider, a target, a profile
	maxText     = 1 << 20 // bytes, the same
)

// source counts the bytes that the decoder takes. It is an io.ByteReader, so
// the decoder reads no more than it needs.
type source struct {
	r        *bufio.Reader
	left     int // of the current token
	fileLeft int
	limit    error // that was met; within a character the decoder calls it invalid UTF-8
}

func (s *source) ReadByte() (byte, error) {
	if s.left--; s.left < 0 {
		s.limit = fmt.Errorf("a tag, text or comment of more than %d bytes", maxToken)
		return 0, s.limit
	}
	if s.fileLeft--; s.fileLeft < 0 {
		s.limit = errTooLarge
		return 0, s.limit
	}
	return s.r.ReadByte()
}

// Read is not called by the decoder, but completes io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := s.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = b
	return 1, nil
}

var errTooLarge = fmt.Errorf("the file is larger than %d bytes", cosa.MaxFileBytes)

// reader walks through an XML file, with its depth and line.
type reader struct {
	dec   *xml.Decoder
	src   *source
	depth int // of the element that was begun last
	line  int // at which the token that was read last begins
}

// newReader reads strictly, or, for files of which the documented samples are
// not well formed, with forgotten end tags and stray ampersands.
func newReader(r *bufio.Reader, strict bool) *reader {
	rd := &reader{src: &source{r: r, fileLeft: cosa.MaxFileBytes}}
	rd.dec = xml.NewDecoder(rd.src)
	rd.dec.Strict = strict
	rd.dec.CharsetReader = func(label string, in io.Reader) (io.Reader, error) {
		if strings.EqualFold(label, "utf-16") {
			return in, nil // it was one, see utf16Reader, or only says so
		}
		return nil, fmt.Errorf("encoding %q is not read, only UTF-8 and UTF-16", label)
	}
	return rd
}

// next returns the next token, io.EOF at the end.
func (rd *reader) next() (xml.Token, error) {
	rd.src.left = maxToken
	rd.line, _ = rd.dec.InputPos()
	tok, err := rd.dec.Token()
	if err != nil {
		return nil, cmp.Or(rd.src.limit, err)
	}
	switch tok.(type) {
	case xml.StartElement:
		if rd.depth++; rd.depth > maxDepth {
			return nil, fmt.Errorf("elements are nested deeper than %d", maxDepth)
		}
	case xml.EndElement:
		rd.depth--
	}
	return tok, nil
}

// element is one element with its children. Names are in lower case.
type element struct {
	name     string
	attrs    []xml.Attr
	text     string
	line     int
	children []element
}

// attr returns the value of an attribute, whose name is compared without case,
// as it stands in the file.
func (e *element) attr(name string) string { return attrOf(e.attrs, name) }

func attrOf(attrs []xml.Attr, name string) string {
	for i := range attrs {
		if strings.EqualFold(attrs[i].Name.Local, name) {
			return attrs[i].Value
		}
	}
	return ""
}

// all yields the children of that name.
func (e *element) all(name string) func(func(*element) bool) {
	return func(yield func(*element) bool) {
		for i := range e.children {
			if e.children[i].name == name && !yield(&e.children[i]) {
				return
			}
		}
	}
}

// each yields the descendants of that name, outer ones first, but not what is
// inside of one.
func (e *element) each(name string) func(func(*element) bool) {
	return func(yield func(*element) bool) { e.walk(name, yield) }
}

func (e *element) walk(name string, yield func(*element) bool) bool {
	for i := range e.children {
		c := &e.children[i]
		if c.name == name {
			if !yield(c) {
				return false
			}
		} else if !c.walk(name, yield) {
			return false
		}
	}
	return true
}

// tree reads what is left of the element that start begins.
func (rd *reader) tree(start xml.StartElement) (element, error) {
	room := treeRoom{maxElements, maxText}
	return rd.subtree(start, &room)
}

type treeRoom struct{ elements, text int }

func (rd *reader) subtree(start xml.StartElement, room *treeRoom) (element, error) {
	e := element{name: strings.ToLower(start.Name.Local), attrs: start.Attr, line: rd.line}
	if room.elements--; room.elements < 0 {
		return e, fmt.Errorf("a record has more than %d elements", maxElements)
	}
	var text strings.Builder
	for {
		tok, err := rd.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return e, err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			c, err := rd.subtree(t, room)
			if err != nil {
				return e, err
			}
			e.children = append(e.children, c)
		case xml.CharData:
			if room.text -= len(t); room.text < 0 {
				return e, fmt.Errorf("a record has more than %d bytes of text", maxText)
			}
			text.Write(t)
		case xml.EndElement:
			e.text = strings.TrimSpace(text.String())
			return e, nil
		}
	}
}

// problem says where the reading came to its end.
func (rd *reader) problem(name string, err error) *cosa.Problem {
	line, col := rd.dec.InputPos()
	p := &cosa.Problem{File: name, Line: line, Col: col, Msg: err.Error()}
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
		p.Msg = "not well-formed XML: " + strings.ToLower(syntax.Msg[:1]) + syntax.Msg[1:]
	} else if errors.Is(err, io.ErrUnexpectedEOF) {
		p.Msg = "the file ends too early"
	}
	return p
}

// oneLine makes one line of a text, without control characters.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

func isDigits(s string, min, max int) bool {
	return len(s) >= min && len(s) <= max && strings.Trim(s, "0123456789") == ""
}
