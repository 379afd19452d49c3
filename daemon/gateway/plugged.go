package gateway

import (
	"context"
	"time"

	"dynamod/atcmd/port"
	"dynamod/netlink/uevent"
)

// plugging is what all the ports of a modem take to come.
const plugging = 200 * time.Millisecond

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
		select { // a modem has several ports, and they come one after another
		case <-ctx.Done():
		case <-time.After(plugging):
		}
		select {
		case <-plugged:
		default:
		}
	case r := <-g.mute:
		r.answer <- g.writeRestart(ctx, g.knownPort(), r.part)
	}
	return next
}

// watchPorts wakes who waits for the modem when the kernel adds a port. Without the
// kernel's word, as in a container, the pauses have to do.
func (g *Gateway) watchPorts(ctx context.Context) error {
	if g.opts.OpenPort != nil || g.opts.Tree != (port.Tree{}) {
		return nil // the ports are not this kernel's
	}
	err := uevent.Watch(ctx, func(e uevent.Event) {
		if e == (uevent.Event{}) || e.Action == "add" && (e.Subsystem == "tty" || e.Subsystem == "wwan") {
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
