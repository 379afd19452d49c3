package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

// notify tells the init system, where it listens ($NOTIFY_SOCKET, sd_notify(3)).
func (g *Gateway) notify(state ...string) {
	if _, err := sd.SdNotify(false, strings.Join(state, "\n")); err != nil {
		g.log.Debug("the init system cannot be told", "error", err)
	}
}

func (g *Gateway) notifyReady() { g.notify(sd.SdNotifyReady, g.statusLine()) }

func (g *Gateway) notifyReloading() {
	g.notify(sd.SdNotifyReloading, sd.SdNotifyMonotonicUsec())
}

// statusLine is what `systemctl status` shows of the daemon.
func (g *Gateway) statusLine() string {
	s := g.status.Snapshot()
	line := "STATUS=" + string(s.State)
	if s.Link != nil {
		line += " on " + s.Link.Interface + " " + strings.Join(s.Link.Addresses, " ")
	}
	if s.Reason != "" {
		line += ": " + s.Reason
	}
	if s.Run != nil && s.Run.Ended == nil {
		line += "; an activation is in state " + s.Run.State
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, line)
}

// answerTime is how long the daemon may take to answer the watchdog.
const answerTime = 5 * time.Second

// keepWatchdog tells the init system how the daemon is: what state it is in at
// each change, and that it is alive as often as the watchdog wants to hear it.
// Without an init system that listens, a loop that hangs is logged all the same.
func (g *Gateway) keepWatchdog(ctx context.Context) error {
	limit, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		g.log.Warn("the watchdog is not served", "error", err)
	}
	every := time.Minute
	if limit > 0 {
		every = limit / 2
	}
	g.notifyReady()
	sub := g.status.Subscribe(0)
	defer sub.Close()
	client := hook.Dial(g.config().Hook.Socket)
	t := time.NewTicker(every)
	defer t.Stop()
	told := g.statusLine()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sub.Events():
			if line := g.statusLine(); line != told {
				told = line
				g.notify(line)
			}
		case <-t.C:
			ask, done := context.WithTimeout(ctx, min(answerTime, every))
			err := g.alive(ask, client)
			done()
			switch {
			case err == nil && limit > 0:
				g.notify(sd.SdNotifyWatchdog)
			case err != nil && ctx.Err() == nil:
				g.log.Error("the daemon hangs; the init system's watchdog starts it anew, if it has one", "error", err)
			}
		}
	}
}

// alive finds out whether somebody who needs the daemon would be served: its
// socket answers with status and runs, which takes their locks, and the loops
// that look after modem and link come round.
func (g *Gateway) alive(ctx context.Context, c *hook.Client) error {
	var s status.Snapshot
	return errors.Join(
		c.Do(ctx, http.MethodGet, "/v1/status", nil, nil, &s),
		c.Do(ctx, http.MethodGet, "/v1/activations", nil, nil, nil),
		within(ctx, func() { g.getOperators() }),
		within(ctx, func() { g.bearer.Active() }),
		g.modemPulse.Check(),
		g.linkPulse.Check(),
	)
}

// within waits for f, which takes a lock of the part that it asks.
func within(ctx context.Context, f func()) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errors.New("a lock is held for too long")
	}
}
