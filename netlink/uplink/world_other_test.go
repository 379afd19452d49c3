//go:build !linux

package uplink_test

import "testing"

// eachWorld runs a test against nlsim.
func eachWorld(t *testing.T, test func(t *testing.T, w *world)) {
	w := simWorld()
	w.furnish(t)
	test(t, w)
}
