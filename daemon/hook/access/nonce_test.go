package access

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestNonces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sane := true
		n := newNonces(time.Now, func() bool { return sane })
		use := func(name string, want error, caller, nonce string, created int64) {
			t.Helper()
			if err := n.use(caller, &signature{nonce: nonce, created: created}); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", name, err, want)
			}
		}
		time.Sleep(time.Hour)
		now := time.Now().Unix()
		use("first", nil, "a", "1", now)
		use("replayed", errReplay, "a", "1", now)
		use("of somebody else", nil, "b", "1", now)
		use("from the past", errWindow, "a", "2", now-301)
		use("from the future", errWindow, "a", "3", now+61)
		if err := n.use("a", &signature{nonce: "x", created: now - 10, expires: now - 1}); !errors.Is(err, errWindow) {
			t.Errorf("expired: %v", err)
		}
		use("with a nonce of ours, whatever the time", nil, "a", n.give(), 0)
		one := n.give()
		use("ours", nil, "a", one, now)
		use("ours replayed", errReplay, "a", one, now)
		use("ours forged", errWindow, "a", one[:len(one)-2]+"AA", now)
		use("of another router", errWindow, "a", newNonces(time.Now, nil).give(), now)
		old := n.give()
		time.Sleep(nonceLife + time.Second)
		use("ours, too late", errWindow, "a", old, now)
		time.Sleep(late - nonceLife - 2*time.Second)
		use("replayed at the end of the window", errReplay, "a", "1", now)
		time.Sleep(2 * late)
		use("replayed after it", errWindow, "a", "1", now)
		use("no nonce", errSignature, "a", "", time.Now().Unix())
		sane = false
		use("no clock", errClock, "a", "4", time.Now().Unix())
		use("no clock, with ours", nil, "a", n.give(), 0)
		sane = true
		last := time.Now().Unix()
		for i := 0; i < 2*maxNonces && n.use("c", &signature{nonce: fmt.Sprint(i), created: last}) == nil; i++ {
		}
		use("full", errNonceFull, "a", "5", last)
		time.Sleep(late + early + time.Second)
		use("room again", nil, "a", "5", time.Now().Unix())
		if len(n.seen) != 1 {
			t.Errorf("%d are remembered", len(n.seen))
		}
		n.now = func() time.Time { return time.Unix(last, 0) }
		use("forgotten, and the clock is set back", errReplay, "c", "1", last)
	})
}

// A restart forgets the nonces that were used. Whenever a request was let in
// before it, and whatever the signer's clock, it is not let in once more.
func TestNoncesOverRestart(t *testing.T) {
	for _, ahead := range []time.Duration{-late, -time.Minute, 0, early} {
		for _, down := range []time.Duration{0, time.Second, 2 * time.Minute} {
			synctest.Test(t, func(t *testing.T) {
				sane := func() bool { return true }
				before := newNonces(time.Now, sane)
				time.Sleep(2 * late)
				s := &signature{nonce: "n", created: time.Now().Add(ahead).Unix()}
				if err := before.use("a", s); err != nil {
					t.Fatalf("%v ahead: %v", ahead, err)
				}
				ours := before.give()
				time.Sleep(down)
				after := newNonces(time.Now, sane)
				for range 80 {
					time.Sleep(5 * time.Second)
					if err := after.use("a", s); err == nil {
						t.Fatalf("%v ahead, down for %v: let in %v after the start", ahead, down, time.Since(after.start))
					}
				}
				if err := after.use("a", &signature{nonce: ours}); err == nil {
					t.Error("a nonce of before the start is taken")
				}
				if err := after.use("a", &signature{nonce: "m", created: time.Now().Unix()}); err != nil {
					t.Errorf("a new one, later: %v", err)
				}
			})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		// The clock is set an hour after the start.
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		n := newNonces(func() time.Time { return at }, func() bool { return true })
		time.Sleep(time.Hour)
		at = at.Add(9000 * time.Hour)
		if err := n.use("a", &signature{nonce: "n", created: at.Unix()}); err != nil {
			t.Error(err)
		}
		// And just after it.
		n = newNonces(func() time.Time { return at }, func() bool { return true })
		if err := n.use("a", &signature{nonce: "n", created: at.Unix()}); !errors.Is(err, errStarted) {
			t.Errorf("at once: %v", err)
		}
		if err := n.use("a", &signature{nonce: n.give()}); err != nil {
			t.Errorf("at once, with a nonce of ours: %v", err)
		}
	})
}

func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(rate{3, time.Second})
		takes := func(n int) (ok int) {
			for range n {
				if _, yes := l.take("a"); yes {
					ok++
				}
			}
			return ok
		}
		if n := takes(10); n != 3 {
			t.Errorf("burst of %d", n)
		}
		if wait, ok := l.take("a"); ok || wait != time.Second {
			t.Errorf("wait %v", wait)
		}
		if _, ok := l.take("b"); !ok {
			t.Error("one holds up the other")
		}
		time.Sleep(1500 * time.Millisecond)
		if n := takes(10); n != 1 {
			t.Errorf("%d after 1.5 s", n)
		}
		time.Sleep(time.Hour)
		if n := takes(10); n != 3 {
			t.Errorf("%d after an hour", n)
		}
		for i := range 3 * maxLimited {
			l.take(fmt.Sprint(i))
		}
		if len(l.free) > maxLimited {
			t.Errorf("%d names are remembered", len(l.free))
		}
	})
}
