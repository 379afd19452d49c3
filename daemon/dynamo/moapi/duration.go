package moapi

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

var errDuration = errors.New("not an ISO 8601 duration")

type isoUnit struct {
	letter byte
	unit   time.Duration
}

// isoUnits are the designators before and behind the T, in their order. A year is
// counted as 365 days and a month as 30: the API's examples use days and less.
var isoUnits = [2][]isoUnit{
	{{'Y', 365 * 24 * time.Hour}, {'M', 30 * 24 * time.Hour}, {'W', 7 * 24 * time.Hour}, {'D', 24 * time.Hour}},
	{{'H', time.Hour}, {'M', time.Minute}, {'S', time.Second}},
}

// maxISO bounds a duration: 100 years.
const maxISO = 100 * 365 * 24 * time.Hour

// ParseDuration reads an ISO 8601 duration such as "P23DT23H", to the second; a
// fraction may be in its last part.
func ParseDuration(s string) (time.Duration, error) {
	rest, ok := strings.CutPrefix(s, "P")
	if !ok || rest == "" || len(s) > 64 {
		return 0, errDuration
	}
	date, clock, hasClock := strings.Cut(rest, "T")
	if hasClock && clock == "" {
		return 0, errDuration
	}
	var total float64
	for i, part := range []string{date, clock} {
		units := isoUnits[i]
		for part != "" {
			n := strings.IndexFunc(part, func(r rune) bool { return (r < '0' || r > '9') && r != '.' && r != ',' })
			if n <= 0 {
				return 0, errDuration
			}
			value, err := strconv.ParseFloat(strings.Replace(part[:n], ",", ".", 1), 64)
			at := slices.IndexFunc(units, func(u isoUnit) bool { return u.letter == part[n] })
			if err != nil || at < 0 {
				return 0, errDuration
			}
			last := part[n+1:] == "" && (i == 1 || clock == "")
			if strings.ContainsAny(part[:n], ".,") && !last {
				return 0, errDuration
			}
			total += value * units[at].unit.Seconds()
			units, part = units[at+1:], part[n+1:]
		}
	}
	if total > maxISO.Seconds() {
		return 0, errDuration
	}
	return time.Duration(total) * time.Second, nil
}

// FormatDuration writes whole seconds as ParseDuration reads them: "P23DT23H",
// "PT0S".
func FormatDuration(d time.Duration) string {
	d = max(d.Truncate(time.Second), 0)
	if d == 0 {
		return "PT0S"
	}
	s := "P"
	for i, units := range [][]isoUnit{isoUnits[0][3:], isoUnits[1]} {
		if i == 1 && d > 0 {
			s += "T"
		}
		for _, u := range units {
			if n := d / u.unit; n > 0 {
				s += strconv.Itoa(int(n)) + string(u.letter)
				d -= n * u.unit
			}
		}
	}
	return s
}
