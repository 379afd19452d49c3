package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"dynamod/board"
	"dynamod/board/gpio"
	"dynamod/daemon/config"
)

// boardCommand is the family of verbs for the box around the modem. They need no
// daemon.
var boardCommand = command{
	name:    "board",
	summary: "the box around the modem: which it is, what is known of it, whether that is there",
	about: `Without a verb it is ` + "`dynamod board detect`" + `. A definition says where on a box the modem
sits and which lines take its power; docs/boards.md has how one is written.`,
	example: "dynamod board\ndynamod board show teltonika-rut955\ndynamod board check ./acme-m1.toml",
	bare:    "detect",
	verbs:   []command{boardDetectCommand, boardShowCommand, boardCheckCommand},
}

var boardDetectCommand = command{
	name:    "board detect",
	summary: "tell which box this is, and which definition is used for it",
	about: `The box is asked by its device tree, /etc/board.json and its firmware (DMI). Where no
definition fits, generic-usb is used, with which everything is found out.`,
	example: "dynamod board detect\ndynamod board detect --json",
	setup: func(fs *flag.FlagSet) action {
		var v boardVerb
		v.declare(fs)
		return func(_ context.Context, args []string, s std) error {
			if err := noArgs("board detect", args); err != nil {
				return err
			}
			cfg, err := v.loadOrDefault()
			if err != nil {
				return err
			}
			return v.detect(cfg.Board, os.DirFS("/"), s)
		}
	},
}

// boardVerb are the flags of the family.
type boardVerb struct {
	configFlags
	json bool
}

func (v *boardVerb) declare(fs *flag.FlagSet) {
	v.configFlags.declare(fs)
	fs.BoolVar(&v.json, "json", false, "print one JSON object")
}

// boardFound is what detect tells, as JSON.
type boardFound struct {
	board.Identity
	Board    string `json:"board"`
	By       string `json:"by,omitempty"` // the name that it was chosen by, "" for none
	About    string `json:"about,omitempty"`
	Source   string `json:"source,omitempty"`
	Untested bool   `json:"untested"`
}

func (v *boardVerb) detect(choice config.Board, root fs.FS, s std) error {
	id := board.Read(root)
	b, by, bad := choice.Choose(id)
	for _, e := range bad {
		fmt.Fprintf(s.err, "warning: %s\n", clean(e.Error(), "\n"))
	}
	if v.json {
		return printJSON(s.out, boardFound{id, b.Name, by, b.About, b.Source, b.Untested})
	}
	row := rower(s.out, 8)
	row("box", cmp.Or(id.Model, "does not say what it is"))
	row("  names", strings.Join(id.Compatible, ", "))
	row("  DMI", id.DMI)
	row("board", b.Name+onlyIf(b.Untested, ", untested: nobody has had it on the box itself"))
	row("  by", cmp.Or(by, "no definition fits; write one in "+choice.Dir))
	row("  about", b.About)
	row("  source", b.Source)
	return nil
}

var boardShowCommand = command{
	name:    "board show",
	args:    "[NAME]",
	summary: "show a definition with what it inherits, or list all",
	about:   "Without a name it is the one that is used here; `dynamod board show all` lists their names.",
	example: "dynamod board show\ndynamod board show glinet-gl-x3000 --json\ndynamod board show all",
	setup: func(fs *flag.FlagSet) action {
		var v boardVerb
		v.declare(fs)
		return func(_ context.Context, args []string, s std) error {
			cfg, err := v.loadOrDefault()
			switch {
			case err != nil:
				return err
			case len(args) > 1:
				return usageError{fmt.Errorf("board show takes one name"), "`dynamod board show all` lists them"}
			case len(args) == 1 && args[0] == "all":
				return v.list(cfg.Board, s)
			case len(args) == 1:
				cfg.Board.Name = args[0]
			}
			b, by, bad := cfg.Board.Choose(board.Read(os.DirFS("/")))
			if len(args) == 1 && by == "" {
				return fault{exitFailed, bad[len(bad)-1].Msg, bad[len(bad)-1].Hint}
			}
			if v.json {
				return printJSON(s.out, b)
			}
			writeBoard(s.out, b)
			return nil
		}
	},
}

func (v *boardVerb) list(choice config.Board, s std) error {
	list, _ := config.LoadBoards(choice.Dir) // `dynamod check` tells what is wrong in them
	if v.json {
		return printJSON(s.out, list)
	}
	var rows [][]string
	for _, b := range list {
		rows = append(rows, []string{b.Name, onlyIf(b.Untested, "untested"), b.About})
	}
	writeTable(s.out, rows)
	return nil
}

// writeBoard writes a definition key by key, as a file would have it.
func writeBoard(w io.Writer, b *board.Board) {
	row := rower(w, 16)
	row("name", b.Name)
	row("about", b.About)
	row("source", b.Source)
	row("untested", onlyIf(b.Untested, "true"))
	row("compatible", strings.Join(b.Compatible, ", "))
	row("dmi", strings.Join(b.DMI, ", "))
	m := &b.Modem
	row("modem.usb", strings.Join(m.USB, ", "))
	row("modem.ids", strings.Join(m.IDs, ", "))
	row("modem.at", onlyIf(len(m.AT) > 0, strings.Trim(fmt.Sprint(m.AT), "[]")))
	row("modem.ppp", onlyIf(m.PPP > 0, strconv.Itoa(m.PPP)))
	row("modem.net", onlyIf(m.Net > 0, strconv.Itoa(m.Net)))
	row("modem.port", m.Port)
	row("modem.baud", onlyIf(m.Baud > 0, strconv.Itoa(m.Baud)))
	row("modem.interface", m.Interface)
	for _, p := range boardParts(b) {
		row(p.key, p.name)
		for _, t := range p.times {
			if t.d != 0 {
				row(t.key, time.Duration(t.d).String())
			}
		}
	}
	row("sim.slots", onlyIf(len(b.SIM.Slots) > 0, strings.Trim(fmt.Sprint(b.SIM.Slots), "[]")))
	for _, t := range []boardTime{{"quirks.boot", b.Quirks.Boot}, {"quirks.whole", b.Quirks.Whole}} {
		row(t.key, onlyIf(t.d != 0, time.Duration(t.d).String()))
	}
}

// boardPart is a line or an LED of a definition.
type boardPart struct {
	key, name string // as in its file
	line      string // name as gpio.Tree takes it
	times     []boardTime
}

type boardTime struct {
	key string
	d   board.Duration
}

// boardParts lists what of a definition has to be there on the box.
func boardParts(b *board.Board) (parts []boardPart) {
	add := func(key, name string, times ...boardTime) {
		if name != "" {
			parts = append(parts, boardPart{key, name, name, times})
		}
	}
	add("supply.line", b.Supply.Line, boardTime{"supply.off", b.Supply.Off})
	add("reset.line", b.Reset.Line, boardTime{"reset.pulse", b.Reset.Pulse})
	add("key.line", b.Key.Line, boardTime{"key.on", b.Key.On}, boardTime{"key.off", b.Key.Off})
	add("status.line", b.Status.Line)
	add("sim.line", b.SIM.Line)
	for i, name := range b.Quirks.On {
		add(fmt.Sprintf("quirks.on[%d]", i), name)
	}
	for _, l := range []struct{ key, name string }{{"leds.registered", b.LEDs.Registered}, {"leds.link", b.LEDs.Link}} {
		if l.name != "" {
			parts = append(parts, boardPart{l.key, l.name, "led:" + l.name, nil})
		}
	}
	return parts
}

var boardCheckCommand = command{
	name:    "board check",
	args:    "[FILE...]",
	summary: "check a definition: its file, or whether the box has what it names",
	about: `With files, each is checked as it would be read; the box is not asked. Without, the
definition that is used here is held against the box: is each of its lines, LEDs and
nodes there? No line is taken for it. The exit code is 5 when something is wrong.`,
	example: "dynamod board check\ndynamod board check ./acme-m1.toml",
	setup: func(fs *flag.FlagSet) action {
		var v boardVerb
		v.declare(fs)
		return func(_ context.Context, args []string, s std) error {
			cfg, err := v.loadOrDefault()
			if err != nil {
				return err
			}
			if len(args) > 0 {
				return v.checkFiles(cfg.Board, args, s)
			}
			b, by, bad := cfg.Board.Choose(board.Read(os.DirFS("/")))
			if len(bad) > 0 && by == "" && cfg.Board.Name != config.Auto {
				return bad
			}
			return v.checkBox(b, gpio.Tree{}, "/", s)
		}
	},
}

// checkFiles checks files as `dynamod check` checks the configuration.
func (v *boardVerb) checkFiles(choice config.Board, paths []string, s std) error {
	var errs config.Errors
	for _, path := range paths {
		if _, err := config.LoadBoard(path, choice.Dir); err != nil {
			more, _ := err.(config.Errors)
			errs = append(errs, more...)
		}
	}
	var err error
	if len(errs) > 0 {
		err = errs
	}
	if v.json {
		return checkJSON(s, strings.Join(paths, ","), err, nil)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%s: ok\n", strings.Join(paths, ", "))
	return nil
}

// boardCheck is one line of what check tells of the box.
type boardCheck struct {
	Key   string `json:"key"`
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Where string `json:"where,omitempty"`
	Error string `json:"error,omitempty"`
}

// checkBox looks for what a definition names, below root.
func (v *boardVerb) checkBox(b *board.Board, tree gpio.Tree, root string, s std) error {
	var checks []boardCheck
	ok := true
	for _, p := range boardParts(b) {
		c := boardCheck{Key: p.key, Name: p.name, OK: true}
		var err error
		if c.Where, err = tree.Find(p.line); err != nil {
			c.OK, c.Where, c.Error, ok = false, "", err.Error(), false
		}
		checks = append(checks, c)
	}
	for _, f := range []struct{ key, path string }{{"modem.port", b.Modem.Port}, {"modem.interface", prefix("/sys/class/net/", b.Modem.Interface)}} {
		if f.path == "" {
			continue
		}
		c := boardCheck{Key: f.key, Name: filepath.Base(f.path), OK: true, Where: f.path}
		if _, err := os.Stat(filepath.Join(root, f.path)); err != nil {
			c.OK, c.Error, ok = false, "there is no "+f.path, false
		}
		checks = append(checks, c)
	}
	if v.json {
		out := struct {
			Board string       `json:"board"`
			OK    bool         `json:"ok"`
			Parts []boardCheck `json:"parts"`
		}{b.Name, ok, append([]boardCheck{}, checks...)}
		if err := printJSON(s.out, out); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(s.out, "board %s\n", clean(b.Name, ""))
		var rows [][]string
		for _, c := range checks {
			rows = append(rows, []string{onlyIf(c.OK, "[ ok ]") + onlyIf(!c.OK, "[FAIL]"), c.Key, c.Name, c.Where + c.Error})
		}
		writeTable(s.out, rows)
		if len(checks) == 0 {
			fmt.Fprintln(s.out, "it names no line, LED or node that could be missing")
		}
	}
	if !ok {
		return fault{code: exitFailed} // the table has said it
	}
	return nil
}
