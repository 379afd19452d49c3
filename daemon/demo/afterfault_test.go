//go:build linux && !nodemo

package demo

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestAfterFault has single faults of a length that weeks found to be bad.
func TestAfterFault(t *testing.T) {
	for _, tt := range []struct {
		fault string
		lasts time.Duration
		limit time.Duration
	}{
		{"modem sim-busy", time.Hour, 6 * time.Minute}, // was 18 min: looks were up to an hour apart
	} {
		t.Run(tt.fault, func(t *testing.T) {
			inCrashWorld(t, crashStory{name: "fault"}, func(t *testing.T, world *crashWorld) {
				w := &week{crashWorld: world, random: rand.New(rand.NewPCG(1, 0))}
				w.only, w.fixed, w.count = tt.fault, tt.lasts, 1
				if err := w.run(1); err != nil {
					t.Fatal(err)
				}
				if got := w.seen[0].toLink; got > tt.limit {
					t.Errorf("the link is there after %v, want %v at most", got, tt.limit)
				}
			})
		})
	}
}
