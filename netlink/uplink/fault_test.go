package uplink_test

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"dynamod/netlink"
	"dynamod/netlink/nlsim"
	"dynamod/netlink/uplink"
)

// TestRefused: whichever step the kernel refuses, nothing half done is left; whichever answer is lost, the next Apply
// ends where it should.
func TestRefused(t *testing.T) {
	errFault := syscall.ENOMEM
	for n := range cases[1].changes {
		for _, lost := range []bool{false, true} {
			w := simWorld()
			w.furnish(t)
			k := w.kernel.(*nlsim.Kernel)
			calls := 0
			fault := func(netlink.Change) error {
				calls++
				if calls == n+1 {
					return errFault
				}
				return nil
			}
			if lost {
				k.SetFaults(nlsim.Faults{After: fault})
			} else {
				k.SetFaults(nlsim.Faults{Before: fault})
			}
			ctx := context.Background()
			if done, err := uplink.Apply(ctx, k, ethernet); !errors.Is(err, errFault) || done != nil {
				t.Fatalf("step %d: %q, %v", n, strs(done), err)
			}
			k.SetFaults(nlsim.Faults{})
			if got := w.picture(t); !lost && got != furniture {
				t.Errorf("step %d refused, left behind:\n%s", n, got)
			}
			if _, err := uplink.Apply(ctx, k, ethernet); err != nil {
				t.Errorf("step %d, applied again: %v", n, err)
			}
			if got := w.picture(t); got != cases[1].picture {
				t.Errorf("step %d, applied again:\n%s", n, got)
			}
		}
	}
}

// TestCrashAt: the process dies after each step, which leaves the earlier ones standing. Apply goes on from there, Down
// cleans up from there.
func TestCrashAt(t *testing.T) {
	for _, spec := range []uplink.Spec{cases[0].spec, cases[1].spec, cases[4].spec} {
		for _, old := range []bool{false, true} {
			for n := 0; ; n++ {
				w := simWorld()
				w.furnish(t)
				k := w.kernel.(*nlsim.Kernel)
				steps := 0
				dead := syscall.EIO
				crash := func(netlink.Change) error {
					if steps++; steps > n {
						return dead // and so is undo: nobody runs it in a dead process
					}
					return nil
				}
				k.SetFaults(nlsim.Faults{Before: crash, NoAddrProtocol: old})
				ctx := context.Background()
				_, err := uplink.Apply(ctx, k, spec)
				k.SetFaults(nlsim.Faults{NoAddrProtocol: old})
				half := w.picture(t)
				if _, err := uplink.Apply(ctx, k, spec); err != nil {
					t.Fatalf("after %d steps: %v\n%s", n, err, half)
				}
				if _, err := uplink.Down(ctx, k, spec); err != nil {
					t.Fatalf("after %d steps: %v\n%s", n, err, half)
				}
				if got := w.picture(t); got != furniture {
					t.Errorf("after %d steps and Down:\n%s", n, got)
				}
				if err == nil {
					break
				}
			}
		}
	}
}

// TestNoIPv6: a kernel that refuses IPv6 still gets its IPv4, and the error says what is missing.
func TestNoIPv6(t *testing.T) {
	w := simWorld()
	w.furnish(t)
	k := w.kernel.(*nlsim.Kernel)
	k.DisableIPv6("wwan0")
	ctx := context.Background()
	_, err := uplink.Apply(ctx, k, cases[4].spec)
	var de *uplink.DegradedError
	if !errors.As(err, &de) || !errors.Is(err, syscall.EACCES) {
		t.Fatalf("got %v", err)
	}
	if got := w.picture(t); got != cases[0].picture {
		t.Errorf("got:\n%s", got)
	}
	only6 := cases[4].spec
	only6.Addrs = only6.Addrs[1:]
	if _, err := uplink.Apply(ctx, k, only6); !errors.Is(err, syscall.EACCES) || errors.As(err, &de) {
		t.Errorf("IPv6 alone: %v", err)
	}
}

// TestFight: somebody takes our route away as soon as it is there. Apply gives up with a reason.
func TestFight(t *testing.T) {
	w := simWorld()
	w.furnish(t)
	k := w.kernel.(*nlsim.Kernel)
	var fight func(netlink.Change) error
	fight = func(c netlink.Change) error {
		if r, ok := c.Object.(netlink.Route); ok && c.Op == netlink.Add && r.Table == netlink.TableMain {
			k.SetFaults(nlsim.Faults{})
			_ = k.Change(context.Background(), netlink.Change{Op: netlink.Delete, Object: r})
			k.SetFaults(nlsim.Faults{After: fight})
		}
		return nil
	}
	k.SetFaults(nlsim.Faults{After: fight})
	_, err := uplink.Apply(context.Background(), k, rawIP)
	const want = `uplink wwan0: the kernel still wants "ip route add default dev wwan0 scope link src 10.64.3.7 metric 200 proto 215" after it was done: another program may manage this interface`
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	k.SetFaults(nlsim.Faults{})
	if got := w.picture(t); got != furniture {
		t.Errorf("left behind:\n%s", got)
	}
}

func TestCancelled(t *testing.T) {
	w := simWorld()
	w.furnish(t)
	k := w.kernel.(*nlsim.Kernel)
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	k.SetFaults(nlsim.Faults{After: func(netlink.Change) error {
		if n++; n == 3 {
			cancel()
		}
		return nil
	}})
	if _, err := uplink.Apply(ctx, k, ethernet); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got := w.picture(t); got != furniture {
		t.Errorf("left behind:\n%s", got)
	}
}
