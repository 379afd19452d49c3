package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"dynamod/atcmd/port"
	"dynamod/board"
	"dynamod/board/gpio"
	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/durable"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// findBoard finds out which box this is, and what is known of it.
func (g *Gateway) findBoard() {
	g.box = board.Read(cmp.Or(g.opts.Root, "/"))
	b, why, bad := g.config().Board.Choose(g.box)
	for _, e := range bad {
		g.log.Error("a definition of a board is left out", "error", e)
	}
	g.board = *b
	if why != "" {
		g.log.Info("the board is known", "board", b.Name, "by", why, "untested", b.Untested)
	}
}

// lines are those of the board.
func (g *Gateway) lines() gpio.Tree {
	return gpio.Tree{Sys: g.opts.Tree.Sys, Dev: g.opts.Tree.Dev, Chips: g.opts.Chips}
}

// cycleMark says that the board's lines are not as they should be, for a daemon that
// was killed just then: nothing else would set them back.
const cycleMark = "board-power"

// CycleBoard starts the modem again by a line of the board, where no daemon runs.
func CycleBoard(ctx context.Context, cfg *config.Config, opts Options) (by string, err error) {
	if err := errors.Join(os.MkdirAll(cfg.State.Run, 0o755), os.MkdirAll(cfg.State.Dir, 0o755)); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(cfg.State.Dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	g := &Gateway{opts: opts, log: opts.Log}
	g.conf.Store(cfg)
	g.findBoard()
	return g.board.Switch(), g.cycleBoard(ctx)
}

// cycleBoard starts the modem again by a line of the board.
func (g *Gateway) cycleBoard(ctx context.Context) error {
	if g.board.Switch() == "" {
		return &activation.Fault{Code: "board-line", Text: "the board " + g.board.Name + " has no line that starts the modem again", Advice: "name one in a definition: docs/boards.md; or `dynamod modem reset --modem`", Retry: euicc.RetryNever}
	}
	mark := filepath.Join(g.config().State.Run, cycleMark)
	if err := durable.WriteFile(mark, []byte(g.board.Name), 0o600); err != nil {
		return err
	}
	g.log.Warn("the board starts the modem again", "by", g.board.Switch())
	if err := g.board.Cycle(ctx, g.lines()); err != nil {
		return lineAdvice(err) // the mark stays: a line may be as it must not stay
	}
	return os.Remove(mark)
}

// keepBoard sets the board's lines as the modem needs them, and its LEDs as it fares,
// until ctx ends.
func (g *Gateway) keepBoard(ctx context.Context) error {
	mark := filepath.Join(g.config().State.Run, cycleMark)
	if _, err := os.Stat(mark); err == nil {
		g.log.Warn("an earlier process has left the board's lines", "board", g.board.Name)
		if err := g.board.Restore(ctx, g.lines()); err != nil {
			g.log.Error("the modem may have no power", "error", lineAdvice(err), "hint", hintOf(lineAdvice(err)))
		} else if err := os.Remove(mark); err != nil && !errors.Is(err, fs.ErrNotExist) {
			g.log.Warn("what is done will be done again", "error", err)
		}
	}
	held, err := g.board.Prepare(ctx, g.lines())
	if err != nil && ctx.Err() == nil {
		g.log.Error("a line of the board cannot be used", "error", lineAdvice(err), "hint", hintOf(lineAdvice(err)))
	}
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	g.keepLights(ctx)
	return nil
}

// lineAdvice says what to do about a line that cannot be used.
func lineAdvice(err error) error {
	advice := "`dynamod board check` tells which lines are there"
	if errors.Is(err, fs.ErrPermission) {
		advice = "run the daemon as root, or give its user the GPIO chips: rootfs/udev/60-dynamod.rules"
	}
	return &activation.Fault{Code: "board-line", Text: "the board: " + strings.ReplaceAll(err.Error(), "\n", "; "), Advice: advice, Err: err, Retry: euicc.RetryAsk}
}

// keepLights shows how the modem fares until ctx ends.
func (g *Gateway) keepLights(ctx context.Context) {
	leds := g.board.LEDs
	if leds == (board.LEDs{}) {
		<-ctx.Done()
		return
	}
	sub := g.status.Subscribe(0)
	defer sub.Close()
	shown, told := map[string]string{}, map[string]bool{}
	show := func(led string, light board.Light, ifname string) {
		if want := fmt.Sprint(light, ifname); led != "" && shown[led] != want {
			if err := board.Show(cmp.Or(g.opts.Tree.Sys, "/sys"), led, light, ifname); err == nil {
				shown[led] = want
			} else if !told[led] {
				told[led] = true
				g.log.Warn("an LED of the board cannot be set", "led", led, "error", err)
			}
		}
	}
	defer func() {
		show(leds.Registered, board.Off, "")
		if !g.config().Bearer.KeepUp {
			show(leds.Link, board.Off, "")
		}
	}()
	for {
		s := g.status.Snapshot()
		registered, link, ifname := board.Off, board.Off, ""
		if s.Modem != nil && s.Modem.Present {
			registered, link = board.Blinking, board.Blinking
			if s.Registration != nil && (s.Registration.Status == "home" || s.Registration.Status == "roaming") {
				registered = board.On
			}
			if s.State == status.Up && s.Link != nil {
				link, ifname = board.On, s.Link.Interface
			}
		}
		show(leds.Registered, registered, "")
		show(leds.Link, link, ifname)
		select {
		case <-ctx.Done():
			return
		case <-sub.Events():
		}
	}
}

// boardPorts lists the ports of the modem where the board says that it sits, the best
// first; ok is false where it says nothing.
func (g *Gateway) boardPorts() (names []string, ok bool) {
	m := &g.board.Modem
	if m.Port != "" {
		return []string{m.Port}, true
	}
	if len(m.USB)+len(m.IDs)+len(m.AT) == 0 {
		return nil, false
	}
	tree := g.opts.Tree
	rank := map[string]int{}
	for _, name := range g.byTables(tree.Candidates()) {
		place, onUSB := tree.Place(name)
		switch {
		case !onUSB,
			len(m.USB) > 0 && !slices.Contains(m.USB, place.Device),
			len(m.IDs) > 0 && !slices.ContainsFunc(m.IDs, func(id string) bool { return board.Fits(id, tree.USB(name)) }):
			continue
		}
		if len(m.AT) > 0 {
			if rank[name] = slices.Index(m.AT, place.Interface); rank[name] < 0 {
				continue
			}
		}
		names = append(names, name)
	}
	sort.SliceStable(names, func(i, j int) bool { return rank[names[i]] < rank[names[j]] })
	return names, true
}

// boardInterface is the network interface that the board names for the modem, "" for
// none.
func (g *Gateway) boardInterface(all []port.NetFunction) string {
	m := &g.board.Modem
	if m.Interface != "" {
		return m.Interface
	}
	for _, f := range all {
		path := filepath.Join(cmp.Or(g.opts.Tree.Sys, "/sys"), "class/net", f.Interface, "device/bInterfaceNumber")
		b, err := os.ReadFile(path)
		if err != nil || f.Interface == "" {
			continue
		}
		if n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 16, 8); err == nil && slices.Contains(m.Net, int(n)) {
			return f.Interface
		}
	}
	return ""
}

// settle is how long no further port of a modem may come for it to be opened.
func (g *Gateway) settle() time.Duration {
	return g.board.Quirks.Whole.Or(board.DefaultWhole)
}

// baud is the speed of a port: that of the board for the port that it names.
func (g *Gateway) baud(path string) int {
	if m := &g.board.Modem; m.Baud != 0 && (m.Port == path || m.Port == "") && g.config().Modem.Baud == config.Default().Modem.Baud {
		return m.Baud
	}
	return g.config().Modem.Baud
}
