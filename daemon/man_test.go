package main

import (
	"bytes"
	"flag"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"dynamod/configs"
)

// TestManualPages holds the pages against what they are made of.
func TestManualPages(t *testing.T) {
	defer func(was string) { builtAt = was }(builtAt)
	builtAt = "1700000000" // mandoc wants a date
	var program, file bytes.Buffer
	programPage(&program)
	configPage(&file, string(configs.Reference))
	has := func(page *bytes.Buffer, text string) {
		t.Helper()
		if !strings.Contains(page.String(), text) {
			t.Errorf("%q is missing", text)
		}
	}
	seen := map[string]bool{}
	for _, c := range commands() {
		if seen[c.name] {
			t.Errorf("%s is in the table twice", c.name)
		}
		seen[c.name] = true
		has(&program, `.SS "`+roff(c.usage())+`"`)
		c.flags().VisitAll(func(f *flag.Flag) { has(&program, bold("--"+f.Name)) })
		for _, v := range c.verbs {
			has(&program, `.SS "`+roff(v.usage())+`"`)
		}
	}
	for _, e := range exitCodes {
		has(&program, marked(e.about))
	}
	keys := 0
	for _, key := range regexp.MustCompile(`(?m)^#?([a-z_]+|"[^"]+") = `).FindAllStringSubmatch(string(configs.Reference), -1) {
		has(&file, ".TP\n"+bold(key[1])+" = ")
		keys++
	}
	if keys < 30 {
		t.Errorf("the reference has %d keys only", keys)
	}
	for name, page := range map[string]*bytes.Buffer{"dynamod(8)": &program, "dynamod.toml(5)": &file} {
		for line := range strings.Lines(page.String()) {
			if strings.Contains(line, "`") {
				t.Errorf("%s: a backquote is left: %s", name, line)
			}
		}
		t.Run(name, func(t *testing.T) {
			mandoc, err := exec.LookPath("mandoc")
			if err != nil {
				t.Skip("no mandoc here: the page is not checked by a reader of its own")
			}
			cmd := exec.Command(mandoc, "-T", "lint", "-W", "warning")
			cmd.Stdin = page
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestRoff(t *testing.T) {
	for text, want := range map[string]string{
		"plain":        "plain",
		"a-b":          `a\-b`,
		`slash=\/`:     `slash=\e/`,
		".TH":          `\&.TH`,
		"'quoted'":     `\&'quoted'`,
		"in . between": "in . between",
	} {
		if got := roff(text); got != want {
			t.Errorf("roff(%q) = %q, want %q", text, got, want)
		}
	}
}
