package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"dynamod/daemon/diag"
	"dynamod/daemon/hook"
)

var diagCommand = command{
	name:    "diag",
	summary: "walk from the board to the internet and name the first thing that is broken",
	about: `Nothing that depends on a broken thing is asked. Clock and card are not part of
the chain: a link works without, an activation does not.
The exit code is 0 when nothing is broken, 5 when something is.`,
	example: "dynamod diag\ndynamod diag --direct --config ./dynamod.toml",
	setup: func(fs *flag.FlagSet) action {
		var r reach
		r.declare(fs)
		return func(ctx context.Context, args []string, s std) error {
			if err := noArgs("diag", args); err != nil {
				return err
			}
			return r.do(ctx, s, func(c *hook.Client) error {
				if r.direct {
					settle(ctx, c, linkTime)
				}
				d, err := tell(ctx, s, c, r.json, "/v1/diag", writeDiagnosis)
				if err != nil {
					return err
				}
				if !d.OK {
					return fault{code: exitFailed} // the tree has said it
				}
				return nil
			})
		}
	},
}

// writeDiagnosis writes the chain, the advice below what is broken.
func writeDiagnosis(w io.Writer, d diag.Diagnosis) {
	marks := map[string]string{diag.OK: "[ ok ]", diag.Broken: "[FAIL]", diag.Skipped: "[    ]"}
	width := 0
	for _, n := range d.Nodes {
		width = max(width, len(n.Name))
	}
	for _, n := range d.Nodes {
		mark, known := marks[n.State]
		if !known {
			mark = "[ ?? ]"
		}
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%s %-*s  %s", mark, width, clean(n.Name, ""), clean(n.Text, "")), " "))
		for _, line := range n.Details {
			fmt.Fprintf(w, "       %-*s     %s\n", width, "", clean(line, ""))
		}
		if n.Advice != "" {
			fmt.Fprintf(w, "       %-*s  -> %s\n", width, "", clean(n.Advice, ""))
		}
	}
}
