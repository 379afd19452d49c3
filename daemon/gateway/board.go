package gateway

import (
	"cmp"

	"dynamod/board"
)

// findBoard finds out which box this is, and what is known of it.
func (g *Gateway) findBoard() {
	g.box = board.Read(cmp.Or(g.opts.Root, "/"))
	b, why, bad := g.config().Board.Choose(g.box)
	for _, e := range bad {
		g.log.Error("a definition of a board is left out", "error", e)
	}
	g.board = b
	if why != "" {
		g.log.Info("the board is known", "board", b.Name, "by", why, "untested", b.Untested)
	}
}
