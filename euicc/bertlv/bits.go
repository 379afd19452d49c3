package bertlv

import "fmt"

// Bits decodes the first 16 bits of a BIT STRING's contents octets; the
// string's bit n is 1<<n of the result (ISO/IEC 8825-1, 8.6).
func Bits(value []byte) (uint16, error) {
	if len(value) == 0 || value[0] > 7 || len(value) == 1 && value[0] != 0 {
		return 0, fmt.Errorf("bit string of %d bytes: %w", len(value), ErrLength)
	}
	var v uint16
	for i := range min(8*(len(value)-1)-int(value[0]), 16) {
		if value[1+i/8]&(0x80>>(i%8)) != 0 {
			v |= 1 << i
		}
	}
	return v, nil
}
