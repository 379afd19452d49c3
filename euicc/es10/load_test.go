package es10

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"dynamod/euicc"
	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
)

// script answers segment after segment.
type script struct {
	answers [][]byte
	errs    map[int]error
	sent    [][]byte
}

func (s *script) StoreData(_ context.Context, b []byte) ([]byte, error) {
	i := len(s.sent)
	s.sent = append(s.sent, bytes.Clone(b))
	if err := s.errs[i]; err != nil {
		return nil, err
	}
	if i < len(s.answers) {
		return s.answers[i], nil
	}
	return nil, nil
}

func TestLoadBoundProfilePackage(t *testing.T) {
	p, err := ParseBPP(part(bf23, a0, a1, a2, a3))
	if err != nil {
		t.Fatal(err)
	}
	pir := bertlv.Encode(0xBF37, bertlv.Encode(0xBF27, unhex("800101 BF2F09 800107 81020780 0C00 A208 A106 800105 81010A")), unhex("5F3700"))
	lost := errors.New("lost")
	tests := []struct {
		name    string
		ch      *script
		sent    int
		unknown bool
		is      error
	}{
		{"result after the last", &script{answers: [][]byte{6: pir}}, 7, false, nil},
		{"stop at the first result (openpilot#37890)", &script{answers: [][]byte{2: pir}}, 3, false, nil},
		{"no result at all", &script{}, 7, true, ErrNoResult},
		{"answer lost", &script{errs: map[int]error{3: lost}}, 4, true, lost},
		{"refused", &script{errs: map[int]error{3: &apdu.StatusError{SW: 0x6985}}}, 4, false, nil},
		{"junk instead of a result", &script{answers: [][]byte{1: {1, 2, 3}}}, 2, true, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			r, err := LoadBoundProfilePackage{Segments: p.Segments(), Sent: func(int, int) { calls++ }}.Execute(t.Context(), tt.ch)
			if len(tt.ch.sent) != tt.sent {
				t.Errorf("sent %d segments, want %d", len(tt.ch.sent), tt.sent)
			}
			if err == nil {
				if r.Success || r.Command != euicc.LoadProfileElements || r.Reason != euicc.ReasonMemory || r.Notification.Seq != 7 || calls != tt.sent {
					t.Errorf("result %+v after %d calls", r, calls)
				}
				return
			}
			le, ok := errors.AsType[*LoadError](err)
			if !ok || le.Unknown != tt.unknown || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("got %+v", err)
			}
		})
	}
}

func TestLoadStopsWithContext(t *testing.T) {
	p, _ := ParseBPP(part(bf23, a0, a1, a3))
	ctx, cancel := context.WithCancel(t.Context())
	s := &script{}
	_, err := LoadBoundProfilePackage{Segments: p.Segments(), Sent: func(n, _ int) {
		if n == 2 {
			cancel()
		}
	}}.Execute(ctx, s)
	if le, ok := errors.AsType[*LoadError](err); !ok || le.Unknown || le.Sent != 2 || !errors.Is(err, context.Canceled) || len(s.sent) != 2 {
		t.Errorf("got %v after %d", err, len(s.sent))
	}
}
