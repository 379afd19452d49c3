package netlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"dynamod/netlink"
	"dynamod/netlink/uplink"
)

// namespace is a network namespace that lives as long as its file descriptor.
type namespace struct {
	name string
	file *os.File
	conn *netlink.Conn
}

// onThread calls fn on a thread of its own, which ends with it, and waits. The first thread of a process never ends
// and stands for the whole process in /proc, so it is not used.
func onThread(fn func() error) error {
	var err error
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread() // and never unlocked
		if unix.Gettid() != unix.Getpid() {
			err = fn()
			return
		}
		defer runtime.UnlockOSThread() // nothing has happened to this one
		err = onThread(fn)
	})
	wg.Wait()
	return err
}

// newNamespace makes a namespace with lo up.
func newNamespace(ctx context.Context, name string) (*namespace, error) {
	ns := &namespace{name: name}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("%w: %w", ErrForbidden, os.NewSyscallError("unshare", err))
		}
		var err error
		ns.file, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		return err
	})
	if err == nil {
		ns.conn, err = netlink.Dial(netlink.Config{NetNS: ns.fd()})
	}
	if err == nil {
		err = uplink.Up(ctx, ns.conn, "lo")
	}
	if err != nil {
		ns.close()
		return nil, fmt.Errorf("namespace %s: %w", name, err)
	}
	return ns, nil
}

func (ns *namespace) fd() int { return int(ns.file.Fd()) }

func (ns *namespace) close() {
	if ns == nil {
		return
	}
	if ns.conn != nil {
		_ = ns.conn.Close()
	}
	if ns.file != nil {
		_ = ns.file.Close()
	}
}

// do calls fn on a thread inside the namespace. Sockets that fn opens itself belong to the namespace for good.
func (ns *namespace) do(fn func() error) error {
	return onThread(func() error {
		if err := unix.Setns(ns.fd(), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("namespace %s: %w", ns.name, os.NewSyscallError("setns", err))
		}
		return fn()
	})
}

// link finds a link by its name.
func (ns *namespace) link(ctx context.Context, name string) (netlink.Link, error) {
	s, err := ns.conn.Snapshot(ctx)
	if err != nil {
		return netlink.Link{}, err
	}
	l, ok := s.Link(name)
	if !ok {
		return netlink.Link{}, fmt.Errorf("namespace %s: no link %s", ns.name, name)
	}
	return l, nil
}

// change does steps on one link, in order, which fill in its index.
func (ns *namespace) change(ctx context.Context, dev string, op netlink.Op, objects ...netlink.Object) error {
	l, err := ns.link(ctx, dev)
	if err != nil {
		return err
	}
	for _, o := range objects {
		switch v := o.(type) {
		case netlink.UpDown:
			v.Index, v.Dev = l.Index, dev
			o = v
		case netlink.Addr:
			v.Index, v.Dev = l.Index, dev
			o = v
		case netlink.Route:
			v.Index, v.Dev = l.Index, dev
			o = v
		}
		if err := ns.conn.Change(ctx, netlink.Change{Op: op, Object: o}); err != nil {
			return fmt.Errorf("namespace %s: %w", ns.name, err)
		}
	}
	return nil
}

// stopGrace is how long a child may take to end after SIGTERM.
const stopGrace = 5 * time.Second

// start runs a child process in the namespace. It dies with this process, whatever happens. When ctx ends it gets
// SIGTERM, and SIGKILL after a grace. The channel yields what cmd.Wait returned.
func (ns *namespace) start(ctx context.Context, cmd *exec.Cmd) (<-chan error, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if cmd.SysProcAttr.Pdeathsig == 0 {
		// The kernel sends it when the thread that started the child ends: this one stays until the child has ended.
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		running := false
		err := ns.do(func() error {
			if err := cmd.Start(); err != nil {
				return err
			}
			running = true
			started <- nil
			over := make(chan struct{})
			defer close(over)
			defer context.AfterFunc(ctx, func() {
				_ = cmd.Process.Signal(syscall.SIGTERM)
				select {
				case <-over:
				case <-time.After(stopGrace):
					_ = cmd.Process.Kill()
				}
			})()
			return cmd.Wait()
		})
		if !running {
			started <- err
		}
		ended <- err
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return ended, nil
}

// children are the processes that a Lab started.
type children struct {
	mu     sync.Mutex
	wg     sync.WaitGroup
	cancel []context.CancelFunc
	closed bool
}

var errClosed = errors.New("the lab is closed")

func (c *children) start(ctx context.Context, ns *namespace, cmd *exec.Cmd) (<-chan error, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	ended, err := ns.start(ctx, cmd)
	if err != nil {
		cancel()
		return nil, err
	}
	c.cancel = append(c.cancel, cancel)
	out := make(chan error, 1)
	c.wg.Go(func() {
		err := <-ended
		cancel()
		out <- err
	})
	return out, nil
}

func (c *children) close() {
	c.mu.Lock()
	c.closed = true
	for _, cancel := range slices.Backward(c.cancel) {
		cancel()
	}
	c.mu.Unlock()
	c.wg.Wait()
}
