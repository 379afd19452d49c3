package tui

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	tea "charm.land/bubbletea/v2"

	"dynamod/daemon/status"
)

// reattachPause is how long the feed waits before it asks for a daemon again that
// is not there.
const reattachPause = time.Second

// What the feed tells.
type (
	// attachedMsg comes at the start and after each loss of the daemon.
	attachedMsg struct{ snap status.Snapshot }
	snapshotMsg struct {
		snap status.Snapshot
		past bool // it was so before the attach
	}
	runMsg struct {
		run  status.Run
		past bool
	}
	logMsg struct {
		text string
		past bool
	}
	goneMsg struct{ err error }
)

// errRestarted means a daemon that was started again between two requests.
var errRestarted = errors.New("the daemon was started again")

// follow tells what the daemon tells until ctx ends, and comes back to it after
// each loss: the run goes on in the daemon.
func follow(ctx context.Context, c Client, send func(tea.Msg)) {
	for {
		err := attach(ctx, c, send)
		if ctx.Err() != nil {
			return
		}
		send(goneMsg{err})
		select {
		case <-time.After(reattachPause):
		case <-ctx.Done():
			return
		}
	}
}

// attach reads the present status, then what led to it as far as the daemon has
// kept it, then what comes.
func attach(ctx context.Context, c Client, send func(tea.Msg)) error {
	var (
		first status.Snapshot
		last  uint64 // event before the first status
		bad   error
	)
	err := c.EventsFrom(ctx, 0, func(id uint64, kind string, data []byte) bool {
		last, bad = id, json.Unmarshal(data, &first)
		return false
	})
	if err := errors.Join(err, bad); err != nil {
		return err
	}
	send(attachedMsg{first})
	from := uint64(1)
	if last < 2 {
		from = last // there is no past
	}
	err = c.EventsFrom(ctx, from, func(id uint64, kind string, data []byte) bool {
		past := id <= last
		switch kind {
		case "status":
			var s status.Snapshot
			if bad = json.Unmarshal(data, &s); bad == nil && !s.Started.Equal(first.Started) {
				bad = errRestarted
			}
			send(snapshotMsg{s, past})
		case "run":
			var r status.Run
			bad = json.Unmarshal(data, &r)
			send(runMsg{r, past})
		case "log":
			var text string
			bad = json.Unmarshal(data, &text)
			send(logMsg{text, past})
		}
		return bad == nil
	})
	return errors.Join(bad, err)
}
