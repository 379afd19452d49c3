package es9p

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
)

// text64 decodes base64 inside a JSON string as it arrives, from behind its
// quotation mark to the one that ends it. It tolerates what Base64 does, and
// line breaks that JSON would want escaped.
type text64 struct {
	text    jsonText
	decoder io.Reader
}

// decoderSize is what a decoder of encoding/base64 holds.
const decoderSize = 1024 + 768

func newText64(r *bufio.Reader) *text64 {
	t := &text64{text: jsonText{r: r}}
	t.decoder = base64.NewDecoder(base64.RawStdEncoding, &t.text)
	return t
}

// errBase64 is text that is no base64.
var errBase64 = errors.New("boundProfilePackage is not base64")

// Read decodes what the reader has at once. The end of the string is io.EOF, that
// of the body io.ErrUnexpectedEOF.
func (t *text64) Read(p []byte) (int, error) {
	n, err := t.decoder.Read(p)
	switch {
	case err == nil || err == io.EOF:
	case t.text.err != nil && t.text.err != io.EOF:
		err = t.text.err // the decoder may blame what came before it
	default:
		err = errBase64
	}
	return n, err
}

// jsonText is the characters of a JSON string without white space and padding.
type jsonText struct {
	r      *bufio.Reader
	padded bool
	err    error // how the string ended
}

// Read waits only when nothing has arrived.
func (t *jsonText) Read(p []byte) (n int, err error) {
	for t.err == nil && n < len(p) && (n == 0 || t.r.Buffered() > 0) {
		c, err := t.next()
		switch {
		case err != nil:
			t.err = err
		case blank(c):
		case c == '=':
			t.padded = true
		case t.padded:
			t.err = errBase64
		default:
			p[n] = c
			n++
		}
	}
	return n, t.err
}

// next reads a character; the end of the string is io.EOF.
func (t *jsonText) next() (byte, error) {
	c, err := readByte(t.r)
	switch {
	case err != nil:
	case c == '"':
		err = io.EOF
	case c == '\\':
		return t.escape()
	}
	return c, err
}

// escape reads a JSON escape behind its backslash: \/, \n and the like, or
// \u002F.
func (t *jsonText) escape() (byte, error) {
	c, err := readByte(t.r)
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
		c, err := readByte(t.r)
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

// readByte reads a byte; the end of the body is io.ErrUnexpectedEOF.
func readByte(r *bufio.Reader) (byte, error) {
	c, err := r.ReadByte()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return c, err
}
