package gateway

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/port"
	"dynamod/daemon/config"
	"dynamod/daemon/hook"
)

// Ports lists what may be a modem's AT port where no daemon runs. It opens none.
func Ports(cfg *config.Config, opts Options) []hook.ModemPort {
	set, _ := config.LoadDialects(cfg.Modem.Dialects) // `dynamod check` tells what is wrong in them
	g := &Gateway{opts: opts, dialects: set, log: cmp.Or(opts.Log, slog.New(slog.DiscardHandler))}
	g.conf.Store(cfg)
	g.findBoard()
	return g.ports(nil)
}

// ModemPorts lists what may be a modem's AT port, ours among it. It opens none.
func (g *Gateway) ModemPorts(context.Context) ([]hook.ModemPort, error) {
	g.mu.Lock()
	d := g.device
	g.mu.Unlock()
	return g.ports(d), nil
}

func (g *Gateway) ports(d *device) []hook.ModemPort {
	tree, wanted := g.opts.Tree, g.config().Modem.Port
	if place, err := port.ParsePlace(wanted); err == nil {
		if path, err := tree.Find(place); err == nil {
			wanted = path
		}
	}
	order, ofBoard := g.boardPorts()
	names := g.byTables(tree.Candidates())
	if !ofBoard {
		order = g.notOthers(slices.Clone(names))
	}
	sort.SliceStable(names, func(i, j int) bool {
		a, b := names[i], names[j]
		return cmp.Or(strings.Compare(tree.Physical(a), tree.Physical(b)), len(a)-len(b), strings.Compare(a, b)) < 0
	})
	ours, ourDevice := "", ""
	if d != nil {
		ours, ourDevice = d.path, tree.Physical(d.path)
	}
	for _, name := range []string{ours, wanted} { // a link, a socket: no candidate has its name
		if name != "" && name != config.Auto && !slices.ContainsFunc(names, func(n string) bool { return same(n, name) }) {
			names = slices.Insert(names, 0, name)
		}
	}
	var out []hook.ModemPort
	for _, name := range names {
		p := g.describe(name)
		p.Ours = ours != "" && same(name, ours)
		switch auto := g.config().Modem.Port == config.Auto; {
		case p.Ours && !auto:
			p.Why = "[modem] port names it"
		case p.Ours && p.Role == "at":
			p.Why = fmt.Sprintf("interface %d is an AT port by the table of %s, and it answered", *p.Interface, p.Dialect)
		case p.Ours:
			p.Why = "it answered AT commands"
		case ourDevice != "" && tree.Physical(name) == ourDevice:
			p.Why = "another port of our modem, left alone"
		case d != nil:
			p.Why = "not our modem, never opened"
		case !auto && same(name, wanted):
			p.Why = "[modem] port names it"
		case !auto:
			p.Why = "[modem] port names another, never opened"
		case slices.Contains(order, name):
			p.Why = fmt.Sprintf("[modem] port is auto: number %d to be tried", slices.Index(order, name)+1)
		case ofBoard:
			p.Why = fmt.Sprintf("the board %s has its modem elsewhere, never opened", g.board.Name)
		default:
			p.Why = "the modem of another instance, never opened"
		}
		out = append(out, p)
	}
	return out
}

// describe tells what the system and the tables know of a port.
func (g *Gateway) describe(name string) hook.ModemPort {
	tree := g.opts.Tree
	p := hook.ModemPort{Path: name, USB: tree.USB(name), Product: tree.Product(name), Driver: tree.Driver(name)}
	if place, ok := tree.Place(name); ok {
		p.Device, p.Interface = place.Device, &place.Interface
		family := g.dialects.Find(dialect.Identity{USB: p.USB})
		if ports, ok := family.PortsOf(p.USB); ok && p.USB != "" {
			p.Dialect, p.Source, p.Role = family.Name, string(ports.Source), "other"
			switch {
			case slices.Contains(ports.AT, place.Interface):
				p.Role = "at"
			case slices.Contains(ports.PPP, place.Interface):
				p.Role = "ppp"
			}
		}
	}
	if h, ok := port.Holder(name); ok {
		p.Holder = &hook.PortHolder{PID: h.PID, Program: h.Program}
	}
	return p
}

// same reports whether two names are of one device node.
func same(a, b string) bool {
	if a == b {
		return true
	}
	a, aerr := filepath.EvalSymlinks(a)
	b, berr := filepath.EvalSymlinks(b)
	return aerr == nil && berr == nil && a == b
}
