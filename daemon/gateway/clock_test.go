package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	floor := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(t time.Time) func(context.Context) (time.Time, error) {
		return func(context.Context) (time.Time, error) { return t, nil }
	}
	noClock := func(context.Context) (time.Time, error) { return time.Time{}, errors.New("not set") }
	for _, tt := range []struct {
		name   string
		system time.Time
		modem  func(context.Context) (time.Time, error)
		want   time.Time // zero: an error
	}{
		{"system is right", floor.Add(time.Hour), noClock, floor.Add(time.Hour)},
		{"no battery, the modem knows", time.Unix(0, 0), at(floor.Add(48 * time.Hour)), floor.Add(48 * time.Hour)},
		{"nobody knows", time.Unix(0, 0), noClock, time.Time{}},
		{"the modem is in 1980", time.Unix(0, 0), at(time.Date(1980, 1, 6, 0, 0, 0, 0, time.UTC)), time.Time{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &clock{floor: floor, system: func() time.Time { return tt.system }}
			for range 2 { // applied twice
				err := c.set(t.Context(), tt.modem, nil, nil)
				if tt.want.IsZero() {
					if err == nil || c.sane() {
						t.Errorf("no error, clock %v", c.now())
					}
				} else if err != nil || !c.now().Equal(tt.want) {
					t.Errorf("%v, %v; want %v", c.now(), err, tt.want)
				}
			}
		})
	}
}

func TestParseNTP(t *testing.T) {
	good := make([]byte, 48)
	good[0], good[1] = 4<<3|4, 2
	binary.BigEndian.PutUint64(good[24:], 7)
	binary.BigEndian.PutUint32(good[40:], uint32(ntpEpoch+1767225600))
	if got, err := parseNTP(good, 7); err != nil || !got.Equal(time.Unix(1767225600, 0)) {
		t.Errorf("%v %v", got, err)
	}
	era1 := append([]byte(nil), good...)
	binary.BigEndian.PutUint32(era1[40:], 100)
	if got, err := parseNTP(era1, 7); err != nil || got.Year() != 2036 {
		t.Errorf("%v %v, want 2036", got, err)
	}
	for name, change := range map[string]func([]byte) []byte{
		"short":          func(b []byte) []byte { return b[:40] },
		"other question": func(b []byte) []byte { b[31]++; return b },
		"not in step":    func(b []byte) []byte { b[0] |= 0xC0; return b },
		"kiss of death":  func(b []byte) []byte { b[1] = 0; return b },
		"a client":       func(b []byte) []byte { b[0] = 4<<3 | 3; return b },
	} {
		if _, err := parseNTP(change(append([]byte(nil), good...)), 7); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzParseNTP(f *testing.F) {
	f.Add(make([]byte, 48))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := parseNTP(b, 0); err == nil && (got.Year() < 1968 || got.Year() > 2104) {
			t.Errorf("%v", got)
		}
	})
}
