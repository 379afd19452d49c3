package es10

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"

	"dynamod/euicc"
	"dynamod/euicc/bertlv"
)

// ErrBPP means a Bound Profile Package with missing, empty, swapped or surplus
// parts (SGP.22 3.1.3.3).
var ErrBPP = errors.New("malformed bound profile package")

const (
	// macSize is what BSP appends to each data object that it protects: 8 bytes
	// of AES-CMAC (SGP.22 2.5.3, annex G).
	macSize = 8
	// maxHead bounds what comes before the protected profile, of which the
	// metadata with an icon of 1,024 bytes are the most, and maxSegment one of
	// its data objects, which may have 1,020 bytes and more with some servers.
	maxHead    = 16 << 10
	maxSegment = 12 << 10
)

// BPP is a Bound Profile Package cut into its parts (SGP.22 2.5.4):
//
//	BF36 { BF23 InitialiseSecureChannel
//	       A0 { 87 ... }   ConfigureISDP
//	       A1 { 88 ... }   StoreMetadata, only authenticated
//	     [ A2 { 87 ... } ] ReplaceSessionKeys
//	       A3 { 86 ... } } the protected profile
//
// All but the protected profile is held. That is read when its segments are.
type BPP struct {
	size                int            // of the whole package
	raw                 bertlv.Element // up to and with the header of A3
	init                bertlv.Element
	first87, seq88      bertlv.Element
	second87            bertlv.Element // zero when absent
	seq86               bertlv.Element // its header alone
	n87, n88, n87b, n86 int

	whole []byte // of ParseBPP: the value of A3

	body    io.Reader // of ReadBPP: the value of A3 and what follows
	left    int       // of the value of A3
	segment []byte    // the last one that was read
}

// ReadBPP reads a package up to the header of the protected profile, A3, and
// checks that its parts are there in their order and that the length of the
// whole is used up by them: before that the card must see nothing (SGP.22
// 3.1.3.3). A structure that is not in order is ErrBPP, joined by
// bertlv.ErrTruncated when r ends too early; another error is r's.
func ReadBPP(r io.Reader) (*BPP, error) {
	h := headReader{r: r}
	outer, err := h.header("BF36")
	if err != nil {
		return nil, err
	}
	if outer.tag != 0xBF36 {
		return nil, fmt.Errorf("%w: tag %s where BF36 was expected", ErrBPP, outer.tag)
	}
	p := &BPP{size: outer.end}
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
	}
	part, err := h.within(outer.end, steps[0].name)
	if err != nil {
		return nil, err
	}
	spans := make([]span, len(steps))
	for i, s := range steps {
		if part.tag != s.tag && s.tag == 0xA2 {
			continue // optional
		}
		if part.tag != s.tag {
			return nil, fmt.Errorf("%w: tag %s where %s was expected", ErrBPP, part.tag, s.name)
		}
		if part.end > maxHead {
			return nil, fmt.Errorf("%w: %s ends after more than %d bytes", ErrBPP, s.name, maxHead)
		}
		if err := h.fill(part.end); err != nil {
			return nil, truncated(s.name, err)
		}
		spans[i] = part
		next := "sequenceOf86"
		if i+1 < len(steps) && steps[i+1].tag != 0xA2 {
			next = steps[i+1].name
		}
		if part, err = h.within(outer.end, next); err != nil {
			return nil, err
		}
	}
	switch {
	case part.tag != 0xA3:
		return nil, fmt.Errorf("%w: tag %s where sequenceOf86 was expected", ErrBPP, part.tag)
	case part.end == part.value:
		return nil, fmt.Errorf("%w: sequenceOf86 is empty", ErrBPP)
	case part.end < outer.end:
		return nil, fmt.Errorf("%w: %d bytes behind its last part", ErrBPP, outer.end-part.end)
	}
	// The bytes stay where they are from here on.
	b := h.b
	p.raw = bertlv.Element{Tag: outer.tag, Value: b[outer.value:], Raw: b}
	p.seq86 = bertlv.Element{Tag: part.tag, Raw: b[part.start:]}
	for i, s := range steps {
		at := spans[i]
		if at.end == 0 {
			continue
		}
		*s.dst = bertlv.Element{Tag: s.tag, Value: b[at.value:at.end:at.end], Raw: b[at.start:at.end:at.end]}
		if s.count == nil {
			continue
		}
		if *s.count, err = children(*s.dst, s.child, s.name); err != nil {
			return nil, err
		}
	}
	p.body, p.left = r, part.end-part.value
	return p, nil
}

// children counts the data objects in e, which all have to have one tag.
func children(e bertlv.Element, tag bertlv.Tag, name string) (n int, err error) {
	for child, err := range e.Children() {
		if err != nil {
			return 0, fmt.Errorf("%w: %s: %w", ErrBPP, name, err)
		}
		if child.Tag != tag {
			return 0, fmt.Errorf("%w: tag %s in %s", ErrBPP, child.Tag, name)
		}
		if len(child.Raw) > maxSegment {
			return 0, tooLong(child.Tag, len(child.Raw))
		}
		n++
	}
	if n == 0 {
		return 0, fmt.Errorf("%w: %s is empty", ErrBPP, name)
	}
	return n, nil
}

func tooLong(tag bertlv.Tag, n int) error {
	return fmt.Errorf("%w: %s of %d bytes, more than %d", ErrBPP, tag, n, maxSegment)
}

// ParseBPP checks the structure of a Bound Profile Package that is there as a
// whole, the protected profile included. The error is ErrBPP, joined by
// bertlv.ErrTruncated when b ends too early. The package aliases b, and its
// segments can be had again and again.
func ParseBPP(b []byte) (*BPP, error) {
	p, err := ReadBPP(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	switch {
	case len(b) < p.size:
		return nil, fmt.Errorf("%w: sequenceOf86: %w", ErrBPP, bertlv.ErrTruncated)
	case len(b) > p.size:
		return nil, fmt.Errorf("%w: %w", ErrBPP, bertlv.ErrTrailing)
	}
	p.whole, p.body = b[len(p.raw.Raw):], nil
	p.n86, err = children(bertlv.Element{Tag: 0xA3, Value: p.whole}, 0x86, "sequenceOf86")
	if err != nil {
		return nil, err
	}
	return p, nil
}

// headReader collects the beginning of a package.
type headReader struct {
	r io.Reader
	b []byte
}

// span is where a data object lies in the package.
type span struct {
	tag               bertlv.Tag
	start, value, end int
}

// fill reads until there are n bytes.
func (h *headReader) fill(n int) error {
	if n <= len(h.b) {
		return nil
	}
	had := len(h.b)
	h.b = append(h.b, make([]byte, n-had)...)
	got, err := io.ReadFull(h.r, h.b[had:])
	h.b = h.b[:had+got]
	return err
}

// header reads the tag and length of the data object that begins here.
func (h *headReader) header(name string) (span, error) {
	start := len(h.b)
	for {
		if err := h.fill(len(h.b) + 1); err != nil {
			return span{}, truncated(name, err)
		}
		tag, n, length, err := bertlv.Header(h.b[start:])
		if err == nil {
			return span{tag, start, start + n, start + n + length}, nil
		}
		if !errors.Is(err, bertlv.ErrTruncated) {
			return span{}, fmt.Errorf("%w: %s: %w", ErrBPP, name, err)
		}
	}
}

// within is header of a part that has to end before end.
func (h *headReader) within(end int, name string) (span, error) {
	if len(h.b) >= end {
		return span{}, fmt.Errorf("%w: %s is missing", ErrBPP, name)
	}
	p, err := h.header(name)
	if err == nil && p.end > end {
		err = fmt.Errorf("%w: %s is longer than the package says", ErrBPP, name)
	}
	return p, err
}

// truncated is the error of a reader that ended in a part, or its own.
func truncated(name string, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: %s: %w", ErrBPP, name, bertlv.ErrTruncated)
	}
	return err
}

// Size returns the length of the package in bytes.
func (p *BPP) Size() int { return p.size }

// Memory returns how many bytes of the package are held: what comes before the
// protected profile, and the last segment.
func (p *BPP) Memory() int { return cap(p.raw.Raw) + cap(p.segment) }

// Count returns how many segments the package has; 0 while some have yet to be
// read.
func (p *BPP) Count() int {
	if p.whole == nil && p.left > 0 {
		return 0
	}
	return 1 + p.n87 + 1 + p.n88 + p.n87b + 1 + p.n86
}

// Segments yields the pieces that go to the card one by one, each in STORE DATA
// commands of its own (SGP.22 2.5.5): the package's header with BF23; the header
// of A0 with its first 87; the header of A1; each 88; the header of A2 with its
// first 87; the header of A3; each 86. Further 87 follow the first of theirs.
//
// A segment is valid until the next one. Of a package from ReadBPP the last one
// is yielded only after the reader has returned io.EOF: it completes the profile,
// and a source that knows only at its end that it was all right can still take
// the package back by another error. That error, or ErrBPP when the rest is not
// in order, is the last thing that is yielded.
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
		if !yield(p.seq86.Raw, nil) {
			return
		}
		if p.whole != nil {
			each(p.whole, yield)
			return
		}
		for p.left > 0 {
			s, err := p.read()
			if err == nil && p.left == 0 {
				err = p.end()
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

// read reads the next 86.
func (p *BPP) read() ([]byte, error) {
	s := p.segment[:0]
	for {
		if len(s) >= p.left {
			return nil, fmt.Errorf("%w: sequenceOf86: %w", ErrBPP, bertlv.ErrTruncated)
		}
		s = append(s, 0)
		if _, err := io.ReadFull(p.body, s[len(s)-1:]); err != nil {
			return nil, truncated("sequenceOf86", err)
		}
		tag, n, length, err := bertlv.Header(s)
		if errors.Is(err, bertlv.ErrTruncated) {
			continue
		}
		total := n + length
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: sequenceOf86: %w", ErrBPP, err)
		case tag != 0x86:
			return nil, fmt.Errorf("%w: tag %s in sequenceOf86", ErrBPP, tag)
		case total > p.left:
			return nil, fmt.Errorf("%w: sequenceOf86: %w", ErrBPP, bertlv.ErrTruncated)
		case total > maxSegment:
			return nil, tooLong(tag, total)
		}
		if cap(s) < total {
			s = append(make([]byte, 0, total), s...)
		}
		s = s[:total]
		p.segment = s
		if _, err := io.ReadFull(p.body, s[n:]); err != nil {
			return nil, truncated("sequenceOf86", err)
		}
		p.left -= total
		p.n86++
		return s, nil
	}
}

// end expects the reader's end.
func (p *BPP) end() error {
	var one [1]byte
	switch _, err := io.ReadFull(p.body, one[:]); err {
	case io.EOF:
		return nil
	case nil:
		return fmt.Errorf("%w: %w", ErrBPP, bertlv.ErrTrailing)
	default:
		return err
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
