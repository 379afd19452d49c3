package main

import (
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// lever is something that makes the binary smaller, with the variables of make
// that do without it and what it costs at run time.
type lever struct {
	name    string
	without []string
	cost    string
}

// choice is a lever that make cannot pull back.
type choice struct {
	name  string
	saved int
	cost  string
}

type binary struct {
	name         string
	size, budget int
}

type report struct {
	binaries []binary
	anatomy  anatomy
	gains    map[string]int // by the lever's name
}

// stray is by how many hundredths a binary may differ from the page: it is there
// to be looked at, not to be changed with each line of code.
const stray = 2

func (r report) String() string {
	var b strings.Builder
	b.WriteString("What the routers' binaries are made of, in bytes. Written by `make sizes`, the levers by\n" +
		"`make sizes MEASURE=-levers` and those in the code by hand; `make check` fails when a binary is over its budget or when\n" +
		"this page is stale: other budgets, modules or levers, or a size that is off by " + strconv.Itoa(stray) + " %.\n\n")
	fmt.Fprintf(&b, "%-66s %11s %11s\n", "BINARY", "SIZE", "BUDGET")
	for _, x := range r.binaries {
		fmt.Fprintf(&b, "%-66s %11d %11d\n", x.name, x.size, x.budget)
	}
	fmt.Fprintf(&b, "\n%-66s %11s\n", "PARTS OF "+r.binaries[0].name, "SIZE")
	for _, s := range r.anatomy.sections {
		fmt.Fprintf(&b, "%-66s %11d\n", s.name, s.bytes)
	}
	total := 0
	for _, s := range r.anatomy.code {
		total += s.bytes
	}
	fmt.Fprintf(&b, "\n%-52s %13s %11s %11s\n", "CODE OF "+r.binaries[0].name, "OF ALL CODE", "SIZE", "FUNCTIONS")
	for _, s := range r.anatomy.code {
		fmt.Fprintf(&b, "%-52s %11.1f %% %11d %11d\n", s.name, 100*float64(s.bytes)/float64(max(total, 1)), s.bytes, s.functions)
	}
	fmt.Fprintf(&b, "\n%-66s %11s  %s\n", "LEVERS OF "+r.binaries[0].name, "SAVED", "COST IN SPEED")
	for _, l := range levers {
		saved := "not measured"
		if n, ok := r.gains[l.name]; ok {
			saved = strconv.Itoa(n)
		}
		fmt.Fprintf(&b, "%-66s %11s  %s\n", l.name, saved, l.cost)
	}
	for _, c := range choices {
		fmt.Fprintf(&b, "%-66s %11d  %s\n", c.name, c.saved, c.cost)
	}
	return b.String()
}

// holds tells in what the page is stale.
func (r report) holds(kept string) error {
	now := strings.Split(r.String(), "\n")
	then := strings.Split(kept, "\n")
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	names := func(list []string) map[string][]string {
		rows := map[string][]string{}
		for _, l := range list {
			if cells := columns.Split(l, -1); len(cells) > 1 {
				rows[cells[0]] = cells[1:]
			}
		}
		return rows
	}
	a, b := names(now), names(then)
	for name := range a {
		if b[name] == nil {
			wrong("%s is not there", name)
		}
	}
	for name := range b {
		if a[name] == nil {
			wrong("%s is there no longer", name)
		}
	}
	for _, x := range r.binaries {
		row := b[x.name]
		if len(row) != 2 {
			continue
		}
		if row[1] != strconv.Itoa(x.budget) {
			wrong("the budget of %s is %d", x.name, x.budget)
		}
		if n, err := strconv.Atoi(row[0]); err != nil || 100*max(n-x.size, x.size-n) > stray*x.size {
			wrong("%s has %d bytes, not %s", x.name, x.size, row[0])
		}
	}
	if len(errs) == 0 {
		return nil
	}
	sort.Slice(errs, func(i, j int) bool { return errs[i].Error() < errs[j].Error() })
	return fmt.Errorf("%s is stale: %w\nwrite it again: make sizes", page, errors.Join(errs...))
}

var columns = regexp.MustCompile(` {2,}| %`)

// gainsOf reads what the page says of the levers.
func gainsOf(kept string) map[string]int {
	out := map[string]int{}
	for line := range strings.Lines(kept) {
		for _, l := range levers {
			if rest, ok := strings.CutPrefix(line, l.name+" "); ok {
				if f := strings.Fields(rest); len(f) > 0 {
					if n, err := strconv.Atoi(f[0]); err == nil {
						out[l.name] = n
					}
				}
			}
		}
	}
	return out
}

func sortBySize(list []share) {
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		return a.bytes > b.bytes || a.bytes == b.bytes && a.name < b.name
	})
}
