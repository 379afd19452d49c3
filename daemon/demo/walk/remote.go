//go:build linux && !nodemo

package walk

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"
)

// Remote is the gate of a daemon in a process of its own: the parent's Reaper is
// asked over a socket. While it thinks the daemon waits, so that the parent kills it
// exactly there.
type Remote struct {
	mu   sync.Mutex
	conn io.ReadWriter
}

// NewRemote makes the child's end.
func NewRemote(conn io.ReadWriter) *Remote { return &Remote{conn: conn} }

// Enter implements Gate.
func (r *Remote) Enter(kind, what string) Fate {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := fmt.Fprintf(r.conn, "%s\t%s\n", kind, what); err != nil {
		return Live // the parent has gone, and takes us with it
	}
	var answer [1]byte
	if _, err := io.ReadFull(r.conn, answer[:]); err != nil {
		return Live
	}
	return Fate(answer[0] - '0')
}

// Kill implements Gate. It does not return.
func (r *Remote) Kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintln(r.conn, "kill")
	select {}
}

// Serve asks g what the child at the other end of conn asks, until that ends.
func Serve(g Gate, conn io.ReadWriter) {
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		kind, what, asks := strings.Cut(lines.Text(), "\t")
		if !asks {
			g.Kill()
			return
		}
		fate := g.Enter(kind, what)
		if fate == Dies || fate == Nobody {
			return // it waits for an answer when it is killed
		}
		if _, err := fmt.Fprintf(conn, "%d", fate); err != nil {
			return
		}
	}
}
