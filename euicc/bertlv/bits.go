package bertlv

import "fmt"

// Bits decodes the first 16 bits of a BIT STRING's contents octets; the
// string's bit n is 1<<n of the result (ISO/IEC 8825-1, 8.6).
func Bits(value []byte) (uint16, error) {
	v, err := Bits64(value)
	return uint16(v), err
}

// Bits64 is Bits for up to 64 bits.
func Bits64(value []byte) (uint64, error) {
	if len(value) == 0 || value[0] > 7 || len(value) == 1 && value[0] != 0 {
		return 0, fmt.Errorf("bit string of %d bytes: %w", len(value), ErrLength)
	}
	var v uint64
	for i := range min(8*(len(value)-1)-int(value[0]), 64) {
		if value[1+i/8]&(0x80>>(i%8)) != 0 {
			v |= 1 << i
		}
	}
	return v, nil
}

// BitString returns the contents octets of the shortest BIT STRING that has the
// bits of v, the way DER writes named bits (ISO/IEC 8825-1, 11.2.2).
func BitString(v uint64) []byte {
	out := []byte{0}
	for i := 0; v>>i != 0 && i < 64; i++ {
		if i%8 == 0 {
			out = append(out, 0)
		}
		if v>>i&1 != 0 {
			out[len(out)-1] |= 0x80 >> (i % 8)
		}
		out[0] = byte(7 - i%8)
	}
	return out
}

// BitNames lists the names of the bits that v has, lowest first, as the named bits
// of a BIT STRING type are called in ASN.1 (ITU-T X.680). A bit without one is
// "bit9" and the like.
func BitNames(v uint64, names ...string) []string {
	set := []string{}
	for i := range 64 {
		switch {
		case v>>i&1 == 0:
		case i < len(names):
			set = append(set, names[i])
		default:
			set = append(set, fmt.Sprintf("bit%d", i))
		}
	}
	return set
}
