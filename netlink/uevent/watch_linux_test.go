package uevent

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dynamod/netlink/internal/nstest"
)

// The kernel says again what it said of a device when that is asked for in sysfs.
func TestWatch(t *testing.T) {
	const file = "/sys/devices/virtual/tty/tty/uevent"
	ask, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Skip("the kernel cannot be asked for an event: " + err.Error())
	}
	defer ask.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	heard := make(chan Event, 64)
	done := make(chan error, 1)
	go func() {
		done <- Watch(ctx, func(e Event) {
			select {
			case heard <- e:
			default:
			}
		})
	}()
	over := time.After(10 * time.Second)
	again := time.NewTicker(100 * time.Millisecond) // the socket may not be there yet
	defer again.Stop()
	for found := false; !found; {
		select {
		case <-again.C:
			if _, err := ask.WriteString("add"); err != nil {
				t.Skip("the kernel does not take it: " + err.Error())
			}
		case e := <-heard:
			found = e.Action == "add" && e.Path == "/devices/virtual/tty/tty" && e.Subsystem == "tty"
		case err := <-done:
			if !errors.Is(err, unix.EPROTONOSUPPORT) && !errors.Is(err, unix.EPERM) {
				t.Fatal(err)
			}
			t.Skip("no socket for events: ", err)
		case <-over:
			// The kernel leaves out network namespaces of other user namespaces than its own.
			if m, _ := os.ReadFile("/proc/self/uid_map"); !slices.Equal(strings.Fields(string(m)), []string{"0", "0", "4294967295"}) {
				t.Skip("no event arrives in a user namespace")
			}
			t.Fatal("no event arrives")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// watchHere runs Watch in a namespace of its own, which the kernel tells of its network
// links alone, and beside it f, with a socket of another sender's there. f may wait for
// the Watch to be there with plug, which makes the kernel tell of one more link.
func watchHere(t *testing.T, heard func(Event), f func(send func(text string), plug func(name string))) {
	nstest.Run(t, func() {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
		if err != nil {
			t.Skip("no socket for events: ", err)
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			t.Error(err)
			return
		}
		links := nstest.Dial(t, 0)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer stop()
			f(func(text string) {
				if err := unix.Sendto(fd, []byte(text), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
					t.Errorf("cannot send as somebody else: %v", err)
				}
			}, func(name string) {
				if err := links.AddVeth(ctx, name, name+"p", 0); err != nil {
					t.Error(err)
				}
			})
		}()
		if err := Watch(ctx, heard); err != nil {
			t.Error(err)
		}
		<-done
	})
}

// await waits for an event that is right, and fails where none comes.
func await(t *testing.T, heard <-chan Event, what string, right func(Event) bool) {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case e := <-heard:
			if right(e) {
				return
			}
		case <-limit:
			t.Errorf("no %s", what)
			return
		}
	}
}

// plugged waits until Watch hears the kernel: each link is told of once, and the first
// may have been too early.
func plugged(t *testing.T, heard <-chan Event, plug func(string)) {
	t.Helper()
	for i := range 200 {
		plug("v" + strconv.Itoa(i))
		select {
		case <-heard:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Skip("the kernel tells nothing of this network namespace")
}

// What another process sends looks as the kernel's and is not heard.
func TestWatchKernelOnly(t *testing.T) {
	heard := make(chan Event, 4096)
	watchHere(t, func(e Event) { heard <- e }, func(send func(string), plug func(string)) {
		plugged(t, heard, plug)
		send(added)
		plug("last") // in order behind it
		await(t, heard, "event of the kernel's", func(e Event) bool {
			if strings.HasSuffix(e.Path, "/ttyUSB2") {
				t.Errorf("somebody else was heard: %+v", e)
			}
			return e.Subsystem == "net" && strings.HasSuffix(e.Path, "/net/last")
		})
	})
}

// Events that found no room are told as one that is empty: whoever hears it looks
// for itself.
func TestWatchOverflow(t *testing.T) {
	heard, hold := make(chan Event, 4096), make(chan struct{})
	var held sync.Once
	first := make(chan struct{})
	watchHere(t, func(e Event) {
		heard <- e
		held.Do(func() { close(first) })
		<-hold
	}, func(send func(string), plug func(string)) {
		defer func() {
			select {
			case <-hold:
			default:
				close(hold)
			}
		}()
		plugged(t, heard, plug)
		<-first // and reads no more
		noise := "add@/devices/x\x00" + strings.Repeat("X=0123456789\x00", 100)
		for range 2000 {
			send(noise)
		}
		close(hold)
		await(t, heard, "word of lost events", func(e Event) bool { return e == Event{} })
		for len(heard) > 0 {
			<-heard
		}
		plugged(t, heard, func(name string) { plug("after" + name) }) // the first ones may find no room, either
	})
}
