package gateway

import (
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
			wait = g.pauseModem(t.Context(), wait)
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
		if wait = g.pauseModem(t.Context(), wait); wait != firstReopen || time.Since(begun) != 20*time.Millisecond+plugging {
			t.Errorf("the next pause is %v after %v", wait, time.Since(begun))
		}
		begun = time.Now()
		if g.pauseModem(t.Context(), wait); time.Since(begun) != firstReopen {
			t.Errorf("the ports of one modem ended two pauses: %v", time.Since(begun))
		}
	})
}
