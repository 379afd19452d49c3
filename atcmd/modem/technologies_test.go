package modem

import (
	"errors"
	"testing"

	"dynamod/atcmd"
)

func TestTechnologies(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer any
		want   Technologies
		err    error
	}{
		{"27.007 5.9", "+WS46: (12,22,25,28,30,31)", Technologies{true, true, true}, nil},
		{"LTE alone", "+WS46: (28)", Technologies{EUTRAN: true}, nil},
		{"without parentheses", "+WS46: 12,22", Technologies{GSM: true, UTRAN: true}, nil},
		{"later numbers", "+WS46: (28,36,38)", Technologies{EUTRAN: true}, nil},
		{"nothing known", "+WS46: (99999999)", Technologies{}, ErrAnswer},
		{"nothing", "", Technologies{}, ErrAnswer},
		{"no such command", &atcmd.CMEError{Code: 4}, Technologies{}, &atcmd.CMEError{Code: 4}},
	} {
		got, err := New(newScript(t, "+WS46=?", tt.answer), nil, nil).Technologies(t.Context())
		if got != tt.want || (err == nil) != (tt.err == nil) || errors.Is(tt.err, ErrAnswer) && !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
}
