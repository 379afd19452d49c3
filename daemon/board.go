package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dynamod/board"
	"dynamod/board/gpio"
	"dynamod/daemon/config"
	"dynamod/daemon/gateway"
	"dynamod/daemon/hook"
)

// boardCommand is the family of verbs for the box around the modem.
var boardCommand = command{
	name:    "board",
	summary: "the box around the modem: which it is, what is known of it, whether that is there",
	about: `Without a verb it is ` + "`dynamod board detect`" + `. A definition says where on a box the modem
sits and which lines take its power; docs/boards.md has how one is written.`,
	example: "dynamod board\ndynamod board show teltonika-rut955\ndynamod board check ./acme-m1.toml",
	bare:    "detect",
	verbs:   []command{boardDetectCommand, boardShowCommand, boardCheckCommand, boardPowerCycleCommand},
}

// boardVerb are the flags of the family, and where its verbs look.
type boardVerb struct {
	configFlags
	json bool
	root string
	tree gpio.Tree
}

// boardSetup declares the flags of a verb that takes the configured choice of a board.
func boardSetup(act func(*boardVerb, config.Board, []string, std) error) func(*flag.FlagSet) action {
	return func(fs *flag.FlagSet) action {
		v := &boardVerb{root: "/"}
		v.declare(fs)
		fs.BoolVar(&v.json, "json", false, "print one JSON object")
		return func(_ context.Context, args []string, s std) error {
			cfg, err := v.loadOrDefault()
			if err != nil {
				return err
			}
			return act(v, cfg.Board, args, s)
		}
	}
}

var boardDetectCommand = command{
	name:    "board detect",
	summary: "tell which box this is, and which definition is used for it",
	about: `The box is asked by its device tree, /etc/board.json and its firmware (DMI). Where no
definition fits, generic-usb is used, with which everything is found out.`,
	example: "dynamod board detect\ndynamod board detect --json",
	setup:   boardSetup((*boardVerb).detect),
}

func (v *boardVerb) detect(choice config.Board, args []string, s std) error {
	if err := noArgs("board detect", args); err != nil {
		return err
	}
	id := board.Read(v.root)
	b, by, bad := choice.Choose(id)
	for _, e := range bad {
		fmt.Fprintf(s.err, "warning: %s\n", clean(e.Error(), "\n"))
	}
	if v.json {
		return printJSON(s.out, map[string]any{
			"model": id.Model, "compatible": append([]string{}, id.Compatible...), "dmi": id.DMI,
			"board": b.Name, "by": by, "about": b.About, "source": b.Source, "untested": b.Untested,
		})
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
	setup:   boardSetup((*boardVerb).show),
}

func (v *boardVerb) show(choice config.Board, args []string, s std) error {
	switch {
	case len(args) > 1:
		return usageError{errors.New("board show takes one name"), "`dynamod board show all` lists them"}
	case len(args) == 1 && args[0] == "all":
		list, _ := config.LoadBoards(choice.Dir) // `dynamod check` tells what is wrong in them
		var rows [][]string
		names := []string{}
		for _, b := range list {
			rows = append(rows, []string{b.Name, onlyIf(b.Untested, "untested"), b.About})
			names = append(names, b.Name)
		}
		if v.json {
			return printJSON(s.out, names)
		}
		writeTable(s.out, rows)
		return nil
	case len(args) == 1:
		choice.Name = args[0]
	}
	b, by, bad := choice.Choose(board.Read(v.root))
	if len(args) == 1 && by == "" {
		return fault{exitFailed, bad[len(bad)-1].Msg, bad[len(bad)-1].Hint}
	}
	all := map[string]any{"name": b.Name}
	row := rower(s.out, 16)
	if !v.json {
		row("name", b.Name)
	}
	b.Each(func(key string, value any) {
		if d, ok := value.(board.Duration); ok {
			value = time.Duration(d).String()
		}
		if all[key] = value; !v.json {
			row(key, strings.Trim(fmt.Sprint(value), "[]"))
		}
	})
	if v.json {
		return printJSON(s.out, all)
	}
	return nil
}

var boardCheckCommand = command{
	name:    "board check",
	args:    "[FILE...]",
	summary: "check a definition: its file, or whether the box has what it names",
	about: `With files, each is checked as it would be read; the box is not asked. Without, the
definition that is used here is held against the box: is each of its lines, LEDs and
nodes there? No line is taken for it. The exit code is 5 when something is wrong.`,
	example: "dynamod board check\ndynamod board check ./acme-m1.toml",
	setup:   boardSetup((*boardVerb).check),
}

func (v *boardVerb) check(choice config.Board, files []string, s std) error {
	if len(files) == 0 {
		b, by, bad := choice.Choose(board.Read(v.root))
		if by == "" && choice.Name != config.Auto {
			return bad
		}
		return v.checkBox(b, s)
	}
	_, errs := config.LoadBoards(choice.Dir, files...)
	errs = slices.DeleteFunc(errs, func(e *config.Error) bool { return !slices.Contains(files, e.File) })
	var err error
	if len(errs) > 0 {
		err = errs
	}
	name := strings.Join(files, ", ")
	if v.json {
		return checkJSON(s, name, err, nil)
	}
	if err == nil {
		fmt.Fprintf(s.out, "%s: ok\n", clean(name, ""))
	}
	return err
}

// boardPart is what became of one thing that a definition names.
type boardPart struct {
	Key   string `json:"key"`
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Where string `json:"where"` // it is, or what is wrong
}

// checkBox looks for what a definition names.
func (v *boardVerb) checkBox(b *board.Board, s std) error {
	parts, ok := []boardPart{}, true
	look := func(key, name string, find func() (string, error)) {
		where, err := find()
		if err != nil {
			where, ok = err.Error(), false
		}
		parts = append(parts, boardPart{key, name, err == nil, where})
	}
	b.Each(func(key string, value any) {
		names, _ := value.([]string)
		if name, ok := value.(string); ok {
			names = []string{name}
		}
		for _, name := range names {
			line, path := "", ""
			switch key {
			case "leds.registered", "leds.link":
				line = "led:" + name
			case "modem.port":
				path = name
			case "modem.interface":
				path = "/sys/class/net/" + name
			default:
				line = onlyIf(board.IsLine(key), name)
			}
			if line != "" {
				look(key, name, func() (string, error) { return v.tree.Find(line) })
			}
			if path != "" {
				look(key, name, func() (string, error) {
					_, err := os.Stat(filepath.Join(v.root, path))
					return path, err
				})
			}
		}
	})
	if v.json {
		if err := printJSON(s.out, map[string]any{"board": b.Name, "ok": ok, "parts": parts}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(s.out, "board %s%s\n", clean(b.Name, ""), onlyIf(len(parts) == 0, " names no line, LED or node that could be missing"))
		var rows [][]string
		for _, p := range parts {
			rows = append(rows, []string{onlyIf(p.OK, "[ ok ]") + onlyIf(!p.OK, "[FAIL]"), p.Key, p.Name, p.Where})
		}
		writeTable(s.out, rows)
	}
	if !ok {
		return fault{code: exitFailed} // the table has said it
	}
	return nil
}

var boardPowerCycleCommand = command{
	name:    "board power-cycle",
	summary: "take the modem's power away for a moment, by a line of the board",
	about: `The line is the definition's supply, else its reset, else its power key. It asks first,
or takes --yes. The link goes down meanwhile, and comes up again by itself. Refused
while an activation uses the modem. Where no daemon runs it is done here, by root.`,
	example: "dynamod board power-cycle\ndynamod board power-cycle --yes",
	setup: func(fs *flag.FlagSet) action {
		var r reach
		r.declare(fs)
		yes := fs.Bool("yes", false, "do not ask")
		return func(ctx context.Context, args []string, s std) error {
			if err := noArgs("board power-cycle", args); err != nil {
				return err
			}
			if !*yes {
				if err := confirm(ctx, s, "board power-cycle", "", "Take the modem's power? The link goes down meanwhile.", "the modem has kept its power"); err != nil {
					return err
				}
			}
			return r.powerCycle(ctx, s)
		}
	},
}

func (r *reach) powerCycle(ctx context.Context, s std) error {
	if !r.direct {
		path, err := r.socketPath()
		if err != nil {
			return err
		}
		_, err = tellAfter(ctx, s, hook.Dial(path), r.json, "POST", "/v1/modem/reset", hook.ModemResetRequest{Kind: hook.ResetPower, Confirm: true}, writeModemReset)
		if !errors.Is(err, hook.ErrNoDaemon) || r.socket != "" {
			return err
		}
	}
	cfg, err := r.loadOrDefault()
	if err != nil {
		return err
	}
	done, err := gateway.CycleBoard(ctx, cfg, gatewayOptions(cfg, s.err))
	if err != nil {
		return err
	}
	if r.json {
		return printJSON(s.out, hook.ModemReset{Kind: hook.ResetPower, Done: done})
	}
	fmt.Fprintf(s.out, "no daemon runs; the board has started the modem again (%s)\n", clean(done, ""))
	return nil
}
