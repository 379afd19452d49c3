package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"

	"dynamod/configs/cosa"
	"dynamod/configs/cosa/importer"
	"dynamod/daemon/durable"
)

var apnImportCommand = command{
	name:    "apn import",
	args:    "FILE...",
	summary: "read operator settings of other systems, and tell what became of them",
	about: `It reads customizations.xml (COSA), apns-conf.xml (Android), serviceproviders.xml
and our own JSON, and tells how many rows were taken, what some of them lost, and
which were refused, with line and reason. With --out it writes the settings as
one file for operators.d; passwords are in it, and it writes nothing where one
of the files could not be read as a whole. The files may lie in operators.d
as they are, too. Nothing is written without --out.`,
	example: "dynamod apn import customizations.xml\ndynamod apn import DE.xml AT.xml --out /etc/dynamod/operators.d/dach.json",
	setup: func(fs *flag.FlagSet) action {
		var i apnImport
		fs.StringVar(&i.out, "out", "", "write the settings to `FILE`, \"-\" for standard output")
		fs.BoolVar(&i.force, "force", false, "replace a file that is there")
		fs.BoolVar(&i.all, "all", false, "name every row that lost something, not only how many")
		fs.BoolVar(&i.json, "json", false, "print the report as one JSON object, with every row")
		return i.run
	},
}

type apnImport struct {
	out              string
	force, all, json bool
}

// apnImportJSON is what `apn import --json` prints.
type apnImportJSON struct {
	Files    []*importer.Report `json:"files"` // those that were read
	Problems []fileProblem      `json:"problems"`
	Profiles int                `json:"profiles"` // of all files, after Replace
	Out      string             `json:"out,omitempty"`
}

// fileProblem is why a file could not be read.
type fileProblem struct {
	File string `json:"file"`
	fileError
}

func (i *apnImport) run(_ context.Context, args []string, s std) error {
	switch {
	case len(args) == 0:
		return usageError{errors.New("apn import needs a file"), "`dynamod apn import --help` shows how it is called"}
	case i.out == "-" && i.json:
		return usageError{errors.New("--json and --out - both print on standard output"), "give --out a file"}
	}
	if i.out != "" && i.out != "-" && !i.force {
		if _, err := os.Lstat(i.out); err == nil {
			return fault{exitRefused, i.out + " is there already", "--force replaces it"}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot write the settings: %w", err)
		}
	}

	report := apnImportJSON{Files: []*importer.Report{}, Problems: []fileProblem{}}
	var set importer.Set
	for _, path := range args {
		file, problems := importer.ReadFile(path)
		if len(problems) == 0 {
			if p := set.Add(file); p != nil {
				problems = []*cosa.Problem{p}
			}
		}
		for _, p := range problems {
			report.Problems = append(report.Problems, fileProblem{p.File, fileError{"", p.Line, p.Col, p.Msg, p.Hint}})
			if !i.json {
				fmt.Fprintln(s.err, clean(p.Error(), "\n"))
			}
		}
		if len(problems) == 0 {
			report.Files = append(report.Files, &file.Report)
		}
	}
	report.Profiles = len(set.Profiles())
	if i.out != "" && report.Profiles > 0 && len(report.Problems) == 0 {
		runtime.GC() // what was read is garbage by now, and would be there beside what is written
		if err := i.write(s, set.Profiles()); err != nil {
			return err
		}
		report.Out = i.out
	}
	to := s.out
	if i.out == "-" {
		to = s.err
	}
	if i.json {
		if err := printJSON(s.out, report); err != nil {
			return err
		}
	} else {
		i.print(to, report)
	}
	switch {
	case len(report.Problems) == 0 && report.Profiles > 0:
		return nil
	case i.out != "" && len(report.Problems) > 0 && !i.json:
		return fault{exitFailed, "nothing is written: not all of the files could be read", "mend those that are named above, or leave them out"}
	case i.json || len(report.Problems) > 0:
		return fault{code: exitFailed}
	}
	return fault{exitFailed, "no operator settings in it", ""}
}

// write puts the profiles into a file that only its owner may read.
func (i *apnImport) write(s std, profiles []cosa.OperatorProfile) error {
	if i.out == "-" {
		return cosa.WriteJSON(s.out, profiles)
	}
	refused := cosa.TooMany(profiles)
	var size counter
	if err := cosa.WriteJSON(&size, profiles); err != nil {
		return fmt.Errorf("cannot write the settings: %w", err)
	}
	write := cosa.WriteJSON
	if size > cosa.MaxFileBytes {
		size, write = 0, cosa.WriteJSONLines
		_ = write(&size, profiles) // it has been written before
	}
	if size > cosa.MaxFileBytes {
		refused = fmt.Sprintf("%d bytes, at most %d", size, cosa.MaxFileBytes)
	}
	if refused != "" {
		return fault{exitFailed, "operators.d would not take them: " + refused, "import fewer files into one"}
	}
	err := durable.Write(i.out, 0o600, func(w io.Writer) error {
		out := bufio.NewWriterSize(w, 64<<10)
		if err := write(out, profiles); err != nil {
			return err
		}
		return out.Flush()
	})
	if err != nil {
		return fmt.Errorf("cannot write the settings: %w", err)
	}
	return nil
}

// counter counts what is written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func (i *apnImport) print(w io.Writer, report apnImportJSON) {
	for _, f := range report.Files {
		fmt.Fprintf(w, "%s: %s\n", clean(f.File, ""), f.Summary())
		for _, r := range f.Refused {
			fmt.Fprintf(w, "  refused: %s\n", clean(r.String(), ""))
		}
		if i.all {
			for _, r := range f.Lossy {
				fmt.Fprintf(w, "  lost: %s\n", clean(r.String(), ""))
			}
			continue
		}
		for _, c := range importer.Tally(f.Lossy) {
			fmt.Fprintf(w, "  lost: %d times: %s\n", c.Rows, clean(c.Why, ""))
		}
	}
	if report.Out != "" && report.Out != "-" {
		fmt.Fprintf(w, "wrote %d operators to %s\n", report.Profiles, report.Out)
	}
}
