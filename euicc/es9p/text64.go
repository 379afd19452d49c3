package es9p

import (
	"bufio"
	"errors"
	"io"
)

// text64 decodes base64 inside a JSON string as it arrives, from behind its
// quotation mark to the one that ends it. It tolerates what Base64 does, and
// line breaks that JSON would want escaped.
type text64 struct {
	r      *bufio.Reader
	bits   uint32 // sextets of an unfinished group
	n      int    // how many
	padded bool
	ended  bool
}

// errBase64 is text that is no base64.
var errBase64 = errors.New("boundProfilePackage is not base64")

// sextets has each character's value, 0xFF for those that are none.
var sextets = func() (t [256]byte) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range t {
		t[i] = 0xFF
	}
	for i, c := range []byte(alphabet) {
		t[c] = byte(i)
	}
	return t
}()

// Read decodes into p, at least three bytes, what the reader has at once and no
// more, so that nothing waits for the rest of a buffer. The end of the string is
// io.EOF, that of the body io.ErrUnexpectedEOF.
func (t *text64) Read(p []byte) (int, error) {
	out := 0
	for len(p)-out >= 3 {
		if t.ended {
			return out, io.EOF
		}
		if out > 0 && t.r.Buffered() == 0 {
			return out, nil
		}
		c, err := t.byte()
		if err != nil {
			return out, err
		}
		switch c {
		case '"':
			n, err := t.end(p[out:])
			if err != nil {
				return out, err
			}
			out += n
			continue
		case '\\':
			if c, err = t.escape(); err != nil {
				return out, err
			}
		}
		switch v := sextets[c]; {
		case blank(c):
		case c == '=':
			t.padded = true
		case v == 0xFF || t.padded:
			return out, errBase64
		default:
			t.bits = t.bits<<6 | uint32(v)
			if t.n++; t.n == 4 {
				p[out], p[out+1], p[out+2] = byte(t.bits>>16), byte(t.bits>>8), byte(t.bits)
				out += 3
				t.bits, t.n = 0, 0
			}
		}
	}
	return out, nil
}

// end decodes what is left of the last group.
func (t *text64) end(p []byte) (int, error) {
	t.ended = true
	switch t.n {
	case 1:
		return 0, errBase64
	case 2:
		p[0] = byte(t.bits >> 4)
		return 1, nil
	case 3:
		p[0], p[1] = byte(t.bits>>10), byte(t.bits>>2)
		return 2, nil
	}
	return 0, nil
}

// escape reads a JSON escape behind its backslash: \/, \n and the like, or
// \u002F.
func (t *text64) escape() (byte, error) {
	c, err := t.byte()
	if err != nil {
		return 0, err
	}
	switch c {
	case '/':
		return '/', nil
	case 'n', 'r', 't':
		return '\n', nil
	case 'u':
	default:
		return 0, errBase64
	}
	v := 0
	for range 4 {
		c, err := t.byte()
		switch {
		case err != nil:
			return 0, err
		case c >= '0' && c <= '9':
			v = v<<4 | int(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			v = v<<4 | int(c|0x20-'a'+10)
		default:
			return 0, errBase64
		}
	}
	if v > 0x7F {
		return 0, errBase64
	}
	return byte(v), nil
}

// byte reads a byte; the end of the body is io.ErrUnexpectedEOF.
func (t *text64) byte() (byte, error) {
	c, err := t.r.ReadByte()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return c, err
}
