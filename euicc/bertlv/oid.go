package bertlv

import "strconv"

// OID decodes the contents octets of an OBJECT IDENTIFIER into dotted decimals
// (ISO/IEC 8825-1, 8.19). It returns the empty string for malformed octets.
func OID(value []byte) string {
	if len(value) == 0 || len(value) > 64 || value[len(value)-1]&0x80 != 0 {
		return ""
	}
	var out []byte
	var v uint64
	for _, c := range value {
		if v == 0 && c == 0x80 || v > 1<<56 {
			return "" // not in its shortest form, or out of bounds
		}
		v = v<<7 | uint64(c&0x7F)
		if c&0x80 != 0 {
			continue
		}
		if out == nil {
			first := min(v/40, 2)
			out = strconv.AppendUint(out, first, 10)
			v -= 40 * first
		}
		out = append(out, '.')
		out = strconv.AppendUint(out, v, 10)
		v = 0
	}
	return string(out)
}
