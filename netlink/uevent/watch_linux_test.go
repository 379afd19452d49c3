package uevent

import (
	"context"
	"os"
	"testing"
	"time"
)

// The kernel says again what it said of a device when that is asked for in sysfs.
func TestWatch(t *testing.T) {
	const file = "/sys/devices/virtual/tty/tty/uevent"
	ask, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Skip("the kernel cannot be asked for an event: " + err.Error())
	}
	defer ask.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
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
			t.Skip("no socket for events: ", err)
		case <-ctx.Done():
			t.Skip("no event arrives: a network namespace of its own")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
