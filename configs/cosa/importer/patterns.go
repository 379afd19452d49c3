package importer

import (
	"errors"
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
	re, err := parsePattern(expr)
	if err != nil {
		return nil, err
	}
	steps := 0
	list, err := re.expand([]glob{{}}, &steps)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("it lets nothing through")
	}
	return list, nil
}

// maxSteps bounds the work for repetitions of what is empty.
const maxSteps = 20000

// expand continues each of the globs with what p lets through.
func (p *pattern) expand(heads []glob, steps *int) (_ []glob, err error) {
	if *steps++; *steps > maxSteps {
		return nil, errPattern
	}
	switch p.op {
	case opBegin:
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
	case opEnd:
		out := slices.Clone(heads)
		for i := range out {
			out[i].ended = true
		}
		return out, nil
	case opChar:
		chars, err := p.chars()
		if err != nil {
			return nil, err
		}
		return follow(heads, chars)
	case opConcat:
		for _, sub := range p.sub {
			if heads, err = sub.expand(heads, steps); err != nil {
				return nil, err
			}
		}
		return heads, nil
	case opAlternate:
		var out []glob
		for _, sub := range p.sub {
			more, err := sub.expand(heads, steps)
			if err != nil {
				return nil, err
			}
			if out = append(out, more...); len(out) > maxGlobs {
				return nil, errPattern
			}
		}
		return out, nil
	}
	// A repetition.
	sub := p.sub[0]
	if p.max < 0 && !sub.isWild() {
		return nil, errPattern
	}
	for range p.min {
		if heads, err = sub.expand(heads, steps); err != nil {
			return nil, err
		}
	}
	out := slices.Clone(heads)
	if p.max < 0 {
		for i, h := range heads {
			switch {
			case h.open:
				return nil, errPattern
			case !h.ended:
				out[i] = glob{text: strings.TrimRight(h.text, anyDigit), open: true}
			}
		}
	}
	for range p.max - p.min {
		if heads, err = sub.expand(heads, steps); err != nil {
			return nil, err
		}
		if out = append(slices.Clone(heads), out...); len(out) > maxGlobs {
			return nil, errPattern
		}
	}
	return out, nil
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
