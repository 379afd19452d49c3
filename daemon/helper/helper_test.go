package helper

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"clock 1764000000", "usb-power 1-2.3 cycle", "usb-power 1-2.3 cycle extra", "pppd IPV4V6 2 me%40net p+w%23", "pppd IP 0  ", "",
		" clock 1", "clock  1", "clock 1 ", "clock %31", "clock %zz", "CLOCK 1", "sh -c id", "clock 1\r", "usb-power ..%2F..%2F on", "pppd IP 0 a b c\x00",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, err := Parse(line)
		if err != nil {
			if r.Verb != "" || r.Args != nil {
				t.Errorf("%q, and an error", r)
			}
			return
		}
		if r.String() != line || len(r.Args) != arguments[r.Verb] || strings.ContainsAny(line, "\r\n\x00") || len(line) > maxLine {
			t.Errorf("%q became %q", line, r)
		}
	})
}

func FuzzRequest(f *testing.F) {
	f.Add("IPV4V6", "2", "me@net", "p w#%'x\n\x00ä")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		want := Request{PPPD, []string{a, b, c, d}}
		line := want.String()
		if len(line) > maxLine {
			return
		}
		got, err := Parse(line)
		if err != nil || got.Verb != want.Verb || !slices.Equal(got.Args, want.Args) {
			t.Errorf("%q became %q, %v", want, got, err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add("the port is off", "")
	f.Add("", "no\nsuch\x00thing")
	f.Fuzz(func(t *testing.T, done, text string) {
		for _, code := range codes {
			line := answer(done, &Error{code, text})
			if strings.ContainsAny(line, "\n\r\x00") || len(line) > maxLine {
				t.Errorf("%q", line)
			}
			if _, err := parseAnswer(line); Code(err) != code {
				t.Errorf("%q is %v", line, err)
			}
		}
		if got, err := parseAnswer(answer(done, nil)); err != nil || got != strings.TrimSuffix(oneLine(done), " ") && got != oneLine(done) {
			t.Errorf("%q became %q, %v", done, got, err)
		}
		if _, err := parseAnswer(answer("", errors.New(text))); Code(err) != Failed {
			t.Errorf("%q is %v", text, err)
		}
		parseAnswer(done) // whatever it is
	})
}

// TestClock: only a clock that is wrong is set, and only to what may be the time.
func TestClock(t *testing.T) {
	floor := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		now  time.Time
		arg  string
		want string // of the error; "" sets it
	}{
		{"no battery", time.Unix(300, 0), "1795521600", ""},
		{"at the floor", time.Unix(300, 0), "1793491200", ""},
		{"before the floor", time.Unix(300, 0), "1793491199", "2026-10-31 cannot be the time"},
		{"in a hundred years", time.Unix(300, 0), "4951256400", "2126-11-25 cannot be the time"},
		{"the largest", time.Unix(300, 0), "9223372036854775807", "cannot be the time"},
		{"negative", time.Unix(300, 0), "-1", "1969-12-31 cannot be the time"},
		{"a date", time.Unix(300, 0), "2026-11-24", "no number"},
		{"a command", time.Unix(300, 0), "$(id)", "no number"},
		{"beyond 64 bits", time.Unix(300, 0), "92233720368547758070", "no number"},
		{"a clock that may be right", floor.Add(time.Hour), "1795521600", "the clock says 2026-11-01 01:00:00, which may be right"},
		{"turned back", floor.Add(1000 * time.Hour), "1793491200", "left alone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := tt.now
			r := &Root{Floor: floor, Now: func() time.Time { return now }, SetClock: func(to time.Time) error { now = to; return nil }}
			done, err := r.Do(t.Context(), Request{Clock, []string{tt.arg}})
			if tt.want != "" {
				if Code(err) != Refused || !strings.Contains(err.Error(), tt.want) || !now.Equal(tt.now) {
					t.Errorf("%q, %v; the clock says %v", done, err, now)
				}
				return
			}
			if err != nil || now.Unix() < floor.Unix() || !strings.HasPrefix(done, "the clock is set to 2026-11-") {
				t.Errorf("%q, %v; the clock says %v", done, err, now)
			}
			if _, err := r.Do(t.Context(), Request{Clock, []string{tt.arg}}); Code(err) != Refused { // applied twice
				t.Errorf("once more: %v", err)
			}
		})
	}
	if _, err := (&Root{SetClock: func(time.Time) error { t.Error("set"); return nil }}).Do(t.Context(), Request{Clock, []string{"1795521600"}}); Code(err) != Refused {
		t.Errorf("a build without a date: %v", err)
	}
	failing := &Root{Floor: floor, Now: func() time.Time { return time.Unix(0, 0) }, SetClock: func(time.Time) error { return errors.New("not permitted") }}
	if _, err := failing.Do(t.Context(), Request{Clock, []string{"1795521600"}}); err == nil || Code(err) != "" {
		t.Errorf("a kernel that refuses: %v", err)
	}
}
