package es9p

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of the fields of an answer that are kept; the package is not.
const (
	maxKeyText    = 256
	maxIDText     = 256
	maxHeaderText = 8 << 10
	maxNesting    = 32
)

// fields walks through the JSON object of a GetBoundProfilePackage answer as it
// arrives, in whatever order its fields come. What it does not know it skips, and
// null is as good as no field: servers that refuse fill the others with it.
// Errors are errSyntax, or what the reader failed with.
type fields struct {
	r *bufio.Reader

	id      string // transactionId
	idThere bool
	header  *header
	found   bool // boundProfilePackage has begun
	first   bool // no field has been read yet

	// wrong is the first field that is there twice or of another type. The rest is
	// still read, because a refusal in it says more.
	wrong error
}

// errSyntax is text that is no JSON object of this function.
var errSyntax = errors.New("malformed JSON text")

func syntax(what string) error { return fmt.Errorf("%w: %s", errSyntax, what) }

// begin reads the brace that opens the object.
func (f *fields) begin() error {
	c, err := f.token()
	if err != nil {
		return err
	}
	if c != '{' {
		return syntax("no object")
	}
	f.first = true
	return nil
}

// next reads fields up to the text of the package, of which the quotation mark
// is read then, or to the end of the object and of the body.
func (f *fields) next() (begun bool, err error) {
	for {
		c, err := f.token()
		if err != nil {
			return false, err
		}
		switch {
		case c == '}':
			return false, f.end()
		case f.first:
			f.first = false
		case c != ',':
			return false, syntax("no comma between two fields")
		default:
			if c, err = f.token(); err != nil {
				return false, err
			}
		}
		if c != '"' {
			return false, syntax("a field without name")
		}
		name, err := f.text(maxKeyText)
		if err != nil {
			return false, err
		}
		if c, err = f.token(); err != nil {
			return false, err
		}
		if c != ':' {
			return false, syntax("no colon behind a name")
		}
		if c, err = f.token(); err != nil {
			return false, err
		}
		// Like encoding/json, names are compared without regard to case.
		switch name = strings.ToLower(name); {
		case c == 'n':
			var word []byte
			if err := f.value(c, &word); err != nil {
				return false, err
			}
			if string(word) != "null" {
				return false, syntax("a word that is none of JSON's")
			}
		case name == "boundprofilepackage":
			if !f.found && c == '"' {
				f.found = true
				return true, nil
			}
			if err := f.skip(c, "boundProfilePackage is there twice or no string"); err != nil {
				return false, err
			}
		case name == "transactionid" && !f.idThere && c == '"':
			f.idThere = true
			if f.id, err = f.text(maxIDText); err != nil {
				return false, err
			}
		case name == "transactionid":
			if err := f.skip(c, "transactionId is there twice or no string"); err != nil {
				return false, err
			}
		case name == "header" && f.header == nil && c == '{':
			keep := []byte(`{"header":`)
			if err := f.value(c, &keep); err != nil {
				return false, err
			}
			f.header = new(header)
			if err := json.Unmarshal(append(keep, '}'), f.header); err != nil {
				return false, syntax("header cannot be decoded")
			}
		case name == "header":
			if err := f.skip(c, "header is there twice or no object"); err != nil {
				return false, err
			}
		default:
			if err := f.value(c, nil); err != nil {
				return false, err
			}
		}
	}
}

// skip reads a value that is not what it should be, of which c is the first byte.
func (f *fields) skip(c byte, what string) error {
	if f.wrong == nil {
		f.wrong = syntax(what)
	}
	return f.value(c, nil)
}

// end reads the white space behind the object.
func (f *fields) end() error {
	if _, err := f.token(); err != io.ErrUnexpectedEOF {
		if err == nil {
			err = syntax("something follows the object")
		}
		return err
	}
	return nil
}

// token reads the first byte behind white space.
func (f *fields) token() (byte, error) {
	for {
		c, err := readByte(f.r)
		if err != nil || !blank(c) {
			return c, err
		}
	}
}

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// text reads a string of at most limit bytes behind its quotation mark.
func (f *fields) text(limit int) (string, error) {
	raw := []byte{'"'}
	if err := f.string(&raw, limit); err != nil {
		return "", err
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", syntax("a string cannot be decoded")
	}
	return s, nil
}

// string reads a string behind its quotation mark, and appends it to keep
// unless that is nil.
func (f *fields) string(keep *[]byte, limit int) error {
	escaped := false
	for {
		c, err := readByte(f.r)
		if err != nil {
			return err
		}
		if keep != nil {
			if len(*keep) >= limit {
				return syntax(fmt.Sprintf("a field of more than %d bytes", limit))
			}
			*keep = append(*keep, c)
		}
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			return nil
		}
	}
}

// value reads a value whose first byte is c, and appends it to keep unless that
// is nil. Only its nesting is checked.
func (f *fields) value(c byte, keep *[]byte) error {
	open := 0
	for {
		if keep != nil {
			if len(*keep) >= maxHeaderText {
				return syntax(fmt.Sprintf("a field of more than %d bytes", maxHeaderText))
			}
			*keep = append(*keep, c)
		}
		switch c {
		case '"':
			if err := f.string(keep, maxHeaderText); err != nil {
				return err
			}
		case '{', '[':
			if open++; open > maxNesting {
				return syntax("values nest too deep")
			}
		case '}', ']':
			open--
		}
		if open == 0 {
			if c == '"' || c == '}' || c == ']' {
				return nil
			}
			// A number or a word: it ends before what ends it.
			next, err := f.r.Peek(1)
			if err != nil && err != io.EOF {
				return err
			}
			if len(next) == 0 {
				return io.ErrUnexpectedEOF
			}
			if blank(next[0]) || next[0] == ',' || next[0] == '}' || next[0] == ']' {
				return nil
			}
		}
		var err error
		if c, err = readByte(f.r); err != nil {
			return err
		}
	}
}
