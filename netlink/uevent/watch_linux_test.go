package uevent

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
