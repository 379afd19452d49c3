package importer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// utf16Reader gives UTF-16 as UTF-8. Windows tools save XML so. What is no
// character becomes U+FFFD.
type utf16Reader struct {
	r     *bufio.Reader
	order binary.ByteOrder
	out   []byte // not handed out yet
}

// utf16Order tells the order of bytes by the byte order mark, which XML wants of
// UTF-16 (XML 1.0, 4.3.3). It is nil for any other file.
func utf16Order(start []byte) binary.ByteOrder {
	switch {
	case len(start) < 2:
	case start[0] == 0xff && start[1] == 0xfe:
		return binary.LittleEndian
	case start[0] == 0xfe && start[1] == 0xff:
		return binary.BigEndian
	}
	return nil
}

// Read implements io.Reader.
func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.out) < len(p) {
		r, err := u.next()
		if err != nil {
			if len(u.out) > 0 {
				break // it comes again
			}
			return 0, err
		}
		u.out = utf8.AppendRune(u.out, r)
	}
	n := copy(p, u.out)
	u.out = append(u.out[:0], u.out[n:]...)
	return n, nil
}

func (u *utf16Reader) next() (rune, error) {
	first, err := u.unit(0)
	if err != nil {
		return 0, err
	}
	if second, err := u.unit(2); err == nil && utf16.IsSurrogate(rune(first)) {
		if r := utf16.DecodeRune(rune(first), rune(second)); r != utf8.RuneError {
			_, _ = u.r.Discard(4)
			return r, nil
		}
	}
	_, _ = u.r.Discard(2)
	if utf16.IsSurrogate(rune(first)) {
		return utf8.RuneError, nil
	}
	return rune(first), nil
}

// unit looks at the code unit that begins at an offset.
func (u *utf16Reader) unit(at int) (uint16, error) {
	b, err := u.r.Peek(at + 2)
	if len(b) < at+2 {
		if errors.Is(err, io.EOF) && len(b) > at {
			return 0, io.ErrUnexpectedEOF
		}
		return 0, err
	}
	return u.order.Uint16(b[at:]), nil
}
