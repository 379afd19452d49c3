package es10

import (
	"errors"
	"fmt"
	"iter"

	"dynamod/euicc"
	"dynamod/euicc/bertlv"
)

// ErrBPP means a Bound Profile Package with missing, empty, swapped or surplus
// parts. The LPA refuses it before the card sees anything (SGP.22 3.1.3.3).
var ErrBPP = errors.New("malformed bound profile package")

// macSize is what BSP appends to each data object that it protects: 8 bytes of
// AES-CMAC (SGP.22 2.5.3, annex G).
const macSize = 8

// BPP is a Bound Profile Package cut into its parts (SGP.22 2.5.4):
//
//	BF36 { BF23 InitialiseSecureChannel
//	       A0 { 87 ... }   ConfigureISDP
//	       A1 { 88 ... }   StoreMetadata, only authenticated
//	     [ A2 { 87 ... } ] ReplaceSessionKeys
//	       A3 { 86 ... } } the protected profile
//
// Its parts alias the bytes given to ParseBPP.
type BPP struct {
	raw                 bertlv.Element
	init                bertlv.Element
	first87, seq88      bertlv.Element
	second87            bertlv.Element // zero when absent
	seq86               bertlv.Element
	n87, n88, n87b, n86 int
}

// ParseBPP checks the structure of a Bound Profile Package. The error is ErrBPP,
// joined by bertlv.ErrTruncated when b ends too early.
func ParseBPP(b []byte) (*BPP, error) {
	e, err := bertlv.Expect(b, 0xBF36)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBPP, err)
	}
	p := &BPP{raw: e}
	steps := []struct {
		name  string
		tag   bertlv.Tag
		dst   *bertlv.Element
		child bertlv.Tag
		count *int
	}{
		{"initialiseSecureChannelRequest", 0xBF23, &p.init, 0, nil},
		{"firstSequenceOf87", 0xA0, &p.first87, 0x87, &p.n87},
		{"sequenceOf88", 0xA1, &p.seq88, 0x88, &p.n88},
		{"secondSequenceOf87", 0xA2, &p.second87, 0x87, &p.n87b},
		{"sequenceOf86", 0xA3, &p.seq86, 0x86, &p.n86},
	}
	rest := e.Value
	for _, s := range steps {
		c, after, err := bertlv.Next(rest)
		if err == nil && c.Tag != s.tag && s.tag == 0xA2 {
			continue // optional
		}
		switch {
		case len(rest) == 0:
			return nil, fmt.Errorf("%w: %s is missing", ErrBPP, s.name)
		case err != nil:
			return nil, fmt.Errorf("%w: %s: %w", ErrBPP, s.name, err)
		case c.Tag != s.tag:
			return nil, fmt.Errorf("%w: tag %s where %s was expected", ErrBPP, c.Tag, s.name)
		}
		*s.dst = c
		rest = after
		if s.count == nil {
			continue
		}
		for child, err := range c.Children() {
			if err != nil {
				return nil, fmt.Errorf("%w: %s: %w", ErrBPP, s.name, err)
			}
			if child.Tag != s.child {
				return nil, fmt.Errorf("%w: tag %s in %s", ErrBPP, child.Tag, s.name)
			}
			*s.count++
		}
		if *s.count == 0 {
			return nil, fmt.Errorf("%w: %s is empty", ErrBPP, s.name)
		}
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: %d bytes behind its last part", ErrBPP, len(rest))
	}
	return p, nil
}

// Size returns the length of the package in bytes.
func (p *BPP) Size() int { return len(p.raw.Raw) }

// Count returns how many segments the package has.
func (p *BPP) Count() int { return 1 + p.n87 + 1 + p.n88 + p.n87b + 1 + p.n86 }

// Segments yields the pieces that go to the card one by one, each in STORE DATA
// commands of its own (SGP.22 2.5.5): the package's header with BF23; the header
// of A0 with its first 87; the header of A1; each 88; the header of A2 with its
// first 87; the header of A3; each 86. Further 87 follow the first of theirs.
// The error is always nil: the structure was checked.
func (p *BPP) Segments() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if !yield(upTo(p.raw, p.init), nil) {
			return
		}
		if !withFirst(p.first87, yield) || !yield(header(p.seq88), nil) || !each(p.seq88.Value, yield) {
			return
		}
		if p.n87b > 0 && !withFirst(p.second87, yield) {
			return
		}
		if yield(header(p.seq86), nil) {
			each(p.seq86.Value, yield)
		}
	}
}

// header returns tag and length of e.
func header(e bertlv.Element) []byte {
	n := len(e.Raw) - len(e.Value)
	return e.Raw[:n:n]
}

// upTo returns e's bytes to the end of its first child.
func upTo(e, child bertlv.Element) []byte {
	n := len(e.Raw) - len(e.Value) + len(child.Raw)
	return e.Raw[:n:n]
}

func withFirst(e bertlv.Element, yield func([]byte, error) bool) bool {
	first, rest, _ := bertlv.Next(e.Value)
	return yield(upTo(e, first), nil) && each(rest, yield)
}

func each(b []byte, yield func([]byte, error) bool) bool {
	for e := range bertlv.List(b) {
		if !yield(e.Raw, nil) {
			return false
		}
	}
	return true
}

// Metadata returns the profile metadata inside the package. They are
// authenticated but not encrypted, so that the LPA can compare them with what
// the server announced (SGP.22 3.1.3.3).
func (p *BPP) Metadata() (euicc.Metadata, error) {
	var b []byte
	for e := range p.seq88.Children() {
		if len(e.Value) < macSize {
			return euicc.Metadata{}, fmt.Errorf("%w: 88 of %d bytes", ErrBPP, len(e.Value))
		}
		b = append(b, e.Value[:len(e.Value)-macSize]...)
	}
	m, err := euicc.ParseMetadata(b)
	if err != nil {
		return euicc.Metadata{}, fmt.Errorf("%w: %w", ErrBPP, err)
	}
	return m, nil
}

// TransactionID returns the session that the package was bound for.
func (p *BPP) TransactionID() (euicc.TransactionID, error) {
	id, ok := p.init.Find(0x80)
	if !ok {
		return "", fmt.Errorf("%w: no transaction ID in initialiseSecureChannelRequest", ErrBPP)
	}
	return euicc.NewTransactionID(id.Value)
}
