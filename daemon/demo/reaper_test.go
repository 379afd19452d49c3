//go:build linux && !nodemo

package demo

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/netlink"
	"dynamod/netlink/uplink"
)

// A reaper stands between a daemon and its world, counts what crosses, and stops
// the daemon at one of these points: before it has an effect, or after it had it
// and before the daemon knows. From then on nothing of that daemon has any effect,
// and what was on its disk at that moment is what the next one finds.
type reaper struct {
	dir    string // what has to be frozen
	frozen string // where it goes
	at     int    // point to stop at, -1 for none
	after  bool

	mu     sync.Mutex
	armed  bool // counting
	dead   bool
	points []string
	state  string             // of the run, by its last record
	reach  func(state string) // is told of each record of the run; nil is fine
	died   chan struct{}
	open   map[net.Conn]bool
	failed error // of freezing
}

var errReaped = errors.New("this daemon is dead")

func newReaper(dir, frozen string, at int, after bool) *reaper {
	return &reaper{dir: dir, frozen: frozen, at: at, after: after, died: make(chan struct{}), open: map[net.Conn]bool{}}
}

// arm begins to count.
func (r *reaper) arm() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed = true
}

// what a point means for who is at it.
type fate int

const (
	live   fate = iota
	lose        // goes on, and its end is not told
	dies        // it is stopped here
	nobody      // it is dead already
)

// enter comes to a point.
func (r *reaper) enter(kind, what string) fate {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		return nobody
	}
	if !r.armed {
		return live
	}
	n := len(r.points)
	r.points = append(r.points, kind+"\t"+r.state+"\t"+what)
	switch {
	case n != r.at:
		return live
	case r.after:
		return lose
	}
	r.die()
	return dies
}

// die stops the daemon. The lock is held.
func (r *reaper) die() {
	if r.dead {
		return
	}
	r.dead = true
	// A file that is replaced just then has its other name the next time.
	for range 100 {
		if r.failed = os.CopyFS(r.frozen, os.DirFS(r.dir)); !errors.Is(r.failed, os.ErrNotExist) {
			break
		}
		if err := os.RemoveAll(r.frozen); err != nil {
			r.failed = err
			break
		}
	}
	for c := range r.open {
		c.Close()
	}
	close(r.died)
}

func (r *reaper) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.die()
}

func (r *reaper) isDead() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dead
}

// restore puts what was frozen in the place of what the dead daemon wrote since.
func (r *reaper) restore() error {
	return errors.Join(r.failed, os.RemoveAll(r.dir), os.CopyFS(r.dir, os.DirFS(r.frozen)))
}

// tear cuts the last record of the journal in two, as a power cut in the write.
func (r *reaper) tear() error {
	path := filepath.Join(r.frozen, "state", "journal")
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	begin := bytes.LastIndexByte(b[:len(b)-1], '\n') + 1
	return os.WriteFile(path, b[:begin+(len(b)-begin)/2], 0o600)
}

// conn is a connection of the daemon's that breaks with it.
func (r *reaper) conn(c net.Conn) net.Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		c.Close()
	}
	r.open[c] = true
	return c
}

// port is the daemon's end of the modem's port: each AT command is a point.
func (r *reaper) port(c net.Conn) net.Conn { return &reapedPort{Conn: r.conn(c), r: r} }

type reapedPort struct {
	net.Conn
	r *reaper

	mu   sync.Mutex
	lost bool // the answer to the present command
}

func (p *reapedPort) Write(b []byte) (int, error) {
	p.mu.Lock()
	if p.lost {
		p.r.kill() // it was not answered, and the daemon went on
	}
	p.mu.Unlock()
	if bytes.HasPrefix(b, []byte("AT")) {
		kind, what := "AT", string(b[:min(len(b)-1, 24)])
		if strings.HasPrefix(what, "AT+CGLA") || strings.HasPrefix(what, "AT+CCH") || strings.HasPrefix(what, "AT+CSIM") {
			kind = "APDU"
		}
		switch p.r.enter(kind, what) {
		case dies, nobody:
			return 0, errReaped
		case lose:
			p.mu.Lock()
			p.lost = true
			p.mu.Unlock()
		}
	}
	return p.Conn.Write(b)
}

// finals end the answer to an AT command.
var finals = [][]byte{[]byte("\r\nOK\r\n"), []byte("ERROR"), []byte("NO CARRIER")}

func (p *reapedPort) Read(b []byte) (int, error) {
	var heard []byte
	for {
		n, err := p.Conn.Read(b)
		p.mu.Lock()
		lost := p.lost
		p.mu.Unlock()
		if err != nil || !lost {
			return n, err
		}
		heard = append(heard, b[:n]...)
		for _, f := range finals {
			if bytes.Contains(heard, f) {
				p.r.kill()
				return 0, io.EOF
			}
		}
	}
}

// server makes each request a point.
func (r *reaper) server(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch r.enter("HTTP", path.Base(req.URL.Path)) {
		case dies, nobody:
			panic(http.ErrAbortHandler)
		case lose:
			h.ServeHTTP(httptest.NewRecorder(), req)
			r.kill()
			panic(http.ErrAbortHandler)
		}
		h.ServeHTTP(w, req)
	})
}

// kernel makes each change a point.
type reapedKernel struct {
	uplink.Kernel
	r *reaper
}

func (k reapedKernel) Change(ctx context.Context, c netlink.Change) error {
	fate := k.r.enter("netlink", c.String())
	if fate == dies || fate == nobody {
		return errReaped
	}
	err := k.Kernel.Change(ctx, c)
	if fate == lose {
		k.r.kill()
		return errReaped
	}
	return err
}

func (k reapedKernel) Snapshot(ctx context.Context) (netlink.Snapshot, error) {
	if k.r.isDead() {
		return netlink.Snapshot{}, errReaped
	}
	return k.Kernel.Snapshot(ctx)
}

// reapedLog makes each record of the journal a point: the orchestrator logs it when
// it is on the medium. Stopped before it, the record is torn.
type reapedLog struct {
	slog.Handler
	r *reaper
}

func (l reapedLog) Enabled(context.Context, slog.Level) bool { return true }

func (l reapedLog) Handle(ctx context.Context, rec slog.Record) error {
	if rec.Message == "activation" {
		state := ""
		rec.Attrs(func(a slog.Attr) bool {
			if a.Key == "state" {
				state = a.Value.String()
			}
			return true
		})
		l.r.mu.Lock()
		l.r.state = state
		l.r.mu.Unlock()
		if l.r.reach != nil {
			l.r.reach(state)
		}
		switch l.r.enter("journal", state) {
		case dies:
			l.r.failed = errors.Join(l.r.failed, l.r.tear())
		case lose:
			l.r.kill()
		}
	}
	if !l.Handler.Enabled(ctx, rec.Level) {
		return nil
	}
	return l.Handler.Handle(ctx, rec)
}

func tlsListener(l net.Listener, s interface{ TLSConfig() *tls.Config }) net.Listener {
	return tls.NewListener(l, s.TLSConfig())
}

// until polls until the snapshot is as wanted, or the daemon is dead.
func (r *reaper) until(ctx context.Context, c *hook.Client, limit time.Duration, is func(status.Snapshot) bool) (bool, error) {
	var snap status.Snapshot
	for begin := time.Now(); time.Since(begin) < limit; {
		if err := c.Do(ctx, http.MethodGet, "/v1/status", nil, nil, &snap); err != nil {
			return false, err
		}
		if is(snap) {
			return true, nil
		}
		select {
		case <-r.died:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(time.Second):
		}
	}
	return false, fmt.Errorf("not so within %v: link %s (%s), run %+v", limit, snap.State, snap.Reason, snap.Run)
}

// stopped leaves of a daemon that was stopped what was on its disk then.
func (w *crashWorld) stopped(r *reaper) error {
	if !r.isDead() {
		return nil
	}
	w.stops++
	if err := r.restore(); err != nil || !w.story.power {
		return err
	}
	return w.reboot()
}

// reboot loses what a router loses with its power.
func (w *crashWorld) reboot() error {
	k, name := w.n.NLSim(), w.n.Options().Interface()
	k.RemoveLink(name)
	k.AddLink(netlink.Link{Name: name, Type: netlink.TypeEthernet, HWAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}})
	return os.RemoveAll(filepath.Join(w.dir, "box", "run"))
}
