package importer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dynamod/configs/cosa"
)

// targetOf turns the conditions of a TargetState into a target. why is the
// reason for which there is none.
//
// A condition that cannot be told from a SIM makes the state unusable. Leaving
// it out would let the state match more than it was written for.
func targetOf(state *element, lose func(line int, why string)) (t cosa.Target, why string) {
	var mcc, mnc []string
	seen := map[string]string{}
	any := false
	for c := range state.each("condition") {
		name, value := strings.ToLower(strings.TrimSpace(c.attr("name"))), strings.TrimSpace(c.attr("value"))
		if before, there := seen[name]; there {
			if before == value {
				continue
			}
			return t, fmt.Sprintf("two conditions on %s, which both would have to hold", name)
		}
		seen[name] = value
		switch name {
		case "uiname":
			t.UIName = oneLine(value)
			continue
		case "uiorder":
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 || n > 1<<16 {
				lose(c.line, fmt.Sprintf("uiorder %.20q is not a number", value))
				n = 0
			}
			t.UIOrder = n
			continue
		}
		v, why := parseValue(value)
		if why != "" {
			return t, fmt.Sprintf("condition %s: %s", name, why)
		}
		any = any || !v.anything()
		switch name {
		case "mcc":
			mcc, why = v.digits(3)
		case "mnc":
			mnc, why = v.digits(0)
		case "iccid":
			t.ICCID, why = v.ranges()
		case "imsi":
			t.IMSI, t.IMSIPattern, why = v.imsis()
		case "gid1":
			t.GID1, why = v.gids()
		case "gid2":
			t.GID2, why = v.gids()
		case "spn":
			t.SPN, why = v.names()
		case "pnn":
			t.PNN, why = v.names()
		default:
			return t, fmt.Sprintf("condition %q is not told from a SIM", name)
		}
		if why != "" {
			return t, fmt.Sprintf("condition %s: %s", name, why)
		}
		for _, l := range v.lost {
			lose(c.line, fmt.Sprintf("condition %s: %s", name, l))
		}
	}
	switch {
	case !any:
		return t, "no condition that tells SIMs apart"
	case len(mnc) > 0 && len(mcc) == 0:
		return t, "an MNC without an MCC"
	case len(mnc) > 0 && len(mcc)*len(mnc) > cosa.MaxValues:
		return t, fmt.Sprintf("more than %d pairs of MCC and MNC", cosa.MaxValues)
	case len(mnc) > 0:
		for _, a := range mcc {
			for _, b := range mnc {
				t.MCCMNC = append(t.MCCMNC, a+b)
			}
		}
	default:
		t.MCC = mcc
	}
	if why := t.Check(); why != "" {
		return t, why
	}
	return t, ""
}

// value is a condition's value: a literal, "range:LO,HI" or "pattern:REGEX".
type value struct {
	literal  string
	lo, hi   string
	patterns []glob // of a pattern
	isRange  bool
	lost     []string
}

// parseValue reads the forms in any case and with blanks. "!" in front looks like
// a negation, which no page defines.
func parseValue(s string) (v value, why string) {
	lower := strings.ToLower(s)
	switch {
	case strings.HasPrefix(s, "!"):
		return v, "a value with ! is not understood"
	case strings.HasPrefix(lower, "range:"):
		lo, hi, ok := strings.Cut(s[len("range:"):], ",")
		v.isRange, v.lo, v.hi = true, strings.TrimSpace(lo), strings.TrimSpace(hi)
		switch {
		case !ok || !isDigits(v.lo, 1, 20) || !isDigits(v.hi, 1, 20):
			return v, "the range is not of two numbers"
		case len(v.lo) != len(v.hi):
			return v, "the range has two lengths"
		case v.lo > v.hi:
			return v, "the range ends before it begins"
		}
	case strings.HasPrefix(lower, "pattern:"):
		globs, err := globsOf(strings.TrimSpace(s[len("pattern:"):]))
		if err != nil {
			return v, "pattern: " + err.Error()
		}
		v.patterns = globs
	case s == "":
		return v, "the value is empty"
	default:
		v.literal = s
	}
	return v, ""
}

// anything tells that the value lets through every SIM ("pattern:.*").
func (v *value) anything() bool {
	return slices.ContainsFunc(v.patterns, func(g glob) bool { return g.text == "" && g.open })
}

// digits lists the numbers of n digits, or of any width for n = 0.
func (v *value) digits(n int) (list []string, why string) {
	switch {
	case v.anything():
		return nil, ""
	case v.isRange:
		lo, _ := strconv.Atoi(v.lo)
		hi, _ := strconv.Atoi(v.hi)
		if len(v.lo) > 3 || hi-lo >= cosa.MaxValues {
			return nil, "the range is too wide"
		}
		for i := lo; i <= hi; i++ {
			list = append(list, fmt.Sprintf("%0*d", len(v.lo), i))
		}
	case v.literal != "":
		list = []string{v.literal}
	default:
		for _, g := range v.patterns {
			if g.open {
				return nil, "a pattern without an end"
			}
			more, ok := g.numbers(cosa.MaxValues - len(list))
			if !ok {
				return nil, fmt.Sprintf("the pattern stands for more than %d values", cosa.MaxValues)
			}
			list = append(list, more...)
		}
	}
	for _, s := range list {
		if !isDigits(s, 2, 3) || n > 0 && len(s) != n {
			return nil, fmt.Sprintf("%.20q has not the digits of one", s)
		}
	}
	return list, ""
}

func (v *value) ranges() (list []cosa.Range, why string) {
	switch {
	case v.anything():
		return nil, ""
	case v.isRange:
		return []cosa.Range{{Lo: v.lo, Hi: v.hi}}, ""
	case v.literal != "":
		return []cosa.Range{{Lo: v.literal, Hi: v.literal}}, ""
	}
	for _, g := range v.patterns {
		v.cut(g)
		more, ok := g.numbers(cosa.MaxValues - len(list))
		if !ok {
			return nil, fmt.Sprintf("the pattern stands for more than %d prefixes", cosa.MaxValues)
		}
		for _, s := range more {
			list = append(list, cosa.Range{Lo: s, Hi: s})
		}
	}
	return list, ""
}

func (v *value) imsis() (ranges []cosa.Range, patterns []cosa.Pattern, why string) {
	switch {
	case v.anything():
		return nil, nil, ""
	case v.isRange:
		return []cosa.Range{{Lo: v.lo, Hi: v.hi}}, nil, ""
	case v.literal != "":
		return nil, []cosa.Pattern{cosa.Pattern(strings.ToLower(v.literal))}, ""
	}
	for _, g := range v.patterns {
		v.cut(g)
		patterns = append(patterns, cosa.Pattern(strings.ReplaceAll(g.text, anyDigit, "x")))
	}
	return nil, patterns, ""
}

// cut notes that the end of a pattern is not held: numbers of a card have one
// length, so what follows a prefix says nothing.
func (v *value) cut(g glob) {
	if !g.open && len(g.text) < 15 {
		v.lost = append(v.lost, fmt.Sprintf("the pattern %s is taken as a prefix", strings.ReplaceAll(g.text, anyDigit, "x")))
	}
}

func (v *value) gids() (list []cosa.GID, why string) {
	switch {
	case v.anything():
		return nil, ""
	case v.isRange:
		return nil, "a range of GIDs cannot be matched"
	case v.literal != "":
		g := cosa.GID{Hex: strings.ToUpper(v.literal)}
		if len(g.Hex)%2 != 0 {
			g.Prefix = true
			v.lost = append(v.lost, "half a byte: taken as a prefix")
		}
		return []cosa.GID{g}, ""
	}
	for _, p := range v.patterns {
		if strings.Contains(p.text, anyDigit) {
			return nil, "the pattern has wild cards"
		}
		list = append(list, cosa.GID{Hex: strings.ToUpper(p.text), Prefix: p.open || len(p.text)%2 != 0})
	}
	return list, ""
}

func (v *value) names() (list []string, why string) {
	switch {
	case v.anything():
		return nil, ""
	case v.isRange:
		return nil, "a range of names cannot be matched"
	case v.literal != "":
		return []string{oneLine(v.literal)}, ""
	}
	for _, p := range v.patterns {
		if p.open || strings.Contains(p.text, anyDigit) {
			return nil, "the pattern is not a list of names"
		}
		list = append(list, oneLine(p.text))
	}
	return list, ""
}
