package modem

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// gsm7 is the GSM 7 bit default alphabet (TS 23.038, 6.2.1). 1B is the escape
// to the extension table.
var gsm7 = []rune("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
	"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà")

// gsm7Extension is the extension table (TS 23.038, 6.2.1.1).
var gsm7Extension = map[byte]rune{
	0x0A: '\f', 0x14: '^', 0x28: '{', 0x29: '}', 0x2F: '\\', 0x3C: '[', 0x3D: '~', 0x3E: ']', 0x40: '|', 0x65: '€',
}

// simText decodes an alpha field: the default alphabet with one character in a
// byte, or one of the three UCS2 forms (TS 102 221, annex A). Padding, control
// characters and what cannot be decoded are left out.
func simText(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	var out []rune
	switch {
	case b[0] == 0x80:
		var units []uint16
		for b = b[1:]; len(b) >= 2; b = b[2:] {
			if b[0] == 0xFF && b[1] == 0xFF {
				break
			}
			units = append(units, uint16(b[0])<<8|uint16(b[1]))
		}
		out = utf16.Decode(units)
	case b[0] == 0x81 && len(b) >= 3:
		out = pointed(b[3:], int(b[1]), rune(b[2])<<7)
	case b[0] == 0x82 && len(b) >= 4:
		out = pointed(b[4:], int(b[1]), rune(b[2])<<8|rune(b[3]))
	default:
		out = pointed(b, len(b), 0)
	}
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError || r >= 0x7F && r < 0xA0 {
			return -1
		}
		return r
	}, string(out))
	return strings.TrimSpace(clean)
}

// pointed decodes n bytes of which those with the top bit are offsets to base.
func pointed(b []byte, n int, base rune) []rune {
	var out []rune
	b = b[:min(n, len(b))]
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == 0xFF && base == 0:
			return out
		case c >= 0x80:
			if base != 0 {
				out = append(out, base+rune(c&0x7F))
			}
		case c == 0x1B && i+1 < len(b):
			i++
			if r, ok := gsm7Extension[b[i]]; ok {
				out = append(out, r)
			}
		default:
			out = append(out, gsm7[c])
		}
	}
	return out
}
