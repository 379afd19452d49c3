// Package garden keeps a line that only reaches its operator's portal to that portal:
// while it does, nothing leaves by the mobile interface, from the box and from the
// networks behind it, but to the hosts that are named. Hosts are named, and their
// addresses followed as long as their name servers say that they hold. The link itself
// is not touched.
package garden

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sort"
	"sync"
	"syscall"
	"time"

	"dynamod/netlink/nft"
)

// Walls are the kernel's: nft.Kernel, or nlsim.Kernel's.
type Walls interface {
	Raise(ctx context.Context, w nft.Wall, hosts []nft.Host) error
	Fill(ctx context.Context, w nft.Wall, hosts []nft.Host) error
	Fall(ctx context.Context, table string) error
}

// Want is what should be. The zero value is no wall.
type Want struct {
	Interface string
	Addrs     []netip.Addr // that pass as long as the wall stands
	Names     []string     // whose addresses pass
}

// State is what is.
type State struct {
	Interface string
	Names     []string // that have an address
	Missing   []string // that have none
	Addresses int
	Err       error // why there is no wall although there should be one
}

// Config is what a Keeper is made of. All fields are needed.
type Config struct {
	Walls Walls
	Table string // of nf_tables, this daemon's own
	Want  func() Want
	// Resolve looks a name up over the mobile link, and tells how long that holds; 0 is
	// not known.
	Resolve func(ctx context.Context, name string) ([]netip.Addr, time.Duration, error)
	// Wait returns when what is wanted may have changed, after d, or when ctx ends.
	Wait func(ctx context.Context, d time.Duration)
	Show func(State) // called when it has changed; the zero State is no wall
	Log  *slog.Logger
}

// Times.
const (
	minHold   = 30 * time.Second // a name is not looked up more often
	maxHold   = time.Hour
	unknown   = time.Minute // where the name servers do not say how long
	grace     = time.Minute // that an address passes beyond what its name server said
	retry     = 10 * time.Second
	retryWall = time.Minute
	lookTime  = 10 * time.Second // for all names at once
	idle      = time.Hour
	exitTime  = time.Second
)

// Bounds: a record and its answers are other people's.
const (
	maxNames = 64
	maxAddrs = 256
	atOnce   = 4 // look-ups
)

// Keeper raises the wall and takes it down.
type Keeper struct {
	Config
	up      Want // its Interface is "" without a wall
	names   map[string]*name
	refused string // what the log has of the last failure
	shown   State
}

// name is a host that passes.
type name struct {
	until map[netip.Addr]time.Time
	next  time.Time // when it is looked up
}

// New makes a Keeper.
func New(cfg Config) *Keeper { return &Keeper{Config: cfg, names: map[string]*name{}} }

// Run keeps the wall until ctx ends, and takes it down then. What a daemon that was
// killed left there is taken down first.
func (k *Keeper) Run(ctx context.Context) error {
	if err := k.Walls.Fall(ctx, k.Table); err != nil {
		k.Log.Warn("what an earlier daemon left of the walled garden stays", "error", err)
	}
	k.up = Want{}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), exitTime)
		defer cancel()
		k.fall(ctx)
	}()
	for ctx.Err() == nil {
		k.Wait(ctx, k.look(ctx))
	}
	return nil
}

// look makes what is what should be, and returns when to look again.
func (k *Keeper) look(ctx context.Context) time.Duration {
	want := k.Want()
	if want.Interface == "" {
		if err := k.fall(ctx); err != nil {
			return retry
		}
		return idle
	}
	want.Names = want.Names[:min(len(want.Names), maxNames)]
	wall := nft.Wall{Table: k.Table, Interface: want.Interface}
	maps.DeleteFunc(k.names, func(s string, _ *name) bool { return !slices.Contains(want.Names, s) })
	if k.up.Interface != want.Interface {
		// With what is known, so that there is no moment in which more passes.
		if err := k.Walls.Raise(ctx, wall, k.hosts(want)); err != nil {
			return k.failed(err)
		}
		k.Log.Info("only the operator's portal is reached: nothing else leaves by the link", "interface", want.Interface, "hosts", want.Names)
	}
	changed := k.up.Interface != want.Interface || !slices.Equal(k.up.Addrs, want.Addrs) || !slices.Equal(k.up.Names, want.Names)
	k.up = want
	if k.follow(ctx, want.Names) || changed {
		if err := k.Walls.Fill(ctx, wall, k.hosts(want)); err != nil {
			if errors.Is(err, syscall.ENOENT) { // somebody has emptied the kernel's tables
				k.up = Want{}
				return 0
			}
			return k.failed(err)
		}
	}
	k.refused = ""
	k.show()
	next := idle
	for _, n := range k.names {
		next = min(next, time.Until(n.next))
	}
	return max(next, 0)
}

func (k *Keeper) failed(err error) time.Duration {
	if text := err.Error(); text != k.refused {
		k.refused = text
		k.Log.Error("the walled garden", "error", err)
	}
	k.tell(State{Err: err})
	return retryWall
}

func (k *Keeper) fall(ctx context.Context) error {
	if k.up.Interface != "" {
		if err := k.Walls.Fall(ctx, k.Table); err != nil {
			k.failed(err)
			return err
		}
		k.Log.Info("everything passes again", "interface", k.up.Interface)
		k.up = Want{}
	}
	clear(k.names)
	k.refused = ""
	k.tell(State{})
	return nil
}

// hosts are all that pass, and for how long.
func (k *Keeper) hosts(w Want) []nft.Host {
	now := time.Now()
	until := map[netip.Addr]time.Time{}
	for _, n := range k.names {
		maps.DeleteFunc(n.until, func(_ netip.Addr, t time.Time) bool { return !now.Before(t) })
		for a, t := range n.until {
			if t.After(until[a]) {
				until[a] = t
			}
		}
	}
	for _, a := range w.Addrs {
		delete(until, a)
	}
	var list []nft.Host
	for a, t := range until {
		list = append(list, nft.Host{Addr: a, For: t.Sub(now)})
	}
	// Of more than fit those stay that hold for longest.
	sort.Slice(list, func(i, j int) bool {
		return cmp.Or(cmp.Compare(list[j].For, list[i].For), list[i].Addr.Compare(list[j].Addr)) < 0
	})
	list = list[:min(len(list), maxAddrs)]
	for _, a := range w.Addrs {
		list = append(list, nft.Host{Addr: a})
	}
	return list
}

// follow looks the names up whose time has come, and reports whether there were any.
func (k *Keeper) follow(ctx context.Context, names []string) bool {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var wg sync.WaitGroup
	turns := make(chan struct{}, atOnce)
	found := false
	for _, s := range names {
		n := k.names[s]
		if n == nil {
			n = &name{until: map[netip.Addr]time.Time{}}
			k.names[s] = n
		}
		if time.Until(n.next) > 0 {
			continue
		}
		found = true
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			addrs, ttl, err := k.Resolve(ctx, s)
			now := time.Now()
			if err != nil || len(addrs) == 0 {
				k.Log.Debug("a host of the walled garden is not found", "host", s, "error", err)
				n.next = now.Add(retry)
				return
			}
			if ttl == 0 {
				ttl = unknown
			}
			ttl = min(max(ttl, minHold), maxHold)
			n.next = now.Add(ttl)
			for _, a := range addrs {
				if a = a.Unmap(); a.IsValid() && a.Zone() == "" {
					n.until[a] = now.Add(ttl + grace)
				}
			}
		})
	}
	wg.Wait()
	return found
}

func (k *Keeper) show() {
	s := State{Interface: k.up.Interface}
	all := map[netip.Addr]bool{}
	for _, h := range k.up.Names {
		if n := k.names[h]; n != nil && len(n.until) > 0 {
			s.Names = append(s.Names, h)
			for a := range n.until {
				all[a] = true
			}
		} else {
			s.Missing = append(s.Missing, h)
		}
	}
	s.Addresses = len(all)
	k.tell(s)
}

func (k *Keeper) tell(s State) {
	was := k.shown
	if s.Interface == was.Interface && slices.Equal(s.Names, was.Names) && slices.Equal(s.Missing, was.Missing) && s.Addresses == was.Addresses && errorText(s.Err) == errorText(was.Err) {
		return
	}
	k.shown = s
	k.Show(s)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
