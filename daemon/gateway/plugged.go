package gateway

import (
	"context"
	"strings"
	"time"

	"dynamod/atcmd/port"
	"dynamod/netlink/uevent"
)

// plugging is the longest wait for all the ports of a modem, which come one after
// the other, to have come.
const plugging = 5 * time.Second

// heeded is the longest pause behind a modem that goes as soon as it is opened which a
// new port ends: such a modem has new ports each time.
const heeded = 8 * time.Second

// pauseModem is the pause before the modem is opened once more, and returns the next
// one: longer each time, until the kernel tells of a new port. After a modem that went
// as soon as it was opened the pauses grow whatever the kernel tells.
func (g *Gateway) pauseModem(ctx context.Context, wait time.Duration, went bool) (next time.Duration) {
	plugged := g.plugged
	if went && wait > heeded {
		plugged = nil
	}
	next = min(2*wait, lastReopen)
	over := time.NewTimer(wait)
	defer over.Stop()
	select {
	case <-ctx.Done():
	case <-over.C:
	case <-plugged:
		if !went {
			next = firstReopen
		}
		g.awaitWhole(ctx)
	case r := <-g.mute:
		r.answer <- g.writeRestart(ctx, g.knownPort(), r.part)
	}
	return next
}

// awaitWhole waits until no further port comes: the one that came first is not the
// best one, and the network function comes last.
func (g *Gateway) awaitWhole(ctx context.Context) {
	limit := time.NewTimer(plugging)
	defer limit.Stop()
	for {
		quiet := time.NewTimer(g.settle())
		select {
		case <-g.plugged:
			quiet.Stop()
			continue
		case <-quiet.C:
		case <-limit.C:
		case <-ctx.Done():
		}
		quiet.Stop()
		return
	}
}

// ofModem reports an event of what may be a part of a modem that was plugged in: a
// port, or a network interface on USB. The empty one stands for events that were lost.
func ofModem(e uevent.Event) bool {
	switch {
	case e == uevent.Event{}:
		return true
	case e.Action != "add":
		return false
	case e.Subsystem == "net":
		return strings.Contains(e.Path, "/usb")
	}
	return e.Subsystem == "tty" || e.Subsystem == "wwan"
}

// watchPorts wakes who waits for the modem when the kernel adds a port. Without the
// kernel's word, as in a container, the pauses have to do.
func (g *Gateway) watchPorts(ctx context.Context) error {
	if g.opts.OpenPort != nil || g.opts.Tree != (port.Tree{}) {
		return nil // the ports are not this kernel's
	}
	err := uevent.Watch(ctx, func(e uevent.Event) {
		if ofModem(e) {
			select {
			case g.plugged <- struct{}{}:
			default:
			}
		}
	})
	if err != nil {
		g.log.Info("a modem that is plugged in is found later: the kernel does not tell of it", "error", err)
	}
	return nil
}
