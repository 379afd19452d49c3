package importer

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// glob is one form of what a regular expression lets through: characters, with
// anyDigit for any one digit; open tells that anything may follow.
type glob struct {
	text  string
	open  bool
	ended bool // by an anchor
}

// anyDigit stands for one of 0 to 9 in a glob. It is no character of a name.
const anyDigit = "\x00"

const maxGlobs = 512

var errPattern = errors.New("too involved to be matched")

// globsOf takes a regular expression apart into the prefixes and values that it
// lets through. Repetitions without an end may stand at its end only. As in the
// documented samples it is held against the whole value.
func globsOf(expr string) ([]glob, error) {
	if len(expr) > 1000 {
		return nil, errors.New("longer than 1000 bytes")
	}
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, errors.New("not a regular expression")
	}
	list, err := expand(re.Simplify(), []glob{{}})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("it lets nothing through")
	}
	return list, nil
}

// expand continues each of the globs with what re lets through.
func expand(re *syntax.Regexp, heads []glob) ([]glob, error) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return heads, nil
	case syntax.OpBeginText, syntax.OpBeginLine:
		var out []glob
		for _, h := range heads {
			switch {
			case h.open:
				return nil, errPattern
			case h.text == "":
				out = append(out, h)
			}
		}
		return out, nil
	case syntax.OpEndText, syntax.OpEndLine:
		out := slices.Clone(heads)
		for i := range out {
			out[i].ended = true
		}
		return out, nil
	case syntax.OpCapture:
		return expand(re.Sub[0], heads)
	case syntax.OpLiteral:
		if strings.Contains(string(re.Rune), anyDigit) {
			return nil, errPattern
		}
		return follow(heads, []string{string(re.Rune)})
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return follow(heads, []string{anyDigit})
	case syntax.OpCharClass:
		chars, err := classOf(re)
		if err != nil {
			return nil, err
		}
		return follow(heads, chars)
	case syntax.OpConcat:
		var err error
		for _, sub := range re.Sub {
			if heads, err = expand(sub, heads); err != nil {
				return nil, err
			}
		}
		return heads, nil
	case syntax.OpAlternate:
		var out []glob
		for _, sub := range re.Sub {
			more, err := expand(sub, heads)
			if err != nil {
				return nil, err
			}
			if out = append(out, more...); len(out) > maxGlobs {
				return nil, errPattern
			}
		}
		return out, nil
	case syntax.OpQuest:
		with, err := expand(re.Sub[0], heads)
		if err != nil || len(with)+len(heads) > maxGlobs {
			return nil, errPattern
		}
		return append(with, heads...), nil
	case syntax.OpStar, syntax.OpPlus:
		if !isWild(re.Sub[0]) {
			return nil, errPattern
		}
		if re.Op == syntax.OpPlus {
			var err error
			if heads, err = expand(re.Sub[0], heads); err != nil {
				return nil, err
			}
		}
		out := slices.Clone(heads)
		for i, h := range out {
			switch {
			case h.open:
				return nil, errPattern
			case !h.ended:
				out[i] = glob{text: strings.TrimRight(h.text, anyDigit), open: true}
			}
		}
		return out, nil
	}
	return nil, fmt.Errorf("%w (%s)", errPattern, re.Op)
}

// follow appends each of the texts to each of the heads.
func follow(heads []glob, texts []string) ([]glob, error) {
	if len(heads)*len(texts) > maxGlobs {
		return nil, errPattern
	}
	var out []glob
	for _, h := range heads {
		if h.open { // something after an open end
			return nil, errPattern
		}
		if h.ended {
			continue
		}
		for _, t := range texts {
			if len(h.text)+len(t) > 200 {
				return nil, errPattern
			}
			out = append(out, glob{text: h.text + t})
		}
	}
	return out, nil
}

// classOf lists the characters of a class; all ten digits are anyDigit.
func classOf(re *syntax.Regexp) ([]string, error) {
	if isWild(re) {
		return []string{anyDigit}, nil
	}
	var out []string
	for i := 0; i+1 < len(re.Rune); i += 2 {
		if re.Rune[i] == 0 || re.Rune[i+1]-re.Rune[i] > 64 {
			return nil, errPattern
		}
		for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
			out = append(out, string(r))
		}
	}
	return out, nil
}

// isWild tells whether re is one character that may be any digit.
func isWild(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return true
	case syntax.OpCapture:
		return isWild(re.Sub[0])
	case syntax.OpCharClass:
		for i := 0; i+1 < len(re.Rune); i += 2 {
			if re.Rune[i] <= '0' && re.Rune[i+1] >= '9' {
				return true
			}
		}
	}
	return false
}

// numbers lists the glob's texts with every digit in place of anyDigit, false if
// there are more than limit.
func (g glob) numbers(limit int) ([]string, bool) {
	list := []string{""}
	for i := range len(g.text) {
		c := g.text[i : i+1]
		if c != anyDigit {
			for k := range list {
				list[k] += c
			}
			continue
		}
		if len(list)*10 > limit {
			return nil, false
		}
		next := make([]string, 0, len(list)*10)
		for _, head := range list {
			for d := range 10 {
				next = append(next, head+strconv.Itoa(d))
			}
		}
		list = next
	}
	return list, len(list) <= limit
}
