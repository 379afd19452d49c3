package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"dynamod/configs"
	"dynamod/daemon/config"
)

// manCommand is made when it is asked for, because it looks at the table that it
// is in.
func manCommand() command {
	return command{
		name:    "man",
		args:    "[dynamod | dynamod.toml]",
		summary: "print a manual page",
		about: `The pages dynamod(8) and dynamod.toml(5) in the form that man and mandoc read.
They are made of what --help and ` + "`dynamod init --reference`" + ` print.`,
		example: "dynamod man | man -l -\ndynamod man dynamod.toml >/usr/share/man/man5/dynamod.toml.5",
		setup: func(*flag.FlagSet) action {
			return func(_ context.Context, args []string, s std) error {
				switch {
				case len(args) == 0, len(args) == 1 && args[0] == "dynamod":
					programPage(s.out)
				case len(args) == 1 && args[0] == "dynamod.toml":
					configPage(s.out, string(configs.Reference))
				default:
					return usageError{errors.New("there is no such page"), "the pages are dynamod and dynamod.toml"}
				}
				return nil
			}
		},
	}
}

// page writes the requests of man(7), which groff, mandoc and busybox's man
// all know.
type page struct{ w io.Writer }

// newPage begins a page with its title line and NAME. The date is that of the
// build, so that two builds of one tree are alike.
func newPage(w io.Writer, name, section, summary string) page {
	date := ""
	if t := floor(); t.Unix() > 0 {
		date = t.UTC().Format(time.DateOnly)
	}
	fmt.Fprintf(w, ".TH %s %s \"%s\" \"dynamod %s\" \"dynamod\"\n", strings.ToUpper(name), section, date, roff(version))
	p := page{w}
	p.section("NAME")
	fmt.Fprintf(w, "%s \\- %s\n", roff(name), roff(summary))
	return p
}

func (p page) section(title string) { fmt.Fprintf(p.w, ".SH %s\n", title) }
func (p page) part(title string) {
	fmt.Fprintf(p.w, ".SS \"%s\"\n", strings.ReplaceAll(roff(title), `"`, `\(dq`))
}

// text writes paragraphs, which blank lines part.
func (p page) text(text string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			fmt.Fprintln(p.w, ".PP")
		}
		fmt.Fprintln(p.w, marked(strings.Join(strings.Fields(paragraph), " ")))
	}
}

// item writes one term and what it means.
func (p page) item(term, text string) {
	fmt.Fprintf(p.w, ".TP\n%s\n", term)
	p.text(text)
}

// lines writes text as it is.
func (p page) lines(text string) {
	fmt.Fprintln(p.w, ".PP\n.nf\n.RS 4")
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		fmt.Fprintln(p.w, roff(strings.TrimSuffix(line, "\n")))
	}
	fmt.Fprintln(p.w, ".RE\n.fi")
}

// roff is text with nothing in it that a formatter would take for its own. A
// hyphen is written as the minus that can be copied into a shell.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

func bold(text string) string { return `\fB` + roff(text) + `\fR` }

// marked is text with what stands between backquotes in bold.
func marked(text string) string {
	text = roff(text)
	var b strings.Builder
	for {
		plain, rest, _ := strings.Cut(text, "`")
		quoted, after, closed := strings.Cut(rest, "`")
		if !closed {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(plain + `\fB` + quoted + `\fR`)
		text = after
	}
}

// programPage writes dynamod(8).
func programPage(w io.Writer) {
	p := newPage(w, "dynamod", "8", "from an eSIM activation code to a data link")
	p.section("SYNOPSIS")
	fmt.Fprintf(w, "%s %s\n", bold("dynamod"), `\fICOMMAND\fR [\fIFLAGS\fR]`)
	p.section("DESCRIPTION")
	p.text(description)
	p.section("COMMANDS")
	for _, c := range commands() {
		p.command(c)
		for _, v := range c.verbs {
			p.command(v)
		}
	}
	p.section("EXIT STATUS")
	for _, e := range exitCodes {
		p.item(fmt.Sprint(e.code), e.about)
	}
	p.section("FILES")
	cfg := config.Default()
	for _, f := range []struct{ path, about string }{
		{config.DefaultPath, "the configuration, see dynamod.toml(5)"},
		{cfg.Operators.Dir, "operator settings, *.json and *.xml, that go before the built-in ones"},
		{cfg.Board.Dir, "definitions of further boards, *.toml"},
		{cfg.Modem.Dialects, "changes to the tables of modem families"},
		{cfg.State.Dir, "what survives a power cut: the journal, reports to servers, what was learned"},
		{cfg.State.Run, "what need not: the socket of the HTTP API, the network's name servers"},
	} {
		p.item(`\fI`+roff(f.path)+`\fR`, f.about)
	}
	p.text("With --instance NAME, for a second modem, @NAME is added to these paths; operators.d, boards.d and dialects.d are shared.")
	p.section("SIGNALS")
	p.item("SIGTERM, SIGINT", "end `dynamod run`; [bearer] on_exit says whether the link stays.")
	p.item("SIGHUP", "makes `dynamod run` read operators.d again.")
	p.section("SEE ALSO")
	fmt.Fprintf(w, "%s(5)\n", bold("dynamod.toml"))
}

const description = `dynamod turns a Linux box with an eSIM-capable modem into a self-activating cellular gateway: an activation code goes in, an
internet link comes out, and whatever happens on the way the box stays reachable. It talks AT to the modem, SGP.22 to the card and the
SM-DP+, and netlink to the kernel.

` + "`dynamod run`" + ` is the daemon, one process per modem. The other commands ask it on its socket, or with --direct do one thing in
their own process where no daemon runs.`

// command writes what `dynamod VERB --help` prints.
func (p page) command(c command) {
	p.part(c.usage())
	p.text(sentence(c.summary))
	if c.about != "" {
		fmt.Fprintln(p.w, ".PP")
		p.text(sentence(c.about))
	}
	c.flags().VisitAll(func(f *flag.Flag) {
		term, text := flagTerm(f)
		name, value, _ := strings.Cut(term, " ")
		if value != "" {
			value = ` \fI` + roff(value) + `\fR`
		}
		p.item(bold(name)+value, text)
	})
	fmt.Fprintln(p.w, ".PP\nExample:")
	p.lines(c.example)
}

// configPage writes dynamod.toml(5) from the file with every key: comments
// stand before what they are about, and "#key = value" is a key that is not
// there by default.
func configPage(w io.Writer, reference string) {
	p := newPage(w, "dynamod.toml", "5", "configuration of dynamod")
	head, rest, _ := strings.Cut(reference, "\n\n")
	var about []string
	for line := range strings.Lines(head) {
		about = append(about, comment(line))
	}
	p.section("DESCRIPTION")
	p.text(strings.Join(about[1:], "\n"))
	p.section("KEYS")
	about = nil
	said := false
	for line := range strings.Lines(rest) {
		line = strings.TrimSpace(line)
		name := strings.TrimPrefix(line, "#")
		switch {
		case line == "":
			said = false
		case strings.HasPrefix(line, "# "):
			about = append(about, comment(line))
		case strings.HasPrefix(name, "["):
			p.part(name)
			if len(about) > 0 {
				p.text(strings.Join(about, " "))
			}
			about, said = nil, false
		default:
			text := strings.Join(about, " ")
			if text == "" && said {
				text = "The same for another name."
			}
			if name != line {
				text += " Not there by default; the value is an example."
			}
			key, value, _ := strings.Cut(name, " = ")
			p.item(bold(key)+" = "+roff(value), text)
			about, said = nil, true
		}
	}
	p.section("SEE ALSO")
	fmt.Fprintf(w, "%s(8)\n", bold("dynamod"))
}

func comment(line string) string { return strings.TrimSpace(strings.TrimPrefix(line, "#")) }
