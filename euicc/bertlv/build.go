package bertlv

// Append appends the tag's bytes, as a tag list (5C) holds them.
func (t Tag) Append(dst []byte) []byte {
	for i := t.size() - 1; i >= 0; i-- {
		dst = append(dst, byte(t>>(8*i)))
	}
	return dst
}

// AppendHeader appends tag and length of a data object whose value has n bytes.
// The length takes its shortest form.
func AppendHeader(dst []byte, tag Tag, n int) []byte {
	return appendLength(tag.Append(dst), n)
}

func appendLength(dst []byte, n int) []byte {
	switch {
	case n < 0x80:
		return append(dst, byte(n))
	case n < 0x100:
		return append(dst, 0x81, byte(n))
	case n < 0x10000:
		return append(dst, 0x82, byte(n>>8), byte(n))
	case n < 0x1000000:
		return append(dst, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	return append(dst, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

func lengthSize(n int) int {
	switch {
	case n < 0x80:
		return 1
	case n < 0x100:
		return 2
	case n < 0x10000:
		return 3
	case n < 0x1000000:
		return 4
	}
	return 5
}

// Size returns how many bytes a data object takes whose value has n bytes.
func Size(tag Tag, n int) int { return tag.size() + lengthSize(n) + n }

// Append appends a data object whose value is the parts, one after another.
func Append(dst []byte, tag Tag, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	dst = AppendHeader(dst, tag, n)
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
}

// Encode returns a data object whose value is the parts, one after another.
func Encode(tag Tag, parts ...[]byte) []byte { return Append(nil, tag, parts...) }

// AppendInt appends an INTEGER in two's complement in its shortest form.
func AppendInt(dst []byte, tag Tag, v int64) []byte {
	n := 1
	for x := v; x > 127 || x < -128; x >>= 8 {
		n++
	}
	dst = AppendHeader(dst, tag, n)
	for i := n - 1; i >= 0; i-- {
		dst = append(dst, byte(v>>(8*i)))
	}
	return dst
}

// Builder writes nested data objects into one buffer. The zero value is ready.
// Open and Close must pair; a length that outgrows its one reserved byte moves
// the value, so that nothing is allocated per node.
type Builder struct {
	buf  []byte
	open []int // offset of each open object's value
}

// Open begins a constructed data object.
func (b *Builder) Open(tag Tag) *Builder {
	b.buf = AppendHeader(b.buf, tag, 0)
	b.open = append(b.open, len(b.buf))
	return b
}

// Close ends the innermost open data object and writes its length.
func (b *Builder) Close() *Builder {
	start := b.open[len(b.open)-1]
	b.open = b.open[:len(b.open)-1]
	n := len(b.buf) - start
	if extra := lengthSize(n) - 1; extra > 0 {
		var pad [4]byte
		b.buf = append(b.buf, pad[:extra]...)
		copy(b.buf[start+extra:], b.buf[start:start+n])
	}
	appendLength(b.buf[:start-1], n)
	return b
}

// Put writes a data object with the given value.
func (b *Builder) Put(tag Tag, value []byte) *Builder {
	b.buf = Append(b.buf, tag, value)
	return b
}

// String writes a data object whose value is s.
func (b *Builder) String(tag Tag, s string) *Builder {
	b.buf = append(AppendHeader(b.buf, tag, len(s)), s...)
	return b
}

// Int writes an INTEGER.
func (b *Builder) Int(tag Tag, v int64) *Builder {
	b.buf = AppendInt(b.buf, tag, v)
	return b
}

// Raw writes bytes that are already encoded.
func (b *Builder) Raw(encoded []byte) *Builder {
	b.buf = append(b.buf, encoded...)
	return b
}

// Bytes returns what was written. It panics when an object is still open, which
// is a mistake of the caller's and not of its input.
func (b *Builder) Bytes() []byte {
	if len(b.open) > 0 {
		panic("bertlv: Bytes with an open data object")
	}
	return b.buf
}

// Reset empties the builder and keeps its buffer.
func (b *Builder) Reset() {
	b.buf, b.open = b.buf[:0], b.open[:0]
}
