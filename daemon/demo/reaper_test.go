//go:build linux && !nodemo

package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"dynamod/daemon/demo/walk"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/netlink"
	"dynamod/netlink/reach"
	"dynamod/netlink/uplink"
)

// A reaper stops a daemon of this process: from then on nothing of it has any
// effect, and what was on its disk at that moment is what the next one finds.
type reaper struct {
	*walk.Reaper
	dir string // what has to be frozen

	mu     sync.Mutex
	open   map[net.Conn]bool
	failed error // of freezing
}

// newReaper makes one for the next daemon, which is stopped at the point of which at
// says so, nil for none.
func (w *crashWorld) newReaper(at func(int, walk.Point) bool, after bool) *reaper {
	r := &reaper{dir: filepath.Join(w.dir, "box"), open: map[net.Conn]bool{}}
	r.Reaper = walk.NewReaper(at, after, r.freeze)
	return r
}

func (r *reaper) frozen() string { return r.dir + ".frozen" }

// freeze ends the daemon.
func (r *reaper) freeze(torn bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// A file that is replaced just then has its other name the next time.
	for range 100 {
		if r.failed = os.CopyFS(r.frozen(), os.DirFS(r.dir)); !errors.Is(r.failed, os.ErrNotExist) {
			break
		}
		if err := os.RemoveAll(r.frozen()); err != nil {
			r.failed = err
			break
		}
	}
	if torn {
		r.failed = errors.Join(r.failed, walk.Tear(filepath.Join(r.frozen(), "state")))
	}
	for c := range r.open {
		c.Close()
	}
	r.open = nil
}

// restore puts what was frozen in the place of what the dead daemon wrote since.
func (r *reaper) restore() error {
	return errors.Join(r.failed, os.RemoveAll(r.dir), os.Rename(r.frozen(), r.dir))
}

// conn is a connection of the daemon's that breaks with it.
func (r *reaper) conn(c net.Conn) net.Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		c.Close()
	} else {
		r.open[c] = true
	}
	return c
}

// reapedDialer connects no dead daemon.
type reapedDialer struct {
	reach.Dialer
	r *reaper
}

func (d reapedDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if d.r.Dead() {
		return nil, walk.ErrDead
	}
	c, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return d.r.conn(c), nil
}

// reapedKernel shows nothing to a dead daemon.
type reapedKernel struct {
	uplink.Kernel
	r *reaper
}

func (k reapedKernel) Snapshot(ctx context.Context) (netlink.Snapshot, error) {
	if k.r.Dead() {
		return netlink.Snapshot{}, walk.ErrDead
	}
	return k.Kernel.Snapshot(ctx)
}

func tlsListener(l net.Listener, s interface{ TLSConfig() *tls.Config }) net.Listener {
	return tls.NewListener(l, s.TLSConfig())
}

// until polls until the snapshot is as wanted, or the daemon is dead.
func (r *reaper) until(ctx context.Context, c *hook.Client, limit time.Duration, is func(status.Snapshot) bool) (bool, error) {
	var snap status.Snapshot
	for begin := time.Now(); time.Since(begin) < limit; {
		snap = status.Snapshot{} // what is left out is not as it was before
		if err := c.Do(ctx, http.MethodGet, "/v1/status", nil, nil, &snap); err != nil {
			return false, err
		}
		if is(snap) {
			return true, nil
		}
		select {
		case <-r.Died():
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
	if !r.Dead() {
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
