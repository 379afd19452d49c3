// Package nstest gives a test a network namespace of its own.
package nstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"dynamod/netlink"
)

// T is what nstest needs of a *testing.T. The package does not import testing itself.
type T interface {
	Helper()
	Name() string
	Cleanup(func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Failed() bool
	FailNow()
}

// inside marks a test process that was started in a user namespace by Run.
const inside = "DYNAMOD_NSTEST_INSIDE"

// Run calls test on a thread that lives in a new network namespace, with lo up. Sockets that test opens on its own
// goroutine belong to the namespace, other goroutines are outside; the namespace vanishes with the thread and the last
// socket. Where namespaces need privileges that the process lacks, the test binary runs itself again for this one test
// inside a user namespace; where that is forbidden too, the test is skipped and says why.
func Run(t T, test func()) {
	t.Helper()
	if !permitted() {
		rerun(t)
		return
	}
	var wg sync.WaitGroup
	onThread(&wg, func() {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("unshare(CLONE_NEWNET): %v", err)
			return
		}
		if err := loUp(); err != nil {
			t.Errorf("lo up: %v", err)
			return
		}
		test()
	})
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// NetNS makes one more network namespace, with lo up, and returns a file descriptor of it, which is closed when the test
// ends.
func NetNS(t T) int {
	t.Helper()
	type result struct {
		f   *os.File
		err error
	}
	ch := make(chan result, 1)
	var wg sync.WaitGroup
	onThread(&wg, func() {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ch <- result{nil, fmt.Errorf("unshare(CLONE_NEWNET): %w", err)}
			return
		}
		if err := loUp(); err != nil {
			ch <- result{nil, err}
			return
		}
		f, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		ch <- result{f, err}
	})
	r := <-ch
	if r.err != nil {
		t.Fatalf("new network namespace: %v", r.err)
	}
	t.Cleanup(func() { _ = r.f.Close() })
	return int(r.f.Fd())
}

// In calls fn on a thread inside the namespace ns and waits for it. It must not call t.FailNow.
func In(t T, ns int, fn func()) {
	t.Helper()
	var wg sync.WaitGroup
	onThread(&wg, func() {
		if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
			t.Errorf("setns: %v", err)
			return
		}
		fn()
	})
	wg.Wait()
}

// Dial opens a netlink connection to the namespace of the calling thread, or to ns if it is not 0.
func Dial(t T, ns int) *netlink.Conn {
	t.Helper()
	c, err := netlink.Dial(netlink.Config{NetNS: ns})
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func loUp() error {
	c, err := netlink.Dial(netlink.Config{})
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Change(context.Background(), netlink.Change{Op: netlink.Set, Object: netlink.UpDown{Index: 1, Dev: "lo", Up: true}})
}

// permitted tries on a thread that is thrown away.
func permitted() bool {
	ch := make(chan error, 1)
	var wg sync.WaitGroup
	onThread(&wg, func() { ch <- unix.Unshare(unix.CLONE_NEWNET) })
	return <-ch == nil
}

// onThread calls fn on a thread that ends with it. The process's first thread never ends, and /proc/self shows its
// namespace as the process's: it is left alone.
func onThread(wg *sync.WaitGroup, fn func()) {
	wg.Go(func() {
		runtime.LockOSThread() // and never unlocked
		if unix.Gettid() != unix.Getpid() {
			fn()
			return
		}
		defer runtime.UnlockOSThread() // nothing has happened to this one
		var other sync.WaitGroup
		onThread(&other, fn)
		other.Wait()
	})
}

func rerun(t T) {
	t.Helper()
	if os.Getenv(inside) != "" {
		t.Skipf("network namespaces are forbidden here, even inside a user namespace")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		t.Logf("in a user namespace of its own:\n%s", out)
	case errors.As(err, &exit):
		t.Fatalf("in a user namespace of its own: %v\n%s", err, out)
	default:
		t.Skipf("no network namespace: not permitted, and no user namespace either: %v", err)
	}
}
