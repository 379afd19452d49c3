package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestOwner(t *testing.T) {
	modules := []string{"github.com/mdlayher/netlink", "github.com/charmbracelet/x/ansi", "github.com/charmbracelet/x/term", "go.bug.st/serial"}
	for _, tt := range []struct{ function, want string }{
		{"main.main", "dynamod/daemon"},
		{"dynamod/daemon/hook.(*Server).Run.func1", "dynamod/daemon"},
		{"dynamod/euicc/es10.execute[go.shape.struct { dynamod/atcmd.A string }]", "dynamod/euicc"},
		{"github.com/mdlayher/netlink/nlenc.Uint16", "github.com/mdlayher/netlink"},
		{"github.com/mdlayher/netlinks.F", "Go: other packages"},
		{"github.com/charmbracelet/x/ansi/parser.init", "github.com/charmbracelet/x/ansi"},
		{"go.bug.st/serial.Open", "go.bug.st/serial"},
		{"type:.eq.dynamod/euicc.Profile", "dynamod/euicc"},
		{"type:.eq.[2]interface {}", "Go: other packages"},
		{"slices.SortFunc[go.shape.[]github.com/mdlayher/netlink.Message,go.shape.int]", "Go: other packages"},
		{"crypto/internal/fips140/nistec/fiat.p521Mul", "Go: crypto"},
		{"vendor/golang.org/x/net/idna.ToASCII", "Go: net"},
		{"internal/runtime/maps.(*Map).Delete", "Go: runtime"},
		{"memeqbody", "Go: other packages"},
	} {
		if got := owner(tt.function, modules); got != tt.want {
			t.Errorf("%s belongs to %q, want %q", tt.function, got, tt.want)
		}
	}
}

func TestHolds(t *testing.T) {
	sample := func() report {
		return report{
			binaries: []binary{{"arm-7", 1_000_000, 2_000_000}},
			anatomy: anatomy{
				sections: []share{{name: "code", bytes: 700_000}},
				code:     []share{{"dynamod/daemon", 500_000, 100}, {"example.org/m", 200_000, 50}},
			},
			gains: map[string]int{levers[0].name: 1234, levers[1].name: -5},
		}
	}
	kept := sample().String()
	if got := gainsOf(kept); len(got) != 2 || got[levers[0].name] != 1234 || got[levers[1].name] != -5 {
		t.Errorf("read again, the levers save %v", got)
	}
	for _, tt := range []struct {
		name   string
		change func(*report)
		want   string // in the error; "" for none
	}{
		{"the same", func(*report) {}, ""},
		{"another split of the code", func(r *report) { r.anatomy.code[0].bytes, r.anatomy.code[0].functions = 450_000, 90 }, ""},
		{"2 % larger", func(r *report) { r.binaries[0].size = 1_020_000 }, ""},
		{"more than 2 % larger", func(r *report) { r.binaries[0].size = 1_021_000 }, "arm-7 has 1021000 bytes, not 1000000"},
		{"more than 2 % smaller", func(r *report) { r.binaries[0].size = 980_000 }, "arm-7 has 980000 bytes"},
		{"another budget", func(r *report) { r.binaries[0].budget++ }, "the budget of arm-7 is 2000001"},
		{"a new module", func(r *report) { r.anatomy.code = append(r.anatomy.code, share{"example.org/new", 0, 0}) }, "example.org/new is not there"},
		{"a module that went", func(r *report) { r.anatomy.code = r.anatomy.code[:1] }, "example.org/m is there no longer"},
		{"a new binary", func(r *report) { r.binaries = append(r.binaries, binary{"mips", 1, 2}) }, "mips is not there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := sample()
			tt.change(&r)
			err := r.holds(kept)
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if err := sample().holds(""); err == nil {
		t.Error("no page at all holds")
	}
}

// TestPage looks at what needs no build: the page has the Makefile's budgets, all
// levers with what they save, and those pull variables that the Makefile has.
func TestPage(t *testing.T) {
	kept, err := os.ReadFile("../sizes.txt")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	limits := regexp.MustCompile(`(?m)^LIMITS := (.*)$`).FindSubmatch(makefile)
	if limits == nil {
		t.Fatal("the Makefile has no LIMITS")
	}
	for f := range strings.FieldsSeq(string(limits[1])) {
		name, budget, _ := strings.Cut(f, ":")
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` +[0-9]+ +` + budget + `$`).Match(kept) {
			t.Errorf("the page does not give %s the budget of %s", name, budget)
		}
	}
	saved := gainsOf(string(kept))
	for _, l := range levers {
		if saved[l.name] <= 0 {
			t.Errorf("%s saves %d bytes by the page", l.name, saved[l.name])
		}
		for _, set := range l.without {
			name, _, _ := strings.Cut(set, "=")
			if !regexp.MustCompile(`(?m)^` + name + ` +:=`).Match(makefile) {
				t.Errorf("%s: the Makefile has no %s", l.name, name)
			}
		}
	}
}
