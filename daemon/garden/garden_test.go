package garden

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/netlink/nft"
	"dynamod/netlink/nlsim"
)

// town is what a Keeper is told and asks.
type town struct {
	*nlsim.Kernel
	want  Want
	zone  map[string]answer
	mu    sync.Mutex
	asked []string
	shown State
	wake  chan struct{}
}

type answer struct {
	addrs string
	ttl   time.Duration
}

func (w *town) resolve(_ context.Context, name string) ([]netip.Addr, time.Duration, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, name)
	a, ok := w.zone[name]
	if !ok {
		return nil, 0, errors.New("no such host")
	}
	return addrs(a.addrs), a.ttl, nil
}

func (w *town) wanted() Want {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.want
}

func (w *town) show(s State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shown = s
}

// edit changes what the Keeper sees.
func (w *town) edit(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func addrs(s string) (list []netip.Addr) {
	for i := range len(s) {
		list = append(list, netip.AddrFrom4([4]byte{192, 0, 2, s[i]}))
	}
	return list
}

// keep runs a Keeper in a bubble.
func keep(t *testing.T, test func(w *town)) {
	synctest.Test(t, func(t *testing.T) {
		w := &town{Kernel: nlsim.New(), zone: map[string]answer{}, wake: make(chan struct{}, 1)}
		// What a daemon that was killed left.
		if err := w.Raise(t.Context(), nft.Wall{Table: "dynamod", Interface: "wwan9"}, nil); err != nil {
			t.Fatal(err)
		}
		k := New(Config{
			Walls: w, Table: "dynamod", Want: w.wanted, Resolve: w.resolve, Show: w.show, Log: slog.New(slog.DiscardHandler),
			Wait: func(ctx context.Context, d time.Duration) {
				select {
				case <-ctx.Done():
				case <-w.wake:
				case <-time.After(d):
				}
			},
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		synctest.Wait()
		if len(w.Walls()) != 0 {
			t.Errorf("swept at the start: %q is left", w.Walls())
		}
		test(w)
		stop()
		if err := <-done; err != nil || len(w.Walls()) != 0 {
			t.Errorf("at the end: %v, %q", err, w.Walls())
		}
	})
}

func (w *town) set(want Want) {
	w.edit(func() { w.want = want })
	w.wake <- struct{}{}
	synctest.Wait()
}

// open are the hosts of 192.0.2.0/24 in a string that pass.
func (w *town) open(of string) (out string) {
	for i := range len(of) {
		if w.Passes("wwan0", addrs(of[i : i+1])[0]) {
			out += of[i : i+1]
		}
	}
	return out
}

func TestKeeper(t *testing.T) {
	keep(t, func(w *town) {
		w.edit(func() {
			w.zone["portal.test"] = answer{"ab", 5 * time.Minute}
			w.zone["ocsp.test"] = answer{"c", 0}
		})
		want := Want{Interface: "wwan0", Addrs: addrs("n"), Names: []string{"portal.test", "ocsp.test", "gone.test"}}
		w.set(want)
		if got := w.open("abcdn"); got != "abcn" || w.Passes("wwan0", netip.MustParseAddr("2001:db8::1")) || !w.Passes("eth0", addrs("d")[0]) {
			t.Errorf("open: %q", got)
		}
		if !slices.Equal(w.shown.Names, want.Names[:2]) || !slices.Equal(w.shown.Missing, want.Names[2:]) || w.shown.Addresses != 3 || w.shown.Interface != "wwan0" {
			t.Errorf("shown: %+v", w.shown)
		}
		// A name that is found late, and one whose address changes: the old one passes as
		// long as its name server said, and a little longer.
		w.edit(func() {
			w.zone["gone.test"], w.zone["portal.test"] = answer{"d", time.Hour}, answer{"be", 5 * time.Minute}
		})
		pass(retry)
		if got := w.open("abcde"); got != "abcd" {
			t.Errorf("found late: %q", got)
		}
		pass(5*time.Minute - retry)
		if got := w.open("abcde"); got != "abcde" {
			t.Errorf("at its time: %q", got)
		}
		pass(grace)
		if got := w.open("abcde"); got != "bcde" {
			t.Errorf("after its time: %q", got)
		}
		// An hour: no name is asked for before its time, none lapses.
		w.edit(func() { w.asked = nil })
		for range 3600 {
			pass(time.Second)
			if got := w.open("bcden"); got != "bcden" {
				t.Fatalf("an hour: %q", got)
			}
		}
		count := map[string]int{}
		for _, s := range w.asked {
			count[s]++
		}
		if fmt.Sprint(count) != "map[gone.test:1 ocsp.test:60 portal.test:12]" {
			t.Errorf("asked for %v", count)
		}
		// The name servers fail: the last answers pass until they are over.
		w.edit(func() { clear(w.zone) })
		pass(unknown + grace)
		if got := w.open("bcden"); got != "bden" {
			t.Errorf("name servers gone for a little: %q", got)
		}
		pass(2 * time.Hour)
		if got := w.open("bcden"); got != "n" {
			t.Errorf("name servers gone for long: %q", got)
		}
		// Out of it, and in again by another interface.
		w.set(Want{})
		if len(w.Walls()) != 0 || w.shown.Interface != "" {
			t.Errorf("out: %q, %+v", w.Walls(), w.shown)
		}
		w.edit(func() { w.zone["portal.test"] = answer{"a", time.Minute} })
		want.Interface = "ppp0"
		w.set(want)
		if !w.Passes("wwan0", addrs("z")[0]) || w.Passes("ppp0", addrs("z")[0]) || !w.Passes("ppp0", addrs("a")[0]) {
			t.Error("on another interface")
		}
		// A name that is not wanted any more.
		w.set(Want{Interface: "ppp0"})
		if w.Passes("ppp0", addrs("a")[0]) || w.Passes("ppp0", addrs("n")[0]) {
			t.Error("what is not wanted passes")
		}
	})
}

func TestKeeperWithoutAKernel(t *testing.T) {
	keep(t, func(w *town) {
		w.SetFaults(nlsim.Faults{Wall: func() error { return nft.ErrUnsupported }})
		w.set(Want{Interface: "wwan0", Names: []string{"portal.test"}})
		if !errors.Is(w.shown.Err, nft.ErrUnsupported) || !w.Passes("wwan0", addrs("a")[0]) {
			t.Errorf("shown: %+v", w.shown)
		}
		var asked atomic.Int32
		w.SetFaults(nlsim.Faults{Wall: func() error { asked.Add(1); return nft.ErrUnsupported }})
		pass(time.Hour)
		if asked.Load() > 61 {
			t.Errorf("tried %d times in an hour", asked.Load())
		}
		w.SetFaults(nlsim.Faults{})
		pass(retryWall)
		if w.shown.Err != nil || w.Passes("wwan0", addrs("a")[0]) {
			t.Errorf("shown: %+v", w.shown)
		}
	})
}

// Somebody empties the kernel's tables: the wall is raised again at its next change.
func TestKeeperRaisesAgain(t *testing.T) {
	keep(t, func(w *town) {
		w.edit(func() { w.zone["portal.test"] = answer{"a", time.Minute} })
		w.set(Want{Interface: "wwan0", Names: []string{"portal.test"}})
		if err := w.Fall(t.Context(), "dynamod"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if w.open("az") != "a" {
			t.Errorf("open: %q", w.open("az"))
		}
		w.SetFaults(nlsim.Faults{Wall: func() error { return syscall.ENOMEM }})
		pass(time.Minute)
		if !errors.Is(w.shown.Err, syscall.ENOMEM) {
			t.Errorf("shown: %+v", w.shown)
		}
	})
}

// However much a record or a name server says, it is bounded.
func TestKeeperIsBounded(t *testing.T) {
	keep(t, func(w *town) {
		many := Want{Interface: "wwan0", Addrs: addrs("n")}
		for i := range 200 {
			s := fmt.Sprintf("h%d.test", i)
			many.Names = append(many.Names, s)
			w.edit(func() { w.zone[s] = answer{"abcdefghijklmnopqrstuvwxyz", time.Minute} })
		}
		w.set(many)
		if len(w.asked) != maxNames || w.open("n") != "n" {
			t.Errorf("%d names were asked for", len(w.asked))
		}
	})
}
