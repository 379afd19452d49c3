package bertlv

import (
	"bytes"
	"fmt"
	"testing"
)

// ISO/IEC 8825-1, 8.6 and 11.2.2. The long row is the uiccCapability of a card
// that pySim publishes (tests/pySim-shell_test/euicc/euicc_info2.ok).
func TestBits(t *testing.T) {
	for _, tt := range []struct {
		value []byte
		bits  uint64
		der   bool
	}{
		{[]byte{0}, 0, true},
		{[]byte{7, 0x80}, 1 << 0, true},
		{[]byte{5, 0xE0}, 7, true},
		{[]byte{6, 0x40}, 1 << 1, true},
		{[]byte{0, 0x01}, 1 << 7, true},
		{[]byte{7, 0x00, 0x80}, 1 << 8, true},
		{[]byte{3, 0x98}, 1<<0 | 1<<3 | 1<<4, true},
		{[]byte{0, 0x80}, 1 << 0, false},
		{[]byte{6, 0x7F, 0x36, 0xF3, 0xC0}, 0x3CF6CFE, true},
		{[]byte{0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, 1<<64 - 1, false},
	} {
		v, err := Bits64(tt.value)
		if err != nil || v != tt.bits {
			t.Errorf("%X: %#x, %v", tt.value, v, err)
		}
		if b := BitString(tt.bits); bytes.Equal(b, tt.value) != tt.der {
			t.Errorf("%#x: %X", tt.bits, b)
		}
	}
	for _, bad := range [][]byte{nil, {1}, {8, 0}} {
		if _, err := Bits64(bad); err == nil {
			t.Errorf("%X is accepted", bad)
		}
	}
}

func TestBitNames(t *testing.T) {
	for v, want := range map[uint64]string{0: "[]", 1: "[a]", 2: "[b]", 7: "[a b bit2]", 1<<63 | 1: "[a bit63]"} {
		if got := fmt.Sprint(BitNames(v, "a", "b")); got != want {
			t.Errorf("%#x: %s, want %s", v, got, want)
		}
	}
}

func FuzzBits(f *testing.F) {
	f.Add(uint64(0))
	f.Add(uint64(1<<63 | 1))
	f.Fuzz(func(t *testing.T, v uint64) {
		if got, err := Bits64(BitString(v)); err != nil || got != v {
			t.Fatalf("%#x: %#x, %v", v, got, err)
		}
	})
}
