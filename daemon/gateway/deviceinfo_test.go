package gateway

import "testing"

// The whole numbers are examples of 3GPP TS 23.003 and of SIM makers' notes.
func TestFullIMEI(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"490154203237518", "490154203237518"},
		{"49015420323751", "490154203237518"},
		{"4901542032375101", "490154203237518"},
		{"35693803564380", "356938035643809"},
		{"26053179311383", "260531793113837"},
		{"", ""},
		{"1234", "1234"},
		{"4901542032375x", "4901542032375x"},
	} {
		if got := fullIMEI(tt.in); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
	}
}
