package importer

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// pattern is a regular expression, as far as a set of values can be told from it:
// characters, classes, groups, alternatives, repetitions and anchors. Package
// regexp/syntax would bring the tables of all scripts, 0.15 MB on arm.
type pattern struct {
	op       op
	ranges   [][2]rune  // opChar: from and to
	not      bool       // opChar: all but those
	sub      []*pattern // opConcat, opAlternate; one for opRepeat
	min, max int        // opRepeat; max is -1 without an end
}

type op uint8

const (
	opConcat op = iota // of none: nothing
	opAlternate
	opRepeat
	opChar
	opBegin
	opEnd
)

var errSyntax = errors.New("not a regular expression")

// maxRepeat is the largest number in braces, as in RE2 and Go.
const maxRepeat = 1000

// parsePattern reads Perl's syntax. What the language has besides is errPattern.
func parsePattern(expr string) (*pattern, error) {
	if !utf8.ValidString(expr) {
		return nil, errSyntax
	}
	p := patternParser{}
	p.rest, p.fold = strings.CutPrefix(expr, "(?i)")
	re, err := p.alternate()
	if err == nil && p.rest != "" { // a bracket that was not opened
		err = errSyntax
	}
	return re, err
}

type patternParser struct {
	rest string
	fold bool // no matter the case: in capitals
}

func (p *patternParser) take(prefix string) (ok bool) {
	p.rest, ok = strings.CutPrefix(p.rest, prefix)
	return ok
}

func (p *patternParser) rune() rune {
	r, n := utf8.DecodeRuneInString(p.rest)
	p.rest = p.rest[n:]
	return r
}

// alternate reads up to the end or the bracket that closes.
func (p *patternParser) alternate() (*pattern, error) {
	var list []*pattern
	for {
		next, err := p.concat()
		if err != nil {
			return nil, err
		}
		list = append(list, next)
		if !p.take("|") {
			break
		}
	}
	if len(list) == 1 {
		return list[0], nil
	}
	// One character or another is a class.
	class := &pattern{op: opChar}
	for _, sub := range list {
		if sub.op != opChar || sub.not {
			return &pattern{op: opAlternate, sub: list}, nil
		}
		class.ranges = append(class.ranges, sub.ranges...)
	}
	return class, nil
}

func (p *patternParser) concat() (*pattern, error) {
	var list []*pattern
	for p.rest != "" && p.rest[0] != '|' && p.rest[0] != ')' {
		next, err := p.atom()
		if err != nil {
			return nil, err
		}
		if next, err = p.repeated(next); err != nil {
			return nil, err
		}
		list = append(list, next)
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return &pattern{sub: list}, nil
}

func (p *patternParser) atom() (*pattern, error) {
	switch {
	case p.take("^"):
		return &pattern{op: opBegin}, nil
	case p.take("$"):
		return &pattern{op: opEnd}, nil
	case p.take("."):
		return &pattern{op: opChar, not: true}, nil
	case p.take("["):
		return p.class()
	case p.take("("):
		if !p.take("?:") && strings.HasPrefix(p.rest, "?") {
			return nil, fmt.Errorf("%w (%.4s)", errPattern, "("+p.rest)
		}
		group, err := p.alternate()
		if err == nil && !p.take(")") {
			err = errSyntax
		}
		return group, err
	case p.take(`\`):
		return p.escaped()
	case strings.IndexByte("*+?", p.rest[0]) >= 0: // of nothing
		return nil, errSyntax
	}
	if _, _, ok := p.braces(); ok {
		return nil, errSyntax
	}
	return p.char(p.rune()), nil
}

func (p *patternParser) char(r rune) *pattern {
	if p.fold {
		r = unicode.ToUpper(r)
	}
	return &pattern{op: opChar, ranges: [][2]rune{{r, r}}}
}

// perlClasses are those of one letter; the capital letter has all the others.
var perlClasses = map[rune][][2]rune{
	'd': {{'0', '9'}},
	'w': {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}},
	's': {{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}},
}

// escaped reads what follows a backslash.
func (p *patternParser) escaped() (*pattern, error) {
	if p.rest == "" {
		return nil, errSyntax
	}
	r := p.rune()
	if ranges := perlClasses[unicode.ToLower(r)]; ranges != nil {
		return &pattern{op: opChar, ranges: ranges, not: unicode.IsUpper(r)}, nil
	}
	if r >= utf8.RuneSelf || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
		return nil, fmt.Errorf("%w (\\%c)", errPattern, r)
	}
	return p.char(r), nil
}

// class reads the rest of a class of characters.
func (p *patternParser) class() (*pattern, error) {
	c := &pattern{op: opChar, not: p.take("^")}
	for first := true; first || !p.take("]"); first = false {
		member, err := p.member()
		if err != nil {
			return nil, err
		}
		from, one := member.one()
		if one && len(p.rest) > 1 && p.rest[0] == '-' && p.rest[1] != ']' {
			p.take("-")
			last, err := p.member()
			if err != nil {
				return nil, err
			}
			to, one := last.one()
			if !one || to < from {
				return nil, errSyntax
			}
			member.ranges = [][2]rune{{from, to}}
		}
		if member.not {
			return nil, errPattern
		}
		c.ranges = append(c.ranges, member.ranges...)
	}
	return c, nil
}

// member reads a character or an escape of a class.
func (p *patternParser) member() (*pattern, error) {
	switch {
	case p.rest == "":
		return nil, errSyntax
	case strings.HasPrefix(p.rest, "[:"):
		return nil, fmt.Errorf("%w ([:)", errPattern)
	case p.take(`\`):
		return p.escaped()
	}
	return p.char(p.rune()), nil
}

// repeated reads the repetition behind an atom, if there is one.
func (p *patternParser) repeated(sub *pattern) (*pattern, error) {
	re := &pattern{op: opRepeat, sub: []*pattern{sub}, max: -1}
	switch {
	case p.take("*"):
	case p.take("+"):
		re.min = 1
	case p.take("?"):
		re.max = 1
	default:
		var ok bool
		if re.min, re.max, ok = p.braces(); !ok {
			return sub, nil
		}
		if re.min > maxRepeat || re.max > maxRepeat || re.max >= 0 && re.max < re.min {
			return nil, errSyntax
		}
	}
	p.take("?") // as few as possible: the same values
	if _, _, more := p.braces(); more || p.rest != "" && strings.IndexByte("*+?", p.rest[0]) >= 0 {
		return nil, errSyntax
	}
	return re, nil
}

// braces takes {n}, {n,} or {n,m}; anything else in braces is text.
func (p *patternParser) braces() (min, max int, ok bool) {
	inside, rest, closed := strings.Cut(p.rest, "}")
	inside, open := strings.CutPrefix(inside, "{")
	from, to, two := strings.Cut(inside, ",")
	if !open || !closed || !isNumber(from) || two && to != "" && !isNumber(to) {
		return 0, 0, false
	}
	number := func(s string) int { // out of range: too many
		n, err := strconv.Atoi(s)
		if err != nil {
			return maxRepeat + 1
		}
		return n
	}
	min = number(from)
	switch {
	case !two:
		max = min
	case to == "":
		max = -1
	default:
		max = number(to)
	}
	p.rest = rest
	return min, max, true
}

// isNumber reports a number as braces have it, without a zero ahead.
func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == "" && (s == "0" || s[0] != '0')
}

// one is the only character of a class.
func (p *pattern) one() (rune, bool) {
	if p.op != opChar || p.not || len(p.ranges) != 1 || p.ranges[0][0] != p.ranges[0][1] {
		return 0, false
	}
	return p.ranges[0][0], true
}

// isWild tells whether p is one character that may be any digit.
func (p *pattern) isWild() bool {
	if p.op != opChar {
		return false
	}
	for d := '0'; d <= '9'; d++ {
		if p.not == slices.ContainsFunc(p.ranges, func(r [2]rune) bool { return r[0] <= d && d <= r[1] }) {
			return false
		}
	}
	return true
}

// chars lists the characters of a class; all ten digits are anyDigit.
func (p *pattern) chars() ([]string, error) {
	if p.isWild() {
		return []string{anyDigit}, nil
	}
	if p.not {
		return nil, errPattern
	}
	var out []string
	for _, r := range p.ranges {
		if r[0] == 0 || r[1]-r[0] > 64 {
			return nil, errPattern
		}
		for c := r[0]; c <= r[1]; c++ {
			out = append(out, string(c))
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
