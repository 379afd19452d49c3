package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// command is one verb. Everything that help, completion and man pages tell of
// it is here and in the flags that setup declares.
type command struct {
	name    string
	args    string // of the usage line, behind the flags; may be empty
	summary string // one line for the list of verbs
	about   string // what else there is to know; may be empty
	example string // one or more command lines
	// setup declares the verb's flags and returns what carries it out.
	setup func(fs *flag.FlagSet) action
	// verbs are what a verb that is a family, such as apn, has below it. Each
	// has its own flags and help; their names are whole, "apn lookup". Such a
	// verb has no setup.
	verbs []command
	// bare is the verb below a family that its name alone stands for, "status";
	// empty where one has to be named.
	bare string
}

// action carries out a verb with the arguments that are left when the flags
// are parsed. Its error decides the exit code, see exitCode.
type action func(ctx context.Context, args []string, s std) error

// extra holds the verbs of files that a build tag leaves out, such as demo and
// sim under nodemo. Their init functions append to it.
var extra []command

// commands is the table of verbs, in the order of the help text.
func commands() []command {
	return slices.Concat([]command{
		runCommand,
		checkCommand,
		initCommand,
		activateCommand,
		answerCommand,
		statusCommand,
		profilesCommand,
		cardCommand,
		modemCommand,
		boardCommand,
		apnCommand,
		operatorsCommand,
		plansCommand,
		balanceCommand,
		notificationsCommand,
		tokenCommand,
		helperCommand,
		diagCommand,
		logCommand,
		bundleCommand,
	}, extra, []command{
		manCommand(),
		completionCommand(),
		versionCommand,
	})
}

func usage(w io.Writer) {
	fmt.Fprint(w, "usage: dynamod COMMAND [FLAGS]\n\nFrom an eSIM activation code to a data link, and never without a way back.\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-14s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\n`dynamod COMMAND --help` tells the flags of a command and shows an example.\n")
	codes := make([]string, len(exitCodes))
	for i, e := range exitCodes {
		codes[i] = fmt.Sprintf("%d %s", e.code, e.name)
	}
	fmt.Fprintln(w, wrap("Exit codes: "+strings.Join(codes, ", ")+".", 0))
}

// help writes what `dynamod VERB --help` prints, in lines for 80 columns.
func (c command) help(w io.Writer, fs *flag.FlagSet) {
	fmt.Fprintf(w, "usage: %s\n\n", c.usage())
	fmt.Fprintln(w, wrap(sentence(c.summary), 0))
	if c.about != "" {
		fmt.Fprintf(w, "\n%s\n", wrap(sentence(c.about), 0))
	}
	if c.verbs != nil {
		fmt.Fprintln(w)
		width := 14
		for _, v := range c.verbs {
			width = max(width, len(v.name))
		}
		for _, v := range c.verbs {
			fmt.Fprintf(w, "  %-*s %s\n", width, v.name, wrap(v.summary, width+3))
		}
		fmt.Fprintf(w, "\n%s\n", wrap(fmt.Sprintf("`dynamod %s --help` tells the flags of one.", c.verbs[0].name), 0))
	}
	first := true
	fs.VisitAll(func(f *flag.Flag) {
		if first {
			fmt.Fprint(w, "\nflags:\n")
			first = false
		}
		term, text := flagTerm(f)
		fmt.Fprintf(w, "  %-30s %s\n", term, wrap(text, 33))
	})
	fmt.Fprintf(w, "\nexample:\n  %s\n", strings.ReplaceAll(c.example, "\n", "\n  "))
}

// usage is c's usage line.
func (c command) usage() string {
	if c.verbs != nil {
		verb := "VERB"
		if c.bare != "" {
			verb = "[VERB]"
		}
		return "dynamod " + c.name + " " + verb + " [FLAGS]"
	}
	return strings.Join(fields("dynamod", c.name, "[FLAGS]", c.args), " ")
}

// flags are the flags that c declares.
func (c command) flags() *flag.FlagSet {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	if c.setup != nil {
		c.setup(fs)
	}
	return fs
}

// flagTerm is a flag with its value's name, "--config FILE", and what it does.
func flagTerm(f *flag.Flag) (term, text string) {
	value, text := flag.UnquoteUsage(f)
	if !slices.Contains([]string{"", "false", "0", "0s"}, f.DefValue) {
		text += " (default " + f.DefValue + ")"
	}
	return strings.TrimSpace("--" + f.Name + " " + value), text
}

// sentence is a summary, or the end of an about, as a sentence.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}

// wrap breaks text into lines that end before column 80; all but the first
// begin at column indent.
func wrap(text string, indent int) string {
	var b strings.Builder
	column := indent
	for i, word := range strings.Fields(text) {
		switch n := utf8.RuneCountInString(word); {
		case i == 0:
			column += n
		case column+1+n < 80:
			b.WriteByte(' ')
			column += 1 + n
		default:
			fmt.Fprintf(&b, "\n%*s", indent, "")
			column = indent + n
		}
		b.WriteString(word)
	}
	return b.String()
}
