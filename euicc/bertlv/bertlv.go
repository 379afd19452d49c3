package bertlv

import (
	"errors"
	"fmt"
	"iter"
)

// Tag is a BER tag as the specifications print it: 0x5A, 0xBF38. At most four
// bytes; no leading zero bytes.
type Tag uint32

// Constructed reports whether the encoding's P/C bit says that the value holds
// further data objects.
func (t Tag) Constructed() bool {
	return byte(t>>(8*(t.size()-1)))&0x20 != 0
}

// String returns the tag in hexadecimal as the specifications print it.
func (t Tag) String() string {
	if t < 0x100 {
		return fmt.Sprintf("%02X", uint32(t))
	}
	return fmt.Sprintf("%X", uint32(t))
}

func (t Tag) size() int {
	switch {
	case t > 0xFFFFFF:
		return 4
	case t > 0xFFFF:
		return 3
	case t > 0xFF:
		return 2
	}
	return 1
}

// MaxDepth bounds how deep Check follows constructed objects. SGP.22 needs 9;
// the bound keeps a hostile input from exhausting the stack.
const MaxDepth = 32

var (
	// ErrTruncated means that the input ends inside a data object. More input
	// may complete it.
	ErrTruncated = errors.New("data object is cut off")
	// ErrTrailing means that bytes follow where one data object was expected.
	ErrTrailing = errors.New("bytes follow the data object")
	// ErrTag means a tag that is longer than four bytes or not in its shortest form.
	ErrTag = errors.New("malformed tag")
	// ErrLength means an indefinite length, or one that does not fit 31 bits.
	ErrLength = errors.New("malformed length")
	// ErrDepth means that constructed objects nest deeper than MaxDepth.
	ErrDepth = errors.New("data objects nest too deep")
)

// Element is one data object. Value and Raw alias the input of the reader;
// their capacity ends with them, so that an append cannot overwrite a neighbour.
type Element struct {
	Tag   Tag
	Value []byte // contents octets
	Raw   []byte // tag, length and contents
}

// Header decodes tag and length at the start of b. It returns the number of
// bytes that both take and the length of the value, which b need not hold yet.
// The error is ErrTruncated when b ends inside the header.
func Header(b []byte) (tag Tag, header, length int, err error) {
	if len(b) == 0 {
		return 0, 0, 0, ErrTruncated
	}
	tag, n := Tag(b[0]), 1
	if b[0]&0x1F == 0x1F {
		for {
			if n == len(b) {
				return 0, 0, 0, ErrTruncated
			}
			if n == 4 || n == 1 && b[1] == 0x80 {
				return 0, 0, 0, ErrTag
			}
			tag = tag<<8 | Tag(b[n])
			n++
			if b[n-1]&0x80 == 0 {
				break
			}
		}
	}
	if tag == 0 {
		return 0, 0, 0, ErrTag // end-of-contents: indefinite lengths only
	}
	if n == len(b) {
		return 0, 0, 0, ErrTruncated
	}
	l := b[n]
	n++
	if l < 0x80 {
		return tag, n, int(l), nil
	}
	count := int(l & 0x7F)
	if count == 0 || count > 4 {
		return 0, 0, 0, ErrLength
	}
	if len(b)-n < count {
		return 0, 0, 0, ErrTruncated
	}
	var v uint64
	for _, c := range b[n : n+count] {
		v = v<<8 | uint64(c)
	}
	if v > 1<<31-1 {
		return 0, 0, 0, ErrLength
	}
	return tag, n + count, int(v), nil
}

// Next decodes the data object at the start of b and returns what follows it.
func Next(b []byte) (e Element, rest []byte, err error) {
	tag, header, length, err := Header(b)
	if err != nil {
		return Element{}, b, err
	}
	if len(b)-header < length {
		return Element{}, b, fmt.Errorf("tag %s, %d of %d bytes: %w", tag, len(b)-header, length, ErrTruncated)
	}
	end := header + length
	return Element{Tag: tag, Value: b[header:end:end], Raw: b[:end:end]}, b[end:], nil
}

// Parse decodes b, which must hold exactly one data object.
func Parse(b []byte) (Element, error) {
	e, rest, err := Next(b)
	if err != nil {
		return Element{}, err
	}
	if len(rest) > 0 {
		return Element{}, fmt.Errorf("tag %s, %d bytes: %w", e.Tag, len(rest), ErrTrailing)
	}
	return e, nil
}

// Expect decodes b like Parse and requires the given tag.
func Expect(b []byte, tag Tag) (Element, error) {
	e, err := Parse(b)
	if err != nil {
		return Element{}, err
	}
	if e.Tag != tag {
		return Element{}, fmt.Errorf("tag %s where %s was expected", e.Tag, tag)
	}
	return e, nil
}

// List iterates over the data objects that follow each other in b. After an
// error it yields a zero Element with that error and stops.
func List(b []byte) iter.Seq2[Element, error] {
	return func(yield func(Element, error) bool) {
		for len(b) > 0 {
			e, rest, err := Next(b)
			if !yield(e, err) || err != nil {
				return
			}
			b = rest
		}
	}
}

// Children iterates over the data objects in e's value.
func (e Element) Children() iter.Seq2[Element, error] { return List(e.Value) }

// Find follows path through nested objects and returns the first match of each
// step. It reports false when a step is absent or cannot be decoded.
func (e Element) Find(path ...Tag) (Element, bool) {
	for _, tag := range path {
		found := false
		for c, err := range e.Children() {
			if err != nil {
				return Element{}, false
			}
			if c.Tag == tag {
				e, found = c, true
				break
			}
		}
		if !found {
			return Element{}, false
		}
	}
	return e, true
}

// Check decodes every data object in b, following constructed ones to MaxDepth.
func Check(b []byte) error { return check(b, 0) }

func check(b []byte, depth int) error {
	if depth > MaxDepth {
		return ErrDepth
	}
	for len(b) > 0 {
		e, rest, err := Next(b)
		if err != nil {
			return err
		}
		if e.Tag.Constructed() {
			if err := check(e.Value, depth+1); err != nil {
				return err
			}
		}
		b = rest
	}
	return nil
}

// Int decodes a two's complement INTEGER of at most eight bytes.
func Int(value []byte) (int64, error) {
	if len(value) == 0 || len(value) > 8 {
		return 0, fmt.Errorf("integer of %d bytes: %w", len(value), ErrLength)
	}
	v := int64(int8(value[0]))
	for _, c := range value[1:] {
		v = v<<8 | int64(c)
	}
	return v, nil
}
