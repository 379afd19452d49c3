package gateway

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// The pauses before a modem is opened again grow, and a port that the kernel adds
// ends the one that is under way, and their growth.
func TestPluggedEndsPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gateway{mute: make(chan muteRestart), plugged: make(chan struct{}, 1)}
		begun, wait := time.Now(), firstReopen
		for range 8 {
			wait = g.pauseModem(t.Context(), wait, false)
		}
		if wait != lastReopen || time.Since(begun) != 183*time.Second {
			t.Errorf("the next pause is %v after %v", wait, time.Since(begun))
		}
		go func() {
			for range 4 { // ports
				time.Sleep(20 * time.Millisecond)
				select {
				case g.plugged <- struct{}{}:
				default:
				}
			}
		}()
		begun = time.Now()
		if wait = g.pauseModem(t.Context(), wait, false); wait != firstReopen || time.Since(begun) != 20*time.Millisecond+plugging {
			t.Errorf("the next pause is %v after %v", wait, time.Since(begun))
		}
		begun = time.Now()
		if g.pauseModem(t.Context(), wait, false); time.Since(begun) != firstReopen {
			t.Errorf("the ports of one modem ended two pauses: %v", time.Since(begun))
		}
	})
}

// A modem that goes as soon as it is opened, and comes back as another port each
// time, is opened ever more seldom.
func TestPluggedAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gateway{mute: make(chan muteRestart), plugged: make(chan struct{}, 1)}
		wait := firstReopen
		var pauses []time.Duration
		for range 8 {
			go func() {
				time.Sleep(500 * time.Millisecond)
				select {
				case g.plugged <- struct{}{}:
				default:
				}
			}()
			begun := time.Now()
			wait = g.pauseModem(t.Context(), wait, true)
			pauses = append(pauses, time.Since(begun))
		}
		early := 500*time.Millisecond + plugging
		want := []time.Duration{early, early, early, early, 16 * time.Second, 32 * time.Second, time.Minute, time.Minute}
		if !slices.Equal(pauses, want) || wait != lastReopen {
			t.Errorf("the pauses are %v, the next is %v", pauses, wait)
		}
	})
}
