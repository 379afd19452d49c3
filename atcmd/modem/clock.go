package modem

import (
	"context"
	"fmt"
	"time"

	"dynamod/atcmd"
)

// Clock reads the modem's clock (27.007, 8.15). Before the network has set it,
// a modem tells its factory date, often 1980: the caller compares with what it
// knows.
func (m *Modem) Clock(ctx context.Context) (time.Time, error) {
	reply, err := m.s.Do(ctx, atcmd.Command{Text: "+CCLK?"})
	if err != nil {
		return time.Time{}, err
	}
	f, ok := reply.Fields("+CCLK")
	if ok && len(f) == 2 { // not quoted
		f[0] += "," + f[1]
	}
	if t, valid := ParseClock(at(f, 0)); ok && valid {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("AT+CCLK?: %w", ErrAnswer)
}

// ParseClock reads `yy/MM/dd,hh:mm:ss±zz`: local time, and its distance from UTC
// in quarters of an hour, which some modems leave out. Years 69 to 99 are of
// the last century; some modems write four digits.
func ParseClock(s string) (time.Time, bool) {
	zone := 0
	const local = "06/01/02,15:04:05"
	layout := local
	n := len(local)
	if len(s) > 4 && s[2] != '/' && s[4] == '/' {
		layout, n = "2006/01/02,15:04:05", n+2
	}
	if len(s) < n {
		return time.Time{}, false
	}
	if rest := s[n:]; rest != "" {
		q, ok := number(rest[1:], 96)
		if !ok || rest[0] != '+' && rest[0] != '-' || len(rest) > 3 {
			return time.Time{}, false
		}
		if zone = q * 15 * 60; rest[0] == '-' {
			zone = -zone
		}
	}
	t, err := time.ParseInLocation(layout, s[:n], time.FixedZone("", zone))
	if err != nil {
		return time.Time{}, false
	}
	return t, true
}
