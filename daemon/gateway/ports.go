package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/port"
	"dynamod/daemon/activation"
	"dynamod/daemon/config"
)

// portNames lists the ports to try, likeliest first. The number in a tty's name
// is the kernel's choice at each start of the modem, so that a modem that was
// open once is looked for at its place on USB.
func (g *Gateway) portNames() ([]string, error) {
	tree, name := g.opts.Tree, g.config().Modem.Port
	var at string // where the modem of before is now
	if g.place != nil {
		at, _ = tree.Find(*g.place)
	}
	switch {
	case name == config.Auto:
		names, known := g.boardPorts()
		if !known {
			all := g.byTables(tree.Candidates())
			if names = g.notOthers(slices.Clone(all)); len(names) == 0 && len(all) > 0 {
				return nil, &activation.Fault{
					Code: "no-modem", Text: "all modems that are there are other instances'",
					Advice: "plug one more in, or end the other dynamod: `dynamod modem ports` tells who has which",
				}
			}
		}
		if !slices.Contains(names, at) {
			at = ""
		}
		if at != "" {
			names = slices.DeleteFunc(names, func(s string) bool { return s == at })
			names = slices.Insert(names, 0, at)
		}
		if len(names) == 0 && known {
			return nil, &activation.Fault{
				Code: "no-modem", Text: fmt.Sprintf("no modem port was found where the board %s has its modem", g.board.Name),
				Advice: "`dynamod modem ports` lists all; name the one to use in [modem] port, or give [board] name = \"generic-usb\"",
			}
		}
		if len(names) == 0 {
			return nil, &activation.Fault{Code: "no-modem", Text: "no modem port was found", Advice: "plug the modem in, or name its AT port in [modem] port"}
		}
		return names, nil
	case strings.HasPrefix(name, "usb:"):
		place, err := port.ParsePlace(name)
		if err == nil {
			at, err = tree.Find(place)
		}
		if err != nil {
			return nil, &activation.Fault{Code: "no-modem", Text: "no modem port was found", Advice: "plug the modem in there, or name another place in [modem] port", Err: err}
		}
		return []string{at}, nil
	case g.place == nil, !strings.HasPrefix(name, "/"), isLink(name):
		return []string{name}, nil // who made the link keeps it right
	case at != "":
		if at != name {
			g.log.Info("the modem's port has another name now", "configured", name, "port", at, "place", g.place.String())
		}
		return []string{at}, nil
	}
	if now, ok := tree.Place(name); ok && now.Device == g.place.Device {
		return nil, &activation.Fault{
			Code: "no-modem", Text: fmt.Sprintf("modem: %s is another port of the modem now; waiting for interface %d", name, g.place.Interface),
			Advice: "if this stays so, the modem's USB mode was changed: name the port in [modem] port and restart",
		}
	}
	return []string{name}, nil // plugged in elsewhere, perhaps
}

// notOthers leaves out the ports of modems that other instances of this program have:
// who is to look for a modem opens none that is managed.
func (g *Gateway) notOthers(names []string) []string {
	var theirs []string
	for _, name := range names {
		if other, ok := g.instance(name); ok {
			g.log.Debug("another instance has this modem", "port", name, "pid", other.PID)
			theirs = append(theirs, cmp.Or(g.opts.Tree.Physical(name), name))
		}
	}
	return slices.DeleteFunc(names, func(name string) bool {
		return slices.Contains(theirs, cmp.Or(g.opts.Tree.Physical(name), name))
	})
}

// instance tells which other process of this program has a port.
func (g *Gateway) instance(name string) (port.BusyError, bool) {
	other, ok := port.Holder(name)
	return other, ok && other.PID != os.Getpid() && other.Program == port.Program(os.Getpid())
}

// byTables puts the ports first that the tables of the modem's family name, and
// those last that they do not: a diagnostic port never answers, and half a
// minute is lost with it.
func (g *Gateway) byTables(names []string) []string {
	const unknown, notAT = 100, 200
	rank := map[string]int{}
	for _, name := range names {
		rank[name] = unknown
		usb := g.opts.Tree.USB(name)
		place, ok := g.opts.Tree.Place(name)
		if !ok || usb == "" {
			continue
		}
		if ports, ok := g.dialects.Find(dialect.Identity{USB: usb}).PortsOf(usb); ok {
			rank[name] = notAT
			if i := slices.Index(ports.AT, place.Interface); i >= 0 {
				rank[name] = i
			}
		}
	}
	sort.SliceStable(names, func(i, j int) bool { return rank[names[i]] < rank[names[j]] })
	return names
}

// managerTime is how long the start waits for ModemManager to let go a modem
// that it is still finding out about; it goes on asking afterwards.
const managerTime = 20 * time.Second

// askManager keeps ModemManager off the modem that a port belongs to, from now
// on until another modem is tried or the daemon ends.
func (g *Gateway) askManager(ctx context.Context, name string) {
	of := cmp.Or(g.opts.Tree.Physical(name), name)
	if g.manager != nil && g.managerOf == of {
		return
	}
	g.manager.Close()
	ctx, done := context.WithTimeout(ctx, managerTime)
	defer done()
	var err error
	if g.manager, err = port.Inhibit(ctx, name, port.InhibitOptions{Logger: g.log, Tree: g.opts.Tree}); err != nil {
		g.log.Warn("another program may take the modem's answers", "error", err, "hint", "install mmcli, let it ask, or tell ModemManager to ignore the modem")
	}
	g.managerOf = of
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&os.ModeSymlink != 0
}

// advised keeps the advice of the first error that has one.
func advised(errs []error) error {
	all := errors.Join(errs...)
	for _, err := range errs {
		if h := hintOf(err); h != "" && len(errs) > 1 {
			return &activation.Fault{Code: "no-modem", Text: strings.ReplaceAll(all.Error(), "\n", "; "), Advice: h, Err: all}
		}
	}
	return all
}
