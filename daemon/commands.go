package main

import (
	"fmt"
	"io"
)

// commands is the table of verbs, in the order of the help text.
func commands() []command {
	return []command{
		versionCommand,
	}
}

func usage(w io.Writer) {
	fmt.Fprint(w, "usage: dynamod COMMAND [FLAGS]\n\nFrom an eSIM activation code to a data link, and never without a way back.\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-14s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\n`dynamod COMMAND --help` tells the flags of a command and shows an example.\n")
}
