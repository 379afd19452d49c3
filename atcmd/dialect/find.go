package dialect

import (
	"strconv"
	"strings"
)

// Identity is what a modem says of itself.
type Identity struct {
	Manufacturer string // +CGMI
	Model        string // +CGMM
	Revision     string // +CGMR
	USB          string // "2c7c:0125", empty when not on USB or unknown
}

// all returns fresh copies, so that overrides never leak into the table.
func all() []*Dialect {
	return []*Dialect{
		generic(), quectel(), quectelUnisoc(), quectelStandard(), quectelOwnLPA(), simcom(), simcom7600(), simcomA76(), telit(), telitLE910C(), telit5G(), sierra(), sierra5G(),
		ublox(), fibocom(), fibocomMTK(), fibocomXMM(), huawei(), cinterion(), nrf91(), mtk(), foxconn(),
	}
}

// Find returns the dialect whose pattern fits most closely, counted in
// literal characters, and the generic one when none fits. The caller owns the
// result and may change it.
func Find(id Identity) *Dialect { return (*Set)(nil).Find(id) }

// ByName returns the dialect with the given name, or nil. The caller owns the
// result and may change it.
func ByName(name string) *Dialect { return (*Set)(nil).ByName(name) }

// Names returns the names of all dialects, sorted.
func Names() []string { return (*Set)(nil).Names() }

// closest returns the dialect of a list that fits most closely, and whether any
// does.
func closest(list []*Dialect, id Identity) (best *Dialect, ok bool) {
	score := 0
	for _, d := range list {
		for _, m := range d.Match {
			if n, fits := m.fits(id); fits && n > score {
				best, score = d, n
			}
		}
	}
	return best, best != nil
}

// Why tells by which of its patterns the dialect fits a modem, `model "EC25*"`; ""
// for the generic one, which fits for want of a better.
func (d *Dialect) Why(id Identity) string {
	best, score := "", 0
	for _, m := range d.Match {
		if n, ok := m.fits(id); ok && n > score {
			best, score = m.why(id), n
		}
	}
	return best
}

func (m Match) why(id Identity) string {
	var parts []string
	for _, p := range [...]struct{ name, pattern, value string }{
		{"manufacturer", m.Manufacturer, id.Manufacturer}, {"model", m.Model, id.Model}, {"revision", m.Revision, id.Revision}, {"USB", m.USB, id.USB},
	} {
		best, score := "", -1
		for alt := range strings.SplitSeq(p.pattern, "|") {
			if n, ok := matchAny(alt, p.value); ok && n > score {
				best, score = alt, n
			}
		}
		if p.pattern != "" {
			parts = append(parts, p.name+" "+strconv.Quote(best))
		}
	}
	return strings.Join(parts, ", ")
}

// fits reports whether all patterns of m match, and how many literal
// characters did. A Match without any pattern fits nothing.
func (m Match) fits(id Identity) (score int, ok bool) {
	for _, p := range [...]struct{ pattern, value string }{
		{m.Manufacturer, id.Manufacturer},
		{m.Model, id.Model},
		{m.Revision, id.Revision},
		{m.USB, id.USB},
	} {
		if p.pattern == "" {
			continue
		}
		n, ok := matchAny(p.pattern, p.value)
		if !ok {
			return 0, false
		}
		score += n
	}
	return score, score > 0
}

// matchAny matches value against alternatives separated by '|' and returns the
// literal length of the longest that fits.
func matchAny(pattern, value string) (score int, ok bool) {
	value = strings.ToLower(strings.TrimSpace(value))
	for alt := range strings.SplitSeq(strings.ToLower(pattern), "|") {
		if matchOne(alt, value) {
			ok = true
			score = max(score, len(alt)-strings.Count(alt, "*"))
		}
	}
	return score, ok
}

func matchOne(pattern, value string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == value
	}
	rest, ok := strings.CutPrefix(value, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, parts[last])
}
